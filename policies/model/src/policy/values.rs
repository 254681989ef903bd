//! Values that policies write as text and rules use ready-made: patterns, paths, addresses, sizes, rates, and tests of a value.

use crate::pattern::Pattern;

/// A test of one selected value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueTest {
    /// The text ends so.
    EndsWith(String),
    /// The text starts so.
    StartsWith(String),
    /// The value equals.
    Equals(serde_json::Value),
    /// The text matches.
    Matches(Pattern),
}
