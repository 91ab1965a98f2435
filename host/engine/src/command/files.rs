//! The descriptors of a program: standard input, output and errors, and the read-only folder `/broadcast` when there is
//! data in it. There are no names behind the walls, so that folder is made up here: nothing of it is a file of the machine.

use std::sync::Arc;

use super::guest::Errno;
use crate::broadcast::BroadcastData;

/// Where the folder is for programs.
pub(super) const FOLDER: &str = "/broadcast";

/// Descriptors that a program may have open.
const DESCRIPTORS: usize = 1024;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    Input,
    Output,
    Errors,
    /// The folder, opened by the program or (`given`) for it.
    Folder {
        given: bool,
    },
    /// A file in it, and where it is read next.
    File {
        index: usize,
        at: u64,
    },
}

/// Kinds of files, as preview 1 counts them.
pub(super) const UNKNOWN: u8 = 0;
pub(super) const DIRECTORY: u8 = 3;
pub(super) const REGULAR: u8 = 4;

impl Descriptor {
    pub(super) fn file_type(self) -> u8 {
        match self {
            Self::Input | Self::Output | Self::Errors => UNKNOWN,
            Self::Folder { .. } => DIRECTORY,
            Self::File { .. } => REGULAR,
        }
    }
}

/// The table of descriptors.
pub(crate) struct Files {
    table: Vec<Option<Descriptor>>,
    data: Arc<BroadcastData>,
}

impl Files {
    pub(crate) fn new(data: Arc<BroadcastData>) -> Self {
        let mut table = vec![Some(Descriptor::Input), Some(Descriptor::Output), Some(Descriptor::Errors)];
        if !data.is_empty() {
            table.push(Some(Descriptor::Folder { given: true }));
        }
        Self { table, data }
    }

    pub(super) fn data(&self) -> &BroadcastData {
        &self.data
    }

    pub(super) fn get(&self, fd: u32) -> Result<Descriptor, Errno> {
        self.table.get(fd as usize).copied().flatten().ok_or(Errno::Badf)
    }

    fn slot(&mut self, fd: u32) -> Result<&mut Option<Descriptor>, Errno> {
        self.table.get_mut(fd as usize).filter(|slot| slot.is_some()).ok_or(Errno::Badf)
    }

    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        *self.slot(fd)? = None;
        Ok(())
    }

    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(to)?;
        let moved = self.slot(from)?.take();
        self.table[to as usize] = moved;
        Ok(())
    }

    /// The folder behind a descriptor that paths begin at.
    pub(super) fn folder(&self, fd: u32) -> Result<(), Errno> {
        match self.get(fd)? {
            Descriptor::Folder { .. } => Ok(()),
            _ => Err(Errno::Notdir),
        }
    }

    /// Opens what was looked up.
    pub(super) fn open(&mut self, found: Option<usize>) -> Result<u32, Errno> {
        let opened = match found {
            Some(index) => Descriptor::File { index, at: 0 },
            None => Descriptor::Folder { given: false },
        };
        let free = self.table.iter().position(Option::is_none).unwrap_or(self.table.len());
        if free >= DESCRIPTORS {
            return Err(Errno::Mfile);
        }
        if free == self.table.len() {
            self.table.push(None);
        }
        self.table[free] = Some(opened);
        u32::try_from(free).map_err(|_| Errno::Mfile)
    }

    /// Bytes of a descriptor's file.
    pub(super) fn size(&self, descriptor: Descriptor) -> u64 {
        match descriptor {
            Descriptor::File { index, .. } => self.data.entry(index).map_or(0, |(_, len)| len),
            _ => 0,
        }
    }

    /// Reads a file where it is read next, or elsewhere.
    pub(super) fn read(&mut self, fd: u32, offset: Option<u64>, buffer: &mut [u8]) -> Result<usize, Errno> {
        let Descriptor::File { index, at } = self.get(fd)? else {
            return Err(if self.folder(fd).is_ok() { Errno::Isdir } else { Errno::Badf });
        };
        let len = self.data.read(index, offset.unwrap_or(at), buffer).map_err(|_| Errno::Io)?;
        if offset.is_none() {
            *self.slot(fd)? = Some(Descriptor::File { index, at: at + len as u64 });
        }
        Ok(len)
    }

    /// Says where a file is read next: `whence` is 0 from its beginning, 1 from where it is, 2 from its end.
    pub(super) fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64, Errno> {
        let descriptor = self.get(fd)?;
        let Descriptor::File { index, at } = descriptor else {
            return Err(if self.folder(fd).is_ok() { Errno::Badf } else { Errno::Spipe });
        };
        let base = match whence {
            0 => 0,
            1 => at,
            2 => self.size(descriptor),
            _ => return Err(Errno::Inval),
        };
        let at = base.checked_add_signed(offset).ok_or(Errno::Inval)?;
        *self.slot(fd)? = Some(Descriptor::File { index, at });
        Ok(at)
    }
}

