//! The exports of a component, by the canonical ABI; used by taskhost.zig.

const std = @import("std");
const taskhost = @import("taskhost.zig");
const types = @import("types.zig");

const Error = taskhost.Error;
const List = taskhost.List;
const Option = taskhost.Option;
const arena = taskhost.arena;

const Failure = extern struct {
    kind: u8,
    text: List,

    fn of(problem: taskhost.Error) Failure {
        const kind: u8 = switch (problem) {
            error.InvalidInput => 0,
            error.Failed => 1,
            error.Temporary => 2,
            error.OutOfMemory => taskhost.noMemory(),
        };
        return .{ .kind = kind, .text = .of(taskhost.reason) };
    }
};

const Result = extern struct {
    is_error: bool,
    value: extern union { ok: List, failure: Failure },
};

const Planned = extern struct {
    is_error: bool,
    value: extern union {
        plan: extern struct { is_whole: bool, halo: u32, output: taskhost.Format },
        failure: Failure,
    },
};

const Failed = extern struct { position: u32, failure: Failure };

const Packed = extern struct { bytes: List, ends: Numbers, counts: Numbers, failures: Array(Failed) };

const Numbers = Array(u32);

fn Array(comptime Element: type) type {
    return extern struct {
        at: [*]const Element,
        count: usize,

        fn of(all: []const Element) @This() {
            return .{ .at = if (all.len == 0) @ptrFromInt(16) else all.ptr, .count = all.len };
        }
    };
}

const DescribedSetting = extern struct { name: List, default: Option, help: List };

const Described = extern struct {
    summary: List,
    split: List,
    merge: List,
    length_kind: u8,
    length: u32,
    settings: [*]const DescribedSetting,
    setting_count: usize,
};

var result: Result = undefined;
var planned: Planned = undefined;
var packed_result: Packed = undefined;

fn answer(outcome: Error![]const u8) *const Result {
    result = if (outcome) |bytes|
        .{ .is_error = false, .value = .{ .ok = .of(bytes) } }
    else |problem|
        .{ .is_error = true, .value = .{ .failure = .of(problem) } };
    return &result;
}

/// Many results, as a list of lists.
fn answerMany(outcome: Error![]const []const u8) *const Result {
    const pieces = outcome catch |problem| return answer(problem);
    if (pieces.len == 0) return answer("");
    const lists = arena().alloc(List, pieces.len) catch taskhost.noMemory();
    for (lists, pieces) |*list, piece| list.* = .of(piece);
    result = .{ .is_error = false, .value = .{ .ok = .{ .at = @ptrCast(lists.ptr), .length = lists.len } } };
    return &result;
}

/// Many small items in one call.
fn pack(comptime Kernel: type, bytes: []u8, ends: []const u32) Error!Packed {
    const flat = comptime isFlat(Kernel);
    var all: std.ArrayList(u8) = .empty;
    var result_ends: std.ArrayList(u32) = .empty;
    var failures: std.ArrayList(Failed) = .empty;
    const counts = try arena().alloc(u32, if (flat) ends.len else 0);
    var start: usize = 0;
    for (ends, 0..) |end, position| {
        const before = result_ends.items.len;
        if (Kernel.process(arena(), bytes[start..end])) |outcome| {
            const pieces: []const []const u8 = if (flat) outcome else &.{outcome};
            for (pieces) |piece| {
                try all.appendSlice(arena(), piece);
                try result_ends.append(arena(), @intCast(all.items.len));
            }
        } else |problem| {
            if (!flat) try result_ends.append(arena(), @intCast(all.items.len));
            try failures.append(arena(), .{ .position = @intCast(position), .failure = .of(problem) });
        }
        if (flat) counts[position] = @intCast(result_ends.items.len - before);
        start = end;
    }
    return .{
        .bytes = .of(all.items),
        .ends = .of(result_ends.items),
        .counts = .of(counts),
        .failures = .of(failures.items),
    };
}

/// Whether `process` gives any number of results.
fn isFlat(comptime Kernel: type) bool {
    const Outcome = @typeInfo(@TypeOf(Kernel.process)).@"fn".return_type.?;
    return @typeInfo(Outcome).error_union.payload == []const []const u8;
}

