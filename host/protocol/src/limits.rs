//! Every cap on what a peer may say or a kernel may ask for, each with its reason.

use serde::{Deserialize, Serialize};

/// Longest message in bytes. A batch is described, never carried, so messages are small; the cap bounds what a
/// hostile worker can make the coordinator hold, and stays below the default socket buffer (208 KiB).
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// Files a worker holds open at a time besides its own arenas: two batches in flight of a few files each.
pub const SLOTS: usize = 16;

/// Longest text of a fault or of one log line, in bytes. Longer text is cut at a character and marked.
pub const TEXT_BYTES: usize = 4096;

/// Frames kept of a WebAssembly backtrace: deeper ones repeat (recursion) and hide the cause.
pub const BACKTRACE_FRAMES: usize = 16;

/// Bytes that are read of a pipe before it is known whether it is compressed: they travel in the message that has it
/// decompressed.
pub const PREFIX_BYTES: usize = 4096;

/// The window of a compressed stream in bytes: what the `zstd` command accepts unless it is asked for more. A decoder keeps
/// that much of what it has made.
pub const PACKING_WINDOW: u64 = 128 << 20;

/// Private memory of a worker that converts a stream, beyond what it starts with: the window, a second one while it is
/// enlarged, and what a block needs.
pub const STREAM_MEMORY: u64 = 3 * PACKING_WINDOW;

/// Largest SQLite database that rows are put into, in bytes: what SQLite allows one that is held in memory.
pub const DATABASE_BYTES: u64 = 1 << 30;

/// Private memory of a worker that reads or writes Parquet, in bytes. A file says by itself how large its pages are, and a
/// result how large its columns: of either, several copies of the largest result by default fit.
pub const COLUMN_MEMORY: u64 = 2 << 30;

/// Failed items that one reply may report. A batch that has more stops there, and its rest is run as another batch.
pub const FAILURES_PER_BATCH: usize = 6;

/// Items of a batch whose results are taken item by item: what is known of each that is not is held until the batch is merged.
pub const MARKED_ITEMS: u64 = 1024;

/// Distinct counter names in a run: what fits in one reply next to everything else.
pub const COUNTERS: usize = 128;

/// Longest counter or setting name in bytes.
pub const NAME_BYTES: usize = 128;

/// All settings of a run together, names and values, in bytes: they travel in one message.
pub const SETTINGS_BYTES: usize = 32 * 1024;

/// Arguments and environment of a command, and the names of folders and of broadcast data, together, in bytes: they travel in
/// the same message as the settings.
pub const PROGRAM_BYTES: usize = 16 * 1024;

/// Pieces of broadcast data in a run: their names travel in the same message.
pub const BROADCASTS: usize = 32;

/// Folders granted to a kernel: their descriptors come with the message that starts a worker, which carries twelve.
pub const GRANTS: usize = 4;

/// Longest header line (`--header`) in bytes: it travels in one message.
pub const HEADER_BYTES: usize = 32 * 1024;

/// Log lines that one item may write; the rest are counted and dropped.
pub const LOG_LINES_PER_ITEM: u32 = 64;

/// Pieces (files, or ranges of them) in one batch. Each may need a slot, and two batches are in flight.
pub const PIECES_PER_BATCH: usize = 6;

/// Longest tile that is handed to a kernel in one call, in bytes, context included: Sobel on f64 takes 2.3 ns a sample
/// in tiles of this size, which stay in the second-level cache, and 4 in tiles of 8 MiB.
pub const TILE_BYTES: u64 = 1 << 20;

/// Longest chunk (`--split chunks:SIZE`), in bytes: larger ones only lose the cache.
pub const CHUNK_BYTES: u64 = 8 << 20;

/// Largest item in bytes: the canonical ABI counts in 32 bits, and two copies must fit in the memory limit.
pub const ITEM_BYTES: u64 = 1 << 30;

/// Largest kernel file in bytes. The largest program tried, a logic synthesiser, has 69 MB.
pub const KERNEL_BYTES: u64 = 256 << 20;

/// Largest compiled artifact in bytes. Native code is about three to four times its WebAssembly.
pub const ARTIFACT_BYTES: u64 = 2 << 30;

/// Private memory in bytes that a compiler process may take beyond what it starts with: room for 800 000 functions,
/// at the 5 kB that each was measured to take.
pub const COMPILE_MEMORY: u64 = 4 << 30;

/// Seconds of CPU time that a compiler process may take, all its threads together. A program of 69 MB is estimated to
/// take 17.
pub const COMPILE_CPU_SECONDS: u64 = 300;

/// Longest encoded kernel information in an artifact, in bytes: a component of a few hundred imports has 50 kB.
pub const KERNEL_INFO_BYTES: u64 = 1 << 20;

/// Largest decoded picture in bytes: one item, see [`ITEM_BYTES`], with room for u16 and floating-point samples.
pub const PICTURE_BYTES: u64 = 4 << 30;

/// Longest source name in bytes, the longest path Linux takes.
pub const SOURCE_NAME_BYTES: usize = 4096;

/// What one worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLimits {
    /// Linear memories of the kernel together, in bytes (`--memory`).
    pub memory: u64,
    /// Longest result of one item, in bytes (`--max-output`).
    pub output: u64,
    /// Units of fuel of one item (`--fuel`); needs an artifact of that profile.
    pub fuel: Option<u64>,
    /// Seconds of CPU time of the whole worker: a backstop for a coordinator that hangs.
    pub cpu: Option<u64>,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { memory: 1 << 30, output: 256 << 20, fuel: None, cpu: None }
    }
}

/// What one compiler process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Private memory in bytes beyond what it starts with.
    pub memory: u64,
    /// Seconds of CPU time, all its threads together.
    pub cpu: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory: COMPILE_MEMORY, cpu: COMPILE_CPU_SECONDS }
    }
}

/// Cuts `text` to [`TEXT_BYTES`] at a character boundary and marks the cut.
#[must_use]
pub fn cap_text(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > TEXT_BYTES {
        let end = text.floor_char_boundary(TEXT_BYTES - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(cap_text("short"), "short");
        let long = "é".repeat(TEXT_BYTES);
        let cut = cap_text(long);
        assert!(cut.len() <= TEXT_BYTES && cut.ends_with('…'));
    }
}
