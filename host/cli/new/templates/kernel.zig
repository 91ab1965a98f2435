//! Each line backwards.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const panic = taskhost.panic;

pub const description: taskhost.Description = .{
    .summary = "Each line backwards, byte by byte.",
    .split = "lines",
    .merge = "lines",
    .result_length = .same,
};

pub fn process(_: std.mem.Allocator, line: []u8) taskhost.Error![]const u8 {
    std.mem.reverse(u8, line);
    return line;
}

comptime {
    taskhost.kernel(@This());
}
