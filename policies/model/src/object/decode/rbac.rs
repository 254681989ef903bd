//! Roles, bindings and AgentRoleBindings, raw to ready.

use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::{Links, NoStatus, Spec};
use super::meta::RawMeta;
use super::wire::{Block, Link, List, Named, Pairs, Text};
use crate::object::rbac::{
    AgentRoleBinding, Binding, LabelSelector, PolicyRule, Requirement, Role, RoleRef, Subject,
};
use crate::object::{Facts, ObjectKey};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawRole<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    rules: List<Block<RawRule<'a>>>,
    #[serde(borrow)]
    aggregation_rule: Block<RawAggregation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAggregation<'a> {
    #[serde(borrow)]
    cluster_role_selectors: List<Block<RawSelector<'a>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RawRule<'a> {
    #[serde(borrow)]
    verbs: List<Text<'a>>,
    #[serde(borrow)]
    api_groups: List<Text<'a>>,
    #[serde(borrow)]
    resources: List<Text<'a>>,
    #[serde(borrow)]
    resource_names: List<Text<'a>>,
    #[serde(borrow, rename = "nonResourceURLs")]
    non_resource_urls: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSelector<'a> {
    #[serde(borrow)]
    match_labels: Pairs<'a>,
    #[serde(borrow)]
    match_expressions: List<Block<RawRequirement<'a>>>,
}

/// A requirement of a label or node selector.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRequirement<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow)]
    values: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawBinding<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    role_ref: Block<RawRoleRef<'a>>,
    #[serde(borrow)]
    subjects: List<Block<RawSubject<'a>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RawRoleRef<'a> {
    #[serde(borrow)]
    api_group: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSubject<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    api_group: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

/// An AgentRoleBinding's `spec`: who gets which rights, where.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AgentRoleBindingSpec<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Who.
    #[serde(borrow)]
    subject: Block<RawAgentSubject<'a>>,
    /// Where.
    #[serde(borrow)]
    scope: Block<RawScope<'a>>,
    /// Which rights: a Role, ClusterRole or RoleTemplate.
    #[serde(borrow)]
    role_ref: Block<RawRoleRef<'a>>,
    /// Which rights, written out.
    #[serde(borrow)]
    resource_rules: List<Block<RawRule<'a>>>,
    /// What to do with rights that the requester doesn't have: `deny`, `require-admin-approval` or `allow-if-owner`.
    #[serde(borrow)]
    escalation_policy: Text<'a>,
}

/// Who gets them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct RawAgentSubject<'a> {
    /// `user`, `group`, `team`, `agent-stack`, `runner-pool` or `service-account`.
    #[serde(borrow)]
    kind: Text<'a>,
    /// Name.
    #[serde(borrow)]
    name: Text<'a>,
    /// An AgentServiceAccount or ServiceAccount.
    #[serde(borrow)]
    service_account_ref: Link<'a>,
    /// An AgentStack.
    #[serde(borrow)]
    stack_ref: Link<'a>,
}

/// Where they are given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RawScope<'a> {
    /// `namespace`, `repository`, `organization` or `cluster`.
    #[serde(borrow)]
    kind: Text<'a>,
    /// Name.
    #[serde(borrow)]
    name: Text<'a>,
}

impl RawRole<'_> {
    pub(super) fn ready(&self) -> Facts {
        let selectors = |rule: &RawAggregation<'_>| {
            rule.cluster_role_selectors.0.iter().map(ready_selector).collect()
        };
        Facts::Role(Role {
            rules: ready_rules(&self.rules).into(),
            aggregation: self.aggregation_rule.get().map(selectors),
        })
    }
}

/// A `null` item stands for an empty one, as in Go, so it is kept: an empty selector selects everything.
fn ready_selector(selector: &Block<RawSelector<'_>>) -> LabelSelector {
    let Some(selector) = selector.get() else { return LabelSelector::default() };
    LabelSelector {
        match_labels: selector.match_labels.owned(),
        match_expressions: ready_requirements(&selector.match_expressions),
    }
}

