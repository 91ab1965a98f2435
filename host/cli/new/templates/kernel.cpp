// Each line backwards.
#include <algorithm>

#include "taskhost.hpp"

TASKHOST_DESCRIBE({
    .summary = "Each line backwards, byte by byte.",
    .split = "lines",
    .merge = "lines",
    .result_length = taskhost_same,
})

taskhost::result process(taskhost::item line) {
    std::reverse(line.begin(), line.end());
    return line;
}
