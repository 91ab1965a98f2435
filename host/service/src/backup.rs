//! A copy of everything that a service keeps, taken while it is in use: a data folder that a server can be started in.
//!
//! Contents have the names of their digests and never change, so that they are linked where that is possible and cost no
//! space. What runs is not copied: a server that starts with the copy runs it again from its beginning.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::blobs::{Blobs, PARTS};
use crate::store::Store;

/// Copies what the service in `data` keeps into `into`, which must not be there yet.
///
/// # Errors
/// When it is there, or cannot be written. Then nothing of it is left.
pub fn back_up(store: &Store, blobs: &dyn Blobs, data: &Path, into: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(into)?;
    let result = blobs.while_all_stay(&mut || {
        // The rows first: what is stored after that may be there without a row, but no row without its content.
        store.back_up(&into.join("store.db")).map_err(io::Error::other)?;
        copy(&data.join("tenants"), &into.join("tenants"))
    });
    if result.is_err() {
        let _ = fs::remove_dir_all(into);
    }
    result
}

/// Folders that can be made anew, or hold what is not kept yet.
const LEFT_OUT: [&str; 3] = ["cache", "incoming", PARTS];

fn copy(from: &Path, into: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(into)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (name, target) = (entry.file_name(), into.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                copy(&entry.path(), &target)?;
            }
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    fs::File::open(into)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::{Digest, LocalBlobs};
    use crate::tenant::TenantId;

    #[test]
    fn a_copy_has_everything_and_meanwhile_nothing_goes() {
        let place = tempfile::tempdir().expect("a folder");
        let (data, into) = (place.path().join("data"), place.path().join("copy"));
        fs::create_dir(&data).expect("made");
        let store = Store::open(&data.join("store.db")).expect("a store");
        let blobs = LocalBlobs::new(&data);
        let mut blob = blobs.begin(TenantId(1)).expect("a place");
        blob.write(b"content").expect("room");
        blobs.keep(blob).expect("kept");
        let digest = Digest::of(b"content");
        blobs
            .while_all_stay(&mut || {
                blobs.remove(TenantId(1), &digest).expect_err("not now");
                Ok(())
            })
            .expect("nothing fails");
        back_up(&store, &blobs, &data, &into).expect("copied");
        assert!(LocalBlobs::new(&into).open(TenantId(1), &digest).expect("readable").is_some());
        Store::open(&into.join("store.db")).expect("a store");
        back_up(&store, &blobs, &data, &into).expect_err("it is there");
        assert!(into.join("store.db").exists());
    }
}
