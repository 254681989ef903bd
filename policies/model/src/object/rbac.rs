//! Roles, bindings and AgentRoleBindings as rules, subjects and scopes.

use std::sync::Arc;

/// One RBAC rule (rbac.authorization.k8s.io/v1 `PolicyRule`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicyRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups; the empty text is the core group.
    pub api_groups: Vec<String>,
    /// Resources, `resource/subresource` for subresources.
    pub resources: Vec<String>,
    /// Names; none means all.
    pub resource_names: Vec<String>,
    /// Non-resource URLs.
    pub non_resource_urls: Vec<String>,
}

/// The rules of a role. Roles of a hundred namespaces have most of them in common, so each may be shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(pub(crate) Arc<[Arc<PolicyRule>]>);

impl Rules {
    /// Each rule, in the order of the object.
    pub fn iter(&self) -> RulesIter<'_> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is this.
    #[must_use]
    pub fn contains(&self, rule: &PolicyRule) -> bool {
        self.iter().any(|own| own == rule)
    }
}

/// Each rule of a role.
pub type RulesIter<'r> =
    std::iter::Map<std::slice::Iter<'r, Arc<PolicyRule>>, fn(&Arc<PolicyRule>) -> &PolicyRule>;

impl From<Vec<PolicyRule>> for Rules {
    fn from(rules: Vec<PolicyRule>) -> Self {
        Self(rules.into_iter().map(Arc::new).collect())
    }
}

impl<'r> IntoIterator for &'r Rules {
    type Item = &'r PolicyRule;
    type IntoIter = RulesIter<'r>;

    fn into_iter(self) -> RulesIter<'r> {
        self.iter()
    }
}

/// A Role or ClusterRole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Role {
    /// Its rules, as stored.
    pub rules: Rules,
    /// Selectors of an `aggregationRule`; `None` without one. Each selector is kept as its match labels and expressions.
    pub aggregation: Option<Vec<LabelSelector>>,
}

/// A label selector (meta/v1 `LabelSelector`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// Labels that must have exactly this value.
    pub match_labels: Vec<(String, String)>,
    /// Further requirements.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, for nodes also `Gt`, `Lt`.
    pub operator: String,
    /// Values.
    pub values: Vec<String>,
}

/// A role that a binding names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RoleRef {
    /// API group.
    pub api_group: String,
    /// `Role` or `ClusterRole`; anything else is unresolvable.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// Who a binding is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// API group, as written.
    pub api_group: String,
    /// Namespace of a ServiceAccount, empty if left out.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Binding {
    /// The role.
    pub role_ref: Arc<RoleRef>,
    /// The subjects.
    pub subjects: Arc<[Subject]>,
}

/// An AgentRoleBinding (`krate.a5c.ai`, `kradle.a5c.ai`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentRoleBinding {
    /// Organization and references.
    pub ties: super::agent::Ties,
    /// `spec.subject.kind`: user, group, team, agent-stack, runner-pool, service-account.
    pub subject_kind: String,
    /// `spec.subject.name`.
    pub subject_name: String,
    /// `spec.subject.serviceAccountRef` name, empty if left out.
    pub service_account: String,
    /// `spec.subject.serviceAccountRef` namespace; empty is the binding's own.
    pub service_account_namespace: String,
    /// `spec.scope.kind`: namespace, repository, organization, cluster.
    pub scope_kind: String,
    /// `spec.scope.name`, empty if left out.
    pub scope_name: String,
    /// `spec.roleRef`; `None` if only `resourceRules` are given.
    pub role_ref: Option<RoleRef>,
    /// `spec.resourceRules`.
    pub resource_rules: Arc<[PolicyRule]>,
    /// `spec.escalationPolicy`: deny, require-admin-approval, allow-if-owner; empty is deny.
    pub escalation_policy: String,
}
