//! The answers of `pinfold explain`, as they are published (docs/cli-json.md). A contract: fields may be added, never renamed.

mod binding;
mod review;
mod who_can;

use pinfold_engine::explain;
use pinfold_engine::rbac::agents::Naming;
use pinfold_engine::rbac::resolver::Unresolved;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::snapshot::SubjectKey;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::arguments::Answer;
use crate::output::JSON_VERSION;

pub(crate) use binding::{Author, Binding, Bindings, Grant, Missing, Receiver};
pub(crate) use review::{Identity, Reason, RequiredRole, RequiredUse, Review};
pub(crate) use who_can::{Able, Question, WhoCan};

/// The JSON Schema of an answer.
pub(crate) fn schema(answer: Answer) -> Schema {
    match answer {
        Answer::WhatCan => schema_for!(WhatCan),
        Answer::WhoCan => schema_for!(WhoCan),
        Answer::Binding => schema_for!(Bindings),
        Answer::Review => schema_for!(Review),
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct ObjectName {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Kind.
    pub(crate) kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
}

/// Under which name a binding means somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct Subject {
    /// `ServiceAccount`, `User` or `Group`.
    pub(crate) kind: &'static str,
    /// Namespace of a ServiceAccount.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
}

/// A role, as a binding names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct Role {
    /// `Role` or `ClusterRole`.
    pub(crate) kind: String,
    /// Name.
    pub(crate) name: String,
}

/// One rule, as in RBAC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    /// Verbs.
    pub(crate) verbs: Vec<String>,
    /// API groups.
    pub(crate) api_groups: Vec<String>,
    /// Resources.
    pub(crate) resources: Vec<String>,
    /// Names; none means all.
    pub(crate) resource_names: Vec<String>,
    /// Non-resource URLs.
    #[serde(rename = "nonResourceURLs")]
    pub(crate) non_resource_urls: Vec<String>,
}

/// One rule of a role, and where it came from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Right {
    /// The rule.
    pub(crate) rule: Rule,
    /// ClusterRoles that it was aggregated from; none: the role's own.
    pub(crate) from: Vec<String>,
    /// The ceiling that it meets; null for none.
    pub(crate) ceiling: Option<String>,
}

/// One chain: spelling, binding, role, rights.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Chain {
    /// Under which name the binding means them.
    pub(crate) spelling: Subject,
    /// The AgentRoleBinding that the binding was written for.
    pub(crate) source: Option<ObjectName>,
    /// The RoleBinding or ClusterRoleBinding.
    pub(crate) binding: ObjectName,
    /// The role that it names.
    pub(crate) role: Role,
    /// The namespace that the rights are in; empty for all.
    pub(crate) place: String,
    /// Why it can't be told what the role gives; null if it can.
    pub(crate) unresolved: Option<String>,
    /// What the role gives.
    pub(crate) rights: Vec<Right>,
}

/// One step of the way from what was named to a right.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Hop {
    /// The object.
    pub(crate) object: ObjectName,
    /// The field by which it leads on; empty at the end.
    pub(crate) leads: String,
    /// Why the way ends here; null if it doesn't.
    pub(crate) fault: Option<String>,
}

/// The answer of `what-can`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhatCan {
    /// 1.
    pub(crate) version: u32,
    /// User name; null if the way there is broken.
    pub(crate) user: Option<String>,
    /// Groups.
    pub(crate) groups: Vec<String>,
    /// Whether it is an agent identity.
    pub(crate) agent: bool,
    /// What makes it one: objects, or `agents.serviceAccounts of the policy`.
    pub(crate) agent_because: Vec<String>,
    /// Whether it is in `system:masters`, which holds everything.
    pub(crate) holds_everything: bool,
    /// Every hop from what was named; then those behind which something is broken.
    pub(crate) hops: Vec<Hop>,
    /// Position of the first broken hop; null if the chain is whole.
    pub(crate) broken: Option<usize>,
    /// Every chain that leads to a role.
    pub(crate) chains: Vec<Chain>,
}

