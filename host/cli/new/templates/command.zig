//! Standard input backwards, to standard output: one item to a run.

const std = @import("std");
const wasi = std.os.wasi;

/// The longest item.
var buffer: [1 << 20]u8 = undefined;

pub fn main() !void {
    var length: usize = 0;
    while (true) {
        if (length == buffer.len) return error.ItemTooLong;
        const into = [1]wasi.iovec_t{.{ .base = buffer[length..].ptr, .len = buffer.len - length }};
        var got: usize = 0;
        if (wasi.fd_read(0, &into, into.len, &got) != .SUCCESS) return error.StandardInput;
        if (got == 0) break;
        length += got;
    }
    std.mem.reverse(u8, buffer[0..length]);
    var rest: []const u8 = buffer[0..length];
    while (rest.len > 0) {
        const from = [1]wasi.ciovec_t{.{ .base = rest.ptr, .len = rest.len }};
        var written: usize = 0;
        if (wasi.fd_write(1, &from, from.len, &written) != .SUCCESS) return error.StandardOutput;
        rest = rest[written..];
    }
}
