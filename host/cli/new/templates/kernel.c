/* Each line backwards. */
#include "taskhost.h"

const taskhost_description kernel_description = {
    .summary = "Each line backwards, byte by byte.",
    .split = "lines",
    .merge = "lines",
    .result_length = taskhost_same,
};

taskhost_bytes kernel_process(taskhost_bytes line) {
    for (size_t i = 0; i < line.length / 2; i++) {
        uint8_t byte = line.data[i];
        line.data[i] = line.data[line.length - 1 - i];
        line.data[line.length - 1 - i] = byte;
    }
    return line;
}
