//! The answer of `pinfold explain review`.

use pinfold_engine::review::{self, Dispatch, UseStanding};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Hop, ObjectName};
use crate::output::JSON_VERSION;

/// The answer of `review`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    /// 1.
    pub(crate) version: u32,
    /// What was asked.
    pub(crate) dispatch: Asked,
    /// `allowed` or `denied`: what the webhook says to the run of a controller.
    pub(crate) decision: &'static str,
    /// `trusted` or `untrusted`.
    pub(crate) tier: &'static str,
    /// Why it is untrusted; null if it is trusted.
    pub(crate) untrusted_because: Option<String>,
    /// Every reason, the heaviest first.
    pub(crate) reasons: Vec<Reason>,
    /// Who would act.
    pub(crate) identities: Vec<Identity>,
    /// What the stack is put together from.
    pub(crate) capabilities: Vec<Capability>,
    /// The roles that this needs.
    pub(crate) roles: Vec<RequiredRole>,
    /// The Secrets and ConfigMaps that it needs.
    pub(crate) objects: Vec<RequiredUse>,
}

/// What was asked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    /// Namespace of the stack.
    pub(crate) namespace: String,
    /// Stack.
    pub(crate) stack: String,
    /// Repository.
    pub(crate) repository: String,
    /// Ref.
    #[serde(rename = "ref")]
    pub(crate) git_ref: String,
    /// Repository that the code comes from, empty if it is the same.
    pub(crate) head_repository: String,
    /// Trigger.
    pub(crate) trigger: String,
    /// Runner pool, empty for the stack's own.
    pub(crate) pool: String,
}

/// One reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Reason {
    /// `error`, `warning` or `note`.
    pub(crate) severity: &'static str,
    /// The rule that speaks; null for what refuses nothing.
    pub(crate) rule: Option<String>,
    /// The object or field that it is about.
    pub(crate) about: String,
    /// What was found.
    pub(crate) message: String,
    /// What to do; empty if there is nothing to do.
    pub(crate) remedy: String,
}

/// Who would act.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Identity {
    /// `runtime` or `runner`.
    pub(crate) role: &'static str,
    /// `namespace/name` of the ServiceAccount; null if the way to it is broken.
    pub(crate) account: Option<String>,
    /// The way to it.
    pub(crate) hops: Vec<Hop>,
}

/// A part of the stack.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capability {
    /// Which.
    pub(crate) object: ObjectName,
    /// By whom it is named.
    pub(crate) named_by: String,
    /// Whether it is there.
    pub(crate) found: bool,
}

/// A role that is needed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequiredRole {
    /// As written.
    pub(crate) name: String,
    /// Who requires it.
    pub(crate) required_by: ObjectName,
    /// The binding that gives it; null if nothing does.
    pub(crate) held_by: Option<ObjectName>,
}

/// A Secret or ConfigMap that is needed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequiredUse {
    /// `Secret` or `ConfigMap`.
    pub(crate) kind: &'static str,
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Keys; none means all.
    pub(crate) keys: Vec<String>,
    /// What for, empty if nobody says.
    pub(crate) purpose: String,
    /// Who requires it.
    pub(crate) required_by: ObjectName,
    /// By which field.
    pub(crate) path: String,
    /// The grant that covers it; null if none does, or none is needed.
    pub(crate) granted_by: Option<ObjectName>,
    /// Why none does; null if one does.
    pub(crate) missing_because: Option<String>,
    /// The least grant that would; null if one does, or none could.
    #[schemars(with = "Option<Value>")]
    pub(crate) suggestion: Option<Value>,
}

impl Review {
    pub(crate) fn of(dispatch: &Dispatch, found: &review::Review) -> Self {
        let assessment = &found.assessment;
        Self {
            version: JSON_VERSION,
            dispatch: Asked::of(dispatch),
            decision: if found.allowed { "allowed" } else { "denied" },
            tier: if found.untrusted.is_none() { "trusted" } else { "untrusted" },
            untrusted_because: found.untrusted.clone(),
            reasons: found.reasons.iter().map(Reason::of).collect(),
            identities: assessment.identities.iter().map(Identity::of).collect(),
            capabilities: assessment.capabilities.iter().map(Capability::of).collect(),
            roles: assessment.roles.iter().map(RequiredRole::of).collect(),
            objects: assessment.uses.iter().map(RequiredUse::of).collect(),
        }
    }

    /// The grants that would fix what is missing, each once.
    pub(crate) fn missing_grants(&self) -> Vec<&Value> {
        let mut grants: Vec<&Value> = Vec::new();
        for suggestion in self.objects.iter().filter_map(|one| one.suggestion.as_ref()) {
            if !grants.contains(&suggestion) {
                grants.push(suggestion);
            }
        }
        grants
    }
}

impl Asked {
    fn of(dispatch: &Dispatch) -> Self {
        let Dispatch { namespace, stack, repository, git_ref, .. } = dispatch.clone();
        let Dispatch { head_repository, trigger, pool, .. } = dispatch.clone();
        Self { namespace, stack, repository, git_ref, head_repository, trigger, pool }
    }
}

impl Reason {
    fn of(reason: &review::Reason) -> Self {
        let review::Reason { severity, rule, about, message, remedy } = reason.clone();
        let rule = rule.map(|rule| rule.to_string());
        Self { severity: severity.as_str(), rule, about, message, remedy }
    }
}

impl Identity {
    fn of(identity: &review::RuntimeIdentity) -> Self {
        let account = identity.account.as_ref();
        Self {
            role: identity.role.as_str(),
            account: account.map(|account| format!("{}/{}", account.namespace, account.name)),
            hops: identity.hops.iter().map(Hop::of).collect(),
        }
    }
}

impl Capability {
    fn of(capability: &review::Capability) -> Self {
        let review::Capability { key, named_by, found } = capability.clone();
        Self { object: ObjectName::of(&key), named_by, found }
    }
}

impl RequiredRole {
    fn of(role: &review::RequiredRole) -> Self {
        Self {
            name: role.name.clone(),
            required_by: ObjectName::of(&role.required_by),
            held_by: role.held_by.as_ref().map(ObjectName::of),
        }
    }
}

impl RequiredUse {
    fn of(found: &review::RequiredUse) -> Self {
        let (granted_by, missing_because, suggestion) = match found.standing.clone() {
            UseStanding::NotNeeded => (None, None, None),
            UseStanding::Granted(key) => (Some(ObjectName::of(&key)), None, None),
            UseStanding::Missing { reason, suggestion } => (None, Some(reason), suggestion),
        };
        Self {
            kind: found.kind.as_str(),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
            keys: found.keys.clone(),
            purpose: found.purpose.clone(),
            required_by: ObjectName::of(&found.required_by),
            path: found.path.clone(),
            granted_by,
            missing_because,
            suggestion,
        }
    }
}
