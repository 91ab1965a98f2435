/* How many bytes each line has. The host hands many lines to one call; nothing here knows of it. */
#include <stdio.h>
#include "taskhost.h"

const taskhost_description kernel_description = {.summary = "Length of each line.", .split = "lines", .merge = "lines"};

taskhost_bytes kernel_process(taskhost_bytes item) {
    if (item.length && item.data[0] == '#') return taskhost_invalid_input("a comment has no length");
    char *text = taskhost_allocate(24);
    snprintf(text, 24, "%zu", item.length);
    return taskhost_text(text);
}
