//! WASI preview 1 for commands: all 46 functions, on the descriptors of [`super::files`]. Of our own, since a fresh
//! context of the general implementation, and its futures, cost more than a small program runs.

use taskhost_protocol::fault::Fault;
use wasmtime::{Caller, Extern, Linker};
use wasmtime_wasi::I32Exit;

use super::files::{self, DIRECTORY, Descriptor, FOLDER, REGULAR};
use super::guest::{Errno, Guest, Stop};
use super::stdio::Stdio;
use crate::host::HostState;
use crate::wasi::{PREVIEW1, Wasi};
use crate::wasi_clock;

/// Rights that descriptors have: reading, and what goes with it. Writing is among those that a folder can give, so that
/// whoever asks for it is told that nothing here can be written.
mod rights {
    pub(super) const FD_READ: u64 = 1 << 1;
    pub(super) const FD_SEEK: u64 = 1 << 2;
    pub(super) const FD_TELL: u64 = 1 << 5;
    pub(super) const FD_WRITE: u64 = 1 << 6;
    pub(super) const FD_ADVISE: u64 = 1 << 7;
    pub(super) const PATH_OPEN: u64 = 1 << 13;
    pub(super) const FD_READDIR: u64 = 1 << 14;
    pub(super) const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub(super) const FD_FILESTAT_GET: u64 = 1 << 21;
    pub(super) const OF_FILES: u64 = FD_READ | FD_SEEK | FD_TELL | FD_ADVISE | FD_FILESTAT_GET;
    pub(super) const OF_FOLDERS: u64 = PATH_OPEN | FD_READDIR | PATH_FILESTAT_GET | FD_FILESTAT_GET;
}

/// Flags of `path_open`: what would make or change a file.
const CREATE_OR_TRUNCATE: u32 = 1 | 8;
const ONLY_DIRECTORY: u32 = 2;

/// Longest path, as Linux has it.
const PATH_BYTES: u32 = 4096;

/// Most bytes of random numbers at once: a program that asks for more asks again.
const RANDOM_BYTES: u32 = 64 << 20;

/// Runs a function of the interface on the memory of the program and what it was given.
fn call(
    caller: &mut Caller<'_, HostState>,
    run: impl FnOnce(&mut Guest<'_>, &mut Stdio, &Common<'_>) -> Result<(), Stop>,
) -> wasmtime::Result<i32> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(Fault::Contract("it called WASI without a memory named `memory`".into()).into());
    };
    let (bytes, state) = memory.data_and_store_mut(caller);
    let Some((wasi, stdio)) = state.wasi.as_mut().and_then(Wasi::program_parts) else {
        unreachable!("this WASI is linked only for programs, and those have it");
    };
    match run(&mut Guest(bytes), stdio, &wasi) {
        Ok(()) => Ok(0),
        Err(Stop::Errno(errno)) => Ok(errno as i32),
        Err(Stop::Fault(fault)) => Err(fault.into()),
    }
}

pub(crate) use crate::wasi::Common;

macro_rules! define {
    ($linker:ident: $($name:literal ($($parameter:ident: $ty:ty),*) |$guest:pat_param, $stdio:pat_param, $wasi:pat_param| $body:expr;)*) => {
        $($linker.func_wrap(PREVIEW1, $name, |mut caller: Caller<'_, HostState>, $($parameter: $ty),*| {
            call(&mut caller, |$guest, $stdio, $wasi| $body)
        })?;)*
    };
}

/// Defines preview 1.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    link_words(linker)?;
    link_reading(linker)?;
    link_folder(linker)?;
    link_refused(linker)?;
    link_exit(linker)?;
    linker.func_wrap(PREVIEW1, "sched_yield", || 0_i32)?;
    wasi_clock::link_module(linker)
}

/// The end of a program, with whatever code it likes.
pub(crate) fn link_exit(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(PREVIEW1, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) })?;
    Ok(())
}

