//! Known values taken out of a stream of bytes, whatever pieces it comes in.
//!
//! Only what may be the beginning of a value is held back; that is never more than the longest form with an escape for each byte and
//! [`GAP_BYTES_MAX`](crate::GAP_BYTES_MAX) blanks between them.

use std::sync::Arc;

use crate::REDACTED;
use crate::known::Known;
use crate::machine::{Machine, scan};
use crate::spans::Spans;

#[cfg(test)]
mod tests;

/// Bytes read at once; what is found among them is replaced before the next are read.
const PIECE_BYTES: usize = 16 * 1024;

/// Replaces known values in a stream.
#[derive(Debug)]
pub struct Redactor {
    known: Arc<Known>,
    machine: Machine,
    spans: Spans,
    held: Vec<u8>,
    found: u64,
}

impl Redactor {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(known: Arc<Known>) -> Self {
        let machine = Machine::new(&known);
        Self { known, machine, spans: Spans::default(), held: Vec::new(), found: 0 }
    }

    /// How many were replaced so far.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// A text beside the stream, such as a header's value, with values replaced; `None` if there are none.
    pub fn clean(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let (cleaned, times) = self.known.clean_bytes(text)?;
        self.found = self.found.saturating_add(times);
        Some(cleaned)
    }

    /// The next piece, with values replaced; its end may be held back.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(piece.len());
        for piece in piece.chunks(PIECE_BYTES) {
            self.held.extend_from_slice(piece);
            scan(&self.known, &mut self.machine, piece, &mut self.spans);
            let settled = self.machine.settled(&self.known);
            self.pass(settled, &mut passed);
        }
        passed
    }

    /// What was held back, at the end of the stream.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut passed = Vec::new();
        self.machine.finish(&self.known, &mut self.spans);
        self.pass(self.machine.at(), &mut passed);
        passed
    }

    fn pass(&mut self, settled: u64, passed: &mut Vec<u8>) {
        let length = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        let base = self.machine.at().saturating_sub(length);
        let to = self.spans.uncut(settled);
        let ended = self.spans.take_until(to);
        self.found = self.found.saturating_add(ended.count());
        let count = usize::try_from(to.saturating_sub(base)).unwrap_or(usize::MAX);
        let kept = self.held.split_off(count.min(self.held.len()));
        passed.extend(ended.replace_from(base, &self.held, REDACTED));
        self.held = kept;
    }
}
