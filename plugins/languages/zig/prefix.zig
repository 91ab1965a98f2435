//! A setting in front of each line; it is looked at once, before the first item.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{
    .summary = "Puts a text in front of each line.",
    .split = "lines",
    .merge = "lines",
    .settings = &.{.{ .name = "with", .default = "> ", .help = "What to put in front of each line." }},
};

var room: [63]u8 = undefined;
var prefix: []const u8 = "";

pub fn start(_: std.mem.Allocator) taskhost.Error!void {
    const with = taskhost.setting("with") orelse "";
    if (with.len == 0 or with.len > room.len) return taskhost.failed("`with` must have 1 to 63 bytes");
    @memcpy(room[0..with.len], with);
    prefix = room[0..with.len];
}

pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    return std.mem.concat(arena, u8, &.{ prefix, item });
}

comptime {
    taskhost.kernel(@This());
}
