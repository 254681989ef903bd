//! PF-TRU-004: pools whose tier is raised, and nodes that move between pools, by somebody who doesn't administer them.
//!
//! What work is kept off is decided by two things that work itself could try to change: what a RunnerPool says, and what its nodes are labelled with. A
//! cluster without trusted pools has nothing to guard, and what says nothing about pools (a heartbeat, a new node outside of them) is never refused.

mod nodes;
mod runner_pools;

use pinfold_model::facts::Requester;
use pinfold_model::finding::RuleId;

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::administers;

pub(super) const RULE: RuleId = RuleId::TRU_POOL;

/// Something that only an administrator of pools does.
struct Move {
    path: String,
    what: String,
    remedy: String,
}

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let pools = runner_pools::moves(context);
    if !pools.is_empty() && administers(context, RULE, found) == Some(false) {
        tell(context, pools, found);
    }
    if !context.facts.operation.is_write() {
        return;
    }
    let nodes = nodes::moves(context);
    if !nodes.is_empty() && !manages_nodes(context, found) {
        tell(context, nodes, found);
    }
}

fn manages_nodes(context: &Context<'_>, found: &mut Found) -> bool {
    let managers = &context.policy.trust.node_managers;
    let listed = |requester: &Requester| managers.include(requester);
    context.facts.requester.as_ref().is_some_and(listed)
        || administers(context, RULE, found) != Some(false)
}

fn tell(context: &Context<'_>, moves: Vec<Move>, found: &mut Found) {
    let requester = context.facts.requester.as_ref();
    let name = requester.map(|requester| excerpt(&requester.name)).unwrap_or_default();
    for Move { path, what, remedy } in moves {
        let message = format!("{what}, and `{name}` doesn't administer it");
        found.add(RULE, path, message, remedy);
    }
}

#[cfg(test)]
mod tests;
