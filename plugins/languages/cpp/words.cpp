// The words of each line, each a result of its own: none, one or many for an item.
#define TASKHOST_FLAT
#include "taskhost.hpp"

TASKHOST_DESCRIBE({.summary = "The words of each line.", .split = "lines", .merge = "lines"})

taskhost::result process(taskhost::item item, taskhost::results results) {
    constexpr std::string_view spaces = " \t\n\v\f\r";
    auto text = taskhost::text(item);
    if (text.find('\0') != text.npos) return taskhost::invalid_input("a NUL byte is in no word");
    for (std::size_t start = text.find_first_not_of(spaces); start != text.npos;) {
        auto end = text.find_first_of(spaces, start);
        results.push(text.substr(start, end - start));
        start = text.find_first_not_of(spaces, end);
    }
    return taskhost::ok();
}
