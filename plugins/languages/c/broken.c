/* Gives up at the item `boom`: to see what its user is told. */
#undef NDEBUG /* An optimising compiler leaves assertions out otherwise. */
#include <assert.h>
#include "taskhost.h"

const taskhost_description kernel_description = {.summary = "Gives up at `boom`.", .split = "lines", .merge = "lines"};

taskhost_bytes kernel_process(taskhost_bytes item) {
    assert(item.length != 4 || memcmp(item.data, "boom", 4) != 0);
    return item;
}
