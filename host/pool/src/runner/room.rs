//! How many jobs and inputs may be open at a time: as many as there are descriptors for.

/// Descriptors that are left for jobs. It is a guess on the safe side.
fn room(workers: usize, descriptors: Option<u64>) -> usize {
    /// The streams, the poller, signals, the artifact, a journal, leases, an output with its folder.
    const OWN: usize = 18;
    /// A socket, a process, an arena, a cell, and for a moment the other end of the socket.
    const OF_A_WORKER: usize = 5;
    let limit = descriptors.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(OWN + workers.max(1) * OF_A_WORKER)
}

/// Jobs that are open at a time: enough that every worker has something to do while others are between two stages of a
/// job, but no more than there are descriptors for.
pub(super) fn jobs_at_once(workers: usize, descriptors: Option<u64>) -> usize {
    /// Input, output with its folder twice, memory for a picture and its file; or a worker that decompresses and one that
    /// compresses, each with a socket, a process, and the end of a pipe.
    const OF_A_JOB: usize = 10;
    // One can always be tried: if even that is too much, it says so.
    (room(workers, descriptors) / OF_A_JOB).clamp(1, 2 * workers.max(1) + 2)
}

/// Inputs of a job that are open at a time: never fewer than one batch can have.
pub(super) fn sources_at_once(workers: usize, descriptors: Option<u64>) -> usize {
    room(workers, descriptors).max(taskhost_protocol::limits::PIECES_PER_BATCH + 1)
}