/// Arguments, environment, clocks, random numbers.
fn link_words(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    define! { linker:
        "args_sizes_get" (count: u32, size: u32) |guest, stdio, _| {
            sizes(guest, count, size, stdio.arguments.iter().map(String::len))
        };
        "args_get" (pointers: u32, buffer: u32) |guest, stdio, _| {
            stdio.arguments.iter().try_fold((pointers, buffer), |at, word| put_word(guest, at, &[word]))?;
            Ok(())
        };
        "environ_sizes_get" (count: u32, size: u32) |guest, stdio, _| {
            sizes(guest, count, size, stdio.environment.iter().map(|(name, value)| name.len() + 1 + value.len()))
        };
        "environ_get" (pointers: u32, buffer: u32) |guest, stdio, _| {
            let mut words = stdio.environment.iter();
            words.try_fold((pointers, buffer), |at, (name, value)| put_word(guest, at, &[name, "=", value]))?;
            Ok(())
        };
        "clock_res_get" (clock: u32, at: u32) |guest, _, wasi| {
            if clock > 1 {
                return Err(Errno::Notsup.into());
            }
            Ok(guest.put_u64(at, wasi.clock.resolution())?)
        };
        "clock_time_get" (clock: u32, _precision: u64, at: u32) |guest, _, wasi| {
            let now = match clock {
                0 => wasi.clock.wall(),
                1 => wasi.clock.monotonic(),
                _ => return Err(Errno::Notsup.into()),
            };
            Ok(guest.put_u64(at, now)?)
        };
        "random_get" (at: u32, len: u32) |guest, _, wasi| {
            if len > RANDOM_BYTES {
                return Err(Errno::Inval.into());
            }
            wasi.random(guest.bytes_mut(at, len)?);
            Ok(())
        };
    }
    Ok(())
}

/// Reading and writing of what is open.
fn link_reading(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    define! { linker:
        "fd_read" (fd: u32, vectors: u32, count: u32, total: u32) |guest, stdio, _| {
            read(guest, stdio, fd, None, [vectors, count, total])
        };
        "fd_pread" (fd: u32, vectors: u32, count: u32, offset: u64, total: u32) |guest, stdio, _| {
            read(guest, stdio, fd, Some(offset), [vectors, count, total])
        };
        "fd_write" (fd: u32, vectors: u32, count: u32, total: u32) |guest, stdio, wasi| {
            let descriptor = stdio.files.get(fd)?;
            let mut written = 0_usize;
            for index in 0..count {
                let (at, len) = guest.vector(vectors, index)?;
                let bytes = guest.bytes(at, len)?;
                match descriptor {
                    Descriptor::Output => stdio.output.add(bytes)?,
                    Descriptor::Errors => wasi.output.add_errors(bytes),
                    _ => return Err(Errno::Badf.into()),
                }
                written += bytes.len();
            }
            Ok(guest.put_len(total, written)?)
        };
        "fd_pwrite" (fd: u32, _vectors: u32, _count: u32, _offset: u64, _total: u32) |_, stdio, _| {
            Err(match stdio.files.get(fd)? {
                Descriptor::Input | Descriptor::Output | Descriptor::Errors => Errno::Spipe,
                Descriptor::Folder { .. } | Descriptor::File { .. } => Errno::Badf,
            }.into())
        };
        "fd_close" (fd: u32) |_, stdio, _| Ok(stdio.files.close(fd)?);
        "fd_renumber" (from: u32, to: u32) |_, stdio, _| Ok(stdio.files.renumber(from, to)?);
        "fd_seek" (fd: u32, offset: i64, whence: u32, at: u32) |guest, stdio, _| {
            let place = stdio.files.seek(fd, offset, whence)?;
            Ok(guest.put_u64(at, place)?)
        };
        "fd_tell" (fd: u32, at: u32) |guest, stdio, _| {
            let place = stdio.files.seek(fd, 0, 1)?;
            Ok(guest.put_u64(at, place)?)
        };
        "fd_fdstat_get" (fd: u32, at: u32) |guest, stdio, _| {
            let descriptor = stdio.files.get(fd)?;
            let (base, inheriting) = match descriptor {
                Descriptor::Input => (rights::FD_READ, 0),
                Descriptor::Output | Descriptor::Errors => (rights::FD_WRITE, 0),
                Descriptor::Folder { .. } => (rights::OF_FOLDERS, rights::OF_FOLDERS | rights::OF_FILES | rights::FD_WRITE),
                Descriptor::File { .. } => (rights::OF_FILES, 0),
            };
            let mut stat = [0; 24];
            stat[0] = descriptor.file_type();
            stat[8..16].copy_from_slice(&base.to_le_bytes());
            stat[16..].copy_from_slice(&inheriting.to_le_bytes());
            Ok(guest.put(at, &stat)?)
        };
        "fd_filestat_get" (fd: u32, at: u32) |guest, stdio, _| {
            let descriptor = stdio.files.get(fd)?;
            put_stat(guest, at, descriptor.file_type(), stdio.files.size(descriptor))
        };
        "fd_fdstat_set_flags" (fd: u32, _flags: u32) |_, stdio, _| Ok(stdio.files.get(fd).map(drop)?);
        "fd_advise" (fd: u32, _offset: u64, _len: u64, _advice: u32) |_, stdio, _| Ok(stdio.files.get(fd).map(drop)?);
        "fd_sync" (fd: u32) |_, stdio, _| Ok(stdio.files.get(fd).map(drop)?);
        "fd_datasync" (fd: u32) |_, stdio, _| Ok(stdio.files.get(fd).map(drop)?);
    }
    Ok(())
}

