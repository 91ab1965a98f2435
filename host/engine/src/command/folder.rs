//! The read-only folder `/broadcast` for programs that are components. It stands in front of the folders that the user
//! granted: what is in it is answered here, and everything else by `wasmtime-wasi`. Nothing of it is a file of the machine.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, Filesize,
    Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::bindings::sync::io::streams;
use wasmtime_wasi::p2::{DynInputStream, FsError, FsResult, InputStream, Pollable, StreamError, StreamResult};

use super::files::{FOLDER, look_up};
use super::guest::Errno;
use crate::broadcast::BroadcastData;
use crate::host::HostState;

/// Most bytes that are read at once: a program that wants more asks again.
const READ: usize = 64 * 1024;

/// A descriptor: the folder (`None`), or one of its files.
struct Place(Option<usize>);

/// Which entry is listed next.
struct Listing(usize);

/// What the interfaces are implemented for.
struct Filesystem;

impl HasData for Filesystem {
    type Data<'a> = View<'a>;
}

/// The files of one store.
struct View<'a> {
    granted: WasiFilesystemCtxView<'a>,
    data: Arc<BroadcastData>,
}

/// Defines the files of preview 2 anew.
pub(crate) fn link_files(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    fn view(state: &mut HostState) -> View<'_> {
        let data = Arc::clone(&state.broadcast);
        View { granted: state.filesystem(), data }
    }
    linker.allow_shadowing(true);
    types::add_to_linker::<HostState, Filesystem>(linker, view)?;
    preopens::add_to_linker::<HostState, Filesystem>(linker, view)
}

/// What a handle stands for in the table, under another type than its own.
fn entry<'a, Own: 'static, T: 'static>(table: &'a ResourceTable, handle: &Resource<T>) -> Option<&'a Own> {
    table.get(&Resource::<Own>::new_borrow(handle.rep())).ok()
}

impl View<'_> {
    /// What a descriptor is, when it is one of the folder's.
    fn place(&self, fd: &Resource<Descriptor>) -> Option<Option<usize>> {
        entry::<Place, _>(self.granted.table, fd).map(|place| place.0)
    }

    fn opened(&mut self, place: Option<usize>) -> wasmtime::Result<Resource<Descriptor>> {
        Ok(Resource::new_own(self.granted.table.push(Place(place))?.rep()))
    }

    /// A path from a descriptor of the folder.
    fn found(&self, from: Option<usize>, path: &str) -> Result<Option<usize>, ErrorCode> {
        if from.is_some() {
            return Err(ErrorCode::NotDirectory);
        }
        look_up(&self.data, path).map_err(|errno| match errno {
            Errno::Noent => ErrorCode::NoEntry,
            Errno::Notdir => ErrorCode::NotDirectory,
            _ => ErrorCode::NotPermitted,
        })
    }

    fn stat_of(&self, place: Option<usize>) -> DescriptorStat {
        DescriptorStat {
            type_: type_of(place),
            link_count: 1,
            size: place.and_then(|index| self.data.entry(index)).map_or(0, |(_, len)| len),
            data_access_timestamp: None,
            data_modification_timestamp: None,
            status_change_timestamp: None,
        }
    }
}

fn type_of(place: Option<usize>) -> DescriptorType {
    if place.is_some() { DescriptorType::RegularFile } else { DescriptorType::Directory }
}

/// Different for each entry, and no likely hash of a file of the machine.
fn hash_of(place: Option<usize>) -> MetadataHashValue {
    MetadataHashValue { lower: place.map_or(0, |index| index as u64 + 1), upper: u64::from_le_bytes(*b"bcast\0\0\0") }
}

/// A file, from some place on.
struct FileStream {
    data: Arc<BroadcastData>,
    index: usize,
    at: u64,
}

#[wasmtime_wasi::async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut buffer = vec![0; size.min(READ)];
        let read = self.data.read(self.index, self.at, &mut buffer);
        let len = read.map_err(|error| StreamError::LastOperationFailed(error.into()))?;
        if len == 0 && size != 0 {
            return Err(StreamError::Closed);
        }
        self.at += len as u64;
        buffer.truncate(len);
        Ok(buffer.into())
    }
}

/// Functions on a descriptor that are refused where the folder is meant.
macro_rules! refused {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*) => {$(
        fn $name(&mut self, fd: Resource<Descriptor>, $($argument: $ty),*) -> FsResult<$result> {
            match self.place(&fd) {
                Some(_) => Err(ErrorCode::ReadOnly.into()),
                None => self.granted.$name(fd, $($argument),*),
            }
        }
    )*};
}

