//! How dangerous a finding is: by its rule, and for rules about rights by what the rights lead to.
//!
//! Only for the order in which people look at findings. Nothing is allowed or denied by it.

use pinfold_model::facts::{AdmissionFacts, Answers};
use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, Role, RoleRef};
use pinfold_model::object::{Facts, Object};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{Snapshot, names_agent};
use serde::Serialize;

use crate::rbac::agents::Account;
use crate::rbac::danger::DANGERS;
use crate::rbac::describe::place;
use crate::rbac::effective::grants_of;
use crate::rbac::resolver::Resolver;

/// How dangerous something is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Danger {
    /// Leads to all of the cluster.
    Critical,
    /// Leads beyond what its owner was given: another namespace, another organization, trusted nodes.
    High,
    /// Against the policy, and known to lead nowhere by itself.
    Medium,
    /// Bad form.
    Low,
}

impl Danger {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name in every output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// The danger of a rule's findings, before what the rights lead to is looked at.
#[must_use]
pub fn of_rule(rule: &RuleId) -> Danger {
    // What these rights lead to says more than the rule.
    let rights = [
        RuleId::RBAC_ROLE,
        RuleId::RBAC_BINDING,
        RuleId::RBAC_AGENT_BINDING,
        RuleId::RBAC_CEILING,
        RuleId::RBAC_GROWTH,
        RuleId::RBAC_DANGER,
    ];
    if rights.contains(rule) {
        return Danger::Medium;
    }
    // Unreadable, or across a boundary; what a policy adds is its own wish.
    if RuleId::BUILT_IN.contains(rule) { Danger::High } else { Danger::Low }
}

/// Whether rights are what a rule is about.
fn is_about_rights(rule: &RuleId) -> bool {
    rule.as_str().starts_with("PF-RBAC-")
}

/// The danger of a finding on an object, and what its rights lead to (empty if nothing is known).
pub(super) fn of(
    rule: &RuleId,
    facts: &AdmissionFacts,
    view: &Snapshot,
    policy: &AdmissionPolicy,
) -> (Danger, String) {
    let base = of_rule(rule);
    let lead = facts.object.as_ref().filter(|_| is_about_rights(rule)).and_then(|object| {
        let rights = rights_of(object, view, policy);
        rights.iter().filter_map(|rights| rights.lead(policy)).min_by_key(|lead| lead.rank)
    });
    match lead {
        Some(lead) => (base.min(lead.danger()), lead.text),
        None => (base, String::new()),
    }
}

/// One set of rules and the namespace that they hold in (empty for all).
struct Rights<'a> {
    place: &'a str,
    rules: Vec<&'a PolicyRule>,
}

/// What rights lead to; the least rank is the worst.
struct Lead {
    rank: u8,
    text: String,
}

const RANK_ALL: u8 = 0;
const RANK_CLUSTER: u8 = 1;
const RANK_NAMESPACE: u8 = 2;

impl Lead {
    fn danger(&self) -> Danger {
        if self.rank < RANK_NAMESPACE { Danger::Critical } else { Danger::High }
    }
}

impl Rights<'_> {
    fn lead(&self, policy: &AdmissionPolicy) -> Option<Lead> {
        let platform = policy.organizations.platform_namespaces.contains(self.place);
        let whole = self.place.is_empty() || platform;
        let place = place(self.place);
        let found = self.rules.iter().filter_map(|rule| {
            let (what, severe) = lead_of(rule, whole)?;
            let named = !rule.resource_names.is_empty();
            let rank = match (whole && severe && !named, what == EVERYTHING) {
                (true, true) => RANK_ALL,
                (true, false) => RANK_CLUSTER,
                (false, _) => RANK_NAMESPACE,
            };
            Some(Lead { rank, text: format!("{place}: {what}") })
        });
        found.min_by_key(|lead| lead.rank)
    }
}

const EVERYTHING: &str = "does everything";

/// What a rule leads to, by the list of PF-RBAC-007, and whether it really does. A wildcard as such leads nowhere, nor does a verb of authority on
/// what it means nothing for, which `*` on anything takes in; the ceiling denies both, the order of findings need not.
fn lead_of(rule: &PolicyRule, in_platform: bool) -> Option<(&'static str, bool)> {
    let any = |list: &[String]| list.iter().any(|text| text == "*");
    if any(&rule.verbs) && any(&rule.api_groups) && any(&rule.resources) {
        return Some((EVERYTHING, true));
    }
    let found = DANGERS.iter().filter_map(|danger| {
        let part = danger.part_of(rule, in_platform)?;
        Some((danger.leads_to, !danger.is_wildcard() && has_meaning(&part)))
    });
    found.min_by_key(|(_, severe)| !severe)
}