/// The folder and its files.
fn link_folder(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    define! { linker:
        "fd_prestat_get" (fd: u32, at: u32) |guest, stdio, _| {
            given(stdio, fd)?;
            guest.put_u32(at, 0)?;
            Ok(guest.put_len(at.wrapping_add(4), FOLDER.len())?)
        };
        "fd_prestat_dir_name" (fd: u32, at: u32, len: u32) |guest, stdio, _| {
            given(stdio, fd)?;
            if (len as usize) < FOLDER.len() {
                return Err(Errno::Nametoolong.into());
            }
            Ok(guest.put(at, FOLDER.as_bytes())?)
        };
        "fd_readdir" (fd: u32, buffer: u32, len: u32, cookie: u64, used: u32) |guest, stdio, _| {
            stdio.files.folder(fd)?;
            let place = guest.bytes_mut(buffer, len)?;
            let filled = list(stdio, cookie, place);
            Ok(guest.put_len(used, filled)?)
        };
        "path_open" (fd: u32, _follow: u32, path: u32, len: u32, how: u32, base: u64, _inheriting: u64, _flags: u32, opened: u32)
            |guest, stdio, _| {
            let found = look_up(guest, stdio, fd, path, len);
            if how & CREATE_OR_TRUNCATE != 0 && found != Err(Errno::Notcapable) {
                return Err(Errno::Rofs.into());
            }
            let found = found?;
            if found.is_some() && how & ONLY_DIRECTORY != 0 {
                return Err(Errno::Notdir.into());
            }
            if found.is_some() && base & rights::FD_WRITE != 0 {
                return Err(Errno::Rofs.into());
            }
            let number = stdio.files.open(found)?;
            Ok(guest.put_u32(opened, number)?)
        };
        "path_filestat_get" (fd: u32, _follow: u32, path: u32, len: u32, at: u32) |guest, stdio, _| {
            match look_up(guest, stdio, fd, path, len)? {
                Some(index) => put_stat(guest, at, REGULAR, stdio.files.size(Descriptor::File { index, at: 0 })),
                None => put_stat(guest, at, DIRECTORY, 0),
            }
        };
        "path_readlink" (fd: u32, path: u32, len: u32, _buffer: u32, _room: u32, _used: u32) |guest, stdio, _| {
            look_up(guest, stdio, fd, path, len)?;
            Err(Errno::Inval.into())
        };
    }
    Ok(())
}

/// What nobody can do here.
fn link_refused(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    define! { linker:
        "fd_allocate" (fd: u32, _offset: u64, _len: u64) |_, stdio, _| Err(read_only(stdio, fd));
        "fd_fdstat_set_rights" (fd: u32, _base: u64, _inheriting: u64) |_, stdio, _| {
            stdio.files.get(fd)?;
            Err(Errno::Notsup.into())
        };
        "fd_filestat_set_size" (fd: u32, _size: u64) |_, stdio, _| Err(read_only(stdio, fd));
        "fd_filestat_set_times" (fd: u32, _access: u64, _change: u64, _flags: u32) |_, stdio, _| Err(read_only(stdio, fd));
        "path_create_directory" (fd: u32, _path: u32, _len: u32) |_, stdio, _| Err(read_only(stdio, fd));
        "path_filestat_set_times" (fd: u32, _follow: u32, _path: u32, _len: u32, _access: u64, _change: u64, _flags: u32)
            |_, stdio, _| Err(read_only(stdio, fd));
        "path_link" (fd: u32, _follow: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32)
            |_, stdio, _| Err(read_only(stdio, fd));
        "path_remove_directory" (fd: u32, _path: u32, _len: u32) |_, stdio, _| Err(read_only(stdio, fd));
        "path_rename" (fd: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32)
            |_, stdio, _| Err(read_only(stdio, fd));
        "path_symlink" (_target: u32, _target_len: u32, fd: u32, _path: u32, _len: u32)
            |_, stdio, _| Err(read_only(stdio, fd));
        "path_unlink_file" (fd: u32, _path: u32, _len: u32) |_, stdio, _| Err(read_only(stdio, fd));
        "proc_raise" (_signal: u32) |_, _, _| Err(Errno::Nosys.into());
        "sock_accept" (fd: u32, _flags: u32, _at: u32) |_, stdio, _| Err(no_socket(stdio, fd));
        "sock_recv" (fd: u32, _vectors: u32, _count: u32, _flags: u32, _total: u32, _gave: u32)
            |_, stdio, _| Err(no_socket(stdio, fd));
        "sock_send" (fd: u32, _vectors: u32, _count: u32, _flags: u32, _total: u32) |_, stdio, _| Err(no_socket(stdio, fd));
        "sock_shutdown" (fd: u32, _how: u32) |_, stdio, _| Err(no_socket(stdio, fd));
    }
    Ok(())
}

