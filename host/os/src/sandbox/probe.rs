//! What this machine offers, found out without a worker.

use std::io;
use std::os::fd::AsFd as _;

use super::{Layer, filter, landlock};
use crate::socket::Socket;
use crate::spawn::{Namespaces, Program, Spawn, SpawnError, Step};

/// What was found out about a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The layer.
    pub layer: Layer,
    /// That it is to be had, with what is worth knowing about it; or why not.
    pub offer: Result<String, String>,
}

/// Looks for each layer whether it can be had here. Only asks: what a worker really gets is seen when one is locked in.
#[must_use]
pub fn probe() -> Vec<Finding> {
    Layer::ALL.into_iter().map(|layer| Finding { layer, offer: offer(layer) }).collect()
}

fn offer(layer: Layer) -> Result<String, String> {
    let say = |error: io::Error| error.to_string();
    match layer {
        Layer::Namespaces | Layer::EmptyRoot => namespaces().map(|()| String::new()),
        Layer::Landlock => landlock::version().map(|version| format!("version {version}")).map_err(say),
        Layer::SystemCalls => filter::probe().map(|()| String::new()).map_err(say),
        // Every Linux that runs this program has them.
        Layer::NoCapabilities | Layer::NoNewPrivileges | Layer::NoDumps | Layer::Limits => Ok(String::new()),
    }
}

/// Starts a process in namespaces that executes a folder: the kernel refuses that last of all.
fn namespaces() -> Result<(), String> {
    let (_own, other) = Socket::pair().map_err(|error| error.to_string())?;
    let program = Program::Path(c"/".into());
    let spawn = Spawn { args: &[], program: &program, namespaces: Namespaces::All, core: None, socket: other.as_fd() };
    match spawn.start() {
        Ok(_) | Err(SpawnError::Child { step: Step::Execute, .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_looked_for() {
        let layers: Vec<Layer> = probe().iter().map(|finding| finding.layer).collect();
        assert_eq!(layers, Layer::ALL);
    }
}