/// What a path below the folder names: a file, or (`None`) the folder itself.
pub(super) fn look_up(data: &BroadcastData, path: &str) -> Result<Option<usize>, Errno> {
    if path.is_empty() {
        return Err(Errno::Noent);
    }
    if path.starts_with('/') {
        return Err(Errno::Notcapable);
    }
    let mut found = None;
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err(Errno::Notcapable);
        }
        if found.is_some() {
            return Err(Errno::Notdir);
        }
        found = Some(data.find(part).ok_or(Errno::Noent)?);
    }
    if found.is_some() && path.ends_with('/') { Err(Errno::Notdir) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use taskhost_protocol::given::Broadcast;

    use super::*;

    fn files() -> Files {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("room");
        let entry = |name: &str, at, len| Broadcast { name: name.into(), at, len };
        let data = BroadcastData::new(vec![entry("a", 0, 4), entry("b.txt", 4, 6)], Some(file));
        Files::new(Arc::new(data))
    }

    #[test]
    fn paths_lead_to_the_files_and_nowhere_else() {
        let files = files();
        for (path, found) in [
            ("a", Ok(Some(0))),
            ("./b.txt", Ok(Some(1))),
            (".", Ok(None)),
            ("c", Err(Errno::Noent)),
            ("a/b", Err(Errno::Notdir)),
            ("a/", Err(Errno::Notdir)),
            ("../etc/passwd", Err(Errno::Notcapable)),
            ("a/../a", Err(Errno::Notcapable)),
            ("/a", Err(Errno::Notcapable)),
            ("", Err(Errno::Noent)),
        ] {
            assert_eq!(look_up(files.data(), path), found, "{path}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_own_end() {
        let mut files = files();
        let fd = files.open(Some(1)).expect("it opens");
        assert_eq!(fd, 4);
        let mut buffer = [0; 4];
        assert_eq!(files.read(fd, None, &mut buffer), Ok(4));
        assert_eq!(&buffer, b"4567");
        assert_eq!(files.read(fd, None, &mut buffer), Ok(2));
        assert_eq!(files.read(fd, None, &mut buffer), Ok(0));
        assert_eq!(files.seek(fd, -1, 2), Ok(5));
        assert_eq!(files.read(fd, None, &mut buffer), Ok(1));
        assert_eq!(files.read(fd, Some(100), &mut buffer), Ok(0));
        assert_eq!(files.seek(fd, -7, 2), Err(Errno::Inval));
        assert_eq!((files.close(fd), files.close(fd)), (Ok(()), Err(Errno::Badf)));
        assert_eq!(files.read(3, None, &mut buffer), Err(Errno::Isdir));
    }

    #[test]
    fn descriptors_end() {
        let mut files = files();
        let opened = (0..).take_while(|_| files.open(Some(0)).is_ok()).count();
        assert_eq!(opened, DESCRIPTORS - 4);
    }
}
