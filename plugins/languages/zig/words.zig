//! The words of each line, each a result of its own: none, one or many for an item.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{ .summary = "The words of each line.", .split = "lines", .merge = "lines" };

pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const []const u8 {
    if (std.mem.findScalar(u8, item, 0) != null) return taskhost.invalidInput("a NUL byte is in no word");
    var words: std.ArrayList([]const u8) = .empty;
    var rest = std.mem.tokenizeAny(u8, item, " \t\n\r\x0b\x0c");
    while (rest.next()) |word| try words.append(arena, word);
    return words.items;
}

comptime {
    taskhost.kernel(@This());
}
