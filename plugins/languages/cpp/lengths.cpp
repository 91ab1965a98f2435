// How many bytes each line has. The host hands many lines to one call; nothing here knows of it.
#include "taskhost.hpp"

TASKHOST_DESCRIBE({.summary = "Length of each line.", .split = "lines", .merge = "lines"})

taskhost::result process(taskhost::item item) {
    if (taskhost::text(item).starts_with('#')) return taskhost::invalid_input("a comment has no length");
    return std::to_string(item.size());
}
