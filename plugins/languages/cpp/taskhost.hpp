// taskhost.hpp: what a taskhost kernel in C++20 is written with, over taskhost.h. Include it in one file of a kernel.
//
//     #include "taskhost.hpp"
//
//     TASKHOST_DESCRIBE({.summary = "Length of each line.", .split = "lines", .merge = "lines"})
//
//     taskhost::result process(taskhost::item item) { return std::to_string(item.size()); }
//
// Before the #include, what the kernel has besides: TASKHOST_REDUCE for `combine` and `finish`, TASKHOST_START for `start`,
// TASKHOST_FLAT for a `process` with any number of results, TASKHOST_IMAGE for `prepare` and `filter` instead of it,
// TASKHOST_MINIMAL for no description; see taskhost.h. Build with -fno-exceptions: a kernel answers with
// taskhost::invalid_input("…") and the like instead of throwing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../c/taskhost.h"

namespace taskhost {

// The bytes of one item; they may be changed.
using item = std::span<std::uint8_t>;

// Bytes, or an error.
struct result {
    taskhost_bytes bytes;

    result(taskhost_bytes given) : bytes(given) {}
    // In place: the item itself, or a part of it.
    result(std::span<std::uint8_t> given) : bytes{given.data(), given.size()} {}
    result(std::string_view text) : bytes{static_cast<std::uint8_t *>(taskhost_allocate(text.size())), text.size()} {
        if (!text.empty()) std::memcpy(bytes.data, text.data(), text.size());
    }
    result(const std::string &text) : result(std::string_view(text)) {}
    result(const char *text) : result(std::string_view(text)) {}
};

// The item is at fault.
inline result invalid_input(std::string_view text) {
    std::string_view kept(reinterpret_cast<char *>(result(std::string(text) + '\0').bytes.data));
    return taskhost_invalid_input(kept.data());
}

// The kernel could not do it.
inline result failed(std::string_view text) {
    std::string_view kept(reinterpret_cast<char *>(result(std::string(text) + '\0').bytes.data));
    return taskhost_failed(kept.data());
}

inline std::string_view text(taskhost_bytes bytes) {
    return {reinterpret_cast<const char *>(bytes.data), bytes.length};
}

inline std::string_view text(item item) { return {reinterpret_cast<const char *>(item.data()), item.size()}; }

// What is no error and has no bytes.
inline result ok() { return taskhost_ok(); }

// The value of a setting, if it has one.
inline std::optional<std::string> setting(const char *name) {
    auto value = taskhost_setting(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
}

// Partial results, in order.
using parts = std::span<const taskhost_bytes>;

// The results of one item, with TASKHOST_FLAT. What is added is copied.
class results {
    taskhost_results *into;

  public:
    explicit results(taskhost_results *given) : into(given) {}
    void push(const result &one) { taskhost_push(into, one.bytes); }
};

using format = taskhost_format;
using plan = taskhost_plan;
using tile = taskhost_tile;

// Row `row` of a tile's picture; rows beyond the picture are its outermost ones.
inline std::span<std::uint8_t> row(const tile &tile, std::int64_t row) {
    return {taskhost_row(&tile, row), taskhost_row_bytes(tile.image)};
}

}  // namespace taskhost

#if defined(TASKHOST_IMAGE)
taskhost::result prepare(taskhost::format input, taskhost::plan &plan);
taskhost::result filter(const taskhost::tile &tile);
taskhost_bytes kernel_prepare(taskhost_format input, taskhost_plan *plan) { return prepare(input, *plan).bytes; }
taskhost_bytes kernel_filter(const taskhost_tile *tile) { return filter(*tile).bytes; }
#elif defined(TASKHOST_FLAT)
taskhost::result process(taskhost::item item, taskhost::results results);
taskhost_bytes kernel_process_flat(taskhost_bytes item, taskhost_results *results) {
    return process({item.data, item.length}, taskhost::results(results)).bytes;
}
#else
taskhost::result process(taskhost::item item);
taskhost_bytes kernel_process(taskhost_bytes item) { return process({item.data, item.length}).bytes; }
#endif

#ifdef TASKHOST_START
taskhost::result start();
taskhost_bytes kernel_start(void) { return start().bytes; }
#endif

#ifdef TASKHOST_REDUCE
taskhost::result combine(taskhost::parts parts);
taskhost::result finish(taskhost::item total);
taskhost_bytes kernel_combine(const taskhost_bytes *parts, size_t count) { return combine({parts, count}).bytes; }
taskhost_bytes kernel_finish(taskhost_bytes total) { return finish({total.data, total.length}).bytes; }
#endif

#define TASKHOST_DESCRIBE(...) extern "C" const taskhost_description kernel_description __VA_ARGS__;
