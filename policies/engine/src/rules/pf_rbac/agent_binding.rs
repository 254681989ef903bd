//! PF-RBAC-003: an AgentRoleBinding gives only what the person who applies it holds, wherever its controller would write it.
//!
//! The controller acts with rights of its own, so it would be a deputy for anybody who can write the object.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, RoleRef};
use pinfold_model::snapshot::RBAC_GROUP;

use super::approval::Standing;
use super::deputy::Principal;
use super::gate::{Gate, bind, named, unresolved};
use super::{approval, binding, deputy_nobody, role_template, scope};
use crate::context::{Context, Found};
use crate::rbac::coverage::{Coverage, Shortfall, covers};
use crate::rbac::describe::{excerpt, list};
use crate::rbac::resolver::{Held, Unresolved};

const RULE: RuleId = RuleId::RBAC_AGENT_BINDING;
const ROLE_PATH: &str = "$.spec.roleRef";
const RULES_PATH: &str = "$.spec.resourceRules";
const SUBJECT_KINDS: &[&str] =
    &["user", "group", "team", "agent-stack", "runner-pool", "service-account"];
const NEEDS_APPROVAL: &str = "require-admin-approval";
const POLICIES: &[&str] = &["", "deny", NEEDS_APPROVAL, "allow-if-owner"];
/// In how many namespaces one decision asks the API server; where more fail it asks for all namespaces at once.
const MAX_ASKED: usize = 8;

pub(super) fn judge(
    context: &Context<'_>,
    principal: &Principal<'_>,
    binding: &AgentRoleBinding,
    found: &mut Found,
) {
    judge_form(binding, found);
    judge_approval(context, principal, binding, found);
    let places = match scope::expand(context, binding) {
        Ok(places) => places,
        Err(why) => {
            let message = format!("cannot tell where this gives rights: {why}");
            let remedy =
                "name a scope of kind namespace, repository, organization or cluster that exists";
            found.add(RULE, "$.spec.scope", message, remedy);
            return;
        }
    };
    if matches!(principal, Principal::Nobody | Principal::Owner(_)) {
        deputy_nobody::judge_agent_binding(context, binding, &places, found);
        return;
    }
    let Some(gate) = Gate::open(context, principal, RULE, found) else { return };
    let mut check = Check { gate, binding, lacks: BTreeMap::new() };
    for place in &places {
        check.judge_place(place);
    }
    check.report(found);
    if let Some(role) = &binding.role_ref {
        places.iter().for_each(|place| gate.confirm_role(role, place, found));
    }
}

/// What no controller can be trusted to understand as we do. The API server doesn't refuse it, as it would in its own kinds.
fn judge_form(binding: &AgentRoleBinding, found: &mut Found) {
    let mut odd = |path: &str, message: String, remedy: &str| {
        found.add(RULE, path, format!("cannot tell what this gives: {message}"), remedy);
    };
    if !SUBJECT_KINDS.contains(&binding.subject_kind.as_str()) {
        let message = format!("`{}` is no kind of subject", excerpt(&binding.subject_kind));
        odd("$.spec.subject.kind", message, &format!("use one of {}", SUBJECT_KINDS.join(", ")));
    }
    if binding.subject_name.is_empty() && binding.service_account.is_empty() {
        let message = "the subject has no name".to_owned();
        odd("$.spec.subject", message, "name the subject");
    }
    if !POLICIES.contains(&binding.escalation_policy.as_str()) {
        let policy = excerpt(&binding.escalation_policy);
        let remedy = "use deny, require-admin-approval or allow-if-owner";
        odd("$.spec.escalationPolicy", format!("`{policy}` is no escalation policy"), remedy);
    }
    if binding.role_ref.is_none() && binding.resource_rules.is_empty() {
        let message = "it has neither a role nor rules".to_owned();
        odd("$.spec", message, "name a role in roleRef, or write resourceRules");
    }
    if binding.role_ref.as_ref().is_some_and(|role| !is_nameable(role, &binding.scope_kind)) {
        let message = "its roleRef is no role that the scope can bind".to_owned();
        let remedy = "name a ClusterRole, a RoleTemplate, or a Role where the scope isn't cluster";
        odd(ROLE_PATH, message, remedy);
    }
    for (position, _) in binding.resource_rules.iter().enumerate().filter(|(_, r)| vacuous(r)) {
        let message = "the rule leaves its verbs, groups or resources empty".to_owned();
        let path = format!("{RULES_PATH}[{position}]");
        odd(&path, message, "write verbs, and apiGroups with resources, or nonResourceURLs");
    }
}

/// What to do about a role that can't be resolved.
pub(super) fn role_remedy(why: &Unresolved, role: &RoleRef) -> &'static str {
    match why {
        Unresolved::Absent(_) if role_template::is_template(role) => {
            "name a template of the policy's `rbac.roleTemplates`"
        }
        Unresolved::Kind | Unresolved::Absent(_) => {
            "name a role that exists wherever the scope reaches"
        }
        Unresolved::TooLarge(_) => "name a role that aggregates fewer roles",
    }
}

/// Whether a controller could make a binding to this role in that kind of scope.
fn is_nameable(role: &RoleRef, scope_kind: &str) -> bool {
    let group = role.api_group.is_empty() || role.api_group == RBAC_GROUP;
    let native =
        group && (role.kind == "ClusterRole" || role.kind == "Role" && scope_kind != "cluster");
    native || role_template::is_template(role)
}

/// Whether a rule has no atoms where it should have some, so that coverage would say nothing about it.
fn vacuous(rule: &PolicyRule) -> bool {
    rule.verbs.is_empty()
        || rule.api_groups.is_empty() != rule.resources.is_empty()
        || (rule.resources.is_empty() && rule.non_resource_urls.is_empty())
}

