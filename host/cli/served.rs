//! What every process does first that a service has started.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;

use taskhost_os::process_id::ProcessId;
use taskhost_os::{out_of_memory, parent, priority};
use taskhost_service::job::{HANDED_OVER, SERVER_VARIABLE};

use crate::exit_code::{Exit, Failure};
use crate::words;

/// How far processes of jobs step back, so that the server and calls have a core when they want it: a job that shares one with them
/// has a tenth of it (`sched_prio_to_weight` in kernel/sched/core.c: 110 to 1024).
const NICE: i32 = 10;

/// Most bytes of the words of a job: a server takes 256 KiB of them, and says some twice.
const WORDS_BYTES: u64 = 4 << 20;

/// In a process that a server has started: ends with it, lets it have the cores first, and is ended before it. Returns false when that server is gone.
pub(crate) fn belongs_to_server() -> bool {
    let Some(server) = std::env::var_os(SERVER_VARIABLE) else { return true };
    let server = server.to_str().and_then(|server| ProcessId::new(server.parse().ok()?));
    let is_there = server.is_some_and(|server| parent::end_with(server).unwrap_or(false));
    // Where that is not allowed, it goes without.
    let _ = priority::step_back(NICE);
    let _ = out_of_memory::go_before_others();
    is_there
}

/// In a process of a job: takes the words that its server has handed over, which stand in no argument list.
pub(crate) fn take_words() -> Result<(), Failure> {
    let mut argv: Vec<OsString> = std::env::args_os().collect();
    let is_handed_over = argv.len() == 3 && argv.get(2).is_some_and(|word| word == HANDED_OVER);
    if !is_handed_over || std::env::var_os(SERVER_VARIABLE).is_none() {
        return Ok(());
    }
    argv.pop();
    let failed = |error| Failure::new(Exit::Host, format!("the words of the job cannot be read: {error}"));
    argv.extend(read(io::stdin().lock()).map_err(failed)?);
    words::replace(argv);
    Ok(())
}

/// Words with a NUL behind each.
fn read(from: impl Read) -> io::Result<Vec<OsString>> {
    let mut bytes = Vec::new();
    from.take(WORDS_BYTES + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.is_empty() || bytes.pop() == Some(0);
    if !is_whole || bytes.len() as u64 >= WORDS_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(bytes.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_or_none_are() {
        assert_eq!(read(&b"--config=a=b c\0\0\n\0"[..]).expect("words"), ["--config=a=b c", "", "\n"]);
        assert!(read(&b"--config=a\0--con"[..]).is_err());
        assert!(read(io::repeat(0)).is_err());
    }
}
