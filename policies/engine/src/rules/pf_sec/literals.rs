//! PF-SEC-007: credentials in the clear.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
