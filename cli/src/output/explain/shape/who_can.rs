//! The answer of `pinfold explain who-can`.

use pinfold_engine::explain::{self, Asked, Scope};
use pinfold_engine::rbac::resolver::Unresolved;
use pinfold_model::object::ObjectKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Agent, Chain, ObjectName, Subject, unresolved};
use crate::output::JSON_VERSION;

/// The answer of `who-can`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhoCan {
    /// 1.
    pub(crate) version: u32,
    /// What was asked.
    pub(crate) asked: Question,
    /// The namespace that was asked about; null for wherever somebody can.
    pub(crate) namespace: Option<String>,
    /// Whether it is about something outside of namespaces, for which RoleBindings give nothing.
    pub(crate) cluster_scoped: bool,
    /// Everybody who can, `system:masters` aside, who always can.
    pub(crate) subjects: Vec<Able>,
    /// Bindings whose role can't be resolved: nobody can tell what they would give.
    pub(crate) unresolved: Vec<Unknown>,
}

/// What was asked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Question {
    /// Verb.
    pub(crate) verb: String,
    /// API group; empty for the core group, and for URLs.
    pub(crate) group: String,
    /// Resource; empty for URLs.
    pub(crate) resource: String,
    /// Name; empty for any.
    pub(crate) name: String,
    /// URL path; empty for resources.
    pub(crate) url: String,
}

/// Somebody who can.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Able {
    /// Who.
    pub(crate) subject: Subject,
    /// The agent identities that it is or that are in it.
    pub(crate) agents: Vec<Agent>,
    /// How many more agent identities are in it than are listed.
    pub(crate) further_agents: usize,
    /// Whether accounts that a pattern of the policy names, and that may not exist yet, would be in it.
    pub(crate) agents_by_pattern: bool,
    /// By which chains, each with the rights that allow it alone.
    pub(crate) chains: Vec<Chain>,
}

/// A binding of which nobody can tell what it gives.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Unknown {
    /// The binding.
    pub(crate) binding: ObjectName,
    /// Why.
    pub(crate) why: String,
}

impl WhoCan {
    pub(crate) fn of(asked: &Asked, scope: &Scope, found: &explain::WhoCan<'_>) -> Self {
        let able = |able: &explain::Able<'_>| Able {
            subject: Subject::of(&able.subject),
            agents: Agent::all(&able.agents),
            further_agents: able.further,
            agents_by_pattern: able.by_pattern,
            chains: able.chains.iter().map(Chain::of).collect(),
        };
        let unknown = |(binding, why): &(&ObjectKey, Unresolved)| Unknown {
            binding: ObjectName::of(binding),
            why: unresolved(why),
        };
        Self {
            version: JSON_VERSION,
            asked: Question::of(asked),
            namespace: match scope {
                Scope::Anywhere => None,
                Scope::Namespace(namespace) => Some(namespace.clone()),
            },
            cluster_scoped: asked.is_cluster_scoped(),
            subjects: found.subjects.iter().map(able).collect(),
            unresolved: found.unresolved.iter().map(unknown).collect(),
        }
    }
}

impl Question {
    fn of(asked: &Asked) -> Self {
        let (own, none) = (String::clone, String::new);
        match asked {
            Asked::Resource { verb, group, resource, name } => Self {
                verb: own(verb),
                group: own(group),
                resource: own(resource),
                name: own(name),
                url: none(),
            },
            Asked::Url { verb, path } => Self {
                verb: own(verb),
                group: none(),
                resource: none(),
                name: none(),
                url: own(path),
            },
        }
    }
}
