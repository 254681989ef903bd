//! PF-SEC-006: a grant across organizations, or of what its author could not have read or bound.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
