//! What published injections have in common: text that people don't see, and phrases that speak to a model instead of its user.
//!
//! Marks, not proofs: whoever knows the list gets around it, and a page about injections has them too. So a finding is told, and only a policy
//! that says so refuses by it.

use std::fmt;

mod hidden;
mod phrase;

#[cfg(test)]
mod tests;

pub use hidden::without_hidden;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Unicode tag characters, which show nothing and are read by models (U+E0000 to U+E007F), but for those of flags.
    Tags,
    /// Text that is shown in another order than it is read: overrides of direction (CVE-2021-42574).
    Bidi,
    /// Several characters without width, or variation selectors, in a row.
    Invisible,
    /// Sequences for terminals that hide or move text, or write the clipboard.
    Terminal,
    /// A comment of HTML that speaks to a model.
    Comment,
    /// A phrase that takes earlier instructions back, hides something from the user or imitates another speaker.
    Phrase,
}

impl Marker {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tags, Self::Bidi, Self::Invisible, Self::Terminal, Self::Comment, Self::Phrase];

    /// The name in metrics, records and marks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Bidi => "bidi",
            Self::Invisible => "invisible",
            Self::Terminal => "terminal",
            Self::Comment => "comment",
            Self::Phrase => "phrase",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Tags => 1,
            Self::Bidi => 2,
            Self::Invisible => 4,
            Self::Terminal => 8,
            Self::Comment => 16,
            Self::Phrase => 32,
        }
    }
}

/// A set of markers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Markers(u8);

impl Markers {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Marker> {
        Marker::ALL.into_iter().filter(move |marker| self.0 & marker.bit() != 0)
    }

    pub(crate) fn join(&mut self, other: Self) {
        *self = self.with(other);
    }

    fn add_if(&mut self, found: bool, marker: Marker) {
        if found {
            self.0 |= marker.bit();
        }
    }
}

impl fmt::Display for Markers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Marker::as_str).collect();
        formatter.write_str(&names.join(", "))
    }
}

/// What is found in a text.
#[must_use]
pub fn markers(text: &str) -> Markers {
    let mut found = Markers::default();
    if !text.is_ascii() {
        hidden::look(text, &mut found);
    }
    found.add_if(hidden::has_terminal(text), Marker::Terminal);
    phrase::look(text, &mut found);
    found
}
