// Gives up at the item `boom`: to see what its user is told.
#undef NDEBUG  // An optimising compiler leaves assertions out otherwise.
#include <cassert>
#include "taskhost.hpp"

TASKHOST_DESCRIBE({.summary = "Gives up at `boom`.", .split = "lines", .merge = "lines"})

taskhost::result process(taskhost::item item) {
    assert(taskhost::text(item) != "boom");
    return item;
}
