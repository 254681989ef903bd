//! The values of injected credentials, and the forms that one comes back in.
//!
//! Base64 hides where a value begins, so each value has three cores there, one for each offset of three bytes: what is in every text
//! that holds the value at that offset, without the characters that its neighbours take part in.

use std::fmt;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::REDACTED;
use crate::machine::{Machine, scan};
use crate::parts::Windows;
use crate::spans::Spans;

#[cfg(test)]
mod tests;

/// Longest value that is looked for, in bytes.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Shortest form of a value other than itself, in bytes; shorter ones are in honest text.
pub(crate) const FORM_BYTES_MIN: usize = 8;
/// Base64 characters that begin before a value which is this many bytes from the beginning of a group of three.
const SHARED_CHARS: [usize; 3] = [0, 2, 3];

/// Values to be found again, whatever they are written in.
pub struct Known {
    pub(crate) automaton: NFA,
    pub(crate) start: StateID,
    /// For each state, how many bytes of a form it stands for.
    depths: Vec<usize>,
    /// Bytes that lead out of the start, or begin an escape.
    wakes: [bool; 256],
    pub(crate) windows: Windows,
    /// Values of digits: JSON may hold them without quotes.
    numbers: Vec<String>,
    longest: usize,
}

impl fmt::Debug for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Known(hidden)")
    }
}

impl Known {
    /// Values to be found; `None` if there is none, one is empty or longer than [`VALUE_BYTES_MAX`].
    #[must_use]
    pub fn new(values: &[&[u8]]) -> Option<Self> {
        let bad = |value: &&[u8]| value.is_empty() || value.len() > VALUE_BYTES_MAX;
        if values.is_empty() || values.iter().any(bad) {
            return None;
        }
        let mut forms: Vec<Vec<u8>> = values.iter().flat_map(|value| forms(value)).collect();
        forms.sort();
        forms.dedup();
        let automaton =
            NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(&forms).ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        let mut wakes = [false; 256];
        for (byte, wakes) in (0..=u8::MAX).zip(wakes.iter_mut()) {
            let moved = automaton.next_state(Anchored::No, start, byte) != start;
            *wakes = moved || matches!(byte, b'%' | b'\\');
        }
        let digits =
            |value: &&&[u8]| value.len() >= FORM_BYTES_MIN && value.iter().all(u8::is_ascii_digit);
        let numbers = values.iter().filter(digits);
        let numbers = numbers.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        let depths = depths(&automaton, start, &forms);
        Some(Self {
            automaton,
            start,
            depths,
            wakes,
            windows: Windows::new(forms),
            numbers,
            longest,
        })
    }

    /// How many bytes of a form a state stands for.
    pub(crate) fn depth(&self, state: StateID) -> usize {
        self.depths.get(state.as_usize()).copied().unwrap_or_default()
    }

    /// The state after a byte.
    pub(crate) fn next(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, byte)
    }

    /// The length of the longest form that ends in a state, of those that are at least `least` bytes long.
    pub(crate) fn ended(&self, state: StateID, least: usize) -> Option<usize> {
        if !self.automaton.is_match(state) {
            return None;
        }
        let lengths = (0..self.automaton.match_len(state))
            .map(|index| self.automaton.pattern_len(self.automaton.match_pattern(state, index)));
        lengths.filter(|length| *length >= least).max()
    }

    /// Whether a byte can begin anything.
    pub(crate) fn wakes(&self, byte: u8) -> bool {
        self.wakes.get(usize::from(byte)).copied().unwrap_or(true)
    }

    /// The longest form, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Whether bytes hold a value, in any form.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        !self.found(bytes).is_empty()
    }

    /// Whether a number's text holds a value.
    pub(crate) fn is_in_number(&self, text: &str) -> bool {
        self.numbers.iter().any(|value| text.contains(value.as_str()))
    }

    fn found(&self, bytes: &[u8]) -> Spans {
        let mut spans = Spans::default();
        let mut machine = Machine::new(self);
        scan(self, &mut machine, bytes, &mut spans);
        machine.finish(self, &mut spans);
        spans
    }

    /// The text without values; how many there were. `None` if there are none.
    #[must_use]
    pub fn clean(&self, text: &str) -> Option<(String, u64)> {
        replaced(text, &self.found(text.as_bytes()))
    }

    /// The same, also without parts of a value at the edges of the text: the rest may be in another text, as of the next event.
    #[must_use]
    pub fn clean_edges(&self, text: &str) -> Option<(String, u64)> {
        let bytes = text.as_bytes();
        let mut spans = Spans::default();
        let mut machine = Machine::new(self);
        scan(self, &mut machine, bytes, &mut spans);
        machine.finish(self, &mut spans);
        if let Some(span) = machine.begun(self) {
            spans.add(span);
        }
        if let Some(span) = self.windows.ending(bytes) {
            spans.add(span);
        }
        replaced(text, &spans)
    }

    /// Bytes without values; how many there were. `None` if there are none.
    #[must_use]
    pub fn clean_bytes(&self, bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
        let spans = self.found(bytes);
        (!spans.is_empty()).then(|| (spans.replace(bytes, REDACTED), spans.count()))
    }
}

fn replaced(text: &str, spans: &Spans) -> Option<(String, u64)> {
    if spans.is_empty() {
        return None;
    }
    // Values are ASCII, so what is left is whole; if not, nothing of it is told.
    let text = String::from_utf8(spans.replace(text.as_bytes(), REDACTED));
    Some((text.unwrap_or_else(|_| REDACTED.to_owned()), spans.count()))
}

fn depths(automaton: &NFA, start: StateID, forms: &[Vec<u8>]) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::new();
    for form in forms {
        let mut state = start;
        for (index, byte) in form.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            let at = state.as_usize();
            if at >= depths.len() {
                depths.resize(at.saturating_add(1), 0);
            }
            if let Some(depth) = depths.get_mut(at) {
                *depth = index.saturating_add(1);
            }
        }
    }
    depths
}

/// A value, and what it looks like in encodings.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    let mut add = |form: Vec<u8>| {
        if form.len() >= FORM_BYTES_MIN {
            forms.push(form);
        }
    };
    // Where blanks are skipped, its own are too.
    add(value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
    for (shift, shared) in SHARED_CHARS.into_iter().enumerate() {
        let shifted = [vec![0; shift], value.to_vec()].concat();
        let whole = shifted.len().saturating_mul(8) / 6;
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            add(encoded.as_bytes().get(shared..whole).unwrap_or_default().to_vec());
        }
    }
    let hex = |upper: bool| -> Vec<u8> {
        let digits: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        let digit = |value: u8| digits.get(usize::from(value)).copied().unwrap_or(b'0');
        value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    };
    add(hex(false));
    add(hex(true));
    for inner in user_and_password(value) {
        add(inner);
    }
    forms
}

/// What a value of HTTP's Basic scheme holds (RFC 7617): `user:password`, and the password.
fn user_and_password(value: &[u8]) -> Vec<Vec<u8>> {
    let Ok(decoded) = STANDARD.decode(value) else { return Vec::new() };
    let printable = decoded.iter().all(|byte| (0x20..0x7f).contains(byte));
    match decoded.iter().position(|byte| *byte == b':') {
        Some(at) if printable => {
            let password = decoded.get(at.saturating_add(1)..).unwrap_or_default().to_vec();
            vec![decoded, password]
        }
        Some(_) | None => Vec::new(),
    }
}
