//! What code that has taken over a worker may try with the folder that was granted to it.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat};

use crate::raw::call;

pub(crate) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC);

/// How often a race is run.
const ROUNDS: usize = 20_000;

/// What it has.
pub(crate) struct Scene {
    pub(crate) folder: OwnedFd,
    /// A folder inside, opened before the lock.
    pub(crate) sub: Option<OwnedFd>,
}

impl Scene {
    fn sub(&self) -> &OwnedFd {
        self.sub.as_ref().expect("there is one inside")
    }

    fn read(&self, name: &str) -> io::Result<()> {
        read(&self.folder, name)
    }

    fn open(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        Ok(openat(&self.folder, name, flags, Mode::from_raw_mode(mode))?)
    }

    fn raw(&self) -> usize {
        self.folder.as_raw_fd() as usize
    }
}

fn read(folder: &OwnedFd, name: &str) -> io::Result<()> {
    let file = openat(folder, name, READ, Mode::empty())?;
    rustix::io::pread(&file, &mut [0; 8], 0)?;
    Ok(())
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// When it is to come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// With every granted folder.
    Read,
    /// With one that may be written.
    Write,
    /// Never, whichever layers there are, as long as one of those that keep a folder is.
    Never,
    /// With one that may be written and was cut off: what is above it is the folder itself, and nothing outside changes.
    Inside,
    /// Never behind the filter or in a mount namespace; Landlock alone does not stop it.
    NotByLandlock,
    /// Never behind the filter; the others do not stop it, and it is about the folder itself.
    FilterOnly,
}

type Act = fn(&Scene) -> io::Result<()>;

pub(crate) fn by_name(name: &str) -> Act {
    ALL.iter().find(|(other, ..)| *other == name).expect("there is one of that name").2
}

