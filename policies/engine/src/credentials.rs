//! What looks like a credential: finds them in plain text, by the pattern set that ships, by names, and by a policy's own patterns.
//!
//! Works on text alone and knows nothing of Kubernetes, so that the gate out of the pod can use it too. Tells which pattern and where, never the
//! value. Time is linear in the text, and bounded: past [`ATTEMPTS_MAX`] or [`TEXT_BYTES_MAX`] it says so instead of going on.

mod assignment;
mod check;
mod encoded;
mod name;
mod scan;
mod set;
mod value;

use pinfold_model::policy::literals::Literals;

pub use scan::Scanner;

/// Most text that one [`Scanner`] looks at, in bytes; the API server takes no larger object.
pub const TEXT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most places of one [`Scanner`] at which a pattern is tried.
pub const ATTEMPTS_MAX: usize = 16_384;

/// Something that looks like a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'p> {
    /// The pattern's id.
    pub id: &'p str,
    /// What it is, after "looks like".
    pub title: &'p str,
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Where it ends, not included.
    pub end: usize,
    /// What it is wrapped in.
    pub encoding: Encoding,
}

/// What a credential is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing.
    Plain,
    /// Base64.
    Base64,
    /// Percent signs, as in URLs.
    Percent,
}

/// The text wasn't looked at to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// More than [`TEXT_BYTES_MAX`].
    #[error("there is more than {TEXT_BYTES_MAX} bytes of text to look at")]
    Text,
    /// More than [`ATTEMPTS_MAX`].
    #[error("there are more than {ATTEMPTS_MAX} places at which a credential could begin")]
    Attempts,
    /// The pattern set doesn't compile; a test holds that it does.
    #[error("the pattern set that ships can't be read")]
    Patterns,
}

/// How many patterns ship.
#[must_use]
pub fn shipped() -> usize {
    set::shipped().map_or(0, |set| set.patterns.len())
}

/// A scanner by a policy's `literals`.
#[must_use]
pub fn scanner(literals: &Literals) -> Scanner<'_> {
    Scanner::new(literals)
}

#[cfg(test)]
mod tests;
