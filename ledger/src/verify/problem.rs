//! What the verifier reports.

use std::fmt;
use std::path::{Path, PathBuf};

/// Most problems that one run reports; the rest follows from these.
pub const MAX_PROBLEMS: usize = 100;

/// The kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A file or directory can't be read.
    Unreadable,
    /// A log file, the checkpoints or the key is not there.
    MissingFile,
    /// The last line has no newline: a write that was cut short, or a cut file.
    Torn,
    /// A line is longer than any record.
    TooLong,
    /// A line is not JSON.
    NotJson,
    /// A line is JSON, but not as the ledger writes it.
    NotCanonical,
    /// A record's content does not have its hash.
    Edited,
    /// A record does not follow from the one before: that one was rewritten.
    Broken,
    /// Records are missing before this one.
    Dropped,
    /// A record is repeated or out of order.
    Repeated,
    /// The ledger does not start as a ledger does.
    Genesis,
    /// The log ends before its last checkpoint.
    Truncated,
    /// There is no checkpoint at all.
    NoCheckpoint,
    /// A checkpoint is not signed by the key.
    CheckpointSignature,
    /// A checkpoint vouches for another record than is there.
    CheckpointHead,
    /// Checkpoints go backwards.
    CheckpointOrder,
    /// The signing key is unusable, or not the expected one.
    Key,
}

impl ProblemKind {
    fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::MissingFile => "missing file",
            Self::Torn => "unfinished line",
            Self::TooLong => "line too long",
            Self::NotJson => "not JSON",
            Self::NotCanonical => "not as the ledger writes it",
            Self::Edited => "record edited",
            Self::Broken => "chain broken: the record before was replaced",
            Self::Dropped => "records missing before this one",
            Self::Repeated => "record repeated or out of order",
            Self::Genesis => "not the start of a ledger",
            Self::Truncated => "log cut below a signed checkpoint",
            Self::NoCheckpoint => "no signed checkpoint",
            Self::CheckpointSignature => "checkpoint not signed by the ledger's key",
            Self::CheckpointHead => "checkpoint vouches for another record",
            Self::CheckpointOrder => "checkpoints out of order",
            Self::Key => "wrong key",
        }
    }
}

/// One finding of the verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub file: PathBuf,
    /// The line, from 1; none when the whole file is meant.
    pub line: Option<u64>,
    /// What kind of damage.
    pub kind: ProblemKind,
    /// What should be there.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, " line {line}")?;
        }
        write!(
            formatter,
            ": {}: expected {}, found {}",
            self.kind.text(),
            self.expected,
            self.found
        )
    }
}

/// Collects problems up to the bound.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    pub(super) fn of_file(
        &mut self,
        file: &Path,
        kind: ProblemKind,
        expected: &str,
        found: impl Into<String>,
    ) {
        let expected = expected.to_owned();
        let found = found.into();
        self.push(Problem { file: file.to_owned(), line: None, kind, expected, found });
    }

    /// Nothing more is kept: reading on is a waste.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_PROBLEMS
    }

    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}
