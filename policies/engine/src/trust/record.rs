//! Records of runs: whether a run, and everything behind it, is of a trusted ref. The least trusted record wins.

use pinfold_model::facts::Question;
use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};
use pinfold_model::policy::admission::Trust;

use super::standing::Standing;
use crate::context::Context;
use crate::rbac::describe::excerpt;

/// The kind of a run.
pub(crate) const RUN: &str = "AgentDispatchRun";
/// The kind of one attempt at it.
pub(crate) const ATTEMPT: &str = "AgentDispatchAttempt";

/// Most records that are followed from one run.
const RECORDS_MAX: usize = 32;

/// How trusted a run is, with all that is behind it.
pub(crate) fn judge(context: &Context<'_>, run: &Object) -> Standing {
    let mut seen: Vec<ObjectKey> = Vec::new();
    let mut pending: Vec<Object> = vec![run.clone()];
    while let Some(record) = pending.pop() {
        if seen.len() >= RECORDS_MAX {
            return Standing::untrusted(format!(
                "more than {RECORDS_MAX} records are behind the run"
            ));
        }
        seen.push(record.key.clone());
        let Facts::Run(facts) = &record.facts else { continue };
        if let Some(fault) = fault(&context.policy.trust, &record.key.kind, facts) {
            return Standing::untrusted(format!("{}: {fault}", name_of(&record.key)));
        }
        for key in behind(&record.key, facts) {
            match context.lookup(&key).filter(|found| matches!(found.facts, Facts::Run(_))) {
                Some(_) if seen.contains(&key) => {}
                Some(found) => pending.push(found.clone()),
                None => {
                    let reason = format!("{} isn't in the view of the cluster", name_of(&key));
                    return Standing::unknown(reason, vec![Question::Object(key)]);
                }
            }
        }
    }
    Standing::Trusted
}

/// What the record itself says against trust.
fn fault(trust: &Trust, kind: &str, run: &RunRecord) -> Option<String> {
    if kind == ATTEMPT {
        return run.run.is_empty().then(|| "it names no run".to_owned());
    }
    if !matches!(run.trust_tier.as_str(), "" | "trusted") {
        return Some(format!("its trust tier is `{}`", excerpt(&run.trust_tier)));
    }
    if run.fork {
        return Some("it comes from a fork".to_owned());
    }
    if !run.head_repository.is_empty() && run.head_repository != run.repository {
        let (head, base) = (excerpt(&run.head_repository), excerpt(&run.repository));
        return Some(format!("its code comes from `{head}`, not from `{base}`"));
    }
    // The run itself says which ref it is of; a Pipeline or Job behind it need not repeat that.
    let silent = matches!(kind, "Pipeline" | "Job") && run.git_ref.is_empty();
    if silent { None } else { ref_fault(trust, &run.git_ref) }
}

/// Why a ref isn't trusted; `None` if it is.
pub(crate) fn ref_fault(trust: &Trust, git_ref: &str) -> Option<String> {
    let shown = excerpt(git_ref);
    if git_ref.is_empty() {
        Some("it names no ref".to_owned())
    } else if trust.untrusted_refs.iter().any(|pattern| pattern.matches(git_ref)) {
        Some(format!("ref `{shown}` is in `trust.untrustedRefs`"))
    } else if !trust.trusted_refs.iter().any(|pattern| pattern.matches(git_ref)) {
        Some(format!("ref `{shown}` isn't in `trust.trustedRefs`"))
    } else {
        None
    }
}

/// The records behind a record: an attempt's run, a run's sources.
fn behind(key: &ObjectKey, run: &RunRecord) -> Vec<ObjectKey> {
    let near = |kind: &str, name: &str| ObjectKey::new(&key.group, kind, &key.namespace, name);
    let mut keys: Vec<ObjectKey> =
        run.sources.iter().map(|(kind, name)| near(kind, name)).collect();
    if key.kind == ATTEMPT {
        keys.push(near(RUN, &run.run));
    }
    keys
}

/// Whether an object is a run or an attempt.
pub(crate) fn is_run(key: &ObjectKey) -> bool {
    AGENT_GROUPS.contains(&key.group.as_str()) && (key.kind == RUN || key.kind == ATTEMPT)
}

/// A record for messages: ``AgentDispatchRun `ns/name` ``.
pub(crate) fn name_of(key: &ObjectKey) -> String {
    let ObjectKey { kind, namespace, name, .. } = key;
    match namespace.as_str() {
        "" => format!("{kind} `{}`", excerpt(name)),
        namespace => format!("{kind} `{}/{}`", excerpt(namespace), excerpt(name)),
    }
}
