//! PF-SEC-002 to 005: what an agent workload uses needs a grant, for this work, in this way.

use crate::context::{Context, Found};

/// Judges the rules.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
