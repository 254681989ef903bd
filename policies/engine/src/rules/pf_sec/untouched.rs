//! Updates of workloads that reach no more than before: what was there when a rule, a label or a grant changed must still go away, and a rollout
//! that takes it away must end.
//!
//! Compares what the rules read of a workload, not its text: only for rules that read nothing else of it.

use pinfold_model::facts::Operation;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::{AGENT_GROUPS, Change, Object};

use crate::agent_workload::{PURPOSE, labels, service_account};
use crate::context::Context;
use crate::trust::stamp::stamps;
use crate::trust::standing::{Actor, actor};

/// An update that can't reach more than before: what the garbage collector writes, metadata that no rule asks for, what starts nothing, and what the
/// API's own controllers write to what they keep (a ReplicaSet must be scaled down though its grant has ended).
pub(crate) fn is_untouched(context: &Context<'_>, object: &Object, workload: &Workload) -> bool {
    let facts = context.facts;
    let Some(old) = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update)
    else {
        return false;
    };
    let Some(before) = old.facts.workload() else { return false };
    let same = before.references == workload.references
        && before.claims == workload.claims
        && before.claim_templates == workload.claim_templates
        && service_account(before) == service_account(workload)
        && marks(old, before) == marks(object, workload);
    match facts.change {
        Change::Garbage => true,
        Change::Metadata | Change::Lowered => same,
        Change::Raised | Change::Content => same && keeps(context),
    }
}

/// Whether one of the API's own controllers, or a relay, updates what is there.
pub(super) fn keeps(context: &Context<'_>) -> bool {
    let facts = context.facts;
    let built_in = |requester| actor(context, requester) == Actor::BuiltIn;
    facts.operation == Operation::Update && facts.requester.as_ref().is_some_and(built_in)
}

/// What the rules read of metadata: agent labels, the stamp, the purpose.
fn marks<'o>(object: &'o Object, workload: &'o Workload) -> Vec<(&'o str, &'o str)> {
    let agent = |(key, _): &(&str, &str)| {
        key.rsplit_once('/').is_some_and(|(group, _)| AGENT_GROUPS.contains(&group))
    };
    let labels = labels(object, workload).filter(agent);
    labels.chain(stamps(object)).chain(purposes(workload).map(|said| (PURPOSE, said))).collect()
}

/// What the workload says that it uses its Secrets for.
pub(super) fn purposes(workload: &Workload) -> impl Iterator<Item = &str> {
    let said = workload.pod_annotations.iter().filter(|(key, _)| key == PURPOSE);
    said.map(|(_, said)| said.as_str())
}
