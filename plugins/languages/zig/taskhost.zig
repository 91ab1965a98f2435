//! What a taskhost kernel in Zig is written with.
//!
//!     const std = @import("std");
//!     const taskhost = @import("taskhost.zig");
//!
//!     pub const description: taskhost.Description = .{ .summary = "Length of each line.", .split = "lines", .merge = "lines" };
//!
//!     pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
//!         return std.fmt.allocPrint(arena, "{d}", .{item.len});
//!     }
//!
//!     comptime {
//!         taskhost.kernel(@This());
//!     }
//!
//! A kernel that reduces also has `combine(arena, parts: []const []const u8)` and `finish(arena, total: []u8)`; one that has
//! something to do once for each fresh instance has `start(arena) Error!void`. In a component, `process` may instead give
//! `Error![]const []const u8`, none, one or many results for an item; and a filter of pictures has, instead of `process`,
//! `prepare(input: Format) Error!Plan` and `filter(arena, tile: Tile) Error![]const u8`. Without a `description` a kernel is of
//! the world `minimal`. What is allocated in the arena lives until the end of the
//! call. Built for `wasm32-freestanding` the kernel is a raw module (docs/abi.md), for `wasm32-wasi` a component.
//!
//! A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.

const std = @import("std");
const builtin = @import("builtin");
const types = @import("types.zig");

/// Whether this is built as a component.
pub const is_component = builtin.os.tag == .wasi;

/// What a kernel says of itself.
pub const Description = struct {
    /// One line.
    summary: []const u8,
    /// As in --split: whole, lines, blocks:1MiB, records:16, chunks:64KiB.
    split: []const u8 = "whole",
    /// As in --merge: concat, lines, reduce.
    merge: []const u8 = "concat",
    result_length: ResultLength = .unknown,
    settings: []const Setting = &.{},
};

/// How long results are.
pub const ResultLength = union(enum) { unknown, same, exactly: u32 };

/// A setting that users give as --config name=value.
pub const Setting = struct {
    name: []const u8,
    /// None when the user must give it.
    default: ?[]const u8 = null,
    help: []const u8 = "",
};

/// Type of one sample of a picture.
pub const Sample = enum(u8) {
    unsigned8,
    unsigned16,
    signed16,
    unsigned32,
    signed32,
    float32,
    float64,

    /// Bytes of one.
    pub fn bytes(sample: Sample) usize {
        return switch (sample) {
            .unsigned8 => 1,
            .unsigned16, .signed16 => 2,
            .unsigned32, .signed32, .float32 => 4,
            .float64 => 8,
        };
    }
};

/// What a picture is; its samples follow each other row by row, the channels of a pixel together.
pub const Format = extern struct {
    width: u32,
    height: u32,
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; other numbers for raw data.
    channels: u32,
    sample: Sample,

    /// Bytes of one row.
    pub fn rowBytes(format: Format) usize {
        return @as(usize, format.width) * format.channels * format.sample.bytes();
    }
};

/// How a picture may be cut, and what comes of it.
pub const Plan = struct {
    /// Rows above and below that each strip needs; null for the picture uncut.
    halo: ?u32 = 0,
    /// With strips as high as the input.
    output: Format,
};

/// A strip of a picture, or all of it.
pub const Tile = struct {
    /// Of the whole picture.
    image: Format,
    /// Row of the picture at which the tile's own rows begin.
    first_row: u32,
    /// Own rows: those to be returned.
    rows: u32,
    /// Context rows that are there; fewer than the halo at the picture's edges.
    above: u32,
    below: u32,
    /// above + rows + below rows, without padding.
    samples: []u8,

    /// Row `number` of the picture; rows beyond the picture are its outermost ones.
    pub fn row(tile: Tile, number: i64) []u8 {
        const inside = std.math.clamp(number, 0, @as(i64, tile.image.height) - 1);
        const length = tile.image.rowBytes();
        const at = @as(usize, @intCast(inside - (@as(i64, tile.first_row) - tile.above))) * length;
        return tile.samples[at..][0..length];
    }
};

/// Why an item failed; made by the functions below, which take the text for the user.
pub const Error = error{ InvalidInput, Failed, Temporary, OutOfMemory };

/// The item is at fault.
pub fn invalidInput(text: []const u8) Error {
    reason = text;
    return error.InvalidInput;
}

/// The kernel could not do it.
pub fn failed(text: []const u8) Error {
    reason = text;
    return error.Failed;
}

/// Something was not ready: try again (--retries).
pub fn temporary(text: []const u8) Error {
    reason = text;
    return error.Temporary;
}

pub const Level = enum(u32) { debug, info, warn, @"error" };

/// A message for the user.
pub fn log(level: Level, text: []const u8) void {
    host.log(@backingInt(level), text.ptr, text.len);
}

/// With `pub const panic = taskhost.panic;` in a kernel, what a panic says becomes part of the item's error.
pub const panic = std.debug.FullPanic(struct {
    fn panic(text: []const u8, _: ?usize) noreturn {
        log(.@"error", text);
        @trap();
    }
}.panic);

/// Adds to a count that is summed over all items and shown at the end.
pub fn count(name: []const u8, amount: u64) void {
    host.count(name.ptr, name.len, amount);
}

/// The value of a setting; it lives as long as the arena of this call.
pub fn setting(name: []const u8) ?[]const u8 {
    if (is_component) {
        var value: Option = undefined;
        host.get(name.ptr, name.len, &value);
        return if (value.is_some) value.text.slice() else null;
    }
    const length = host.get(name.ptr, name.len, null, 0);
    if (length == std.math.maxInt(u32)) return null;
    // No bytes lie nowhere.
    if (length == 0) return "";
    const value = arena().alloc(u8, length) catch noMemory();
    _ = host.get(name.ptr, name.len, value.ptr, value.len);
    return value;
}

