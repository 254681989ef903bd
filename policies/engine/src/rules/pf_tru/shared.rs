//! PF-TRU-006: workspaces, volumes and caches that untrusted and trusted work share, or two runs; and running pods that are handed to other work.
//!
//! What one piece of work writes another must not build from. Work without a record is all of one standing, so clusters without runs see nothing of this.

mod claims;
mod warm;
mod workspaces;

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Change, Facts};

use super::keeps;
use crate::context::{Context, Found};
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::TRU_SHARED;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    let updated = facts.operation == Operation::Update;
    let guarded = || scope(context, &facts.target.namespace) == Scope::Guarded;
    if let Facts::Workload(workload) = &object.facts {
        // An owner is a field that the garbage collector writes, so this comes before the changes are weighed.
        if updated && object.key.kind == "Pod" && guarded() {
            warm::judge(context, object, found);
        }
        let judged = matches!(facts.subresource.as_str(), "" | "ephemeralcontainers");
        let garbage = updated && facts.change == Change::Garbage;
        let kept = garbage || keeps(context, object);
        if judged && !kept && !workload.claims.is_empty() && guarded() {
            claims::judge(context, object, workload, found);
        }
    }
    if let Facts::Run(run) = &object.facts
        && facts.subresource.is_empty()
        && !(updated && facts.change != Change::Content)
    {
        workspaces::judge(context, object, run, found);
    }
}

#[cfg(test)]
mod tests;
