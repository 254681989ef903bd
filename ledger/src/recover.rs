//! What a writer finds in its directory: where the chain ends, and whether the last write was cut short.
//!
//! Only a last line without its newline is ever cut: everything else that does not verify is an error, because it is
//! not what a crash leaves. Reads with the verifier's code, so that what opens here verifies there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::encode::{Head, sha256_hex};
use crate::error::OpenError;
use crate::format::{CHECKPOINTS_FILE, MAX_CHECKPOINT_BYTES, MAX_RECORD_BYTES, segment_name};
use crate::verify::line::{self, Entry};
use crate::verify::lines::{Lines, Shape};
use crate::verify::{Checkpoint, PublicKey, read_checkpoint, segments_of};

/// Records that may stand without a checkpoint: the genesis and a repair, written before the first one.
const MAX_SEQ_WITHOUT_CHECKPOINT: u64 = 2;

/// How much of the end of the checkpoints file is read: more anchors than this in a row are never written.
const CHECKPOINT_TAIL_BYTES: usize = 16 * MAX_CHECKPOINT_BYTES;

/// Where to go on.
#[derive(Debug)]
pub(crate) struct Found {
    /// The oldest log file.
    pub(crate) first: u32,
    /// The log file to append to.
    pub(crate) segment: u32,
    /// Its intact bytes.
    pub(crate) length: u64,
    pub(crate) head: Head,
    pub(crate) torn: Option<Torn>,
    /// Intact bytes of the checkpoints file.
    pub(crate) checkpoints_length: u64,
    /// The last record that a checkpoint vouches for; 0 for none.
    pub(crate) vouched: u64,
}

/// What a write that was cut short left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) bytes: usize,
    pub(crate) sha256: String,
}

struct Scan<'a> {
    file: &'a Path,
    head: Option<Head>,
    vouched: Option<&'a Checkpoint>,
    length: u64,
    torn: Option<Torn>,
}

