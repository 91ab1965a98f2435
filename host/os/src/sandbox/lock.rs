//! All walls in one call: what a worker is granted, which layers are wanted, and the order in which they go up.
//!
//! 1. While /proc can still be read: that there is one thread, and how many descriptors are open.
//! 2. An empty, read-only root, and a host name of its own: needs the capabilities of its user namespace.
//! 3. `no_new_privs`, which the spawn has set already; without it, the next step and the last are refused.
//! 4. Landlock, with no rule but one for each granted folder.
//! 5. No capabilities, and no way to get them back: the bounding set first, which needs one.
//! 6. Not dumpable, a session of its own, the parent-death signal again: changes of credentials clear the first and the
//!    last. A coordinator that has ended before that sends no signal; its end of the control socket is closed then.
//! 7. Limits on everything countable. The allocator keeps to its one arena, so that it never looks for cores.
//! 8. The system-call filter, last: the steps before need calls that it kills.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::grants::{Folder, OPEN_FILES};
use super::{Layer, Layers, Missing, Role, SandboxError};
use super::{capabilities, ceilings, filter, landlock, process, root};

/// How much of the sandbox a user insists on (`--sandbox`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Insistence {
    /// Every layer that the machine offers, and never less than the system-call filter and no new privileges.
    #[default]
    Auto,
    /// Every layer there is.
    Full,
    /// None. Nothing is set up.
    Off,
}

/// Which layers are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What to do about a layer that is missing.
    pub insistence: Insistence,
    /// Layers to leave out although the machine has them, whatever the insistence: for tests, which show so that no
    /// attack is stopped by one layer alone. Nothing that a user can say puts anything here.
    pub without: Vec<Layer>,
}

impl Policy {
    fn wants(&self, layer: Layer) -> bool {
        !self.without.contains(&layer)
    }

    /// Fails for a layer that must not be missing.
    fn accept(&self, layers: &Layers) -> Result<(), SandboxError> {
        let required = |missing: &&Missing| {
            self.wants(missing.layer)
                && match self.insistence {
                    Insistence::Full => true,
                    Insistence::Auto => matches!(missing.layer, Layer::SystemCalls | Layer::NoNewPrivileges),
                    Insistence::Off => false,
                }
        };
        layers.missing().iter().find(required).map_or(Ok(()), |missing| Err(SandboxError::Missing(missing.clone())))
    }
}

/// What a worker keeps behind its walls.
#[derive(Clone, Copy, Debug)]
pub struct Grants<'a> {
    /// The control socket: the only one that it may send and receive on.
    pub control: BorrowedFd<'a>,
    /// Descriptors that it may be sent and keep, besides those that it has now: its slots.
    pub slots: u64,
    /// The end of the longest file that it may write, in bytes, its arena included. `None` when that is not known.
    pub file_bytes: Option<u64>,
    /// Threads of the compile role, the first included. The other roles have one.
    pub threads: u64,
}

/// Locks this process in for a role: it can compute, and use the descriptors that it has and is sent.
///
/// Limits on memory and CPU time are set right before ([`crate::rlimits::Rlimits`]).
///
/// # Errors
/// See [`SandboxError`]; the process has to end then. What the machine does not have and the policy does not insist on
/// is missing in the answer.
pub fn lock(role: Role, policy: &Policy, grants: &Grants<'_>) -> Result<Layers, SandboxError> {
    lock_with(role, policy, grants, &[])
}

/// The same for a worker that was granted folders, which [`Role::ExecuteWithFiles`] can use.
///
/// # Errors
/// The same. A folder that could not be cut off needs Landlock, whatever the policy; and where everything is insisted on,
/// it has to be cut off.
pub fn lock_with(role: Role, policy: &Policy, grants: &Grants<'_>, folders: &[Folder]) -> Result<Layers, SandboxError> {
    let mut layers = Layers::default();
    if policy.insistence == Insistence::Off {
        Layer::ALL.into_iter().for_each(|layer| layers.lack(layer, "it was switched off".into()));
        return Ok(layers);
    }
    for layer in &policy.without {
        layers.lack(*layer, "it was left out for a test".into());
    }
    process::require_single_thread()?;
    let files = if role == Role::ExecuteWithFiles { OPEN_FILES } else { 0 };
    let descriptors = ceilings::descriptors(grants.slots + files)
        .map_err(|error| SandboxError::Step { step: "count descriptors", error })?;
    let mut apply = |layer, step: &mut dyn FnMut() -> std::io::Result<()>| {
        if policy.wants(layer) {
            layers.note(layer, step());
        }
    };
    if process::is_isolated() {
        apply(Layer::EmptyRoot, &mut || root::enter_empty_root().and_then(|()| process::set_host_name()));
    } else {
        let lacking = |reason: &'static str| move || Err(std::io::Error::other(reason));
        apply(Layer::Namespaces, &mut lacking("it was started without them"));
        apply(Layer::EmptyRoot, &mut lacking("it needs a mount namespace"));
    }
    apply(Layer::NoNewPrivileges, &mut process::give_up_new_privileges);
    apply(Layer::Landlock, &mut || landlock::forbid_everything_but(folders));
    apply(Layer::NoCapabilities, &mut capabilities::drop_all);
    apply(Layer::NoDumps, &mut process::refuse_dumps);
    process::require_session()?;
    process::die_with_parent()?;
    process::require_parent(grants.control)?;
    apply(Layer::Limits, &mut || ceilings::lower(role, grants, descriptors));
    if role != Role::Compile {
        crate::allocator::keep_to_one_arena();
    }
    let writes = folders.iter().any(Folder::is_writable);
    let bounds = filter::Bounds { control: grants.control.as_raw_fd(), descriptors, writes };
    apply(Layer::SystemCalls, &mut || filter::install(role, bounds));
    require_bounds(&mut layers, folders)?;
    policy.accept(&layers)?;
    Ok(layers)
}

/// A folder that could not be cut off is one that Landlock alone keeps a worker inside of.
fn require_bounds(layers: &mut Layers, folders: &[Folder]) -> Result<(), SandboxError> {
    let Some(attached) = folders.iter().find_map(Folder::attached) else { return Ok(()) };
    let reason = format!("a granted folder could not be cut off: {attached}");
    if !layers.is_live(Layer::Landlock) {
        let lacking = layers.missing().iter().find(|missing| missing.layer == Layer::Landlock);
        let why = lacking.map_or("", |missing| missing.reason.as_str());
        let reason = format!("{why}; {reason}, so that nothing else would keep the kernel inside of it");
        return Err(SandboxError::Missing(Missing { layer: Layer::Landlock, reason }));
    }
    layers.add(Missing { layer: Layer::EmptyRoot, reason });
    Ok(())
}
