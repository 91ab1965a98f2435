//! How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text.

const std = @import("std");
const taskhost = @import("taskhost.zig");

pub const description: taskhost.Description = .{
    .summary = "Counts words; lines `word<TAB>count`, sorted by bytes.",
    .split = "blocks:1MiB",
    .merge = "reduce",
};

const Word = struct {
    text: []const u8,
    count: u64,

    fn before(_: void, left: Word, right: Word) bool {
        return std.mem.lessThan(u8, left.text, right.text);
    }
};

pub fn process(arena: std.mem.Allocator, item: []u8) taskhost.Error![]const u8 {
    var words: std.ArrayList(Word) = .empty;
    var all = std.mem.tokenizeAny(u8, item, " \t\n\x0b\x0c\r");
    while (all.next()) |text| try words.append(arena, .{ .text = text, .count = 1 });
    return written(arena, words.items);
}

pub fn combine(arena: std.mem.Allocator, parts: []const []const u8) taskhost.Error![]const u8 {
    var words: std.ArrayList(Word) = .empty;
    for (parts) |part| {
        var fields = std.mem.tokenizeAny(u8, part, "\t\n");
        while (fields.next()) |text| {
            const count = std.fmt.parseInt(u64, fields.next() orelse "", 10) catch
                return taskhost.failed("a partial result is damaged");
            try words.append(arena, .{ .text = text, .count = count });
        }
    }
    return written(arena, words.items);
}

pub fn finish(_: std.mem.Allocator, total: []u8) taskhost.Error![]const u8 {
    return total;
}

/// Sorts the words, adds up equal ones, and writes a line for each.
fn written(arena: std.mem.Allocator, words: []Word) taskhost.Error![]const u8 {
    std.mem.sortUnstable(Word, words, {}, Word.before);
    var text: std.ArrayList(u8) = .empty;
    for (words, 0..) |*word, i| {
        if (i + 1 < words.len and std.mem.eql(u8, word.text, words[i + 1].text)) {
            words[i + 1].count += word.count;
        } else {
            try text.print(arena, "{s}\t{d}\n", .{ word.text, word.count });
        }
    }
    return text.items;
}

comptime {
    taskhost.kernel(@This());
}
