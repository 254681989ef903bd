//! Finds known values byte by byte, in two readings of the text at once: as it stands, and without one level of escapes and blanks.
//!
//! What it finds depends on the bytes alone and not on the pieces that they come in. The second reading undoes `%41` and `\u0041`, `\"`,
//! `\/`, and skips blanks, line breaks and their escapes, so that a value is found that a URL, a JSON text or a line length has cut up.

use std::collections::VecDeque;

use aho_corasick::automaton::StateID;

use crate::known::{FORM_BYTES_MIN, Known};
use crate::parts::PART_BYTES_MIN;
use crate::spans::{Span, Spans};

/// Blanks in a row that are skipped within a value, in bytes. A blank line ends it too.
pub const GAP_BYTES_MAX: usize = 64;
/// Line breaks in a row that end a value.
const LINES_MAX: usize = 2;

/// An escape that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    /// `%`, and its first digit.
    Percent(Option<u8>),
    /// `\`.
    Backslash,
    /// `\u`, how many digits came and what they say.
    Unicode(u8, u32),
}

/// Where both readings are.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Bytes read.
    at: u64,
    plain: StateID,
    folded: StateID,
    /// Where each byte came from that the second reading's state stands for.
    origins: VecDeque<u64>,
    gap: usize,
    lines: usize,
    escape: Escape,
    escape_from: u64,
}

