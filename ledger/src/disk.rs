//! The seam to the disk: what the writer asks of it, the real one, and a file that heals after a failed write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A directory that files are appended in. Tests put a failing one here.
pub(crate) trait Storage: Send {
    /// Opens `name` for appending and creates it if absent; the name itself is then durable.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Appender>>;
    /// Puts `content` in the place of the file `name`, all or nothing, and leaves it open for appending. An error means
    /// that the old file is still there.
    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<Box<dyn Appender>>;
    /// Makes replaced names durable.
    fn sync_names(&mut self) -> io::Result<()>;
    /// Deletes `name`.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// One file, written at its end only.
pub(crate) trait Appender: Send {
    /// Writes all bytes at the end; after an error any prefix of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything appended is durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn length(&self) -> io::Result<u64>;
}

/// The file system.
#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Storage for Directory {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Appender>> {
        let file = OpenOptions::new().append(true).create(true).open(self.0.join(name))?;
        sync_directory(&self.0)?;
        Ok(Box::new(file))
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<Box<dyn Appender>> {
        Ok(Box::new(replace(&self.0, name, content, PUBLIC_MODE)?))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        sync_directory(&self.0)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }
}

impl Appender for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }
}

/// Mode of a file that others may read.
pub(crate) const PUBLIC_MODE: u32 = 0o644;

/// Writes a whole file: all or nothing, also when the process is killed in between, and durable.
pub(crate) fn write_whole(
    directory: &Path,
    name: &str,
    content: &[u8],
    mode: u32,
) -> io::Result<()> {
    replace(directory, name, content, mode)?;
    sync_directory(directory)
}

fn replace(directory: &Path, name: &str, content: &[u8], mode: u32) -> io::Result<File> {
    let draft = directory.join(format!("{name}.tmp"));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, directory.join(name))?;
    Ok(file)
}

/// Makes names created or renamed in `directory` durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file whose first `length` bytes are durable; what a failed write left behind is cut before the next one.
pub(crate) struct Durable {
    file: Box<dyn Appender>,
    length: u64,
    torn: bool,
}

impl Durable {
    /// Keeps `length` bytes of the file, and cuts what follows them.
    pub(crate) fn open(storage: &mut dyn Storage, name: &str, length: u64) -> io::Result<Self> {
        let file = storage.open(name)?;
        let found = file.length()?;
        if found < length {
            return Err(io::Error::other(format!(
                "`{name}` has {found} bytes where {length} were read before"
            )));
        }
        let mut durable = Self { file, length, torn: found > length };
        durable.settle()?;
        Ok(durable)
    }

    /// The file with new content.
    pub(crate) fn replace(
        storage: &mut dyn Storage,
        name: &str,
        content: &[u8],
    ) -> io::Result<Self> {
        let file = storage.replace(name, content)?;
        let length = u64::try_from(content.len()).map_err(io::Error::other)?;
        Ok(Self { file, length, torn: false })
    }

    /// Bytes that are durable.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends and syncs, or leaves the file to be cut back to where it was.
    ///
    /// After a failed sync the kernel may call the pages clean although they never reached the disk, so the bytes are
    /// cut and written again rather than synced again.
    pub(crate) fn commit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.settle()?;
        self.torn = true;
        if let Err(error) = self.file.append(bytes).and_then(|()| self.file.sync()) {
            // At once, so that a crash does not bring back what was refused; if that fails too, the next write tries.
            let _ = self.settle();
            return Err(error);
        }
        let added = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        self.length = self.length.saturating_add(added);
        self.torn = false;
        Ok(())
    }

    /// Cuts what a failed write left.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.cut(self.length)?;
            self.torn = false;
        }
        Ok(())
    }
}
