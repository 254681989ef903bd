//! The chain on disk: seals records in order, rolls log files over, signs checkpoints, retires old files.
//!
//! What one call appends is durable when it returns, or not there at all: nothing in between survives.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::clock::Clock;
use crate::disk::{Durable, Storage};
use crate::encode::{Fields, Head, canonical, rfc3339};
use crate::error::LedgerError;
use crate::event::{Decision, Event, EventKind, Gate};
use crate::format::{
    ANCHOR_PURPOSE, CHECKPOINT_PURPOSE, CHECKPOINTS_FILE, FORMAT_VERSION, MAX_RECORD_BYTES,
    segment_name,
};
use crate::key::SigningKey;
use crate::ledger::Counters;
use crate::mirror::Mirror;
use crate::recover::{Found, Torn};
use crate::ticket::Receipt;
use crate::verify::line;
use crate::verify::lines::{Lines, Shape};

/// What a chain works with.
pub(crate) struct Parts {
    pub(crate) directory: PathBuf,
    pub(crate) gate: Gate,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) key: SigningKey,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) counters: Arc<Counters>,
    /// A log file that is longer is followed by a new one.
    pub(crate) rotate_bytes: u64,
    /// How many log files are kept; all without it.
    pub(crate) retain_files: Option<u32>,
}

pub(crate) struct Chain {
    parts: Parts,
    first: u32,
    number: u32,
    segment: Durable,
    head: Head,
    checkpoints: Durable,
    vouched: u64,
    refused: Refused,
}

/// Records refused since the last one that could be written.
#[derive(Default)]
struct Refused {
    count: u64,
    cause: String,
}

impl Chain {
    /// Goes on where `found` ends: cuts a torn line and records that, starts a new ledger with its genesis.
    pub(crate) fn open(mut parts: Parts, found: Found) -> Result<Self, LedgerError> {
        let storage = parts.storage.as_mut();
        let open = |storage: &mut dyn Storage| {
            let segment = Durable::open(storage, &segment_name(found.segment), found.length)?;
            let checkpoints = Durable::open(storage, CHECKPOINTS_FILE, found.checkpoints_length)?;
            Ok((segment, checkpoints))
        };
        let (segment, checkpoints) = match open(storage) {
            Ok(files) => files,
            Err(error) => return Err(write_error(&parts, error)),
        };
        let (first, number, head, vouched) =
            (found.first, found.segment, found.head, found.vouched);
        let refused = Refused::default();
        let mut chain = Self { parts, first, number, segment, head, checkpoints, vouched, refused };
        let opening = chain.opening(found.torn.as_ref())?;
        if !opening.is_empty() {
            chain.append(opening)?;
        }
        chain.checkpoint()?;
        Ok(chain)
    }

    fn opening(&self, torn: Option<&Torn>) -> Result<Vec<Fields>, LedgerError> {
        let mut records = Vec::new();
        if self.head.seq == 0 {
            let mut genesis = Fields::of(&self.own(EventKind::Genesis, None))?;
            genesis.put("format", &FORMAT_VERSION.into())?;
            genesis.put("signer", &self.parts.key.public_hex().into())?;
            records.push(genesis);
        }
        if let Some(Torn { bytes, sha256 }) = torn {
            let message = format!("cut {bytes} bytes of an unfinished line, SHA-256 {sha256}");
            records.push(Fields::of(&self.own(EventKind::TailRepaired, Some(message)))?);
        }
        Ok(records)
    }

    fn own(&self, kind: EventKind, message: Option<String>) -> Event {
        Event { message, ..Event::new(self.parts.gate, kind, Decision::Allow) }
    }

    /// Writes the records, all or none. The receipts come in their order.
    pub(crate) fn append(&mut self, records: Vec<Fields>) -> Result<Vec<Receipt>, LedgerError> {
        let wanted = records.len();
        let (lines, mut receipts) = self.seal(records)?;
        let Some(last) = receipts.last().cloned() else { return Ok(receipts) };
        if let Err(error) = self.write(lines.as_bytes()) {
            return Err(self.refuse(wanted, error));
        }
        self.head = Head { seq: last.seq, hash: last.entry_hash };
        self.refused = Refused::default();
        self.parts.counters.wrote(receipts.len());
        if let Some(mirror) = &self.parts.mirror {
            mirror.send(lines);
        }
        // A notice of refused records, put first, has no ticket.
        receipts.drain(..receipts.len().saturating_sub(wanted));
        Ok(receipts)
    }

    fn seal(&self, records: Vec<Fields>) -> Result<(String, Vec<Receipt>), LedgerError> {
        let mut head = self.head.clone();
        let mut lines = String::new();
        let mut receipts = Vec::with_capacity(records.len());
        for fields in self.notice()?.into_iter().chain(records) {
            let sealed = fields.seal(&head, self.parts.clock.now());
            lines.push_str(&sealed.line);
            head = sealed.head;
            let (seq, entry_hash) = (head.seq, head.hash.clone());
            receipts.push(Receipt { seq, entry_hash, time: sealed.time });
        }
        Ok((lines, receipts))
    }