/// Whether the verbs of a right mean something for its resources.
fn has_meaning(part: &PolicyRule) -> bool {
    let is_on = |known: &[&str]| {
        let names = part.resources.iter().map(|name| name.split('/').next().unwrap_or_default());
        names.into_iter().any(|name| name == "*" || known.contains(&name))
    };
    let all = |verbs: &[&str]| part.verbs.iter().all(|verb| verbs.contains(&verb.as_str()));
    if all(&["escalate", "bind"]) {
        is_on(&["roles", "clusterroles"])
    } else if all(&["impersonate"]) {
        is_on(&["users", "groups", "serviceaccounts", "uids", "userextras"])
    } else {
        true
    }
}

/// The rights that an object gives, or that the identity has which it makes an agent.
fn rights_of<'a>(
    object: &'a Object,
    view: &'a Snapshot,
    policy: &'a AdmissionPolicy,
) -> Vec<Rights<'a>> {
    let own = object.key.namespace.as_str();
    if let Facts::Binding(binding) = &object.facts {
        granted(&binding.role_ref, own, view).into_iter().collect()
    } else if let Facts::AgentRoleBinding(binding) = &object.facts {
        of_agent_binding(binding, own, view, policy)
    } else if let Facts::Role(role) = &object.facts {
        vec![of_role(object, role, view)]
    } else {
        account(object).map_or_else(Vec::new, |account| of_account(&account, view))
    }
}

fn granted<'a>(role: &RoleRef, place: &'a str, view: &'a Snapshot) -> Option<Rights<'a>> {
    let rules = Resolver::new(view, no_answers()).granted(role, place).ok()?;
    Some(Rights { place, rules })
}

fn no_answers() -> &'static Answers {
    static NONE: Answers = Answers { access: Vec::new(), objects: Vec::new(), whole: Vec::new() };
    &NONE
}

fn of_agent_binding<'a>(
    binding: &'a AgentRoleBinding,
    own: &'a str,
    view: &'a Snapshot,
    policy: &'a AdmissionPolicy,
) -> Vec<Rights<'a>> {
    let place = match (binding.scope_kind.as_str(), binding.scope_name.as_str()) {
        ("cluster", _) => "",
        ("namespace", name) if !name.is_empty() => name,
        _ => own,
    };
    let mut all = vec![Rights { place, rules: binding.resource_rules.iter().collect() }];
    if let Some(role) = &binding.role_ref {
        let template = policy.rbac.role_templates.get(&role.name);
        match template.filter(|_| role.kind == "RoleTemplate") {
            Some(template) => all.push(Rights { place, rules: template.rules.iter().collect() }),
            None => all.extend(granted(role, place, view)),
        }
    }
    all
}

/// A ClusterRole counts for the whole cluster unless all that bind it are RoleBindings.
fn of_role<'a>(object: &'a Object, role: &'a Role, view: &'a Snapshot) -> Rights<'a> {
    let own = object.key.namespace.as_str();
    let mut places = view.bindings_to(&object.key).map(|(key, _)| key.namespace.as_str());
    let first = places.next();
    let place = match first {
        Some(first) if own.is_empty() && places.all(|place| !place.is_empty()) => first,
        _ => own,
    };
    Rights { place, rules: role.rules.iter().collect() }
}

/// The ServiceAccount that an object is, or names an agent identity.
fn account(object: &Object) -> Option<Account> {
    let key = &object.key;
    let is_account = key.group.is_empty() && key.kind == "ServiceAccount";
    let named = is_account.then(|| (key.namespace.clone(), key.name.clone()));
    let (namespace, name) = named.or_else(|| names_agent(object))?;
    Some(Account { namespace, name })
}

fn of_account<'a>(account: &Account, view: &'a Snapshot) -> Vec<Rights<'a>> {
    let grants = grants_of(view, no_answers(), account).into_iter();
    grants
        .filter_map(|grant| {
            let place = grant.binding.namespace.as_str();
            Some(Rights { place, rules: grant.rules.ok()? })
        })
        .collect()
}
