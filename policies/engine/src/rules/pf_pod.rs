//! PF-POD: what keeps an agent's pod from undoing its confinement.
//!
//! Each rule in a file of its own in `pf_pod/`. None of them injects or repairs anything.

mod confined;
mod entry;
mod exposed;
mod identity;
mod network;
mod reserved;
mod shared;
mod standard;
mod workload;

use crate::context::{Context, Found};

/// Runs the family.
pub(crate) fn judge(context: &Context<'_>, found: &mut Found) {
    confined::judge(context, found);
    workload::judge(context, found);
    entry::judge(context, found);
    exposed::judge(context, found);
}

#[cfg(test)]
mod tests;
