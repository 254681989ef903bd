//! Reading policies and manifests from files and directories: the only place of this crate that touches the file system.
//!
//! Directories are walked in a fixed order. Names that begin with a dot are left out, so that the `..data` folders of a mounted ConfigMap are not
//! read twice; its files are symbolic links and are followed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::document::DOCUMENT_BYTES_MAX;

/// Most files read from one list of paths.
pub const FILES_MAX: usize = 10_000;
/// Deepest folder below a path.
pub const FOLDER_DEPTH_MAX: usize = 16;

/// One file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path, as the user will recognize it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a path can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system said no.
    #[error("can't read `{path}`: {source}")]
    Read {
        /// The path.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Larger than [`DOCUMENT_BYTES_MAX`].
    #[error("`{path}` is larger than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge {
        /// The path.
        path: String,
    },
    /// Not UTF-8.
    #[error("`{path}` isn't UTF-8 text")]
    Encoding {
        /// The path.
        path: String,
    },
    /// More than [`FILES_MAX`] files or folders too deep.
    #[error(
        "`{path}` holds more than {FILES_MAX} files, or folders deeper than {FOLDER_DEPTH_MAX}"
    )]
    TooMany {
        /// The path.
        path: String,
    },
}

/// Reads files, and the `.yaml`, `.yml` and `.json` files of directories, sorted by path.
///
/// # Errors
/// [`SourceError`] for the first path that can't be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<SourceFile>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, FOLDER_DEPTH_MAX, &mut files)?;
    }
    files.sort_by(|left, right| left.name.cmp(&right.name));
    files.dedup_by(|left, right| left.name == right.name);
    Ok(files)
}

/// A digest over names and texts: two equal ones need no reload.
#[must_use]
pub fn digest(files: &[SourceFile]) -> Digest {
    Digest::of_parts(files.iter().flat_map(|file| [file.name.as_bytes(), file.text.as_bytes()]))
}

fn collect(path: &Path, depth_left: usize, files: &mut Vec<SourceFile>) -> Result<(), SourceError> {
    let name = || path.display().to_string();
    let failed = |source| SourceError::Read { path: name(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(read_file(path)?);
        return Ok(());
    }
    let depth_left =
        depth_left.checked_sub(1).ok_or_else(|| SourceError::TooMany { path: name() })?;
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
        if entries.len().saturating_add(files.len()) > FILES_MAX {
            return Err(SourceError::TooMany { path: name() });
        }
    }
    entries.sort();
    entries
        .iter()
        .filter(|entry| is_wanted(entry))
        .try_for_each(|entry| collect(entry, depth_left, files))
}

fn is_wanted(entry: &Path) -> bool {
    let hidden = entry.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = entry.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let readable = matches!(extension.as_deref(), Some("yaml" | "yml" | "json"));
    !hidden && (readable || entry.is_dir())
}

fn read_file(path: &Path) -> Result<SourceFile, SourceError> {
    let name = path.display().to_string();
    let failed = |source| SourceError::Read { path: name.clone(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if usize::try_from(length).map_or(true, |length| length > DOCUMENT_BYTES_MAX) {
        return Err(SourceError::TooLarge { path: name });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text =
        String::from_utf8(bytes).map_err(|_| SourceError::Encoding { path: name.clone() })?;
    Ok(SourceFile { name, text })
}
