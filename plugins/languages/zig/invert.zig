//! 255 minus every byte.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{
    .summary = "Inverts every byte: 255 - byte.",
    .split = "chunks:256KiB",
    .merge = "concat",
    .result_length = .same,
};

pub fn process(_: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    for (item) |*byte| byte.* = 255 - byte.*;
    return item;
}

comptime {
    taskhost.kernel(@This());
}