pub(super) fn ready_requirements(list: &List<Block<RawRequirement<'_>>>) -> Vec<Requirement> {
    let ready = |requirement: &RawRequirement<'_>| Requirement {
        key: requirement.key.owned(),
        operator: requirement.operator.owned(),
        values: requirement.values.owned(),
    };
    let null = RawRequirement::default();
    list.0.iter().map(|item| ready(item.get().unwrap_or(&null))).collect()
}

fn ready_rules(rules: &List<Block<RawRule<'_>>>) -> Vec<PolicyRule> {
    let ready = |rule: &RawRule<'_>| PolicyRule {
        verbs: rule.verbs.owned(),
        api_groups: rule.api_groups.owned(),
        resources: rule.resources.owned(),
        resource_names: rule.resource_names.owned(),
        non_resource_urls: rule.non_resource_urls.owned(),
    };
    let null = RawRule::default();
    rules.0.iter().map(|rule| ready(rule.get().unwrap_or(&null))).collect()
}

impl RawRoleRef<'_> {
    fn ready(&self) -> RoleRef {
        RoleRef {
            api_group: self.api_group.owned(),
            kind: self.kind.owned(),
            name: self.name.owned(),
        }
    }
}

impl RawBinding<'_> {
    pub(super) fn ready(&self) -> Facts {
        let subject = |(_, subject): (usize, &RawSubject<'_>)| Subject {
            kind: subject.kind.owned(),
            api_group: subject.api_group.owned(),
            namespace: subject.namespace.owned(),
            name: subject.name.owned(),
        };
        Facts::Binding(Binding {
            role_ref: self.role_ref.get().map(RawRoleRef::ready).unwrap_or_default().into(),
            subjects: self.subjects.each().map(subject).collect(),
        })
    }
}

impl<'a> Spec for AgentRoleBindingSpec<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        let nobody = RawAgentSubject::default();
        let subject = self.subject.get().unwrap_or(&nobody);
        let nowhere = RawScope::default();
        let scope = self.scope.get().unwrap_or(&nowhere);
        let [_, namespace, account] = subject.service_account_ref.parts();
        Facts::AgentRoleBinding(Box::new(AgentRoleBinding {
            ties: self.links(subject, scope).ties(&self.organization_ref),
            subject_kind: subject.kind.owned(),
            subject_name: subject.name.owned(),
            service_account: account.to_owned(),
            service_account_namespace: namespace.to_owned(),
            scope_kind: scope.kind.owned(),
            scope_name: scope.name.owned(),
            role_ref: self.role_ref.get().map(RawRoleRef::ready),
            resource_rules: ready_rules(&self.resource_rules).into(),
            escalation_policy: self.escalation_policy.owned(),
        }))
    }
}

impl AgentRoleBindingSpec<'_> {
    /// A role is no agent resource, unless its kind says that it is one.
    fn links(&self, subject: &RawAgentSubject<'_>, scope: &RawScope<'_>) -> Links {
        let nothing = Text::default();
        let mut links = Links::default()
            .subject("$.spec.subject.name", [&subject.kind, &nothing, &subject.name])
            .one("AgentStack", "$.spec.subject.stackRef", &subject.stack_ref)
            .one(
                "AgentServiceAccount",
                "$.spec.subject.serviceAccountRef",
                &subject.service_account_ref,
            );
        if scope.kind.as_str() == "repository" {
            links = links.repository("$.spec.scope.name", &Link::Text(scope.name.clone()));
        }
        let role = self.role_ref.get().filter(|role| role.kind.as_str().starts_with("Agent"));
        if let Some(role) = role {
            links = links.subject("$.spec.roleRef.name", [&role.kind, &nothing, &role.name]);
        }
        links
    }
}