fn judge_approval(
    context: &Context<'_>,
    principal: &Principal<'_>,
    binding: &AgentRoleBinding,
    found: &mut Found,
) {
    if binding.escalation_policy != NEEDS_APPROVAL {
        return;
    }
    let why = match approval::standing(context, principal) {
        Standing::Approved => return,
        Standing::None => "no platform administrator has approved this binding",
        Standing::OtherContent => "this binding was approved with another content",
    };
    let message = format!("{why}, which its escalationPolicy asks for");
    let digest = approval::digest(context)
        .map(|digest| format!(" and artifactDigest `{digest}`"))
        .unwrap_or_default();
    let remedy = format!(
        "have an administrator approve an AgentApproval in its namespace with action target `AgentRoleBinding/{}`{digest}",
        excerpt(&context.facts.target.name)
    );
    found.add(RULE, "$.spec.escalationPolicy", message, remedy);
}

/// Which part of a binding a lack is about: the role, or a rule of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Role,
    Rule(usize),
    Rules,
}

/// A lack, told for the first place that has it.
struct Lack {
    message: String,
    remedy: String,
    places: BTreeSet<String>,
}

/// The check of one binding over all places of its scope.
struct Check<'a> {
    gate: Gate<'a>,
    binding: &'a AgentRoleBinding,
    lacks: BTreeMap<Part, Lack>,
}

impl Check<'_> {
    fn judge_place(&mut self, place: &str) {
        let held = self.gate.held(place);
        if let Some(role) = &self.binding.role_ref {
            self.judge_role(role, &held, place);
        }
        self.judge_rules(&held, place);
    }

    /// The role must exist, and be held or be the requester's to bind.
    fn judge_role(&mut self, role: &RoleRef, held: &Held<'_>, place: &str) {
        let gate = self.gate;
        let rules = match role_template::granted(&gate.context, role, place) {
            Ok(rules) => rules,
            // Told once, as a matter of form.
            Err(Unresolved::Kind) => return,
            Err(why) => {
                let remedy = role_remedy(&why, role);
                self.note(Part::Role, place, unresolved(&why, role, place), remedy.to_owned());
                return;
            }
        };
        if bind(role, place).is_some_and(|question| gate.may(held, &question)) {
            return;
        }
        if let Some(lacking) = gate.lacks(held, rules, place) {
            let role = named(role);
            let message = format!("{lacking}, which {role} would give to {}", self.subject());
            self.note(Part::Role, place, message, binding::remedy(&gate, &role));
        }
    }

    /// The binding's own rules must be held; there is no role that one could be allowed to bind.
    fn judge_rules(&mut self, held: &Held<'_>, place: &str) {
        let rules = self.binding.resource_rules.iter();
        let shortfall = match covers(held.rules.iter().copied(), rules) {
            Coverage::Covered => return,
            Coverage::Missing(shortfall) => shortfall,
            Coverage::TooLarge => {
                let message = self.gate.cannot_compare(place);
                self.note(Part::Rules, place, message, "write shorter lists".to_owned());
                return;
            }
        };
        let who = excerpt(&self.gate.requester.name);
        let remedy =
            format!("leave out what `{who}` does not hold, or have someone who holds it apply it");
        let further = shortfall.rules > shortfall.gaps.len();
        for gap in shortfall.gaps {
            let part = Part::Rule(gap.rule);
            let gaps = Shortfall { gaps: vec![gap], rules: 1 };
            let lacking = self.gate.lacking(&gaps, held, place);
            let message = format!("{lacking}, which this would give to {}", self.subject());
            self.note(part, place, message, remedy.clone());
        }
        if further {
            let message = format!("{} does not hold what further rules give", self.gate.who());
            self.note(Part::Rules, place, message, remedy);
        }
    }

    fn subject(&self) -> String {
        let AgentRoleBinding { subject_kind, subject_name, service_account, .. } = self.binding;
        let name = if subject_name.is_empty() { service_account } else { subject_name };
        format!("`{} {}`", excerpt(subject_kind), excerpt(name))
    }

    fn note(&mut self, part: Part, place: &str, message: String, remedy: String) {
        let lack = Lack { message, remedy, places: BTreeSet::new() };
        self.lacks.entry(part).or_insert(lack).places.insert(place.to_owned());
    }

    /// One finding a part, and the questions that could change it.
    fn report(&self, found: &mut Found) {
        for (part, lack) in &self.lacks {
            let path = match part {
                Part::Role => ROLE_PATH.to_owned(),
                Part::Rule(position) => format!("{RULES_PATH}[{position}]"),
                Part::Rules => RULES_PATH.to_owned(),
            };
            let others: Vec<&str> = lack.places.iter().skip(1).map(String::as_str).collect();
            let also = match others.as_slice() {
                [] => String::new(),
                others => format!(", nor in {}", list(others.iter().copied())),
            };
            found.add(RULE, path, format!("{}{also}", lack.message), lack.remedy.as_str());
        }
        if let (Some(lack), Some(role)) = (self.lacks.get(&Part::Role), &self.binding.role_ref) {
            self.ask(role, &lack.places, found);
        }
    }

    fn ask(&self, role: &RoleRef, places: &BTreeSet<String>, found: &mut Found) {
        let everywhere = BTreeSet::from([String::new()]);
        let asked = if places.len() > MAX_ASKED { &everywhere } else { places };
        for question in asked.iter().filter_map(|place| bind(role, place)) {
            self.gate.ask_access(question, found);
        }
        for place in places.iter().take(MAX_ASKED) {
            self.gate.ask_role(role, place, found);
        }
    }
}
