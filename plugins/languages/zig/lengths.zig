//! How many bytes each line has. The host hands many lines to one call; nothing here knows of it.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{ .summary = "Length of each line.", .split = "lines", .merge = "lines" };

pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    if (std.mem.startsWith(u8, item, "#")) return taskhost.invalidInput("a comment has no length");
    return std.fmt.allocPrint(arena, "{d}", .{item.len});
}

comptime {
    taskhost.kernel(@This());
}
