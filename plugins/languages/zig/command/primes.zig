//! `lo hi` on standard input: how many primes lie in [lo, hi).

const std = @import("std");
const wasi = std.os.wasi;

pub fn main() !void {
    var line: [64]u8 = undefined;
    var length: usize = 0;
    while (length < line.len) {
        const into = [1]wasi.iovec_t{.{ .base = line[length..].ptr, .len = line.len - length }};
        var more: usize = 0;
        if (wasi.fd_read(0, &into, into.len, &more) != .SUCCESS) return error.StandardInput;
        if (more == 0) break;
        length += more;
    }
    var words = std.mem.tokenizeAny(u8, line[0..length], " \t\r\n");
    const low = number(words.next()) orelse fail();
    const high = number(words.next()) orelse fail();
    if (words.next() != null) fail();
    var count: u32 = 0;
    var candidate = low;
    while (candidate < high) : (candidate += 1) count += @intFromBool(isPrime(candidate));
    write(1, try std.fmt.bufPrint(&line, "{d}", .{count}));
}

fn number(text: ?[]const u8) ?u32 {
    return std.fmt.parseInt(u32, text orelse return null, 10) catch null;
}

fn isPrime(candidate: u32) bool {
    if (candidate < 2) return false;
    var divisor: u32 = 2;
    while (divisor <= candidate / divisor) : (divisor += 1) {
        if (candidate % divisor == 0) return false;
    }
    return true;
}

fn fail() noreturn {
    write(2, "expected two whole numbers `lo hi`\n");
    wasi.proc_exit(1);
}

fn write(file: wasi.fd_t, text: []const u8) void {
    const from = [1]wasi.ciovec_t{.{ .base = text.ptr, .len = text.len }};
    var length: usize = 0;
    _ = wasi.fd_write(file, &from, from.len, &length);
}
