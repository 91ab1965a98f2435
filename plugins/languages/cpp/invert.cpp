// 255 minus every byte.
#include "taskhost.hpp"

TASKHOST_DESCRIBE({
    .summary = "Inverts every byte: 255 - byte.",
    .split = "chunks:256KiB",
    .merge = "concat",
    .result_length = taskhost_same,
})

taskhost::result process(taskhost::item item) {
    for (auto &byte : item) byte = 255 - byte;
    return item;
}
