//! PF-ORG-003: who may change which organization a namespace belongs to.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
