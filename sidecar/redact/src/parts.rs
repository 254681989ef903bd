//! Parts of a value at the edges of a text, whose rest may be in another one: a log line for each half, a list of pieces.
//!
//! Texts are judged one by one and never held back, so that no message waits for the next and none changes its place. Hence a part is
//! taken out by itself: a beginning at the end of a text, an end at its beginning, a text that is nothing but a piece of a value.

use crate::spans::Span;

/// Shortest part that is taken out, in bytes. Shorter ones are told: prefixes such as `github_pat_` are in honest text.
pub const PART_BYTES_MIN: usize = 12;
/// How many bytes of a form a window is looked up by.
const WINDOW_BYTES: usize = 8;

/// Every place of every form, by the bytes that stand there.
pub(crate) struct Windows {
    forms: Vec<Vec<u8>>,
    /// The bytes, the form and the offset in it; sorted.
    places: Vec<([u8; WINDOW_BYTES], usize, usize)>,
}

impl Windows {
    pub(crate) fn new(forms: Vec<Vec<u8>>) -> Self {
        let mut places = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            let last = form.len().saturating_sub(PART_BYTES_MIN);
            let long = form.len() > PART_BYTES_MIN;
            let windows = form.windows(WINDOW_BYTES).enumerate().filter(|_| long);
            for (offset, window) in windows.skip(1).take(last) {
                places.extend(window.first_chunk().map(|window| (*window, index, offset)));
            }
        }
        places.sort_unstable();
        Self { forms, places }
    }

    /// Where at the beginning of a text the end of a form stands, or all of the text is a piece of one. Blanks around it don't count.
    pub(crate) fn ending(&self, text: &[u8]) -> Option<Span> {
        let blanks = text.len().saturating_sub(text.trim_ascii_start().len());
        let length = self.length(text.trim_ascii())?;
        let wide = |at: usize| u64::try_from(at).unwrap_or(u64::MAX);
        Some((wide(blanks), wide(blanks.saturating_add(length))))
    }

    fn length(&self, text: &[u8]) -> Option<usize> {
        let first: &[u8; WINDOW_BYTES] = text.first_chunk()?;
        if text.len() < PART_BYTES_MIN {
            return None;
        }
        let from = self.places.partition_point(|place| place.0 < *first);
        let places = self.places.get(from..)?.iter().take_while(|place| place.0 == *first);
        let lengths = places.filter_map(|(_, form, offset)| {
            let form = self.forms.get(*form)?.get(*offset..)?;
            let common = form.iter().zip(text).take_while(|(left, right)| left == right).count();
            let ends = common == form.len() || common == text.len();
            (ends && common >= PART_BYTES_MIN).then_some(common)
        });
        lengths.max()
    }
}
