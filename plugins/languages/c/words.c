/* The words of each line, each a result of its own: none, one or many for an item. */
#define TASKHOST_FLAT
#include "taskhost.h"

const taskhost_description kernel_description = {.summary = "The words of each line.", .split = "lines", .merge = "lines"};

static int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

taskhost_bytes kernel_process_flat(taskhost_bytes item, taskhost_results *results) {
    for (size_t at = 0; at < item.length;) {
        size_t start = at;
        while (at < item.length && !is_space(item.data[at]))
            if (item.data[at++] == 0) return taskhost_invalid_input("a NUL byte is in no word");
        if (at > start) taskhost_push(results, (taskhost_bytes){item.data + start, at - start});
        else at++;
    }
    return taskhost_ok();
}
