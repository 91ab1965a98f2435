/* 255 minus every byte. */
#include "taskhost.h"

const taskhost_description kernel_description = {
    .summary = "Inverts every byte: 255 - byte.",
    .split = "chunks:256KiB",
    .merge = "concat",
    .result_length = taskhost_same,
};

taskhost_bytes kernel_process(taskhost_bytes item) {
    for (size_t i = 0; i < item.length; i++) item.data[i] = (uint8_t)(255 - item.data[i]);
    return item;
}
