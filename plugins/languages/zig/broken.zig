//! Gives up at the item `boom`: to see what its user is told.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const panic = taskhost.panic;

pub const description: taskhost.Description = .{ .summary = "Gives up at `boom`.", .split = "lines", .merge = "lines" };

pub fn process(_: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    if (std.mem.eql(u8, item, "boom")) @panic("the item went boom");
    return item;
}

comptime {
    taskhost.kernel(@This());
}
