//! `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{
    .summary = "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.",
    .split = "lines",
    .merge = "lines",
};

pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    var words = std.mem.tokenizeAny(u8, item, " \t\r");
    const low = number(u32, words.next()) orelse return wrong();
    const high = number(u32, words.next()) orelse return wrong();
    if (words.next() != null) return wrong();
    var count: u64 = 0;
    var candidate = low;
    while (candidate < high) : (candidate += 1) count += @intFromBool(isPrime(candidate));
    return std.fmt.allocPrint(arena, "{d}", .{count});
}

pub fn combine(arena: std.mem.Allocator, parts: []const []const u8) taskhost.Error![]const u8 {
    var sum: u64 = 0;
    for (parts) |part| sum += number(u64, part) orelse return taskhost.failed("a partial result is not a number");
    return std.fmt.allocPrint(arena, "{d}", .{sum});
}

pub fn finish(arena: std.mem.Allocator, total: []u8) taskhost.Error![]const u8 {
    return std.mem.concat(arena, u8, &.{ total, "\n" });
}

fn wrong() taskhost.Error {
    return taskhost.invalidInput("expected two whole numbers `lo hi`");
}

fn number(comptime Number: type, text: ?[]const u8) ?Number {
    return std.fmt.parseInt(Number, text orelse return null, 10) catch null;
}

fn isPrime(candidate: u32) bool {
    if (candidate < 2) return false;
    var divisor: u32 = 2;
    while (divisor <= candidate / divisor) : (divisor += 1) {
        if (candidate % divisor == 0) return false;
    }
    return true;
}

comptime {
    taskhost.kernel(@This());
}
