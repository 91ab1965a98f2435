//! Attempts on the machine as a whole: its mounts, its name, its clock, its modules, its end.
//!
//! Those of [`Aim::Machine`] ask for nothing that could be done, so that only the right to do it is tried: an errno about
//! the arguments means that it was had.

use super::raw::address;
use super::scene::{PAGE, Scene};
use super::{Aim, Attempt, attempt};

const HERE: usize = libc::AT_FDCWD as usize;

/// What is no flag of any call.
const NO_FLAG: usize = 0xdead_0000;

/// Asks for what the kernel has logged.
const READ_LOG: usize = 3;

pub(super) fn list(scene: &Scene) -> Vec<Attempt> {
    let Scene { buffer, .. } = *scene;
    let outside = |name, about, number, arguments| attempt(Aim::Outside, name, about, number, arguments);
    let machine = |name, about, number, arguments| attempt(Aim::Machine, name, about, number, arguments);
    let nothing = address(c"taskhost-attack-nothing");
    let detach = libc::MNT_DETACH as usize;
    vec![
        outside(
            "mount",
            "mounts a file system",
            libc::SYS_mount,
            [address(c"x"), address(c"/"), address(c"tmpfs"), 0, 0, 0],
        ),
        outside("unmount", "unmounts a file system", libc::SYS_umount2, [address(c"/proc"), detach, 0, 0, 0, 0]),
        outside("copy-mount", "copies a mount", libc::SYS_open_tree, [HERE, address(c"/"), 1, 0, 0, 0]),
        outside("new-file-system", "makes a file system", libc::SYS_fsopen, [address(c"tmpfs"), 0, 0, 0, 0, 0]),
        outside("host-name", "renames the machine", libc::SYS_sethostname, [address(c"x"), 1, 0, 0, 0, 0]),
        outside("kernel-log", "reads what the kernel logs", libc::SYS_syslog, [READ_LOG, buffer, PAGE, 0, 0, 0]),
        // No time is given.
        outside("set-clock", "sets the clock", libc::SYS_settimeofday, [0; 6]),
        machine("reboot", "reboots the machine", libc::SYS_reboot, [0; 6]),
        machine(
            "load-module",
            "loads a module into the kernel",
            libc::SYS_init_module,
            [buffer, 0, address(c""), 0, 0, 0],
        ),
        machine("unload-module", "unloads a module of the kernel", libc::SYS_delete_module, [nothing, 0, 0, 0, 0, 0]),
        machine("load-kernel", "loads another kernel", libc::SYS_kexec_load, [0, 0, 0, NO_FLAG, 0, 0]),
        machine("swap-on", "adds memory on a disk", libc::SYS_swapon, [nothing, 0, 0, 0, 0, 0]),
        machine("swap-off", "takes memory on a disk away", libc::SYS_swapoff, [nothing, 0, 0, 0, 0, 0]),
        machine("accounting", "lets the kernel keep accounts", libc::SYS_acct, [nothing, 0, 0, 0, 0, 0]),
    ]
}
