//! Takes an injected credential's exact value out of what an upstream sends back, also across pieces of a body.
//!
//! Other encodings of the value are not found; the exact one is what an echo, an error page or a debug tool returns.

use http::{HeaderMap, HeaderValue};
use prometheus::IntCounter;

use crate::credential::Secret;

/// Stands where a credential stood.
pub(crate) const REDACTED: &str = "[redacted]";

/// Replaces one value in a stream of bytes.
pub(crate) struct Redactor {
    secret: Secret,
    /// The end of what was read, as far as it may be the beginning of the value.
    held: Vec<u8>,
    count: IntCounter,
}

impl Redactor {
    /// Replaces this value, and counts.
    pub(crate) fn new(secret: Secret, count: IntCounter) -> Self {
        Self { secret, held: Vec::new(), count }
    }

    /// Replaces in header values.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let (replaced, times) = replace(value.as_bytes(), self.secret.as_bytes());
            if times > 0 {
                self.count.inc_by(times);
                *value = HeaderValue::from_bytes(&replaced)
                    .unwrap_or(const { HeaderValue::from_static(REDACTED) });
            }
        }
    }

    /// The next piece, with the value replaced; its end may be held back.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let needle = self.secret.as_bytes();
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let (mut replaced, times) = replace(&text, needle);
        self.count.inc_by(times);
        let longest = needle.len().saturating_sub(1).min(replaced.len());
        let begins = |length: &usize| {
            let tail = replaced.get(replaced.len().saturating_sub(*length)..).unwrap_or_default();
            needle.starts_with(tail)
        };
        let held = (1..=longest).rev().find(begins).unwrap_or(0);
        self.held = replaced.split_off(replaced.len().saturating_sub(held));
        replaced
    }

    /// What was held back.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// Replaces every occurrence, from the left.
fn replace(text: &[u8], needle: &[u8]) -> (Vec<u8>, u64) {
    let mut replaced = Vec::with_capacity(text.len());
    let mut times: u64 = 0;
    let mut rest = text;
    if needle.is_empty() {
        return (text.to_vec(), 0);
    }
    while let Some(at) = rest.windows(needle.len()).position(|window| window == needle) {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(REDACTED.as_bytes());
        times = times.saturating_add(1);
        rest = found.get(needle.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    (replaced, times)
}

/// Replaces every occurrence in a text; how many there were.
pub(crate) fn replace_text(text: &mut String, secret: &Secret) -> u64 {
    match std::str::from_utf8(secret.as_bytes()) {
        Ok(needle) if !needle.is_empty() && text.contains(needle) => {
            let times = text.matches(needle).count();
            *text = text.replace(needle, REDACTED);
            u64::try_from(times).unwrap_or(u64::MAX)
        }
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_99_112_found_across_any_pieces() {
        let text = b"abc s3cret! s3cres3cret! s3cret";
        let expected = b"abc [redacted] s3cre[redacted] s3cret";
        for size in 1..=text.len() {
            let count = IntCounter::new("c", "c").expect("a counter");
            let mut redactor = Redactor::new(Secret::of("s3cret!"), count.clone());
            let mut found: Vec<u8> =
                text.chunks(size).flat_map(|piece| redactor.feed(piece)).collect();
            found.extend(redactor.finish());
            assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert_eq!(count.get(), 2, "{size}");
        }
    }
}
