//! PF-ORG: every agent resource belongs to one organization, and names only what is its own or shared with it.

mod belonging;
mod home;
mod memory;
mod moves;
mod part;
mod reach;
mod reference;
mod scope;

use crate::context::{Context, Found};

/// Judges the family.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    reference::judge(context, found);
    belonging::judge(context, found);
    moves::judge(context, found);
    memory::judge(context, found);
}

#[cfg(test)]
mod tests;