    /// Says in the ledger that records were refused before this one.
    fn notice(&self) -> Result<Option<Fields>, LedgerError> {
        let Refused { count, cause } = &self.refused;
        if *count == 0 {
            return Ok(None);
        }
        let message = format!("{count} records were refused before this one: {cause}");
        Fields::of(&self.own(EventKind::WritesResumed, Some(message))).map(Some)
    }

    fn refuse(&mut self, records: usize, error: io::Error) -> LedgerError {
        self.parts.counters.failed(records);
        if self.refused.count == 0 {
            self.refused.cause = error.to_string();
        }
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.refused.count = self.refused.count.saturating_add(records);
        write_error(&self.parts, error)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let after =
            self.segment.length().saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.segment.length() > 0 && after > self.parts.rotate_bytes {
            self.rotate()?;
        }
        self.segment.commit(bytes)
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The file that is left must end with a whole record.
        self.segment.settle()?;
        let number =
            self.number.checked_add(1).ok_or_else(|| io::Error::other("too many files"))?;
        self.segment = Durable::open(self.parts.storage.as_mut(), &segment_name(number), 0)?;
        self.number = number;
        Ok(())
    }

    /// Signs the head if there is news.
    pub(crate) fn checkpoint(&mut self) -> Result<(), LedgerError> {
        if self.vouched == self.head.seq {
            return Ok(());
        }
        let line = self.signed(CHECKPOINT_PURPOSE, &self.head)?;
        match self.checkpoints.commit(line.as_bytes()) {
            Ok(()) => {
                self.vouched = self.head.seq;
                self.parts.counters.wrote(0);
                Ok(())
            }
            Err(error) => {
                self.parts.counters.failed(0);
                Err(write_error(&self.parts, error))
            }
        }
    }

    fn signed(&self, purpose: &str, head: &Head) -> Result<String, LedgerError> {
        let time = rfc3339(self.parts.clock.now());
        let mut body =
            json!({ "purpose": purpose, "seq": head.seq, "head": head.hash, "time": time });
        let signature = self.parts.key.sign(&canonical(&body)?);
        if let Some(members) = body.as_object_mut() {
            members.insert("signature".to_owned(), signature.into());
        }
        let mut line = canonical(&body)?;
        line.push('\n');
        Ok(line)
    }

    /// Deletes the oldest files while there are too many. A failure waits for the next time: too much is kept, never
    /// too little.
    pub(crate) fn retire(&mut self) {
        let Some(limit) = self.parts.retain_files else { return };
        while self.number.saturating_sub(self.first) >= limit.max(1) {
            if self.retire_one().is_err() {
                self.parts.counters.failed(0);
                return;
            }
        }
    }

    /// An anchor first, so that what is left verifies at every moment. The checkpoints before it go too: the one of the
    /// current head vouches for all that is left.
    fn retire_one(&mut self) -> Result<(), LedgerError> {
        let next = self.first.saturating_add(1);
        let end = self.end_before(next).map_err(|error| write_error(&self.parts, error))?;
        let mut lines = self.signed(ANCHOR_PURPOSE, &end)?;
        lines.push_str(&self.signed(CHECKPOINT_PURPOSE, &self.head)?);
        self.replace_and_remove(&lines).map_err(|error| write_error(&self.parts, error))?;
        self.first = next;
        Ok(())
    }

    fn replace_and_remove(&mut self, lines: &str) -> io::Result<()> {
        let storage = self.parts.storage.as_mut();
        self.checkpoints = Durable::replace(storage, CHECKPOINTS_FILE, lines.as_bytes())?;
        self.vouched = self.head.seq;
        storage.sync_names()?;
        storage.remove(&segment_name(self.first))
    }

    /// The last record before log file `number`, as that file's first one says.
    fn end_before(&self, number: u32) -> io::Result<Head> {
        let path = self.parts.directory.join(segment_name(number));
        let mut lines = Lines::new(std::fs::File::open(&path)?, MAX_RECORD_BYTES, 0);
        let mut buffer = Vec::new();
        let shape = lines.next(&mut buffer)?;
        match line::read(&buffer) {
            Ok(entry) if shape == Shape::Whole => {
                Ok(Head { seq: entry.seq.saturating_sub(1), hash: entry.prev_hash })
            }
            Ok(_) | Err(_) => Err(io::Error::other("the first line is not an intact record")),
        }
    }

    /// Tries whether the disk takes writes again after it did not: with the notice of that alone.
    pub(crate) fn heal(&mut self) {
        if self.refused.count > 0 {
            // The error is counted, and was answered to those who wait.
            let _ = self.append(Vec::new());
        }
    }

    /// Ends the mirror.
    pub(crate) fn close(self) {
        if let Some(mirror) = self.parts.mirror {
            mirror.close();
        }
    }
}

fn write_error(parts: &Parts, error: io::Error) -> LedgerError {
    LedgerError::Write { directory: parts.directory.clone(), source: Arc::new(error) }
}
