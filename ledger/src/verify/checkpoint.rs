//! Signed checkpoints: what the writer vouched for, read one line at a time.

use std::fs::File;
use std::io::{self, Read, Take};
use std::path::{Path, PathBuf};

use super::key::PublicKey;
use super::line::{self, Fault};
use super::lines::{Lines, Shape, settled_length};
use super::problem::{Problem, ProblemKind};
use crate::format::{ANCHOR_PURPOSE, CHECKPOINT_PURPOSE, CHECKPOINTS_FILE, MAX_CHECKPOINT_BYTES};

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) seq: u64,
    pub(crate) head: String,
    /// Everything up to here was deleted by the writer.
    pub(crate) anchor: bool,
    /// Its line in the checkpoints file, from 1.
    pub(crate) line: u64,
}

/// Why a line is not a checkpoint of this key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Line(Fault),
    Purpose(String),
    Signature,
}

/// Parses one line and checks its signature.
pub(crate) fn read(text: &[u8], number: u64, key: &PublicKey) -> Result<Checkpoint, Refusal> {
    let mut members = line::object(text).map_err(Refusal::Line)?;
    let member = |name| line::text(&members, name).map_err(Refusal::Line);
    let (purpose, head, signature) = (member("purpose")?, member("head")?, member("signature")?);
    let anchor = match purpose.as_str() {
        CHECKPOINT_PURPOSE => false,
        ANCHOR_PURPOSE => true,
        _ => return Err(Refusal::Purpose(purpose)),
    };
    let seq = members
        .get("seq")
        .and_then(serde_json::Value::as_u64)
        .ok_or(Refusal::Line(Fault::NoMember("seq")))?;
    members.remove("signature");
    let signed = line::canonical(&members.into()).ok_or(Refusal::Line(Fault::NotCanonical))?;
    let signature = line::from_hex(&signature).ok_or(Refusal::Signature)?;
    if !key.verifies(&signed, &signature) {
        return Err(Refusal::Signature);
    }
    Ok(Checkpoint { seq, head, anchor, line: number })
}

/// Walks through the checkpoints file as it was when opened: what a live writer adds later refers to records that may
/// be in files not listed yet.
pub(crate) struct Cursor {
    lines: Lines<Take<File>>,
    file: PathBuf,
    key: PublicKey,
    buffer: Vec<u8>,
}

impl Cursor {
    pub(crate) fn open(directory: &Path, key: PublicKey) -> io::Result<Self> {
        let path = directory.join(CHECKPOINTS_FILE);
        let mut file = File::open(&path)?;
        let length = settled_length(&mut file)?;
        let lines = Lines::new(file.take(length), MAX_CHECKPOINT_BYTES, 0);
        Ok(Self { lines, file: path, key, buffer: Vec::new() })
    }

    /// The next line: a checkpoint or what is wrong with it.
    pub(crate) fn next(&mut self) -> Option<Result<Checkpoint, Problem>> {
        let shape = match self.lines.next(&mut self.buffer) {
            Ok(shape) => shape,
            Err(error) => return Some(Err(self.unreadable(&error))),
        };
        match shape {
            Shape::End => None,
            Shape::Torn => Some(Err(self.torn())),
            Shape::TooLong => Some(Err(self.problem(
                ProblemKind::TooLong,
                format!("at most {MAX_CHECKPOINT_BYTES} bytes"),
                "a longer line".to_owned(),
            ))),
            Shape::Whole => {
                let read = read(&self.buffer, self.lines.number(), &self.key);
                Some(read.map_err(|refusal| self.refused(refusal)))
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> Problem {
        let (kind, expected, found) = match refusal {
            Refusal::Line(fault) => fault.explain(),
            Refusal::Purpose(purpose) => (
                ProblemKind::NotCanonical,
                format!("purpose `{CHECKPOINT_PURPOSE}` or `{ANCHOR_PURPOSE}`"),
                format!("`{}`", purpose.escape_default()),
            ),
            Refusal::Signature => (
                ProblemKind::CheckpointSignature,
                format!("a signature by key {}", self.key),
                "another signature".to_owned(),
            ),
        };
        self.problem(kind, expected, found)
    }

    fn torn(&self) -> Problem {
        self.problem(
            ProblemKind::Torn,
            "a line that ends".to_owned(),
            format!("{} bytes without a newline", self.buffer.len()),
        )
    }

    fn unreadable(&self, error: &io::Error) -> Problem {
        self.problem(ProblemKind::Unreadable, "a readable file".to_owned(), error.to_string())
    }

    fn problem(&self, kind: ProblemKind, expected: String, found: String) -> Problem {
        Problem { file: self.file.clone(), line: Some(self.lines.number()), kind, expected, found }
    }
}
