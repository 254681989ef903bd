//! A directory as a whole: its key, its checkpoints, and every log file from the first to the last.

use std::io;
use std::path::Path;

use super::Chain;
use super::chain::Walk;
use super::checkpoint::{Checkpoint, Cursor};
use super::key::PublicKey;
use super::line;
use super::lines::{Lines, RETRIES, Shape};
use super::problem::{ProblemKind, Problems};
use crate::format::{
    CHECKPOINTS_FILE, GENESIS_PREV_HASH, MAX_RECORD_BYTES, PUBLIC_KEY_FILE, segment_name,
    segment_number,
};

const FIRST_SEGMENT: u32 = 1;

pub(super) fn verify(
    directory: &Path,
    pinned: Option<&PublicKey>,
    problems: &mut Problems,
) -> Option<Chain> {
    let key = key_of(directory, pinned, problems);
    // Opened before the log files are listed: what a live writer vouches for from now on is not asked about.
    let cursor = key.and_then(|key| open(directory, key, problems));
    let numbers = segments(directory, problems)?;
    let start = start(directory, *numbers.first()?, key, problems);
    let mut walk = Walk::unanchored(problems);
    if let Some((seq, hash)) = start {
        walk = walk.after(seq, hash);
    }
    if let (Some(key), Some(cursor)) = (key, cursor) {
        walk = walk.vouched_by(directory, cursor, key);
    }
    for number in numbers {
        walk.file(&directory.join(segment_name(number)));
    }
    walk.finish(directory)
}

fn key_of(
    directory: &Path,
    pinned: Option<&PublicKey>,
    problems: &mut Problems,
) -> Option<PublicKey> {
    let path = directory.join(PUBLIC_KEY_FILE);
    let found = match PublicKey::from_file(&path) {
        Ok(found) => Some(found),
        Err(error) => {
            let (kind, expected) = (ProblemKind::Key, "an Ed25519 public key in PEM");
            problems.of_file(&path, kind, expected, error.to_string());
            None
        }
    };
    match (pinned, found) {
        (Some(pinned), Some(found)) if *pinned != found => {
            let expected = format!("the pinned key {pinned}");
            problems.of_file(&path, ProblemKind::Key, &expected, found.to_string());
            Some(*pinned)
        }
        (Some(pinned), _) => Some(*pinned),
        (None, found) => found,
    }
}

fn open(directory: &Path, key: PublicKey, problems: &mut Problems) -> Option<Cursor> {
    match Cursor::open(directory, key) {
        Ok(cursor) => Some(cursor),
        Err(error) => {
            let path = directory.join(CHECKPOINTS_FILE);
            let kind = if error.kind() == io::ErrorKind::NotFound {
                ProblemKind::MissingFile
            } else {
                ProblemKind::Unreadable
            };
            problems.of_file(&path, kind, "signed checkpoints", error.to_string());
            None
        }
    }
}

/// The numbers of the log files, in order; gaps are reported.
fn segments(directory: &Path, problems: &mut Problems) -> Option<Vec<u32>> {
    let numbers = match list(directory) {
        Ok(numbers) => numbers,
        Err(error) => {
            let kind = ProblemKind::Unreadable;
            problems.of_file(directory, kind, "a readable directory", error.to_string());
            return None;
        }
    };
    let mut expected = numbers.first().copied();
    for number in &numbers {
        if let Some(missing) = expected.filter(|expected| expected != number) {
            let path = directory.join(segment_name(missing));
            let found = format!("{} next", segment_name(*number));
            problems.of_file(&path, ProblemKind::MissingFile, "this log file", found);
        }
        expected = number.checked_add(1);
    }
    if numbers.is_empty() {
        let path = directory.join(segment_name(FIRST_SEGMENT));
        problems.of_file(&path, ProblemKind::MissingFile, "a log file", "none");
    }
    Some(numbers)
}

/// The numbers of the log files in `directory`, sorted.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        numbers.extend(entry?.file_name().to_str().and_then(segment_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the first record must follow from: nothing, or a signed anchor when older files were deleted by the writer.
fn start(
    directory: &Path,
    first: u32,
    key: Option<PublicKey>,
    problems: &mut Problems,
) -> Option<(u64, String)> {
    if first == FIRST_SEGMENT {
        return Some((0, GENESIS_PREV_HASH.to_owned()));
    }
    let path = directory.join(segment_name(first));
    let anchor = key
        .zip(first_seq(&path))
        .and_then(|(key, seq)| anchor_at(Cursor::open(directory, key).ok()?, seq.checked_sub(1)?));
    if anchor.is_none() {
        let missing = directory.join(segment_name(FIRST_SEGMENT));
        let found = format!("{} first, and no signed anchor for it", segment_name(first));
        problems.of_file(&missing, ProblemKind::MissingFile, "this log file", found);
    }
    anchor.map(|anchor| (anchor.seq, anchor.head))
}

fn first_seq(file: &Path) -> Option<u64> {
    let mut lines = Lines::new(std::fs::File::open(file).ok()?, MAX_RECORD_BYTES, RETRIES);
    let mut buffer = Vec::new();
    let shape = lines.next(&mut buffer).ok()?;
    (shape == Shape::Whole).then(|| line::read(&buffer).ok().map(|entry| entry.seq))?
}

fn anchor_at(mut cursor: Cursor, seq: u64) -> Option<Checkpoint> {
    while let Some(read) = cursor.next() {
        match read {
            Ok(checkpoint) if checkpoint.anchor && checkpoint.seq == seq => {
                return Some(checkpoint);
            }
            Ok(_) | Err(_) => {}
        }
    }
    None
}
