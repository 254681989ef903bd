//! PF-RBAC-004 and 007 for AgentRoleBindings: everything that the controller would write, in every namespace of the scope.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, RoleRef};
use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::snapshot::role_key;

use super::words::{self, Chain, Telling, Who};
use super::{CEILING, ask, role_name, rules_of, settle};
use crate::context::{Context, Found};
use crate::rbac::agents::Agents;
use crate::rbac::ceiling::{Beyond, Breach, Limits};
use crate::rbac::describe::excerpt;
use crate::rbac::effective::gives;
use crate::rbac::resolver::Unresolved;
use crate::rules::pf_rbac::agent_binding_subjects::subjects;
use crate::rules::pf_rbac::scope;

const ROLE_PATH: &str = "$.spec.roleRef";
const RULES_PATH: &str = "$.spec.resourceRules";
const TEMPLATE: &str = "RoleTemplate";
/// Kinds of subjects that are agent identities whatever the records say.
const AGENT_KINDS: [&str; 3] = ["agent-stack", "runner-pool", "service-account"];

pub(super) fn judge(context: &Context<'_>, binding: &AgentRoleBinding, found: &mut Found) {
    let own = &context.facts.target.namespace;
    let Some(who) = agent_of(context, own, binding) else { return };
    // A scope that can't be expanded is PF-RBAC-003's denial.
    let Ok(places) = scope::expand(context, binding) else { return };
    let mut roles: Vec<ObjectKey> = Vec::new();
    let mut over = false;
    let given = given(context, binding);
    for place in one_of_each(context, binding, &places) {
        let part = Part { context, who: &who, place, via: None, given };
        over |= part.judge_binding(binding, &mut roles, found);
    }
    settle(context, &roles.iter().collect::<Vec<_>>(), over, found);
}

/// The agent identity that a binding in the namespace `own` is for; `None` if it is for people. Whatever a stack or a pool runs as is one.
pub(in super::super) fn agent_of(
    context: &Context<'_>,
    own: &str,
    binding: &AgentRoleBinding,
) -> Option<Who> {
    let AgentRoleBinding { subject_kind, subject_name, service_account, .. } = binding;
    if AGENT_KINDS.contains(&subject_kind.as_str()) {
        let name = if subject_name.is_empty() { service_account } else { subject_name };
        let identity = format!("{} `{}`", excerpt(subject_kind), excerpt(name));
        return Some(Who { identity, spelling: String::new() });
    }
    let agents = Agents::of(context);
    subjects(context, own, binding).iter().find_map(|subject| {
        let reach = agents.reached(subject, own)?;
        Some(Who::of_subject(&agents, subject, reach))
    })
}

/// The stored binding, if it is for the same subject in the same scope: what it gave is no gain.
fn given<'a>(context: &Context<'a>, binding: &AgentRoleBinding) -> Option<&'a AgentRoleBinding> {
    let Facts::AgentRoleBinding(old) = &context.facts.old_object.as_ref()?.facts else {
        return None;
    };
    let gives_as = AgentRoleBinding {
        role_ref: binding.role_ref.clone(),
        resource_rules: binding.resource_rules.clone(),
        escalation_policy: binding.escalation_policy.clone(),
        ..AgentRoleBinding::clone(old)
    };
    (gives_as == *binding).then_some(old)
}

/// The places, but only one for each set of ceilings, where the role is the same in all of them.
fn one_of_each<'p>(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
    places: &'p BTreeSet<String>,
) -> Vec<&'p str> {
    let all = places.iter().map(String::as_str);
    if binding.role_ref.as_ref().is_some_and(|role| role.kind == "Role") {
        return all.collect();
    }
    let mut each = BTreeMap::new();
    for place in all {
        each.entry(Limits::of(context.policy, place).signature()).or_insert(place);
    }
    each.into_values().collect()
}

/// What a binding gives in one place.
pub(super) struct Part<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) who: &'a Who,
    pub(super) place: &'a str,
    /// The field at fault and the binding's name, where the binding isn't the object that is judged.
    pub(super) via: Option<(&'a str, String)>,
    /// What gave the same subject something in the same scope before.
    pub(super) given: Option<&'a AgentRoleBinding>,
}

impl Part<'_> {
    /// Whether the rules of the binding or its role are beyond. The roles that were read are added to `roles`.
    pub(super) fn judge_binding(
        &self,
        binding: &AgentRoleBinding,
        roles: &mut Vec<ObjectKey>,
        found: &mut Found,
    ) -> bool {
        let path =
            |breach: &Breach<'_>| format!("{RULES_PATH}[{}].{}", breach.rule, breach.field());
        let own = self.judge(binding.resource_rules.iter(), &path, &|_| String::new(), found);
        let given = self.given.and_then(|old| old.role_ref.as_ref());
        let role = binding.role_ref.as_ref().filter(|role| given != Some(role));
        role.is_some_and(|role| self.judge_role(role, roles, found)) || own
    }

    fn judge_role(&self, role: &RoleRef, roles: &mut Vec<ObjectKey>, found: &mut Found) -> bool {
        let (context, place) = (self.context, self.place);
        let path = |_: &Breach<'_>| ROLE_PATH.to_owned();
        let template = context.policy.rbac.role_templates.get(&role.name);
        if let Some(template) = template.filter(|_| role.kind == TEMPLATE) {
            return self.judge(template.rules.iter(), &path, &|_| role_name(role), found);
        }
        let gives = match gives(context.view, &context.facts.answers, role, place) {
            Ok(gives) => gives,
            // Where a binding was judged before, a role that isn't there gives nothing, and is judged when it comes.
            Err(Unresolved::Absent(_) | Unresolved::Kind) if self.via.is_some() => return false,
            Err(why) => {
                let (message, remedy) = words::unresolved(&why, role, place, self.who);
                let path = self.via.as_ref().map_or(ROLE_PATH, |(path, _)| path);
                found.add(CEILING, path, message, remedy);
                ask(context, role_key(role, place).iter(), found);
                return true;
            }
        };
        for key in &gives.roles {
            if !roles.contains(key) {
                roles.push((*key).clone());
            }
        }
        let chain = |breach: &Breach<'_>| Chain::of(role, &gives, breach).to_string();
        self.judge(rules_of(&gives), &path, &chain, found)
    }

    fn judge<'r>(
        &self,
        rules: impl Iterator<Item = &'r PolicyRule> + Clone,
        path: &dyn Fn(&Breach<'_>) -> String,
        chain: &dyn Fn(&Breach<'_>) -> String,
        found: &mut Found,
    ) -> bool {
        let Self { context, who, place, via, given } = self;
        let given: Vec<&PolicyRule> =
            given.iter().flat_map(|old| old.resource_rules.iter()).collect();
        let own = |breach: &Breach<'_>| match via {
            Some((path, _)) => (*path).to_owned(),
            None => path(breach),
        };
        let whole = |breach: &Breach<'_>| match (via, chain(breach)) {
            (None, chain) => chain,
            (Some((_, name)), chain) if chain.is_empty() => name.clone(),
            (Some((_, name)), chain) => format!("{name}, {chain}"),
        };
        let telling = Telling { who, place, path: &own, chain: &whole };
        let beyond = Beyond::of(context.policy, place, rules, &given);
        telling.ceiling(&CEILING, &beyond.ceiling, &words::remedy(&beyond.ceiling), found);
        telling.dangers(&beyond.dangers, found);
        !beyond.is_empty()
    }
}
