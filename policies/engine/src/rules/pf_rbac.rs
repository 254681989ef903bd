//! (being written)

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(_context: &Context<'_>, _found: &mut Found) {}
