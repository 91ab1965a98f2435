//! Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub fn process(_: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    for (item) |*byte| byte.* = std.ascii.toUpper(byte.*);
    return item;
}

comptime {
    taskhost.kernel(@This());
}
