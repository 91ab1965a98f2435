/* How far the samples above and below each sample differ: a filter that needs one row of context on each side. */
#define TASKHOST_IMAGE
#include "taskhost.h"

const taskhost_description kernel_description = {.summary = "Differences between the rows above and below."};

taskhost_bytes kernel_prepare(taskhost_format input, taskhost_plan *plan) {
    if (input.sample != taskhost_unsigned8) return taskhost_invalid_input("expected samples of 8 bits");
    plan->halo = 1;
    return taskhost_ok();
}

taskhost_bytes kernel_filter(const taskhost_tile *tile) {
    size_t width = taskhost_row_bytes(tile->image);
    taskhost_bytes result = {taskhost_allocate(tile->rows * width), tile->rows * width};
    for (uint32_t i = 0; i < tile->rows; i++) {
        int64_t row = (int64_t)tile->first_row + i;
        const uint8_t *above = taskhost_row(tile, row - 1), *below = taskhost_row(tile, row + 1);
        for (size_t x = 0; x < width; x++)
            result.data[i * width + x] = (uint8_t)(above[x] > below[x] ? above[x] - below[x] : below[x] - above[x]);
    }
    return result;
}
