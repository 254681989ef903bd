//! PF-TRU-002: untrusted work with a privileged ServiceAccount or a mounted API token.

use crate::context::{Context, Found};

/// Judges the rule.
pub(super) fn judge(_context: &Context<'_>, _found: &mut Found) {}
