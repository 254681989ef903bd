//! Texts and what is found in them. Tokens are put together from pieces, so that nobody's scanner takes them for real ones.

mod bounds;
mod formats;
mod texts;

use pinfold_model::policy::literals::Literals;

use super::{Encoding, scanner};

/// `id=part` of everything that is found, without a name.
fn found(text: &str) -> Vec<String> {
    named("", text)
}

/// The same for the value of a name.
fn named(name: &str, text: &str) -> Vec<String> {
    let literals = Literals::default();
    let matches = scanner(&literals).scan(name, text).expect("within the budget");
    let show = |one: &super::Match<'_>| {
        let part = text.get(one.start..one.end).expect("a part");
        match one.encoding {
            Encoding::Plain => format!("{}={part}", one.id),
            Encoding::Base64 => format!("{}~base64={part}", one.id),
            Encoding::Percent => format!("{}~percent={part}", one.id),
        }
    };
    matches.iter().map(show).collect()
}

/// Text that looks random, always the same for a seed.
fn random(alphabet: &str, length: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let characters: Vec<char> = alphabet.chars().collect();
    let count = u64::try_from(characters.len()).expect("few");
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        characters[usize::try_from((state >> 11).rem_euclid(count)).expect("few")]
    };
    (0..length).map(|_| next()).collect()
}
