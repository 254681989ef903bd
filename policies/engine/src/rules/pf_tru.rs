//! (being written)

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(_context: &Context<'_>, _found: &mut Found) {}

/// Rewrites.
#[must_use]
pub fn rewrite(_context: &Context<'_>) -> crate::decision::Mutation {
    crate::decision::Mutation::default()
}
