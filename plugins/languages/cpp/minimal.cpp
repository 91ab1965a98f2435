// Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.
#define TASKHOST_MINIMAL
#include "taskhost.hpp"

taskhost::result process(taskhost::item item) {
    for (auto &byte : item)
        if (byte >= 'a' && byte <= 'z') byte -= 'a' - 'A';
    return item;
}