/// Number of words and bytes that they take with their ends.
fn sizes(guest: &mut Guest<'_>, count: u32, size: u32, words: impl Iterator<Item = usize>) -> Result<(), Stop> {
    let (number, bytes) = words.fold((0, 0), |(number, bytes), len| (number + 1, bytes + len + 1));
    guest.put_len(count, number)?;
    Ok(guest.put_len(size, bytes)?)
}

/// Puts a word, made of these parts, where `at` says, and a pointer to it; gives the places of the next.
fn put_word(guest: &mut Guest<'_>, at: (u32, u32), parts: &[&str]) -> Result<(u32, u32), Errno> {
    let (pointer, mut end) = at;
    guest.put_u32(pointer, end)?;
    for part in parts.iter().copied().chain(["\0"]) {
        guest.put(end, part.as_bytes())?;
        // It fits in the memory, so it is no longer than that.
        end = end.wrapping_add(part.len() as u32);
    }
    Ok((pointer.wrapping_add(4), end))
}

fn read(
    guest: &mut Guest<'_>,
    stdio: &mut Stdio,
    fd: u32,
    offset: Option<u64>,
    [vectors, count, total]: [u32; 3],
) -> Result<(), Stop> {
    let descriptor = stdio.files.get(fd)?;
    if descriptor == Descriptor::Input && offset.is_some() {
        return Err(Errno::Spipe.into());
    }
    let mut done = 0_usize;
    for index in 0..count {
        let (at, len) = guest.vector(vectors, index)?;
        let buffer = guest.bytes_mut(at, len)?;
        let got = match descriptor {
            Descriptor::Input => stdio.read(buffer),
            _ => stdio.files.read(fd, offset.map(|offset| offset.saturating_add(done as u64)), buffer)?,
        };
        done += got;
        if got < len as usize {
            break;
        }
    }
    Ok(guest.put_len(total, done)?)
}

/// Whether a descriptor is a folder that the program was given.
fn given(stdio: &Stdio, fd: u32) -> Result<(), Errno> {
    match stdio.files.get(fd)? {
        Descriptor::Folder { given: true } => Ok(()),
        _ => Err(Errno::Badf),
    }
}

fn look_up(guest: &Guest<'_>, stdio: &Stdio, fd: u32, path: u32, len: u32) -> Result<Option<usize>, Errno> {
    stdio.files.folder(fd)?;
    if len > PATH_BYTES {
        return Err(Errno::Nametoolong);
    }
    files::look_up(stdio.files.data(), guest.text(path, len)?)
}

/// Bytes of a `dirent`.
const ENTRY: usize = 24;

/// Lists the folder from `cookie` on, as much as fits; what is cut tells the program to ask with more room.
fn list(stdio: &Stdio, cookie: u64, place: &mut [u8]) -> usize {
    let mut filled = 0;
    let mut index = usize::try_from(cookie).unwrap_or(usize::MAX);
    while let Some((name, _)) = stdio.files.data().entry(index) {
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
        entry[8..16].copy_from_slice(&(index as u64 + 2).to_le_bytes());
        entry[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
        entry[20] = REGULAR;
        for part in [&entry[..], name.as_bytes()] {
            let room = part.len().min(place.len() - filled);
            place[filled..filled + room].copy_from_slice(&part[..room]);
            filled += room;
        }
        if filled == place.len() {
            break;
        }
        index += 1;
    }
    filled
}

/// A `filestat` of a file that stands still.
fn put_stat(guest: &mut Guest<'_>, at: u32, file_type: u8, size: u64) -> Result<(), Stop> {
    let mut stat = [0; 64];
    stat[16] = file_type;
    stat[24..32].copy_from_slice(&1_u64.to_le_bytes());
    stat[32..40].copy_from_slice(&size.to_le_bytes());
    Ok(guest.put(at, &stat)?)
}

fn read_only(stdio: &Stdio, fd: u32) -> Stop {
    match stdio.files.get(fd) {
        Ok(Descriptor::Folder { .. } | Descriptor::File { .. }) => Errno::Rofs,
        Ok(_) => Errno::Inval,
        Err(errno) => errno,
    }
    .into()
}

fn no_socket(stdio: &Stdio, fd: u32) -> Stop {
    stdio.files.get(fd).err().unwrap_or(Errno::Notsock).into()
}