const host = struct {
    const log = imported("log", "log", fn (u32, [*]const u8, usize) callconv(.c) void);
    const count = imported("counter", "add", fn ([*]const u8, usize, u64) callconv(.c) void);
    const get = imported("config", "get", if (is_component)
        fn ([*]const u8, usize, *Option) callconv(.c) void
    else
        fn ([*]const u8, usize, ?[*]u8, usize) callconv(.c) u32);

    /// A function of an interface, which is in one module for raw modules.
    fn imported(comptime interface: []const u8, comptime name: []const u8, comptime Function: type) *const Function {
        const raw_name = if (std.mem.eql(u8, interface, name)) name else interface ++ "_" ++ name;
        return @extern(*const Function, .{
            .name = if (is_component) name else raw_name,
            .library_name = if (is_component) "taskhost:kernel/" ++ interface ++ "@" ++ types.version else "taskhost",
        });
    }
};

// How it is done: nothing below is for kernels.

/// A list or a text in the canonical ABI of the component model.
pub const List = extern struct {
    at: [*]const u8,
    length: usize,

    pub fn of(bytes: []const u8) List {
        // No bytes lie nowhere; a place they have to have.
        return .{ .at = if (bytes.len == 0) @ptrFromInt(16) else bytes.ptr, .length = bytes.len };
    }

    pub fn slice(list: List) []const u8 {
        return list.at[0..list.length];
    }
};

/// A text that may be missing.
pub const Option = extern struct { is_some: bool, text: List };

pub var reason: []const u8 = "";

/// Of the call in hand.
pub var memory: std.heap.ArenaAllocator = .init(std.heap.page_allocator);

pub fn arena() std.mem.Allocator {
    return memory.allocator();
}

/// The host knows that memory was refused, and says so.
pub fn noMemory() noreturn {
    @trap();
}

/// Turns a kernel's functions into the exports of a kernel.
pub fn kernel(comptime Kernel: type) void {
    if (is_component) @import("component.zig").kernel(Kernel) else raw(Kernel);
}

fn raw(comptime Kernel: type) void {
    if (@hasDecl(Kernel, "filter")) @compileError("a filter of pictures is a component: build for wasm32-wasi");
    const exports = struct {
        fn alloc(length: usize) callconv(.c) ?[*]u8 {
            _ = memory.reset(.retain_capacity);
            if (length == 0) return @ptrFromInt(16);
            return (arena().alignedAlloc(u8, .@"16", length) catch return null).ptr;
        }
        fn process(item: [*]u8, length: usize) callconv(.c) u64 {
            return place(Kernel.process(arena(), item[0..length]));
        }
        fn reasonOfError() callconv(.c) u64 {
            return place(reason);
        }
        fn describe() callconv(.c) u64 {
            return place(comptime describedText(Kernel.description));
        }
        fn start() callconv(.c) u64 {
            _ = memory.reset(.retain_capacity);
            Kernel.start(arena()) catch |problem| return place(@as(Error![]const u8, problem));
            return 0;
        }
        fn combine(data: [*]u8, length: usize) callconv(.c) u64 {
            const number = std.mem.readInt(u32, data[0..4], .little);
            const parts = arena().alloc([]const u8, number) catch noMemory();
            var rest: []u8 = data[4 + 4 * number .. length];
            for (parts, 0..) |*part, i| {
                const size = std.mem.readInt(u32, data[4 + 4 * i ..][0..4], .little);
                part.* = rest[0..size];
                rest = rest[size..];
            }
            return place(Kernel.combine(arena(), parts));
        }
        fn finish(total: [*]u8, length: usize) callconv(.c) u64 {
            return place(Kernel.finish(arena(), total[0..length]));
        }
    };
    @export(&exports.alloc, .{ .name = "taskhost_alloc" });
    @export(&exports.process, .{ .name = "taskhost_process" });
    @export(&exports.reasonOfError, .{ .name = "taskhost_error" });
    if (@hasDecl(Kernel, "description")) @export(&exports.describe, .{ .name = "taskhost_describe" });
    if (@hasDecl(Kernel, "start")) @export(&exports.start, .{ .name = "taskhost_start" });
    if (@hasDecl(Kernel, "combine")) {
        @export(&exports.combine, .{ .name = "taskhost_combine" });
        @export(&exports.finish, .{ .name = "taskhost_finish" });
    }
}

/// What a raw module returns: where bytes lie, or an error.
fn place(outcome: Error![]const u8) u64 {
    const bytes = outcome catch |problem| return switch (problem) {
        error.InvalidInput => std.math.maxInt(u64),
        error.Failed => std.math.maxInt(u64) - 1,
        error.Temporary => std.math.maxInt(u64) - 2,
        error.OutOfMemory => noMemory(),
    };
    return @as(u64, @intFromPtr(bytes.ptr)) << 32 | bytes.len;
}

/// The text of `taskhost_describe`.
fn describedText(comptime it: Description) []const u8 {
    comptime {
        var all: []const u8 = "summary=" ++ it.summary ++ "\nsplit=" ++ it.split ++ "\nmerge=" ++ it.merge ++ "\n";
        all = all ++ switch (it.result_length) {
            .unknown => "",
            .same => "result-length=same\n",
            .exactly => |length| std.fmt.comptimePrint("result-length={d}\n", .{length}),
        };
        for (it.settings) |one| {
            all = all ++ "setting=" ++ one.name ++ "\n";
            if (one.default) |default| all = all ++ "default=" ++ default ++ "\n";
            all = all ++ "help=" ++ one.help ++ "\n";
        }
        return all;
    }
}
