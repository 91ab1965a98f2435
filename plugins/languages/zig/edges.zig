//! How far the samples above and below each sample differ: a filter that needs one row of context on each side.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{ .summary = "Differences between the rows above and below." };

pub fn prepare(input: taskhost.Format) taskhost.Error!taskhost.Plan {
    if (input.sample != .unsigned8) return taskhost.invalidInput("expected samples of 8 bits");
    return .{ .halo = 1, .output = input };
}

pub fn filter(arena: std.mem.Allocator, tile: taskhost.Tile) taskhost.Error![]const u8 {
    const width = tile.image.rowBytes();
    const result = try arena.alloc(u8, tile.rows * width);
    for (0..tile.rows) |i| {
        const row = @as(i64, tile.first_row) + @as(i64, @intCast(i));
        const above, const below = .{ tile.row(row - 1), tile.row(row + 1) };
        for (result[i * width ..][0..width], above, below) |*sample, up, down| sample.* = @max(up, down) - @min(up, down);
    }
    return result;
}

comptime {
    taskhost.kernel(@This());
}
