//! The name of an artifact: everything that its code depends on.

use std::fmt;

use taskhost_os::spawn::Program;
use taskhost_protocol::kernel::{CompileOptions, Kind, Profile};

use crate::error::{PoolError, Tried as _};

/// Raised when the layout of an artifact file changes.
const FORMAT: u32 = 1;

/// BLAKE3 of a kernel's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactKey(Digest);

impl ArtifactKey {
    /// The artifact of this kernel, made by this executable on this processor with these options. Host and worker are
    /// the same executable, so its build stands for the version of the engine.
    ///
    /// # Errors
    /// When the executable or the processor cannot be identified.
    pub fn new(kernel: &Digest, options: CompileOptions) -> Result<Self, PoolError> {
        Self::of_program(kernel, options, &Program::ProcSelfExe)
    }

    /// The same, when workers are another program.
    ///
    /// # Errors
    /// When that program or the processor cannot be identified.
    pub fn of_program(kernel: &Digest, options: CompileOptions, program: &Program) -> Result<Self, PoolError> {
        let build = taskhost_os::exe::identity_of(program).tried("identifying the executable")?;
        let features = taskhost_os::exe::cpu_features().tried("identifying the processor")?;
        let CompileOptions { profile, kind } = options;
        let profile = match profile {
            Profile::Plain => "plain",
            Profile::Fuel => "fuel",
            Profile::Sampled => "sampled",
        };
        let mut hasher = blake3::Hasher::new_derive_key("taskhost artifact 2026-11 v1");
        let parts: [&[u8]; 7] = [
            &FORMAT.to_le_bytes(),
            &kernel.0,
            &build,
            std::env::consts::ARCH.as_bytes(),
            features.as_bytes(),
            profile.as_bytes(),
            kind.map_or("detected", Kind::name).as_bytes(),
        ];
        for part in parts {
            // The lengths keep two lists of parts from running into the same bytes.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Ok(Self(Digest(*hasher.finalize().as_bytes())))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
