//! The walk along the records: each must be intact, follow from the one before, and agree with the checkpoints.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Chain;
use super::checkpoint::{Checkpoint, Cursor};
use super::key::PublicKey;
use super::line::{self, Entry, Fault};
use super::lines::{Lines, RETRIES, Shape};
use super::problem::{Problem, ProblemKind, Problems};
use crate::format::{CHECKPOINTS_FILE, GENESIS_EVENT, GENESIS_PREV_HASH, MAX_RECORD_BYTES};

/// A record that the next one must follow from.
#[derive(Debug, Clone)]
struct Link {
    seq: u64,
    hash: String,
}

/// Where a line is.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    line: u64,
}

/// The checkpoints that the walk has still to come by.
struct Vouched {
    cursor: Cursor,
    file: PathBuf,
    next: Option<Checkpoint>,
    last_seq: u64,
}

pub(super) struct Walk<'p> {
    problems: &'p mut Problems,
    link: Option<Link>,
    vouched: Option<Vouched>,
    signer: Option<PublicKey>,
    files: u64,
    records: u64,
    checkpoints: u64,
}

impl<'p> Walk<'p> {
    /// Starts with whatever record comes first.
    pub(super) fn unanchored(problems: &'p mut Problems) -> Self {
        Self {
            problems,
            link: None,
            vouched: None,
            signer: None,
            files: 0,
            records: 0,
            checkpoints: 0,
        }
    }

    /// Starts after record `seq` with the hash `hash`; `GENESIS_PREV_HASH` when that is 0.
    pub(super) fn after(mut self, seq: u64, hash: String) -> Self {
        self.link = Some(Link { seq, hash });
        self
    }

    /// Compares with the checkpoints of `directory` on the way.
    pub(super) fn vouched_by(mut self, directory: &Path, cursor: Cursor, key: PublicKey) -> Self {
        let file = directory.join(CHECKPOINTS_FILE);
        self.vouched = Some(Vouched { cursor, file, next: None, last_seq: 0 });
        self.signer = Some(key);
        self.advance();
        self
    }

    /// Walks through one log file.
    pub(super) fn file(&mut self, file: &Path) {
        self.files = self.files.saturating_add(1);
        if let Err(error) = self.lines_of(file) {
            let expected = "a readable log file";
            self.problems.of_file(file, ProblemKind::Unreadable, expected, error.to_string());
            self.link = None;
        }
    }

    /// What is left to say at the end; none when there was no record.
    pub(super) fn finish(mut self, source: &Path) -> Option<Chain> {
        self.report_unreached();
        let last_vouched = self.vouched.as_ref().map_or(0, |vouched| vouched.last_seq);
        let link = self.link.filter(|_| self.records > 0)?;
        Some(Chain {
            source: source.to_owned(),
            files: self.files,
            records: self.records,
            checkpoints: self.checkpoints,
            seq: link.seq,
            head: link.hash,
            unsigned: link.seq.saturating_sub(last_vouched),
            signer: self.signer,
        })
    }

    fn lines_of(&mut self, file: &Path) -> io::Result<()> {
        let mut lines = Lines::new(File::open(file)?, MAX_RECORD_BYTES, RETRIES);
        let mut buffer = Vec::new();
        while !self.problems.is_full() {
            let shape = lines.next(&mut buffer)?;
            let place = Place { file, line: lines.number() };
            match shape {
                Shape::End => break,
                Shape::Whole => self.line(place, &buffer),
                Shape::Torn => self.unusable(
                    place,
                    ProblemKind::Torn,
                    "a line that ends".to_owned(),
                    format!("{} bytes without a newline", buffer.len()),
                ),
                Shape::TooLong => self.unusable(
                    place,
                    ProblemKind::TooLong,
                    format!("at most {MAX_RECORD_BYTES} bytes"),
                    "a longer line".to_owned(),
                ),
            }
        }
        Ok(())
    }

    fn line(&mut self, place: Place<'_>, text: &[u8]) {
        match line::read(text) {
            Ok(entry) => self.entry(place, &entry),
            Err(fault) => {
                let (kind, expected, found) = fault.explain();
                match fault {
                    Fault::Hash { entry, .. } => {
                        self.report(place, kind, expected, found);
                        self.entry(place, &entry);
                    }
                    Fault::NotJson(_) | Fault::NotCanonical | Fault::NoMember(_) => {
                        self.unusable(place, kind, expected, found);
                    }
                }
            }
        }
    }

    /// A line that is no record: the next one is taken as it comes.
    fn unusable(&mut self, place: Place<'_>, kind: ProblemKind, expected: String, found: String) {
        self.report(place, kind, expected, found);
        self.link = None;
    }

    fn entry(&mut self, place: Place<'_>, entry: &Entry) {
        self.records = self.records.saturating_add(1);
        self.follows(place, entry);
        self.starts(place, entry);
        self.agrees(place, entry);
        self.link = Some(Link { seq: entry.seq, hash: entry.entry_hash.clone() });
    }

