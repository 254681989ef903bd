//! PF-RBAC-008, the part about agents: none may get a right to impersonate. Who impersonates can't be seen, because the API server hides it from
//! webhooks, so the right is what is refused.

use pinfold_model::object::Facts;
use pinfold_model::object::rbac::{AgentRoleBinding, Binding, PolicyRule, Role, RoleRef, Subject};
use pinfold_model::snapshot::subject_key;

use super::gate::{is_collection_only, named};
use super::own::RULE;
use super::{agent_binding_subjects, place_of, role_template, scope};
use crate::context::{Context, Found};
use crate::rbac::agents::{Account, Agents, Reach};
use crate::rbac::describe::excerpt;

/// `impersonate`, and what it is called since 1.35 where it is constrained: `impersonate:MODE`, `impersonate-on:MODE:VERB`.
const IMPERSONATE: &str = "impersonate";
/// Resources that somebody can be impersonated by, which `*` as a verb then allows.
const IDENTITIES: [&str; 5] = ["users", "groups", "serviceaccounts", "uids", "userextras"];
const IDENTITY_GROUPS: [&str; 2] = ["", "authentication.k8s.io"];
const REMEDY: &str =
    "leave impersonation out of what agents may do; nobody is exempt but by a named exception";

/// Judges what could let an agent identity impersonate.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let write = context.facts.operation.is_write();
    if !write || is_collection_only(context) {
        return;
    }
    let Some(facts) = context.subject_facts() else { return };
    if let Facts::Binding(binding) = facts {
        judge_binding(context, binding, found);
    } else if let Facts::AgentRoleBinding(binding) = facts {
        judge_agent_binding(context, binding, found);
    } else if let Facts::Role(role) = facts {
        judge_role(context, role, found);
    }
}

fn judge_binding(context: &Context<'_>, binding: &Binding, found: &mut Found) {
    let place = place_of(context.facts);
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let old = if let Some(Facts::Binding(old)) = stored { Some(old) } else { None };
    let old = old.filter(|old| old.role_ref == binding.role_ref);
    let is_new = |subject: &&Subject| {
        let key = subject_key(subject, place);
        !old.is_some_and(|old| old.subjects.iter().any(|old| subject_key(old, place) == key))
    };
    let mut added = binding.subjects.iter().filter(is_new);
    let agents = Agents::of(context);
    let Some(reach) = added.find_map(|subject| agents.reached(subject, place)) else { return };
    if gives(context, &binding.role_ref, place) {
        let role = named(&binding.role_ref);
        tell("$.roleRef", &format!("{role} would let {} impersonate", shown(&reach)), found);
    }
}

fn judge_agent_binding(context: &Context<'_>, binding: &AgentRoleBinding, found: &mut Found) {
    let own = context.facts.target.namespace.as_str();
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    if matches!(stored, Some(Facts::AgentRoleBinding(old)) if **old == *binding) {
        return;
    }
    let agents = Agents::of(context);
    let subjects = agent_binding_subjects::subjects(context, own, binding);
    let known = subjects.iter().find_map(|subject| agents.reached(subject, own));
    // Whoever runs a stack, a pool or as such an account is an agent, whether it is there yet or not.
    let kind = binding.subject_kind.as_str();
    let who = match (known, kind) {
        (Some(reach), _) => shown(&reach),
        (None, "agent-stack" | "runner-pool" | "service-account") => {
            format!("{kind} `{}`", excerpt(&binding.subject_name))
        }
        (None, _) => return,
    };
    let message = |what: &str| format!("{what} would let {who} impersonate");
    for (index, _) in binding.resource_rules.iter().enumerate().filter(|(_, rule)| is_in(rule)) {
        tell(&format!("$.spec.resourceRules[{index}]"), &message("this rule"), found);
    }
    let Some(role) = &binding.role_ref else { return };
    let places = scope::expand(context, binding).unwrap_or_default();
    if places.iter().any(|place| gives(context, role, place)) {
        tell("$.spec.roleRef", &message(&named(role)), found);
    }
}

/// A role that an agent identity is bound to already.
fn judge_role(context: &Context<'_>, role: &Role, found: &mut Found) {
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let before =
        if let Some(Facts::Role(old)) = stored { old.rules.iter().any(is_in) } else { false };
    let first = role.rules.iter().position(is_in);
    let Some(index) = first.filter(|_| !before) else { return };
    let agents = Agents::of(context);
    let bound = context.view.bindings_to(&context.facts.target).find_map(|(key, binding)| {
        let reached = |subject: &Subject| agents.reached(subject, &key.namespace);
        Some((key, binding.subjects.iter().find_map(reached)?))
    });
    if let Some((key, reach)) = bound {
        let message = format!(
            "this would let {} impersonate, which is bound to it by `{}`",
            shown(&reach),
            excerpt(&key.to_string())
        );
        tell(&format!("$.rules[{index}].verbs"), &message, found);
    }
}

/// Whether a role gives it; one that can't be resolved is other rules' to refuse.
fn gives(context: &Context<'_>, role: &RoleRef, place: &str) -> bool {
    let rules = role_template::granted(context, role, place).unwrap_or_default();
    rules.into_iter().any(is_in)
}

fn is_in(rule: &PolicyRule) -> bool {
    let any = |verb: &String| verb == "*";
    let whose = |resource: &String| {
        let resource = resource.split_once('/').map_or(resource.as_str(), |(first, _)| first);
        resource == "*" || IDENTITIES.contains(&resource)
    };
    let where_ = |group: &String| group == "*" || IDENTITY_GROUPS.contains(&group.as_str());
    let all = rule.verbs.iter().any(any)
        && rule.resources.iter().any(whose)
        && rule.api_groups.iter().any(where_);
    all || rule.verbs.iter().any(|verb| {
        verb.strip_prefix(IMPERSONATE)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-']))
    })
}

fn shown(reach: &Reach) -> String {
    let name =
        |account: &Account| format!("{}/{}", excerpt(&account.namespace), excerpt(&account.name));
    match reach {
        Reach::One(account) => format!("agent identity `{}`", name(account)),
        Reach::Group(account) => format!("a group with agent identity `{}`", name(account)),
        Reach::Pattern => {
            "a group that agent identities of `agents.serviceAccounts` are in".to_owned()
        }
    }
}

fn tell(path: &str, message: &str, found: &mut Found) {
    found.add(RULE, path, message, REMEDY);
}
