//! The compiled code of kernels: a folder for each kernel of each tenant, so that it goes with its kernel, and no more of it in all
//! than a tenant may have.
//!
//! It is a cache: what is not there is compiled again by whoever needs it, and whoever has opened it has it. So anything may be
//! removed at any time, and nobody fails for it. The folder's own time is when somebody last looked into it.
//!
//! ```text
//! <data>/tenants/N/cache/<64 digits of the kernel>/taskhost/key
//! <data>/tenants/N/cache/<64 digits of the kernel>/taskhost/artifacts/…
//! ```

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::blobs::Digest;
use crate::store::{self, Store, kernels};
use crate::tenant::TenantId;

/// Bytes of compiled code of a tenant; beyond that goes what was used least recently. Native code has three to four times the bytes of
/// its WebAssembly: this is room for some of the largest kernels that a tenant may have unless said otherwise.
pub const MOST: u64 = 1 << 30;

/// How long compiled code waits for its kernel to be kept: longer than it takes to compile any.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The compiled code of all tenants.
#[derive(Clone, Debug)]
pub struct Compiled {
    tenants: PathBuf,
}

impl Compiled {
    /// In this data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { tenants: data.join("tenants") }
    }

    fn cache(&self, tenant: TenantId) -> PathBuf {
        self.tenants.join(tenant.0.to_string()).join("cache")
    }

    /// The folder of a kernel's code, whether it is there or not.
    #[must_use]
    pub fn folder(&self, tenant: TenantId, kernel: &Digest) -> PathBuf {
        self.cache(tenant).join(kernel.hex())
    }

    /// The same, for somebody who is about to use it.
    #[must_use]
    pub fn used(&self, tenant: TenantId, kernel: &Digest) -> PathBuf {
        let folder = self.folder(tenant, kernel);
        // Without it the kernel is compiled, which is no failure.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let _ = made.and_then(|()| File::open(&folder)?.set_modified(SystemTime::now()));
        folder
    }

    /// Removes the code of a kernel that its tenant does not have. To be done by the thread that writes to the store, so that the kernel
    /// is not kept meanwhile.
    ///
    /// # Errors
    /// When the store cannot say whether it is there.
    pub fn forget(&self, rows: &Connection, tenant: TenantId, kernel: &Digest) -> store::Result<()> {
        if !kernels::is_there(rows, tenant, kernel)? {
            // What somebody is writing into at this moment is found by the sweep.
            let _ = fs::remove_dir_all(self.folder(tenant, kernel));
        }
        Ok(())
    }

    /// Removes what a tenant has beyond so many bytes, the least recently used first. The one that was used last stays, so that a
    /// kernel whose code is larger than that is not compiled each time.
    pub fn trim(&self, tenant: TenantId, most: u64) {
        let mut files = Vec::new();
        for (folder, used, _) in entries(&self.cache(tenant)) {
            let artifacts = entries(&folder.join("taskhost").join("artifacts"));
            files.extend(artifacts.map(|(file, made, bytes)| (used, made, file, bytes)));
        }
        files.sort_unstable();
        let Some((_, _, _, last)) = files.pop() else { return };
        let mut room = most.saturating_sub(last);
        while let Some((_, _, file, bytes)) = files.pop() {
            match room.checked_sub(bytes) {
                Some(left) => room = left,
                None => {
                    room = 0;
                    // One that cannot be removed now is looked at again.
                    let _ = fs::remove_file(file);
                }
            }
        }
    }

    /// Removes for all tenants the code of kernels that are not there any more, when nobody has used it for so long, and what is too
    /// much.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn sweep(&self, store: &Store, unused: Duration) -> store::Result<()> {
        let before = SystemTime::now().checked_sub(unused).unwrap_or(SystemTime::UNIX_EPOCH);
        for (folder, ..) in entries(&self.tenants) {
            let Some(tenant) = name(&folder).and_then(|name| name.parse().ok()).map(TenantId) else { continue };
            let mut old = Vec::new();
            for (folder, used, _) in entries(&self.cache(tenant)) {
                match name(&folder).and_then(|name| format!("blake3:{name}").parse::<Digest>().ok()) {
                    Some(kernel) if used <= before => old.push(kernel),
                    Some(_) => {}
                    // An earlier program had all of a tenant's in one.
                    None => drop(fs::remove_dir_all(&folder)),
                }
            }
            let gone: Vec<Digest> = store.read(|rows| {
                let mut gone = Vec::new();
                for kernel in old {
                    if !kernels::is_there(rows, tenant, &kernel)? {
                        gone.push(kernel);
                    }
                }
                Ok(gone)
            })?;
            for kernel in gone {
                let code = self.clone();
                store.write(move |rows| code.forget(rows, tenant, &kernel))?;
            }
            self.trim(tenant, MOST);
        }
        Ok(())
    }
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// What is in a folder: where, since when it is as it is, and how many bytes it has.
fn entries(folder: &Path) -> impl Iterator<Item = (PathBuf, SystemTime, u64)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some((entry.path(), about.modified().ok()?, about.len()))
    })
}