impl WhatCan {
    pub(crate) fn of(found: &explain::WhatCan<'_>) -> Self {
        let requester = found.requester.as_ref();
        Self {
            version: JSON_VERSION,
            user: requester.map(|who| who.name.clone()).filter(|name| !name.is_empty()),
            groups: requester.map(|who| who.groups.clone()).unwrap_or_default(),
            agent: !found.agent.is_empty(),
            agent_because: found.agent.iter().map(naming).collect(),
            holds_everything: found.holds_everything,
            broken: found.hops.iter().position(|hop| hop.fault.is_some()),
            hops: found.hops.iter().map(Hop::of).collect(),
            chains: found.chains.iter().map(Chain::of).collect(),
        }
    }
}

/// Why an account is an agent identity, in words.
pub(crate) fn naming(naming: &Naming<'_>) -> String {
    match naming {
        Naming::Record(key) => key.to_string(),
        Naming::Pattern => "agents.serviceAccounts of the policy".to_owned(),
        Naming::Guarded => "pods of the guarded namespace that name no ServiceAccount".to_owned(),
    }
}

impl Hop {
    fn of(hop: &explain::Hop) -> Self {
        Self {
            object: ObjectName::of(&hop.object),
            leads: hop.leads.clone(),
            fault: hop.fault.as_ref().map(ToString::to_string),
        }
    }
}

impl ObjectName {
    pub(crate) fn of(key: &ObjectKey) -> Self {
        let ObjectKey { group, kind, namespace, name } = key.clone();
        Self { group, kind, namespace, name }
    }
}

impl Subject {
    pub(crate) fn of(spelling: &SubjectKey) -> Self {
        let (kind, namespace, name) = match spelling {
            SubjectKey::ServiceAccount(namespace, name) => {
                ("ServiceAccount", namespace.clone(), name)
            }
            SubjectKey::User(name) => ("User", String::new(), name),
            SubjectKey::Group(name) => ("Group", String::new(), name),
        };
        Self { kind, namespace, name: name.clone() }
    }
}

impl Role {
    pub(crate) fn of(role: &RoleRef) -> Self {
        Self { kind: role.kind.clone(), name: role.name.clone() }
    }
}

impl Rule {
    pub(crate) fn of(rule: &PolicyRule) -> Self {
        let PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls } =
            rule.clone();
        Self { verbs, api_groups, resources, resource_names, non_resource_urls }
    }
}

impl Right {
    pub(crate) fn of(right: &explain::Right<'_>) -> Self {
        Self {
            rule: Rule::of(right.rule),
            from: right.from.iter().map(|role| role.name.clone()).collect(),
            ceiling: right.ceiling.clone(),
        }
    }
}

impl Chain {
    pub(crate) fn of(chain: &explain::Chain<'_>) -> Self {
        let rights = chain.rights.as_deref().unwrap_or_default();
        Self {
            spelling: Subject::of(&chain.spelling),
            source: chain.source.as_ref().map(ObjectName::of),
            binding: ObjectName::of(chain.binding),
            role: Role::of(chain.role),
            place: chain.place().to_owned(),
            unresolved: chain.rights.as_ref().err().map(unresolved),
            rights: rights.iter().map(Right::of).collect(),
        }
    }
}

/// Why a role has no rules, in words.
pub(crate) fn unresolved(why: &Unresolved) -> String {
    match why {
        Unresolved::Kind => "no role of that kind can be bound there".to_owned(),
        Unresolved::Absent(key) => format!("there is no {key}"),
        Unresolved::TooLarge(key) => format!("{key} aggregates too many roles"),
    }
}

/// An agent identity, and what makes it one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Agent {
    /// Namespace of the ServiceAccount.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Objects, or `agents.serviceAccounts of the policy`.
    pub(crate) because: Vec<String>,
}

impl Agent {
    fn all(agents: &[explain::AgentIdentity<'_>]) -> Vec<Self> {
        let agent = |agent: &explain::AgentIdentity<'_>| Self {
            namespace: agent.account.namespace.clone(),
            name: agent.account.name.clone(),
            because: agent.because.iter().map(naming).collect(),
        };
        agents.iter().map(agent).collect()
    }
}
