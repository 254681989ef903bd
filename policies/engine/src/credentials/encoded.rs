//! One level of base64 or of percent signs around a text; each bounded, because what is decoded is looked at again.

use std::borrow::Cow;

use super::check::decode;

/// Longest text that is decoded, in bytes.
const ENCODED_BYTES_MAX: usize = 64 * 1024;
/// Shortest text that is: twelve bytes of what it holds.
const ENCODED_BYTES_MIN: usize = 16;

/// What a whole text holds in base64, if that is text.
pub(super) fn base64(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() < ENCODED_BYTES_MIN
        || text.len() > ENCODED_BYTES_MAX
        || !text.bytes().all(is_base64)
    {
        return None;
    }
    let joined: Cow<'_, str> = if text.contains(['\n', '\r']) {
        Cow::Owned(text.split_ascii_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    };
    String::from_utf8(decode(&joined)?).ok()
}

/// Where a run of base64 that begins at `start` ends.
pub(super) fn run_end(text: &str, start: usize) -> usize {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let run = rest
        .iter()
        .take(ENCODED_BYTES_MAX)
        .take_while(|byte| is_base64(**byte) && !byte.is_ascii_whitespace());
    start.saturating_add(run.count())
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\n' | b'\r')
}

/// What a text says without its percent signs, if it has any that stand for a byte.
pub(super) fn percent(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let first = bytes.iter().position(|byte| *byte == b'%')?;
    if bytes.len() > ENCODED_BYTES_MAX || hex_pair(bytes, first).is_none() {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let pair = if byte == b'%' { hex_pair(bytes, at) } else { None };
        decoded.push(pair.unwrap_or(byte));
        at = at.saturating_add(if pair.is_some() { 3 } else { 1 });
    }
    String::from_utf8(decoded).ok()
}

/// The byte that `%XX` at `at` stands for.
fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |offset: usize| char::from(*bytes.get(at.checked_add(offset)?)?).to_digit(16);
    let value = digit(1)?.checked_mul(16)?.checked_add(digit(2)?)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::{base64, percent};

    #[test]
    fn one_level() {
        assert_eq!(base64("cGFzc3dvcmQ6IGh1bnRlcjI=").as_deref(), Some("password: hunter2"));
        assert_eq!(base64("cGFzc3dvcmQ6\nIGh1bnRlcjI=\n").as_deref(), Some("password: hunter2"));
        for text in ["short", "not base64 at all, no", "AAAA////AAAA////AAAA"] {
            assert!(
                base64(text).is_none_or(|found| !found.is_ascii() || found.contains('\0')),
                "{text}"
            );
        }
        assert_eq!(percent("a%3Db%25c").as_deref(), Some("a=b%c"));
        assert_eq!((percent("100% of it"), percent("none")), (None, None));
    }
}
