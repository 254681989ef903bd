//! What people read: findings as text, bounded, one per line, with nothing in it that a terminal or a log would obey.

use std::fmt::Write as _;

use pinfold_model::finding::Finding;

/// Most bytes of a denial's message.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Bytes kept free for the line that counts what was cut.
const CUT_LINE_BYTES: usize = 64;
/// Most characters of one warning: the API server may cut longer ones.
pub(crate) const WARNING_CHARS_MAX: usize = 256;
/// Most warnings of one answer, the line that counts the others included.
pub(crate) const WARNINGS_MAX: usize = 16;

/// All findings in one message, one per line, because only the first webhook's message reaches the user.
pub fn explain<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> String {
    let mut text = String::new();
    let mut cut = 0_usize;
    for finding in findings {
        let line = line(finding);
        let needed = text.len().saturating_add(line.len()).saturating_add(CUT_LINE_BYTES);
        if cut > 0 || needed > MESSAGE_BYTES_MAX {
            if text.is_empty() {
                let most = MESSAGE_BYTES_MAX.saturating_sub(CUT_LINE_BYTES);
                text = format!("{}…", first_bytes(&line, most));
            } else {
                cut = cut.saturating_add(1);
            }
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if cut > 0 {
        // Writing to a String can't fail.
        let _ = write!(text, "\nand {cut} more, see the audit record");
    }
    text
}

/// One finding as one line.
pub(crate) fn line(finding: &Finding) -> String {
    let Finding { rule, path, message, remedy, .. } = finding;
    let text = if remedy.is_empty() {
        format!("{rule} {path}: {message}")
    } else {
        format!("{rule} {path}: {message}; fix: {remedy}")
    };
    visible(&text)
}

/// The warnings of an answer: cut on a character, bounded in number.
pub(crate) fn warnings<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<String> {
    let mut lines: Vec<String> =
        findings.into_iter().map(|finding| shorten(&line(finding))).collect();
    let most = WARNINGS_MAX.saturating_sub(1);
    if lines.len() > WARNINGS_MAX {
        let cut = lines.len().saturating_sub(most);
        lines.truncate(most);
        lines.push(format!("and {cut} more, see the audit record"));
    }
    lines
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= WARNING_CHARS_MAX {
        return text.to_owned();
    }
    let kept = text.chars().take(WARNING_CHARS_MAX.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

/// The first bytes of a text, cut between characters.
#[must_use]
pub fn first_bytes(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Escapes control characters and those that reorder text: names come from whoever asked.
fn visible(text: &str) -> String {
    let hostile = |found: char| {
        found.is_control()
            || matches!(found, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hostile) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for found in text.chars() {
        if hostile(found) {
            clean.extend(found.escape_default());
        } else {
            clean.push(found);
        }
    }
    clean
}