/// A kernel that is being looked at: unless it is kept, its code goes when nobody has this any more.
#[derive(Debug)]
pub struct Unsure {
    /// Where the code is.
    pub compiled: Compiled,
    /// Who knows whether it is kept.
    pub store: Store,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub kernel: Digest,
}

impl Drop for Unsure {
    fn drop(&mut self) {
        let (compiled, tenant, kernel) = (self.compiled.clone(), self.tenant, self.kernel);
        // What is left when the store has ended is found by the sweep.
        self.store.write_then(move |rows| compiled.forget(rows, tenant, &kernel), |_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::access;
    use crate::tenant::Quotas;

    struct World {
        place: tempfile::TempDir,
        store: Store,
        tenant: TenantId,
        compiled: Compiled,
    }

    impl World {
        fn new() -> Self {
            let place = tempfile::tempdir().expect("a folder");
            let store = Store::open(&place.path().join("store.db")).expect("a store");
            let tenant = store.write(|rows| access::add(rows, "anna", 1, &Quotas::default()));
            let tenant = tenant.expect("written").expect("a new one").id;
            let compiled = Compiled::new(place.path());
            Self { place, store, tenant, compiled }
        }

        /// A kernel whose code has a hundred bytes, last used so many minutes ago.
        fn kernel(&self, name: &str, minutes: u64, is_kept: bool) -> Digest {
            let (kernel, tenant) = (Digest::of(name.as_bytes()), self.tenant);
            let folder = self.compiled.used(tenant, &kernel);
            let artifacts = folder.join("taskhost/artifacts");
            fs::create_dir_all(&artifacts).expect("made");
            fs::write(artifacts.join("a.cwasm"), [0; 100]).expect("written");
            let used = SystemTime::now() - Duration::from_secs(60 * minutes);
            File::open(&folder).and_then(|folder| folder.set_modified(used)).expect("set");
            let info = serde_json::json!({});
            if is_kept {
                self.store.write(move |rows| kernels::add(rows, tenant, &kernel, 1, &info)).expect("written");
            }
            kernel
        }

        fn has_code(&self, kernel: &Digest) -> bool {
            self.compiled.folder(self.tenant, kernel).join("taskhost/artifacts/a.cwasm").exists()
        }
    }

    #[test]
    fn code_goes_with_its_kernel_and_that_of_one_that_is_looked_at_waits() {
        let world = World::new();
        let (kept, old, new) =
            (world.kernel("kept", 200, true), world.kernel("old", 100, false), world.kernel("new", 1, false));
        let earlier = world.place.path().join("tenants/1/cache/taskhost/artifacts");
        fs::create_dir_all(&earlier).expect("made");
        world.compiled.sweep(&world.store, PATIENCE).expect("looked at");
        assert_eq!([&kept, &old, &new].map(|kernel| world.has_code(kernel)), [true, false, true]);
        assert!(!earlier.exists());
        world.compiled.sweep(&world.store, Duration::ZERO).expect("looked at");
        assert_eq!([&kept, &new].map(|kernel| world.has_code(kernel)), [true, false]);
    }

    #[test]
    fn what_was_used_least_recently_is_too_much_first() {
        let world = World::new();
        let kernels = [3, 1, 2].map(|minutes| world.kernel(&minutes.to_string(), minutes, true));
        for (most, wanted) in [
            (300, [true, true, true]),
            (200, [false, true, true]),
            (199, [false, true, false]),
            (0, [false, true, false]),
        ] {
            world.compiled.trim(world.tenant, most);
            assert_eq!(kernels.each_ref().map(|kernel| world.has_code(kernel)), wanted, "{most}");
        }
    }

    #[test]
    fn what_is_not_kept_leaves_nothing() {
        let world = World::new();
        let (kept, refused) = (world.kernel("kept", 0, true), world.kernel("refused", 0, false));
        for kernel in [kept, refused] {
            let (compiled, store) = (world.compiled.clone(), world.store.clone());
            drop(Unsure { compiled, store, tenant: world.tenant, kernel });
        }
        // It is in line behind both.
        world.store.write(|_| Ok(())).expect("written");
        assert!(world.has_code(&kept) && !world.compiled.folder(world.tenant, &refused).exists());
    }
}
