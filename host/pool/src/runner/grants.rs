//! Folders that the user grants to the kernel: what workers are told of them, and how they must look there from outside.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use taskhost_os::sandbox::HeldFolder;
use taskhost_protocol::fault::Refusal;
use taskhost_protocol::grant::Grant;
use taskhost_protocol::limits::{GRANTS, SOURCE_NAME_BYTES};

use super::config::GrantedFolder;
use crate::error::{PoolError, Tried as _};

/// What a worker is told of them; their descriptors go with the message.
pub(super) fn for_message(granted: &[GrantedFolder]) -> Vec<Grant> {
    granted.iter().map(|one| Grant { guest: one.guest.clone(), writable: one.writable }).collect()
}

/// What workers hold of them.
pub(super) fn held(granted: &[GrantedFolder]) -> Result<Arc<[HeldFolder]>, PoolError> {
    if granted.len() > GRANTS {
        return Err(setting(format!("{} folders are granted; at most {GRANTS} can be", granted.len())));
    }
    if let Some(long) = granted.iter().find(|one| one.guest.len() > SOURCE_NAME_BYTES) {
        return Err(setting(format!("the name of a granted folder has {} bytes; use a shorter one", long.guest.len())));
    }
    let held = granted.iter().map(|one| HeldFolder::of(one.folder.as_fd(), one.writable));
    held.collect::<Result<_, _>>().tried("looking at a granted folder")
}

fn setting(text: String) -> PoolError {
    PoolError::Refused(Refusal::Setting(text))
}