impl Machine {
    pub(crate) fn new(known: &Known) -> Self {
        Self {
            at: 0,
            plain: known.start,
            folded: known.start,
            origins: VecDeque::new(),
            gap: 0,
            lines: 0,
            escape: Escape::None,
            escape_from: 0,
        }
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    fn is_idle(&self, known: &Known) -> bool {
        self.plain == known.start && self.folded == known.start && self.escape == Escape::None
    }

    /// Nothing that begins before this can be found any more.
    pub(crate) fn settled(&self, known: &Known) -> u64 {
        let plain = self.at.saturating_sub(wide(known.depth(self.plain)));
        let folded = self.origins.front().copied().unwrap_or(self.at);
        let escape = if self.escape == Escape::None { self.at } else { self.escape_from };
        plain.min(folded).min(escape)
    }

    fn step(&mut self, known: &Known, byte: u8, spans: &mut Spans) {
        let from = self.at;
        self.at = self.at.saturating_add(1);
        self.plain = known.next(self.plain, byte);
        if let Some(length) = known.ended(self.plain, 1) {
            spans.add((self.at.saturating_sub(wide(length)), self.at));
        }
        self.fold(known, (byte, from), spans);
    }

    /// The second reading: undoes escapes.
    fn fold(&mut self, known: &Known, (byte, from): (u8, u64), spans: &mut Spans) {
        let digit = char::from(byte).to_digit(16);
        match (self.escape, byte, digit) {
            (Escape::None, b'%', _) => self.begin(Escape::Percent(None), from),
            (Escape::None, b'\\', _) => self.begin(Escape::Backslash, from),
            (Escape::None, _, _) => self.read(known, byte, (from, self.at), spans),
            (Escape::Percent(None), _, Some(_)) => self.escape = Escape::Percent(Some(byte)),
            (Escape::Percent(Some(first)), _, Some(low)) => {
                let high = char::from(first).to_digit(16).unwrap_or_default();
                self.unescape(known, high.saturating_mul(16).saturating_add(low), spans);
            }
            (Escape::Backslash, b'u', _) => self.escape = Escape::Unicode(0, 0),
            (Escape::Backslash, b'"' | b'\\' | b'/', _) => {
                self.unescape(known, u32::from(byte), spans);
            }
            (Escape::Backslash, b'n', _) => self.unescape(known, u32::from(b'\n'), spans),
            (Escape::Backslash, b'r' | b't', _) => self.unescape(known, u32::from(b' '), spans),
            (Escape::Unicode(digits, value), _, Some(low)) => {
                let value = value.saturating_mul(16).saturating_add(low);
                if digits < 3 {
                    self.escape = Escape::Unicode(digits.saturating_add(1), value);
                } else {
                    self.unescape(known, value, spans);
                }
            }
            (Escape::Percent(_) | Escape::Backslash | Escape::Unicode(..), _, _) => {
                self.unread(known, spans);
                self.fold(known, (byte, from), spans);
            }
        }
    }

    fn begin(&mut self, escape: Escape, from: u64) {
        self.escape = escape;
        self.escape_from = from;
    }

    /// The escape is complete.
    fn unescape(&mut self, known: &Known, character: u32, spans: &mut Spans) {
        self.escape = Escape::None;
        match u8::try_from(character) {
            Ok(byte) => self.read(known, byte, (self.escape_from, self.at), spans),
            Err(_) => self.break_off(known),
        }
    }

    /// It was none: its bytes stand for themselves.
    fn unread(&mut self, known: &Known, spans: &mut Spans) {
        let from = self.escape_from;
        let own = |offset: u64| {
            (from.saturating_add(offset), from.saturating_add(offset).saturating_add(1))
        };
        match std::mem::replace(&mut self.escape, Escape::None) {
            Escape::None => {}
            Escape::Percent(first) => {
                self.read(known, b'%', own(0), spans);
                if let Some(first) = first {
                    self.read(known, first, own(1), spans);
                }
            }
            Escape::Backslash => self.read(known, b'\\', own(0), spans),
            // No value is looked for that holds one; as it stands it is found by the first reading.
            Escape::Unicode(..) => self.break_off(known),
        }
    }

    /// The second reading: takes a byte that the text at `span` stands for.
    fn read(&mut self, known: &Known, byte: u8, span: Span, spans: &mut Spans) {
        if byte.is_ascii_whitespace() {
            self.skip(known, byte);
            return;
        }
        (self.gap, self.lines) = (0, 0);
        self.folded = known.next(self.folded, byte);
        self.origins.push_back(span.0);
        let depth = known.depth(self.folded);
        while self.origins.len() > depth {
            self.origins.pop_front();
        }
        let Some(length) = known.ended(self.folded, FORM_BYTES_MIN) else { return };
        let first = self.origins.len().checked_sub(length);
        if let Some(start) = first.and_then(|first| self.origins.get(first)) {
            spans.add((*start, span.1));
        }
    }

    fn skip(&mut self, known: &Known, byte: u8) {
        if self.origins.is_empty() {
            return;
        }
        self.gap = self.gap.saturating_add(1);
        self.lines = self.lines.saturating_add(usize::from(byte == b'\n'));
        if self.gap > GAP_BYTES_MAX || self.lines >= LINES_MAX {
            self.break_off(known);
        }
    }

    fn break_off(&mut self, known: &Known) {
        (self.gap, self.lines) = (0, 0);
        self.folded = known.start;
        self.origins.clear();
    }

    /// The text is over.
    pub(crate) fn finish(&mut self, known: &Known, spans: &mut Spans) {
        self.unread(known, spans);
    }

    /// What at the end of the text begins a value, if that is long enough to tell.
    pub(crate) fn begun(&self, known: &Known) -> Option<Span> {
        let plain = known.depth(self.plain);
        let from = if self.origins.len() > plain {
            *self.origins.front().filter(|_| self.origins.len() >= PART_BYTES_MIN)?
        } else if plain >= PART_BYTES_MIN {
            self.at.saturating_sub(wide(plain))
        } else {
            return None;
        };
        Some((from, self.at))
    }
}

/// Reads a piece of a text.
pub(crate) fn scan(known: &Known, machine: &mut Machine, piece: &[u8], spans: &mut Spans) {
    let mut rest = piece;
    loop {
        if machine.is_idle(known) {
            let idle = rest.iter().position(|byte| known.wakes(*byte)).unwrap_or(rest.len());
            machine.at = machine.at.saturating_add(wide(idle));
            rest = rest.get(idle..).unwrap_or_default();
        }
        let Some((byte, after)) = rest.split_first() else { return };
        machine.step(known, *byte, spans);
        rest = after;
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
