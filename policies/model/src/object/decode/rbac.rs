//! Roles, bindings and AgentRoleBindings, raw to ready.

use serde::Deserialize;

use super::meta::RawMeta;
use super::wire::{Block, List, Named, Pairs, Text};
use crate::object::Facts;
use crate::object::rbac::{
    AgentRoleBinding, Binding, LabelSelector, PolicyRule, Requirement, Role, RoleRef, Subject,
};

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

#[derive(Debug, Default, Deserialize)]
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

#[derive(Debug, Default, Deserialize)]
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAgentRoleBinding<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawAgentRoleBindingSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAgentRoleBindingSpec<'a> {
    #[serde(borrow)]
    organization_ref: Named<'a>,
    #[serde(borrow)]
    subject: Block<RawAgentSubject<'a>>,
    #[serde(borrow)]
    scope: Block<RawScope<'a>>,
    #[serde(borrow)]
    role_ref: Block<RawRoleRef<'a>>,
    #[serde(borrow)]
    resource_rules: List<Block<RawRule<'a>>>,
    #[serde(borrow)]
    escalation_policy: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawAgentSubject<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    service_account_ref: Option<RawAccount<'a>>,
}

/// A ServiceAccount as `name`, `namespace/name` or an object of both.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawAccount<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Parts(#[serde(borrow)] Block<RawPlacedName<'a>>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPlacedName<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl RawAccount<'_> {
    /// Namespace, empty if left out, and name.
    fn parts(&self) -> (String, String) {
        match self {
            Self::Text(text) => {
                let (namespace, name) = text.split_once('/').unwrap_or(("", text));
                (namespace.to_owned(), name.to_owned())
            }
            Self::Parts(parts) => {
                let both =
                    |parts: &RawPlacedName<'_>| (parts.namespace.owned(), parts.name.owned());
                parts.get().map(both).unwrap_or_default()
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawScope<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
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

impl RawAgentRoleBinding<'_> {
    pub(super) fn ready(&self) -> Facts {
        let none = RawAgentRoleBindingSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        let nobody = RawAgentSubject::default();
        let subject = spec.subject.get().unwrap_or(&nobody);
        let nowhere = RawScope::default();
        let scope = spec.scope.get().unwrap_or(&nowhere);
        let account = subject.service_account_ref.as_ref().map(RawAccount::parts);
        let (service_account_namespace, service_account) = account.unwrap_or_default();
        Facts::AgentRoleBinding(Box::new(AgentRoleBinding {
            ties: crate::object::agent::Ties {
                organization: spec.organization_ref.owned(),
                references: Vec::new(),
            },
            subject_kind: subject.kind.owned(),
            subject_name: subject.name.owned(),
            service_account,
            service_account_namespace,
            scope_kind: scope.kind.owned(),
            scope_name: scope.name.owned(),
            role_ref: spec.role_ref.get().map(RawRoleRef::ready),
            resource_rules: ready_rules(&spec.resource_rules).into(),
            escalation_policy: spec.escalation_policy.owned(),
        }))
    }
}