    fn follows(&mut self, place: Place<'_>, entry: &Entry) {
        let Some(link) = self.link.clone() else { return };
        let expected = link.seq.saturating_add(1);
        let (kind, expected, found) = if entry.seq > expected {
            (ProblemKind::Dropped, format!("seq {expected}"), format!("seq {}", entry.seq))
        } else if entry.seq < expected {
            (ProblemKind::Repeated, format!("seq {expected}"), format!("seq {}", entry.seq))
        } else if entry.prev_hash != link.hash {
            let found = entry.prev_hash.escape_default().to_string();
            (ProblemKind::Broken, format!("prev_hash {}", link.hash.escape_default()), found)
        } else {
            return;
        };
        self.report(place, kind, expected, found);
    }

    /// Genesis is the first record, and only the first; it names the key.
    fn starts(&mut self, place: Place<'_>, entry: &Entry) {
        let first = entry.seq == 1 && entry.prev_hash == GENESIS_PREV_HASH;
        if first != (entry.event == GENESIS_EVENT) {
            let expected = if first { "event `genesis`" } else { "no second genesis" };
            let found = format!("seq {}, event `{}`", entry.seq, entry.event.escape_default());
            self.report(place, ProblemKind::Genesis, expected.to_owned(), found);
        }
        let Some(key) = self.signer.filter(|_| first) else { return };
        if entry.signer.as_deref() != Some(key.to_string().as_str()) {
            let found = entry.signer.clone().unwrap_or_else(|| "no signer".to_owned());
            let found = found.escape_default().to_string();
            self.report(place, ProblemKind::Key, format!("signer {key}"), found);
        }
    }

    fn agrees(&mut self, place: Place<'_>, entry: &Entry) {
        while let Some(checkpoint) = self.due(entry.seq) {
            if checkpoint.seq == entry.seq && checkpoint.head != entry.entry_hash {
                let expected = format!("seq {} with hash {}", checkpoint.seq, checkpoint.head);
                let found =
                    format!("{} line {}: {}", place.file.display(), place.line, entry.entry_hash);
                self.report_checkpoint(&checkpoint, ProblemKind::CheckpointHead, expected, found);
            }
            self.advance();
        }
    }

    /// The next checkpoint, if it is for this record or one before.
    fn due(&self, seq: u64) -> Option<Checkpoint> {
        self.vouched.as_ref()?.next.clone().filter(|checkpoint| checkpoint.seq <= seq)
    }

    /// Reads on to the next checkpoint whose signature holds. Anchors count for the start only.
    fn advance(&mut self) {
        let Some(mut vouched) = self.vouched.take() else { return };
        vouched.next = None;
        while let Some(read) = vouched.cursor.next() {
            match read {
                Err(problem) => self.problems.push(problem),
                Ok(checkpoint) if checkpoint.anchor => {}
                Ok(checkpoint) => {
                    self.checkpoints = self.checkpoints.saturating_add(1);
                    let before = vouched.last_seq;
                    vouched.last_seq = before.max(checkpoint.seq);
                    let backwards = checkpoint.seq < before;
                    vouched.next = Some(checkpoint);
                    if backwards {
                        self.report_order(&vouched, before);
                    }
                    break;
                }
            }
            if self.problems.is_full() {
                break;
            }
        }
        self.vouched = Some(vouched);
    }

    fn report_order(&mut self, vouched: &Vouched, before: u64) {
        let Some(checkpoint) = &vouched.next else { return };
        self.problems.push(Problem {
            file: vouched.file.clone(),
            line: Some(checkpoint.line),
            kind: ProblemKind::CheckpointOrder,
            expected: format!("seq {before} or later"),
            found: format!("seq {}", checkpoint.seq),
        });
    }

    /// Checkpoints for records that never came.
    fn report_unreached(&mut self) {
        let ended =
            self.link.as_ref().map_or("no record".to_owned(), |link| format!("seq {}", link.seq));
        let mut farthest: Option<Checkpoint> = None;
        while let Some(next) = self.due(u64::MAX) {
            if farthest.as_ref().is_none_or(|far| far.seq <= next.seq) {
                farthest = Some(next);
            }
            self.advance();
        }
        if let Some(checkpoint) = farthest {
            let expected = format!("records up to seq {}", checkpoint.seq);
            let found = format!("the log ends at {ended}");
            self.report_checkpoint(&checkpoint, ProblemKind::Truncated, expected, found);
        } else if let (Some(vouched), 0) = (&self.vouched, self.checkpoints) {
            let (kind, expected) = (ProblemKind::NoCheckpoint, "at least one signed checkpoint");
            self.problems.of_file(&vouched.file, kind, expected, "none");
        }
    }

    fn report_checkpoint(
        &mut self,
        checkpoint: &Checkpoint,
        kind: ProblemKind,
        expected: String,
        found: String,
    ) {
        let Some(vouched) = &self.vouched else { return };
        let (file, line) = (vouched.file.clone(), Some(checkpoint.line));
        self.problems.push(Problem { file, line, kind, expected, found });
    }

    fn report(&mut self, place: Place<'_>, kind: ProblemKind, expected: String, found: String) {
        let (file, line) = (place.file.to_owned(), Some(place.line));
        self.problems.push(Problem { file, line, kind, expected, found });
    }
}