/// Every attempt.
pub(crate) const ALL: [(&str, Right, Act); 40] = [
    ("read", Right::Read, |scene| scene.read("file")),
    ("read-deeper", Right::Read, |scene| scene.read("sub/file")),
    ("read-hard-link", Right::Read, |scene| scene.read("hard")),
    ("list", Right::Read, |scene| {
        let list = scene.open(".", FOLDER, 0)?;
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut entries = rustix::fs::RawDir::new(&list, &mut buffer);
        entries.next().expect("it is not empty").map(drop).map_err(Into::into)
    }),
    ("look", Right::Read, |scene| {
        rustix::fs::statx(&scene.folder, "file", AtFlags::SYMLINK_NOFOLLOW, rustix::fs::StatxFlags::BASIC_STATS)?;
        let file = std::fs::File::from(scene.open("file", READ, 0)?);
        file.metadata().map(drop)
    }),
    ("ask", Right::Read, |scene| {
        let file = scene.open("file", READ, 0)?;
        rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::readlinkat(&scene.folder, "outward", Vec::new())?;
        rustix::fs::accessat(&scene.folder, ".", rustix::fs::Access::EXEC_OK, AtFlags::EACCESS)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Normal)?;
        Ok(rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(1)).map(drop)?)
    }),
    ("write", Right::Write, |scene| {
        let file = scene.open("file", WRITE | OFlags::TRUNC, 0)?;
        rustix::io::pwrite(&file, b"file", 0)?;
        rustix::fs::ftruncate(&file, 4)?;
        rustix::fs::fsync(&file)?;
        Ok(rustix::fs::fdatasync(&file)?)
    }),
    ("append", Right::Write, |scene| {
        let file = scene.open("file", WRITE, 0)?;
        let text = [io::IoSlice::new(b"more")];
        rustix::io::pwritev2(&file, &text, 0, rustix::io::ReadWriteFlags::APPEND)?;
        std::fs::File::from(file).set_times(std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH))
    }),
    ("create", Right::Write, |scene| scene.open("new", WRITE | OFlags::CREATE | OFlags::EXCL, 0o644).map(drop)),
    ("rename", Right::Write, |scene| {
        scene.open("one", WRITE | OFlags::CREATE, 0o644)?;
        Ok(rustix::fs::renameat(&scene.folder, "one", &scene.folder, "other")?)
    }),
    ("delete", Right::Write, |scene| {
        rustix::fs::mkdirat(&scene.folder, "short", Mode::from_raw_mode(0o755))?;
        Ok(rustix::fs::unlinkat(&scene.folder, "short", AtFlags::REMOVEDIR)?)
    }),
    ("read-write", Right::Write, |scene| scene.open("file", OFlags::RDWR | OFlags::CLOEXEC, 0).map(drop)),
    ("parent", Right::Never, |scene| scene.read("../secret")),
    ("parent-of-inner", Right::Never, |scene| scene.read("sub/../../secret")),
    ("list-parent", Right::Never, |scene| {
        let parent = scene.open("..", FOLDER, 0)?;
        read(&parent, "secret")
    }),
    ("walk-up", Right::Never, |scene| {
        let mut at = openat(&scene.folder, "..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        for _ in 0..40 {
            at = openat(&at, "..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        }
        read(&at, "etc/passwd")
    }),
    ("absolute", Right::Never, |scene| scene.read("/etc/passwd")),
    ("absolute-link", Right::Never, |scene| scene.read("absolute")),
    ("relative-link", Right::Never, |scene| scene.read("outward")),
    ("link-to-folder", Right::Never, |scene| scene.read("upward/secret")),
    ("magic-link", Right::Never, |scene| scene.read("magic")),
    ("own-descriptors", Right::Never, |scene| scene.read("descriptors/0")),
    ("race", Right::Never, |scene| {
        for _ in 0..ROUNDS {
            if read(&scene.folder, "swapped/secret").is_ok() {
                return Ok(());
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENOENT))
    }),
    ("moved-out", Right::Never, |scene| read(scene.sub(), "../secret")),
    ("moved-out-further", Right::Never, |scene| {
        let up = openat(scene.sub(), "..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        read(&up, "secret")
    }),
    ("link-from-outside", Right::Never, |scene| {
        Ok(rustix::fs::linkat(&scene.folder, "../secret", &scene.folder, "stolen", AtFlags::empty())?)
    }),
    ("rename-outside", Right::Inside, |scene| {
        Ok(rustix::fs::renameat(&scene.folder, "file", &scene.folder, "../file")?)
    }),
    ("rename-to-root", Right::Never, |scene| Ok(rustix::fs::renameat(&scene.folder, "file", &scene.folder, "/file")?)),
    ("create-outside", Right::Inside, |scene| scene.open("../new", WRITE | OFlags::CREATE, 0o644).map(drop)),
    ("create-by-link", Right::Never, |scene| scene.open("dangling", WRITE | OFlags::CREATE, 0o644).map(drop)),
    ("make-pipe", Right::Never, |scene| make(scene, libc::S_IFIFO, 0)),
    ("make-device", Right::Never, |scene| make(scene, libc::S_IFCHR, libc::makedev(1, 3))),
    ("make-socket", Right::Never, |scene| make(scene, libc::S_IFSOCK, 0)),
    ("make-symlink", Right::Never, |scene| Ok(rustix::fs::symlinkat("/etc/passwd", &scene.folder, "planted")?)),
    ("use-device", Right::NotByLandlock, |scene| scene.read("device")),
    ("remount", Right::Never, |scene| {
        let wanted = libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_RDONLY, propagation: 0, userns_fd: 0 };
        let (flags, record) = (libc::AT_EMPTY_PATH as usize, std::ptr::from_ref(&wanted).expose_provenance());
        done(call(libc::SYS_mount_setattr, [scene.raw(), c"".as_ptr().addr(), flags, record, 32, 0]))
    }),
    ("clone-mount", Right::Never, |scene| {
        let flags = (1 | libc::O_CLOEXEC | libc::AT_EMPTY_PATH) as usize;
        done(call(libc::SYS_open_tree, [scene.raw(), c"".as_ptr().addr(), flags, 0, 0, 0]))
    }),
    ("run-program", Right::Never, |scene| {
        let nothing = [std::ptr::null::<u8>()];
        let list = nothing.as_ptr().expose_provenance();
        done(call(libc::SYS_execveat, [scene.raw(), c"program".as_ptr().expose_provenance(), list, list, 0, 0]))
    }),
    ("set-user-id", Right::FilterOnly, |scene| {
        scene.open("raised", WRITE | OFlags::CREATE, 0o4755)?;
        Ok(())
    }),
    ("nameless-file", Right::FilterOnly, |scene| {
        scene.open(".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, 0o600).map(drop)
    }),
];

fn make(scene: &Scene, kind: u32, device: u64) -> io::Result<()> {
    let name = c"made".as_ptr().expose_provenance();
    done(call(libc::SYS_mknodat, [scene.raw(), name, (kind | 0o644) as usize, device as usize, 0, 0]))
}
