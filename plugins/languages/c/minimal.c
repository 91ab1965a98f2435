/* Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line. */
#define TASKHOST_MINIMAL
#include "taskhost.h"

taskhost_bytes kernel_process(taskhost_bytes item) {
    for (size_t i = 0; i < item.length; i++)
        if (item.data[i] >= 'a' && item.data[i] <= 'z') item.data[i] -= 'a' - 'A';
    return item;
}