/// Whether there is anything that a key must fit.
pub(crate) fn has_records(directory: &Path) -> Result<bool, OpenError> {
    let numbers =
        segments_of(directory).map_err(|source| OpenError::io("list", directory, source))?;
    for number in numbers {
        let path = directory.join(segment_name(number));
        let metadata =
            path.metadata().map_err(|source| OpenError::io("read", path.as_path(), source))?;
        if metadata.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the last log file as a whole, the end of the one before, and the last checkpoint.
pub(crate) fn recover(directory: &Path, key: &PublicKey) -> Result<Found, OpenError> {
    let numbers =
        segments_of(directory).map_err(|source| OpenError::io("list", directory, source))?;
    contiguous(directory, &numbers)?;
    let (checkpoint, checkpoints_length) = last_checkpoint(directory, key)?;
    let segment = numbers.last().copied().unwrap_or(1);
    let path = directory.join(segment_name(segment));
    let mut scan = Scan {
        file: &path,
        head: before(directory, &numbers)?,
        vouched: checkpoint.as_ref(),
        length: 0,
        torn: None,
    };
    if !numbers.is_empty() {
        scan.run()?;
    }
    let head = scan.head.take().unwrap_or_else(Head::empty);
    covers(directory, &head, checkpoint.as_ref())?;
    Ok(Found {
        first: numbers.first().copied().unwrap_or(segment),
        segment,
        length: scan.length,
        head,
        torn: scan.torn,
        checkpoints_length,
        vouched: checkpoint.map_or(0, |checkpoint| checkpoint.seq),
    })
}

fn contiguous(directory: &Path, numbers: &[u32]) -> Result<(), OpenError> {
    let gap =
        numbers.iter().zip(numbers.iter().skip(1)).find(|(a, b)| a.checked_add(1) != Some(**b));
    let Some((last, next)) = gap else { return Ok(()) };
    let missing = segment_name(last.saturating_add(1));
    Err(corrupt(
        &directory.join(missing),
        0,
        "this log file",
        format!("{} next", segment_name(*next)),
    ))
}

/// The record that the last file must follow from; none when only the anchor knows, which is the verifier's business.
fn before(directory: &Path, numbers: &[u32]) -> Result<Option<Head>, OpenError> {
    match numbers {
        [] | [1] => Ok(Some(Head::empty())),
        [_] => Ok(None),
        [.., previous, _] => tail_of(&directory.join(segment_name(*previous))).map(Some),
    }
}

/// The last record of a finished file.
fn tail_of(file: &Path) -> Result<Head, OpenError> {
    let (text, _) = tail(file, MAX_RECORD_BYTES.saturating_add(1))
        .map_err(|source| OpenError::io("read", file, source))?;
    let last = text
        .strip_suffix(b"\n")
        .and_then(|text| text.rsplit(|byte| *byte == b'\n').next())
        .ok_or_else(|| corrupt(file, 0, "a last line that ends", "another end".to_owned()))?;
    match line::read(last) {
        Ok(entry) => Ok(Head { seq: entry.seq, hash: entry.entry_hash }),
        Err(fault) => {
            let (_, expected, found) = fault.explain();
            Err(corrupt(file, 0, &format!("as last line {expected}"), found))
        }
    }
}

/// The end of a file, at most `limit` bytes, and the file's length; an absent file is empty.
fn tail(path: &Path, limit: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok((text, length))
}

/// The last checkpoint that is not an anchor, and how long the file is without a torn last line.
fn last_checkpoint(
    directory: &Path,
    key: &PublicKey,
) -> Result<(Option<Checkpoint>, u64), OpenError> {
    let path = directory.join(CHECKPOINTS_FILE);
    let (mut text, length) = tail(&path, CHECKPOINT_TAIL_BYTES)
        .map_err(|source| OpenError::io("read", path.as_path(), source))?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let torn = u64::try_from(text.len().saturating_sub(whole)).unwrap_or(u64::MAX);
    text.truncate(whole);
    let mut last = None;
    for line in text.rsplit(|byte| *byte == b'\n').skip(1) {
        let checkpoint = read_checkpoint(line, 0, key).map_err(|refusal| {
            corrupt(&path, 0, "checkpoints by the signing key", format!("{refusal:?}"))
        })?;
        if !checkpoint.anchor {
            last = Some(checkpoint);
            break;
        }
    }
    Ok((last, length.saturating_sub(torn)))
}

/// Nothing that was vouched for may be gone.
fn covers(directory: &Path, head: &Head, checkpoint: Option<&Checkpoint>) -> Result<(), OpenError> {
    let path = directory.join(CHECKPOINTS_FILE);
    match checkpoint {
        Some(checkpoint) if checkpoint.seq > head.seq => {
            let expected =
                format!("records up to seq {}, as the last checkpoint says", checkpoint.seq);
            Err(corrupt(&path, 0, &expected, format!("seq {} as the last", head.seq)))
        }
        None if head.seq > MAX_SEQ_WITHOUT_CHECKPOINT => {
            Err(corrupt(&path, 0, "a checkpoint", "none".to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), OpenError> {
        let failed = |source| OpenError::io("read", self.file, source);
        let mut lines = Lines::new(File::open(self.file).map_err(failed)?, MAX_RECORD_BYTES, 0);
        let mut buffer = Vec::new();
        loop {
            let shape = lines.next(&mut buffer).map_err(|e| OpenError::io("read", self.file, e))?;
            match shape {
                Shape::End => return Ok(()),
                Shape::Whole => self.line(lines.number(), &buffer)?,
                Shape::Torn => {
                    let sha256 = sha256_hex(&buffer);
                    self.torn = Some(Torn { bytes: buffer.len(), sha256 });
                }
                Shape::TooLong => {
                    let expected = format!("at most {MAX_RECORD_BYTES} bytes");
                    let found = "a longer line".to_owned();
                    return Err(corrupt(self.file, lines.number(), &expected, found));
                }
            }
        }
    }

    fn line(&mut self, number: u64, text: &[u8]) -> Result<(), OpenError> {
        let entry = line::read(text).map_err(|fault| {
            let (_, expected, found) = fault.explain();
            corrupt(self.file, number, &expected, found)
        })?;
        self.follows(number, &entry)?;
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.length = self.length.saturating_add(added);
        self.head = Some(Head { seq: entry.seq, hash: entry.entry_hash });
        Ok(())
    }

    fn follows(&self, number: u64, entry: &Entry) -> Result<(), OpenError> {
        if let Some(head) = &self.head {
            let seq = head.seq.saturating_add(1);
            if entry.seq != seq || entry.prev_hash != head.hash {
                let expected = format!("seq {seq} with prev_hash {}", head.hash);
                let found = format!("seq {} with {}", entry.seq, entry.prev_hash.escape_default());
                return Err(corrupt(self.file, number, &expected, found));
            }
        }
        match self.vouched {
            Some(vouched) if vouched.seq == entry.seq && vouched.head != entry.entry_hash => {
                let expected = format!("hash {}, as the last checkpoint says", vouched.head);
                Err(corrupt(self.file, number, &expected, entry.entry_hash.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn corrupt(file: &Path, line: u64, expected: &str, found: String) -> OpenError {
    OpenError::Corrupt { file: file.to_owned(), line, expected: expected.to_owned(), found }
}
