//! Characters that show nothing, or show text otherwise than it is read.

use super::{Marker, Markers};

/// As many in a row are no accident: emoji and scripts of Asia need one or two.
const INVISIBLE_RUN_MIN: usize = 4;
/// The emoji that tags make into the flag of a part of a country (UTS 51, 1.4.9), and how many of them at most.
const FLAG: char = '\u{1F3F4}';
const FLAG_TAGS_MAX: usize = 7;
const CANCEL_TAG: char = '\u{E007F}';

/// What a character is to those who look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Shown,
    Tag,
    Override,
    Invisible,
}

fn sight(character: char) -> Sight {
    match character {
        '\u{E0000}'..='\u{E007F}' => Sight::Tag,
        '\u{202D}' | '\u{202E}' => Sight::Override,
        '\u{180E}'
        | '\u{200B}'..='\u{200D}'
        | '\u{2060}'..='\u{2064}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{E0100}'..='\u{E01EF}' => Sight::Invisible,
        _ => Sight::Shown,
    }
}

/// What is hidden in a text.
pub(super) fn look(text: &str, found: &mut Markers) {
    runs(text).for_each(|run| *found = found.with(run.hides));
}

/// The text without what is hidden in it; `None` if nothing is.
#[must_use]
pub fn without_hidden(text: &str) -> Option<String> {
    if text.is_ascii() || runs(text).all(|run| run.hides.is_empty()) {
        return None;
    }
    Some(runs(text).filter(|run| run.hides.is_empty()).map(|run| run.text).collect())
}

/// Characters in a row that are all shown, or none of them.
struct Run<'t> {
    text: &'t str,
    /// How they hide something, if they do.
    hides: Markers,
}

fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let mut rest = text;
    let mut before = None;
    std::iter::from_fn(move || {
        let shown = sight(rest.chars().next()?) == Sight::Shown;
        let end = rest.find(|other| (sight(other) == Sight::Shown) != shown);
        let (text, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        let hides = if shown { Markers::default() } else { hiding(before, text) };
        before = text.chars().last();
        rest = after;
        Some(Run { text, hides })
    })
}

/// How characters that aren't shown hide something; `before` stands before them.
fn hiding(before: Option<char>, text: &str) -> Markers {
    let mut hides = Markers::default();
    if is_flag(before, text) {
        return hides;
    }
    let are = |kind: Sight| text.chars().filter(move |one| sight(*one) == kind).count();
    hides.add_if(are(Sight::Tag) > 0, Marker::Tags);
    hides.add_if(are(Sight::Override) > 0, Marker::Bidi);
    hides.add_if(are(Sight::Invisible) >= INVISIBLE_RUN_MIN, Marker::Invisible);
    hides
}

fn is_flag(before: Option<char>, text: &str) -> bool {
    let tags = text.chars().all(|one| sight(one) == Sight::Tag);
    before == Some(FLAG)
        && tags
        && text.ends_with(CANCEL_TAG)
        && text.chars().count() <= FLAG_TAGS_MAX
}

/// Whether a text has sequences for terminals (ECMA-48) that do more than colour it.
pub(super) fn has_terminal(text: &str) -> bool {
    text.split('\u{1b}').skip(1).any(acts)
}

/// Whether the sequence that begins here hides or moves text, or speaks to the terminal.
fn acts(after: &str) -> bool {
    let Some(rest) = after.strip_prefix('[') else {
        // A hyperlink shows its text; other strings (clipboard, titles, device control) show nothing.
        return after.starts_with(['P', '^', '_', 'X'])
            || (after.starts_with(']') && !after.starts_with("]8;"));
    };
    let parameter = |character: char| character.is_ascii_digit() || matches!(character, ';' | '?');
    let parameters = rest.trim_start_matches(parameter);
    let length = rest.len().saturating_sub(parameters.len());
    let numbers = rest.get(..length).unwrap_or_default();
    match parameters.chars().next() {
        // Conceal.
        Some('m') => is_concealing(numbers),
        Some('A' | 'D' | 'F' | 'G' | 'H' | 'J' | 'd' | 'f') => true,
        Some(_) | None => false,
    }
}

/// Whether a rendition hides: 8, unless it is part of a colour.
fn is_concealing(numbers: &str) -> bool {
    let mut numbers = numbers.split(';');
    while let Some(number) = numbers.next() {
        match number {
            "8" => return true,
            "38" | "48" | "58" => {
                let skipped = if numbers.next() == Some("2") { 3 } else { 1 };
                numbers.by_ref().take(skipped).for_each(drop);
            }
            _ => {}
        }
    }
    false
}
