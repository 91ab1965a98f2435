//! Giving up all capabilities for good; and the keys of the session, which are rights that are handed down as well.

use std::io;

use rustix::io::Errno;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// Capabilities that a kernel may know; the newest has 41. The loop ends at the first that this one does not know.
const MOST_CAPABILITIES: u32 = 64;

/// Empties every capability set of this thread, and closes the ways back as far as it may.
///
/// Without the capability to change the bounding set there is none to lose either: then the sets are checked only.
pub(super) fn drop_all() -> io::Result<()> {
    let privileged = rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP);
    if privileged {
        lock_secure_bits()?;
        empty_bounding_set()?;
    }
    match rustix::thread::clear_ambient_capability_set() {
        // Kernels that know no ambient set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)?;
    if rustix::thread::capabilities(None)? != sets {
        return Err(io::Error::other("capabilities are left"));
    }
    forget_keys()
}

/// Starts a session of keys of its own, an empty one: those of the login session are inherited, whatever the namespaces.
fn forget_keys() -> io::Result<()> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null pointer stands for no name; nothing is read or written.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    if result >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // There are no keys here, or none that may be used; or this user has as many sessions as may be, which are counted,
        // and the filter has to do.
        Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => Ok(()),
        _ => Err(error),
    }
}

/// Being user 0 means nothing from here on.
fn lock_secure_bits() -> io::Result<()> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    Ok(rustix::thread::set_capabilities_secure_bits(bits)?)
}

fn empty_bounding_set() -> io::Result<()> {
    for number in 0..MOST_CAPABILITIES {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The first that this kernel does not know.
            Err(Errno::INVAL) if number > 0 => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
