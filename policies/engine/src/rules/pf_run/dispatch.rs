//! PF-RUN-005: a stack is dispatched only if its permission review passes.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
