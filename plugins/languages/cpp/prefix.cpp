// A setting in front of each line; it is looked at once, before the first item.
#define TASKHOST_START
#include "taskhost.hpp"

static const taskhost_setting_description settings[] = {{"with", "> ", "What to put in front of each line."}, {}};

TASKHOST_DESCRIBE({
    .summary = "Puts a text in front of each line.",
    .split = "lines",
    .merge = "lines",
    .settings = settings,
})

static std::string prefix;

taskhost::result start() {
    prefix = taskhost::setting("with").value_or("");
    if (prefix.empty() || prefix.size() > 63) return taskhost::failed("`with` must have 1 to 63 bytes");
    return taskhost::ok();
}

taskhost::result process(taskhost::item item) { return prefix + std::string(taskhost::text(item)); }
