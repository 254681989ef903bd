//! Why a ledger would not open, or a record was not written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a record was not written. The gate must then refuse the action.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// More is waiting than the settings allow.
    #[error(
        "audit record refused: {waiting} are already waiting to be written; the disk of the audit directory is too slow"
    )]
    Overloaded {
        /// What is waiting, a number with its unit.
        waiting: String,
    },
    /// The ledger was closed.
    #[error("audit record refused: the ledger is closed")]
    Closed,
    /// The disk refused. The ledger tries again with the next record.
    #[error("audit record not written in `{}`: {source}; free or repair the disk, no restart is needed", directory.display())]
    Write {
        /// The audit directory.
        directory: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The event can't be expressed. No value of [`crate::Event`] leads here today.
    #[error("audit record can't be encoded: {0}")]
    Encode(String),
}

/// Why a directory can't be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory can't be used.
    #[error("can't {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another writer has the directory.
    #[error("audit directory `{}` is in use by another writer; give each writer its own", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The signing key is absent, unusable, or not the one that the ledger was started with.
    #[error("signing key `{}`: {found}; {remedy}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What is there already does not verify, and is not merely a torn last line.
    #[error(
        "`{}` line {line}: expected {expected}, found {found}; keep the directory as evidence and start with an empty one",
        file.display()
    )]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 when the whole file is meant.
        line: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// The first record can't be written.
    #[error(transparent)]
    Write(#[from] LedgerError),
}

impl OpenError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}
