//! PF-TRU-004: who may raise a pool's tier, or move a node between pools.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