/// Exports a kernel's functions, each under the name of its interface.
pub fn kernel(comptime Kernel: type) void {
    const exports = struct {
        fn realloc(old: ?[*]u8, old_length: usize, alignment: usize, length: usize) callconv(.c) [*]u8 {
            if (length == 0) return @ptrFromInt(alignment);
            const new = arena().alignedAlloc(u8, .@"16", length) catch taskhost.noMemory();
            if (old) |bytes| @memcpy(new[0..old_length], bytes[0..old_length]);
            return new.ptr;
        }
        fn after(_: *anyopaque) callconv(.c) void {
            _ = taskhost.memory.reset(.retain_capacity);
        }
        fn process(item: [*]u8, length: usize) callconv(.c) *const Result {
            const outcome = Kernel.process(arena(), item[0..length]);
            return if (comptime isFlat(Kernel)) answerMany(outcome) else answer(outcome);
        }
        fn processPacked(bytes: [*]u8, length: usize, ends: [*]const u32, count: usize) callconv(.c) *const Packed {
            packed_result = pack(Kernel, bytes[0..length], ends[0..count]) catch taskhost.noMemory();
            return &packed_result;
        }
        fn prepare(width: u32, height: u32, channels: u32, sample: u32) callconv(.c) *const Planned {
            const input: taskhost.Format = .{ .width = width, .height = height, .channels = channels, .sample = @fromBackingInt(@as(u8, @intCast(sample))) };
            planned = if (@as(Error!taskhost.Plan, Kernel.prepare(input))) |plan|
                .{ .is_error = false, .value = .{ .plan = .{ .is_whole = plan.halo == null, .halo = plan.halo orelse 0, .output = plan.output } } }
            else |problem|
                .{ .is_error = true, .value = .{ .failure = .of(problem) } };
            return &planned;
        }
        fn filter(
            width: u32,
            height: u32,
            channels: u32,
            sample: u32,
            first_row: u32,
            rows: u32,
            above: u32,
            below: u32,
            samples: [*]u8,
            length: usize,
        ) callconv(.c) *const Result {
            const image: taskhost.Format = .{ .width = width, .height = height, .channels = channels, .sample = @fromBackingInt(@as(u8, @intCast(sample))) };
            const tile: taskhost.Tile = .{ .image = image, .first_row = first_row, .rows = rows, .above = above, .below = below, .samples = samples[0..length] };
            return answer(Kernel.filter(arena(), tile));
        }
        fn start() callconv(.c) *const Result {
            Kernel.start(arena()) catch |problem| return answer(problem);
            return answer("");
        }
        fn combine(lists: [*]const List, number: usize) callconv(.c) *const Result {
            const parts = arena().alloc([]const u8, number) catch taskhost.noMemory();
            for (parts, lists[0..number]) |*part, list| part.* = list.slice();
            return answer(Kernel.combine(arena(), parts));
        }
        fn finish(total: [*]u8, length: usize) callconv(.c) *const Result {
            return answer(Kernel.finish(arena(), total[0..length]));
        }
        fn describe() callconv(.c) *const Described {
            const settings = comptime settings: {
                var all: [Kernel.description.settings.len]DescribedSetting = undefined;
                for (Kernel.description.settings, &all) |one, *entry| {
                    const default: Option = .{ .is_some = one.default != null, .text = .of(one.default orelse "") };
                    entry.* = .{ .name = .of(one.name), .default = default, .help = .of(one.help) };
                }
                break :settings all;
            };
            const static = struct {
                const described: Described = .{
                    .summary = .of(Kernel.description.summary),
                    .split = .of(Kernel.description.split),
                    .merge = .of(Kernel.description.merge),
                    .length_kind = @backingInt(Kernel.description.result_length),
                    .length = if (Kernel.description.result_length == .exactly) Kernel.description.result_length.exactly else 0,
                    .settings = &settings,
                    .setting_count = settings.len,
                };
            };
            return &static.described;
        }
        fn function(comptime interface: []const u8, comptime name: []const u8, comptime pointer: anytype) void {
            const full = "taskhost:kernel/" ++ interface ++ "@" ++ types.version ++ "#" ++ name;
            @export(pointer, .{ .name = full });
            @export(&after, .{ .name = "cabi_post_" ++ full });
        }
    };
    @export(&exports.realloc, .{ .name = "cabi_realloc" });
    _ = types.host;
    if (@hasDecl(Kernel, "filter")) {
        _ = types.image_filter;
        exports.function("image-filter", "prepare", &exports.prepare);
        exports.function("image-filter", "filter", &exports.filter);
    } else if (isFlat(Kernel)) {
        _ = types.flat_mapper;
        exports.function("flat-mapper", "process", &exports.process);
    } else {
        _ = types.mapper;
        exports.function("mapper", "process", &exports.process);
    }
    if (@hasDecl(Kernel, "process") and @hasDecl(Kernel, "description")) {
        _ = types.packed_mapper;
        exports.function("packed-mapper", "process", &exports.processPacked);
    }
    if (@hasDecl(Kernel, "description")) {
        _ = types.describe;
        exports.function("describe", "describe", &exports.describe);
    }
    if (@hasDecl(Kernel, "start")) {
        _ = types.lifecycle;
        exports.function("lifecycle", "start", &exports.start);
    }
    if (@hasDecl(Kernel, "combine")) {
        _ = types.reducer;
        exports.function("reducer", "combine", &exports.combine);
        exports.function("reducer", "finish", &exports.finish);
    }
}
