//! PF-RBAC-004 and 007 for AgentRoleBindings: everything that the controller would write, in every namespace of the scope.

use std::collections::BTreeMap;

use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, RoleRef, Subject};
use pinfold_model::snapshot::{RBAC_GROUP, role_key};

use super::words::{self, Chain, Telling, Who};
use super::{CEILING, ask, role_name, rules_of, settle};
use crate::context::{Context, Found};
use crate::rbac::agents::Agents;
use crate::rbac::ceiling::{Breach, Limits};
use crate::rbac::describe::excerpt;
use crate::rbac::effective::gives;
use crate::rules::pf_rbac::scope;

const ROLE_PATH: &str = "$.spec.roleRef";
const RULES_PATH: &str = "$.spec.resourceRules";
const TEMPLATE: &str = "RoleTemplate";

pub(super) fn judge(context: &Context<'_>, binding: &AgentRoleBinding, found: &mut Found) {
    let Some(who) = agent_of(context, binding) else { return };
    // A scope that can't be expanded is PF-RBAC-003's denial.
    let Ok(places) = scope::expand(context, binding) else { return };
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    judge_in(context, binding, &who, &places, found);
}

/// The agent identity that a binding is for; `None` if it is for people.
pub(super) fn agent_of(context: &Context<'_>, binding: &AgentRoleBinding) -> Option<Who> {
    let AgentRoleBinding { subject_kind, subject_name, service_account, .. } = binding;
    let name = if subject_name.is_empty() { service_account } else { subject_name };
    match subject_kind.as_str() {
        "agent-stack" | "runner-pool" | "service-account" => {
            let identity = format!("{} `{}`", excerpt(subject_kind), excerpt(name));
            Some(Who { identity, spelling: String::new() })
        }
        "user" | "group" => {
            let kind = if subject_kind == "user" { "User" } else { "Group" };
            let subject = Subject {
                kind: kind.to_owned(),
                api_group: RBAC_GROUP.to_owned(),
                namespace: String::new(),
                name: subject_name.clone(),
            };
            let agents = Agents::of(context);
            let reach = agents.reached(&subject, "")?;
            Some(Who::of_subject(&agents, &subject, reach))
        }
        _ => None,
    }
}

/// Judges what the binding gives in some namespaces (the empty one is cluster-wide), once for all that are below the same ceilings.
pub(super) fn judge_in(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
    who: &Who,
    places: &[&str],
    found: &mut Found,
) {
    let mut roles: Vec<ObjectKey> = Vec::new();
    let mut over = false;
    for place in one_of_each(context, binding, places) {
        let part = Part { context, who, place };
        over |= part.judge_rules(&binding.resource_rules, found);
        if let Some(role) = &binding.role_ref {
            over |= part.judge_role(role, &mut roles, found);
        }
    }
    settle(context, &roles.iter().collect::<Vec<_>>(), over, found);
}

/// The places, but only one for each set of ceilings, where the role is the same in all of them.
fn one_of_each<'p>(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
    places: &[&'p str],
) -> Vec<&'p str> {
    if binding.role_ref.as_ref().is_some_and(|role| role.kind == "Role") {
        return places.to_vec();
    }
    let mut each = BTreeMap::new();
    for place in places {
        each.entry(Limits::of(context.policy, place).signature()).or_insert(*place);
    }
    each.into_values().collect()
}

/// What a binding gives in one place.
struct Part<'a> {
    context: &'a Context<'a>,
    who: &'a Who,
    place: &'a str,
}

impl Part<'_> {
    /// Whether rules of the binding itself, or of a template, are beyond; told at their own places.
    fn judge_rules(&self, rules: &[PolicyRule], found: &mut Found) -> bool {
        let path =
            |breach: &Breach<'_>| format!("{RULES_PATH}[{}].{}", breach.rule, breach.field());
        self.judge(rules.iter(), &path, &|_| String::new(), found)
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
            Err(why) => {
                let (message, remedy) = words::unresolved(&why, role, place, self.who);
                found.add(CEILING, ROLE_PATH, message, remedy);
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
        let Self { context, who, place } = self;
        let telling = Telling { who, place, path, chain };
        let breaches = Limits::of(context.policy, place).breaches(rules.clone(), &[]);
        telling.ceiling(&CEILING, &breaches, found);
        let dangers = Limits::dangers(context.policy, place).breaches(rules, &[]);
        telling.dangers(&dangers, found);
        !breaches.is_empty() || !dangers.is_empty()
    }
}