impl HostDescriptor for View<'_> {
    refused! {
        set_size(size: Filesize) -> ();
        set_times(access: NewTimestamp, change: NewTimestamp) -> ();
        set_times_at(flags: PathFlags, path: String, access: NewTimestamp, change: NewTimestamp) -> ();
        write(bytes: Vec<u8>, offset: Filesize) -> Filesize;
        write_via_stream(offset: Filesize) -> Resource<streams::OutputStream>;
        append_via_stream() -> Resource<streams::OutputStream>;
        create_directory_at(path: String) -> ();
        remove_directory_at(path: String) -> ();
        unlink_file_at(path: String) -> ();
        symlink_at(target: String, path: String) -> ();
    }

    fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        to: Resource<Descriptor>,
        to_path: String,
    ) -> FsResult<()> {
        if self.place(&fd).or_else(|| self.place(&to)).is_some() {
            return Err(ErrorCode::ReadOnly.into());
        }
        self.granted.link_at(fd, flags, path, to, to_path)
    }

    fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        to: Resource<Descriptor>,
        to_path: String,
    ) -> FsResult<()> {
        if self.place(&fd).or_else(|| self.place(&to)).is_some() {
            return Err(ErrorCode::ReadOnly.into());
        }
        self.granted.rename_at(fd, path, to, to_path)
    }

    fn advise(&mut self, fd: Resource<Descriptor>, offset: Filesize, len: Filesize, advice: Advice) -> FsResult<()> {
        if self.place(&fd).is_some() { Ok(()) } else { self.granted.advise(fd, offset, len, advice) }
    }

    fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        if self.place(&fd).is_some() { Ok(()) } else { self.granted.sync_data(fd) }
    }

    fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        if self.place(&fd).is_some() { Ok(()) } else { self.granted.sync(fd) }
    }

    fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        if self.place(&fd).is_some() { Ok(DescriptorFlags::READ) } else { self.granted.get_flags(fd) }
    }

    fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        match self.place(&fd) {
            Some(place) => Ok(type_of(place)),
            None => self.granted.get_type(fd),
        }
    }

    fn read(&mut self, fd: Resource<Descriptor>, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        match self.place(&fd) {
            Some(Some(index)) => {
                let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(READ)];
                let got = self.data.read(index, offset, &mut buffer).map_err(|_| ErrorCode::Io)?;
                buffer.truncate(got);
                Ok((buffer, got == 0 && len != 0))
            }
            Some(None) => Err(ErrorCode::IsDirectory.into()),
            None => self.granted.read(fd, len, offset),
        }
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<streams::InputStream>> {
        match self.place(&fd) {
            Some(Some(index)) => {
                let stream = FileStream { data: Arc::clone(&self.data), index, at: offset };
                Ok(self.granted.table.push(Box::new(stream) as DynInputStream)?)
            }
            Some(None) => Err(ErrorCode::IsDirectory.into()),
            None => self.granted.read_via_stream(fd, offset),
        }
    }

    fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        match self.place(&fd) {
            Some(None) => Ok(Resource::new_own(self.granted.table.push(Listing(0))?.rep())),
            Some(Some(_)) => Err(ErrorCode::NotDirectory.into()),
            None => self.granted.read_directory(fd),
        }
    }

    fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        match self.place(&fd) {
            Some(place) => Ok(self.stat_of(place)),
            None => self.granted.stat(fd),
        }
    }

    fn stat_at(&mut self, fd: Resource<Descriptor>, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        match self.place(&fd) {
            Some(from) => Ok(self.stat_of(self.found(from, &path)?)),
            None => self.granted.stat_at(fd, flags, path),
        }
    }

    fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let Some(from) = self.place(&fd) else {
            return self.granted.open_at(fd, path_flags, path, how, flags);
        };
        let found = self.found(from, &path);
        let changes = how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
            || flags.contains(DescriptorFlags::MUTATE_DIRECTORY)
            || (matches!(found, Ok(Some(_))) && flags.contains(DescriptorFlags::WRITE));
        if changes && found != Err(ErrorCode::NotPermitted) {
            return Err(ErrorCode::ReadOnly.into());
        }
        let found = found?;
        if found.is_some() && how.contains(OpenFlags::DIRECTORY) {
            return Err(ErrorCode::NotDirectory.into());
        }
        self.opened(found).map_err(FsError::trap)
    }

    fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        match self.place(&fd) {
            Some(from) => {
                self.found(from, &path)?;
                Err(ErrorCode::Invalid.into())
            }
            None => self.granted.readlink_at(fd, path),
        }
    }

    fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        match (self.place(&a), self.place(&b)) {
            (None, None) => self.granted.is_same_object(a, b),
            (a, b) => Ok(a == b),
        }
    }

    fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        match self.place(&fd) {
            Some(place) => Ok(hash_of(place)),
            None => self.granted.metadata_hash(fd),
        }
    }

    fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        match self.place(&fd) {
            Some(from) => Ok(hash_of(self.found(from, &path)?)),
            None => self.granted.metadata_hash_at(fd, flags, path),
        }
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        if self.place(&fd).is_none() {
            return HostDescriptor::drop(&mut self.granted, fd);
        }
        self.granted.table.delete(Resource::<Place>::new_own(fd.rep()))?;
        Ok(())
    }
}

impl HostDirectoryEntryStream for View<'_> {
    fn read_directory_entry(&mut self, stream: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        let Ok(listing) = self.granted.table.get_mut(&Resource::<Listing>::new_borrow(stream.rep())) else {
            return self.granted.read_directory_entry(stream);
        };
        let next = self.data.entry(listing.0);
        listing.0 += usize::from(next.is_some());
        Ok(next.map(|(name, _)| DirectoryEntry { type_: DescriptorType::RegularFile, name: name.to_owned() }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        if entry::<Listing, _>(self.granted.table, &stream).is_none() {
            return HostDirectoryEntryStream::drop(&mut self.granted, stream);
        }
        self.granted.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        self.granted.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<streams::Error>) -> wasmtime::Result<Option<types::ErrorCode>> {
        self.granted.filesystem_error_code(error)
    }
}

impl preopens::Host for View<'_> {
    /// The granted folders come first: a program that is a core module sees them in that order, too.
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mut folders = preopens::Host::get_directories(&mut self.granted)?;
        if !self.data.is_empty() {
            folders.push((self.opened(None)?, FOLDER.to_owned()));
        }
        Ok(folders)
    }
}
