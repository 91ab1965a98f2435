//! Folders that the user grants to the kernel: taken before the walls go up, used by the kernel behind them.

use std::os::fd::OwnedFd;

use taskhost_engine::FolderGrant;
use taskhost_os::sandbox::Folder;
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::grant::Grant;

/// All of them, in the order in which the user named them. To be kept as long as the kernel may use them.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    folders: Vec<Folder>,
    guests: Vec<String>,
}

impl Granted {
    /// Takes the folders whose descriptors these are. One that cannot be granted is the user's mistake.
    pub(crate) fn take(grants: &[Grant], sent: &mut impl Iterator<Item = OwnedFd>) -> Result<Self, Refusal> {
        let mut granted = Self::default();
        for grant in grants {
            let sent = sent.next().ok_or_else(|| Refusal::Setting("a granted folder did not arrive".into()))?;
            let folder = Folder::take(sent, grant.writable).map_err(|error| Refusal::Setting(error.to_string()))?;
            granted.folders.push(folder);
            granted.guests.push(grant.guest.clone());
        }
        Ok(granted)
    }

    /// What this process locks itself in with.
    pub(crate) fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// For the engine, which opens them by their names: before this process is locked in.
    pub(crate) fn grants(&self) -> impl Iterator<Item = FolderGrant> {
        self.guests.iter().zip(&self.folders).map(|(guest, folder)| FolderGrant {
            path: folder.name_before_the_lock(),
            guest: guest.clone(),
            writable: folder.is_writable(),
        })
    }
}
