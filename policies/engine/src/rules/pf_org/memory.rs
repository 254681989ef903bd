//! PF-ORG-004: memory of another organization, or beyond its path and kind grants.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
