// How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text.
#include <charconv>
#include <map>
#define TASKHOST_REDUCE
#include "taskhost.hpp"

TASKHOST_DESCRIBE({
    .summary = "Counts words; lines `word<TAB>count`, sorted by bytes.",
    .split = "blocks:1MiB",
    .merge = "reduce",
})

namespace {

using counts = std::map<std::string_view, std::uint64_t>;

std::string written(const counts &counts) {
    std::string text;
    for (auto [word, count] : counts) {
        text += word;
        text += '\t' + std::to_string(count) + '\n';
    }
    return text;
}

}  // namespace

taskhost::result process(taskhost::item item) {
    constexpr std::string_view spaces = " \t\n\v\f\r";
    auto text = taskhost::text(item);
    counts counts;
    for (std::size_t start = text.find_first_not_of(spaces); start != text.npos;) {
        auto end = text.find_first_of(spaces, start);
        ++counts[text.substr(start, end - start)];
        start = text.find_first_not_of(spaces, end);
    }
    return written(counts);
}

taskhost::result combine(taskhost::parts parts) {
    counts counts;
    for (auto part : parts) {
        for (auto rest = taskhost::text(part); !rest.empty();) {
            auto tab = rest.find('\t'), newline = rest.find('\n');
            std::uint64_t count = 0;
            std::from_chars(rest.data() + tab + 1, rest.data() + newline, count);
            counts[rest.substr(0, tab)] += count;
            rest.remove_prefix(newline + 1);
        }
    }
    return written(counts);
}

taskhost::result finish(taskhost::item total) { return total; }
