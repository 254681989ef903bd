//! Small files of the sidecar's own state, which say themselves whether they are whole: a line with kind, version and digest, then JSON.
//!
//! Written whole or not at all, and durable when that returns. One that can't be read is an error, never an empty state: whoever asks
//! decides what that means, and nobody writes over it.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use pinfold_model::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The only version so far.
const VERSION: u32 = 1;

fn seal(kind: &str, body: &[u8]) -> String {
    format!("pinfold-{kind} {VERSION} {}\n", Digest::of(body))
}

/// What a file holds; nothing if there is none.
///
/// # Errors
/// Why it can't be read.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, kind: &str) -> Result<Option<T>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at.saturating_add(1));
    let (line, body) = end
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or("it has no line that says what it is")?;
    if line != seal(kind, body).as_bytes() {
        return Err(format!(
            "it is no whole `pinfold-{kind} {VERSION}`: torn, or changed by others"
        ));
    }
    serde_json::from_slice(body).map(Some).map_err(|error| error.to_string())
}

/// Writes a file: durable when this returns.
///
/// # Errors
/// The system's; then the file is as it was.
pub(crate) fn write<T: Serialize>(path: &Path, kind: &str, state: &T) -> io::Result<()> {
    let body = serde_json::to_vec(state)?;
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(seal(kind, &body).as_bytes())?;
    file.write_all(&body)?;
    file.sync_data()?;
    std::fs::rename(&partial, path)?;
    // The new name is durable with its directory alone.
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_changed_or_something_else_is_an_error_and_what_is_absent_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.json");
        assert_eq!(read::<Vec<u32>>(&path, "x"), Ok(None));
        write(&path, "x", &vec![1, 2, 3]).expect("written");
        assert_eq!(read::<Vec<u32>>(&path, "x"), Ok(Some(vec![1, 2, 3])));
        let whole = std::fs::read(&path).expect("read");
        assert!(read::<Vec<u32>>(&path, "y").is_err(), "another kind");
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).expect("torn");
            assert!(read::<Vec<u32>>(&path, "x").is_err(), "{end} bytes");
        }
        let changed = String::from_utf8(whole).expect("text").replace("[1,", "[0,");
        std::fs::write(&path, changed).expect("changed");
        assert!(read::<Vec<u32>>(&path, "x").is_err());
        std::fs::remove_file(&path).expect("gone");
        std::fs::create_dir(&path).expect("a directory");
        assert!(read::<Vec<u32>>(&path, "x").is_err());
    }
}
