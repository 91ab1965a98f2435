/* A setting in front of each line; it is looked at once, before the first item. */
#define TASKHOST_START
#include "taskhost.h"

static const taskhost_setting_description settings[] = {{"with", "> ", "What to put in front of each line."}, {0}};

const taskhost_description kernel_description = {
    .summary = "Puts a text in front of each line.",
    .split = "lines",
    .merge = "lines",
    .settings = settings,
};

static char prefix[64];

taskhost_bytes kernel_start(void) {
    const char *with = taskhost_setting("with");
    if (strlen(with) == 0 || strlen(with) >= sizeof prefix) return taskhost_failed("`with` must have 1 to 63 bytes");
    strcpy(prefix, with);
    return taskhost_ok();
}

taskhost_bytes kernel_process(taskhost_bytes item) {
    size_t length = strlen(prefix);
    taskhost_bytes result = {taskhost_allocate(length + item.length), length + item.length};
    memcpy(result.data, prefix, length);
    memcpy(result.data + length, item.data, item.length);
    return result;
}
