// How far the samples above and below each sample differ: a filter that needs one row of context on each side.
#define TASKHOST_IMAGE
#include <cstdlib>
#include "taskhost.hpp"

TASKHOST_DESCRIBE({.summary = "Differences between the rows above and below."})

taskhost::result prepare(taskhost::format input, taskhost::plan &plan) {
    if (input.sample != taskhost_unsigned8) return taskhost::invalid_input("expected samples of 8 bits");
    plan.halo = 1;
    return taskhost::ok();
}

taskhost::result filter(const taskhost::tile &tile) {
    std::string result;
    for (std::int64_t row = tile.first_row; row < std::int64_t(tile.first_row) + tile.rows; ++row) {
        auto above = taskhost::row(tile, row - 1), below = taskhost::row(tile, row + 1);
        for (std::size_t x = 0; x < above.size(); ++x) result += char(std::abs(above[x] - below[x]));
    }
    return result;
}
