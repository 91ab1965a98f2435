//! 255 minus every byte of standard input, to standard output.

const std = @import("std");
const wasi = std.os.wasi;

var buffer: [65536]u8 = undefined;

pub fn main() !void {
    while (true) {
        const bytes = try read();
        if (bytes.len == 0) return;
        for (bytes) |*byte| byte.* = 255 - byte.*;
        try write(bytes);
    }
}

fn read() ![]u8 {
    const into = [1]wasi.iovec_t{.{ .base = &buffer, .len = buffer.len }};
    var length: usize = 0;
    if (wasi.fd_read(0, &into, into.len, &length) != .SUCCESS) return error.StandardInput;
    return buffer[0..length];
}

fn write(bytes: []const u8) !void {
    var rest = bytes;
    while (rest.len > 0) {
        const from = [1]wasi.ciovec_t{.{ .base = rest.ptr, .len = rest.len }};
        var length: usize = 0;
        if (wasi.fd_write(1, &from, from.len, &length) != .SUCCESS) return error.StandardOutput;
        rest = rest[length..];
    }
}
