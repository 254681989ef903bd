//! PF-POD: what keeps an agent's pod from undoing its confinement.
//!
//! Each rule in a file of its own in `pf_pod/`. None of them injects or repairs anything.

use crate::context::{Context, Found};

/// Runs the family.
pub(crate) fn judge(_context: &Context<'_>, _found: &mut Found) {}
