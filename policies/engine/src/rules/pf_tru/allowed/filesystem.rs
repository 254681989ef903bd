//! Whether a pool may run a tool profile's filesystem policy.

use pinfold_model::object::agent::{AgentStack, Ties};
use pinfold_model::object::{Facts, ObjectKey};

use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::pools::{self, Pool};

/// What an untrusted pool may run that lists nothing: work of its own, thrown away with it. `repo-write` writes what others build from.
const UNTRUSTED: [&str; 3] = ["no-fs", "read-only", "workspace-write"];

/// Policies that write nothing.
const READS_ONLY: [&str; 2] = ["no-fs", "read-only"];

/// The filesystem policy of a stack's tool profile, and the profile; `None` if it has none, or one that isn't there.
pub(in crate::rules::pf_tru) fn policy_of<'c>(
    context: &Context<'c>,
    (group, namespace): (&str, &str),
    ties: &Ties,
) -> Option<(&'c str, &'c ObjectKey)> {
    let profile = ties.references.iter().find(|reference| reference.kind == "AgentToolProfile")?;
    let at = if profile.namespace.is_empty() { namespace } else { &profile.namespace };
    let object = context.lookup(&ObjectKey::new(group, "AgentToolProfile", at, &profile.name))?;
    let Facts::Capability(profile) = &object.facts else { return None };
    let policy = profile.filesystem_policy.as_str();
    (!policy.is_empty()).then_some((policy, &object.key))
}

/// Whether a stack only reads. A stack whose tool profile isn't known may write.
pub(in crate::rules::pf_tru) fn reads_only(
    context: &Context<'_>,
    at: (&str, &str),
    stack: &AgentStack,
) -> bool {
    policy_of(context, at, &stack.ties).is_some_and(|(policy, _)| READS_ONLY.contains(&policy))
}

/// Why the pool of that name doesn't allow a stack's filesystem policy; `None` if it does, or there is no such pool yet.
pub(super) fn fault(
    context: &Context<'_>,
    (group, namespace): (&str, &str),
    ((home, ties), pool): ((&ObjectKey, &Ties), &str),
) -> Option<String> {
    let (policy, profile) = policy_of(context, (group, &home.namespace), ties)?;
    let key = ObjectKey::new(group, "RunnerPool", namespace, pool);
    let refusing = pools::of_name(context, &key).into_iter().find(|pool| !allows(pool, policy))?;
    let tier = if refusing.is_trusted() { "trusted" } else { "untrusted" };
    Some(format!(
        "{tier} runner pool `{}` doesn't allow filesystem policy `{}` of AgentToolProfile `{}`",
        excerpt(&refusing.shown()),
        excerpt(policy),
        excerpt(&profile.name)
    ))
}

fn allows(pool: &Pool<'_>, policy: &str) -> bool {
    let listed = pool.filesystem_policies();
    if listed.is_empty() {
        return pool.is_trusted() || UNTRUSTED.contains(&policy);
    }
    listed.iter().any(|entry| entry == policy)
}
