//! What a worker must be surrounded by, and what it was found to lack.

use taskhost_os::process_id::ProcessId;
use taskhost_os::sandbox::{self, Held, HeldFolder, Layer, Layers, Missing, Specification};
use taskhost_os::spawn::Namespaces;
use taskhost_protocol::limits::cap_text;
use taskhost_protocol::message::{Lacking, Sandbox};

use crate::error::PoolError;

/// What a worker was started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// How much of the sandbox is insisted on.
    pub(crate) sandbox: Sandbox,
    /// Whether it has namespaces.
    pub(crate) namespaces: Namespaces,
    /// The user of its own, if it has one.
    pub(crate) user: Option<u32>,
    /// The folders that it was granted.
    pub(crate) folders: &'a [HeldFolder],
}

/// Looks at a worker that says it is locked in. The outer error is what the worker did wrong; the inner one, that this
/// machine lacks what is insisted on.
pub(crate) fn verify(
    id: ProcessId,
    surroundings: Surroundings<'_>,
    lacking: Vec<Lacking>,
) -> Result<Result<Layers, PoolError>, String> {
    let Surroundings { sandbox, namespaces, user, folders } = surroundings;
    if lacking.len() > Layer::ALL.len() {
        return Err("lacks more layers than there are".into());
    }
    let mut layers = Layers::default();
    if sandbox != Sandbox::Off {
        let specification = Specification {
            namespaces: namespaces == Namespaces::All,
            // Walls that were built by one of several threads would hold for that one only.
            threads: 1,
            filtered: true,
            user,
            held: Held::MemoryFiles,
        };
        let seen = sandbox::inspect_with(id, &specification, folders)
            .map_err(|error| format!("was not locked in: {error}"))?;
        layers = seen.layers;
    }
    for one in lacking {
        layers.add(missing(one)?);
    }
    match layers.missing().first() {
        Some(lacking) if sandbox == Sandbox::Full => Ok(Err(PoolError::Sandbox { lacking: lacking.clone(), sandbox })),
        _ => Ok(Ok(layers)),
    }
}

/// What a worker says it lacks.
pub(crate) fn missing(lacking: Lacking) -> Result<Missing, String> {
    let layer = Layer::from_name(&lacking.layer).ok_or("lacks a layer that there is not")?;
    Ok(Missing { layer, reason: cap_text(lacking.reason) })
}

/// No worker can have namespaces here, and somebody insists.
pub(crate) fn no_namespaces(reason: String) -> PoolError {
    PoolError::Sandbox { lacking: Missing { layer: Layer::Namespaces, reason }, sandbox: Sandbox::Full }
}
