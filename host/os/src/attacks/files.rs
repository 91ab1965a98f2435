//! Attempts on files: to read, make, change, watch and execute them.

use libc::c_long;

use super::raw::{address, call};
use super::scene::{PAGE, Scene};
use super::{Aim, Attempt, attempt, steps};

const HERE: usize = libc::AT_FDCWD as usize;

/// What is there on every machine, and can be read by all.
const FILE: &std::ffi::CStr = c"/etc/passwd";

/// What is not there.
const NEW_FILE: &std::ffi::CStr = c"/tmp/taskhost-attack-file";
const NEW_FOLDER: &std::ffi::CStr = c"/tmp/taskhost-attack-folder";

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { buffer, how, .. } = *scene;
    let outside = |name, about, number, arguments| attempt(Aim::Outside, name, about, number, arguments);
    let inside = |name, about, number, arguments| attempt(Aim::Inside, name, about, number, arguments);
    let create = (libc::O_CREAT | libc::O_WRONLY) as usize;
    let path = libc::O_PATH as usize;
    let folder = libc::O_DIRECTORY as usize;
    let file = address(FILE);
    let change_root = (libc::SYS_chroot, [address(c"/etc"), 0, 0, 0, 0, 0]);
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "the older calls are of x86-64"))]
    let mut list = vec![
        outside("open", "opens a file that all can read", libc::SYS_openat, [HERE, file, 0, 0, 0, 0]),
        outside(
            "open-by-parent",
            "the same by `/..`",
            libc::SYS_openat,
            [HERE, address(c"/../etc/passwd"), 0, 0, 0, 0],
        ),
        outside("open-2", "the same by a newer call", libc::SYS_openat2, [HERE, file, how, 24, 0, 0]),
        outside("open-folder", "opens a folder", libc::SYS_openat, [HERE, address(c"/etc"), folder, 0, 0, 0]),
        outside("open-place", "takes hold of a file without reading it", libc::SYS_openat, [HERE, file, path, 0, 0, 0]),
        outside(
            "open-own-memory",
            "opens its own memory as a file",
            libc::SYS_openat,
            [HERE, address(c"/proc/self/mem"), 2, 0, 0, 0],
        ),
        outside(
            "open-first-process",
            "opens a file about the first process",
            libc::SYS_openat,
            [HERE, address(c"/proc/1/stat"), 0, 0, 0, 0],
        ),
        outside("create-file", "makes a file", libc::SYS_openat, [HERE, address(NEW_FILE), create, 0o600, 0, 0]),
        outside("create-folder", "makes a folder", libc::SYS_mkdirat, [HERE, address(NEW_FOLDER), 0o700, 0, 0, 0]),
        outside(
            "create-pipe",
            "makes a named pipe",
            libc::SYS_mknodat,
            [HERE, address(NEW_FILE), (libc::S_IFIFO | 0o600) as usize, 0, 0, 0],
        ),
        outside("create-link", "makes a link to a file", libc::SYS_symlinkat, [file, HERE, address(NEW_FILE), 0, 0, 0]),
        outside(
            "read-link",
            "reads where a link leads",
            libc::SYS_readlinkat,
            [HERE, address(c"/proc/self/exe"), buffer, PAGE, 0, 0],
        ),
        outside("look", "asks about a file", libc::SYS_statx, [HERE, file, 0, 0xfff, buffer, 0]),
        outside("look-at-disk", "asks about a file system", libc::SYS_statfs, [file, buffer, 0, 0, 0, 0]),
        outside("access", "asks whether it may read a file", libc::SYS_faccessat, [HERE, file, 4, 0, 0, 0]),
        outside("attributes", "asks for attributes of a file", libc::SYS_listxattr, [file, buffer, 0, 0, 0, 0]),
        outside("go", "goes into another folder", libc::SYS_chdir, [address(c"/etc"), 0, 0, 0, 0, 0]),
        outside("execute", "executes a program", libc::SYS_execve, [address(c"/bin/true"), 0, 0, 0, 0, 0]),
        outside(
            "execute-at",
            "the same by a newer call",
            libc::SYS_execveat,
            [HERE, address(c"/bin/true"), 0, 0, 0, 0],
        ),
        outside("change-root", "takes another root", change_root.0, change_root.1),
        inside("inotify", "watches files by inotify", libc::SYS_inotify_init1, [0; 6]),
        inside("fanotify", "watches files by fanotify", libc::SYS_fanotify_init, [0x200, 0, 0, 0, 0, 0]),
        inside("handle", "opens a file by its number", libc::SYS_open_by_handle_at, [HERE, buffer, 0, 0, 0, 0]),
        steps(Aim::Inside, "execute-memory", "executes a file in memory", execute_memory),
    ];
    #[cfg(target_arch = "x86_64")]
    list.extend([
        outside("open-1", "opens a file by the oldest call", libc::SYS_open, [file, 0, 0, 0, 0, 0]),
        outside("look-1", "asks about a file by an older call", libc::SYS_stat, [file, buffer, 0, 0, 0, 0]),
    ]);
    list
}

/// Ends by an error even where it comes so far: the file is empty, and no program.
fn execute_memory(scene: &Scene) -> c_long {
    let file = call(libc::SYS_memfd_create, [address(c"x"), 0, 0, 0, 0, 0]);
    if file < 0 {
        return file;
    }
    let _ = call(libc::SYS_write, [file as usize, scene.buffer, 1, 0, 0, 0]);
    call(libc::SYS_execveat, [file as usize, address(c""), 0, 0, libc::AT_EMPTY_PATH as usize, 0])
}
