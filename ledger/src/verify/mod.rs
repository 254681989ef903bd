//! The verifier: reads what a ledger wrote and says whether anything was edited, dropped, moved, repeated or cut.
//!
//! It shares constants with the writer and no code: it parses, makes canonical and hashes by itself. It holds one line
//! at a time. What it can't see: records cut off after the last checkpoint, and a directory replaced as a whole by an
//! older copy of itself; against these keep a copy of `checkpoints`, or the mirrored lines, elsewhere.

mod chain;
mod checkpoint;
mod directory;
mod key;
pub(crate) mod line;
pub(crate) mod lines;
mod problem;

use std::path::{Path, PathBuf};

pub(crate) use checkpoint::{Checkpoint, read as read_checkpoint};
pub(crate) use directory::list as segments_of;
pub use key::{KeyError, PublicKey};
pub use problem::{MAX_PROBLEMS, Problem, ProblemKind};

use chain::Walk;
use problem::Problems;

/// What was found intact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// One for each directory, and one for the files given by name together.
    pub chains: Vec<Chain>,
}

/// One intact chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The directory, or the first file.
    pub source: PathBuf,
    /// Log files read.
    pub files: u64,
    /// Records read.
    pub records: u64,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// Sequence number of the last record.
    pub seq: u64,
    /// `entry_hash` of the last record.
    pub head: String,
    /// Records after the last checkpoint: intact, but nobody would notice if more of them had been there.
    pub unsigned: u64,
    /// The key that signed; none for files given by name, which have no checkpoints.
    pub signer: Option<PublicKey>,
}

impl Report {
    /// Records in all chains.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.chains.iter().map(|chain| chain.records).sum()
    }
}

/// Verifies directories, each as a whole, and log files given by name as parts of one chain in the order given.
///
/// `pinned` is the key that every checkpoint must be signed with; without it the directory's own `key.pub` counts,
/// and whoever can replace all files can replace that too.
///
/// # Errors
/// Everything that is wrong, at most [`MAX_PROBLEMS`].
pub fn verify(paths: &[PathBuf], pinned: Option<&PublicKey>) -> Result<Report, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut report = Report::default();
    let (directories, files): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.is_dir());
    if paths.is_empty() {
        problems.of_file(Path::new(""), ProblemKind::MissingFile, "a directory or file", "none");
    }
    for directory in directories {
        report.chains.extend(directory::verify(directory, pinned, &mut problems));
    }
    if let Some(first) = files.first() {
        let mut walk = Walk::unanchored(&mut problems);
        for file in &files {
            walk.file(file);
        }
        report.chains.extend(walk.finish(first));
    }
    let problems = problems.into_inner();
    if problems.is_empty() { Ok(report) } else { Err(problems) }
}
