//! The merged AdmissionPolicy that the engine judges by.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::grants::Grants;
use super::inject::{Inject, Profile};
use super::literals::Literals;
use super::provenance::Provenance;
use super::rbac::Rbac;
use super::references::References;
use crate::digest::Digest;
use crate::facts::Requester;
use crate::finding::{Mode, RuleId};
use crate::json_path::JsonPath;
use crate::object::ObjectKey;
use crate::object::pod::Toleration;
use crate::pattern::Pattern;

/// All AdmissionPolicy documents, merged, defaults filled in.
#[derive(Debug, Clone)]
pub struct AdmissionPolicy {
    /// Digest over the canonical merged policy.
    pub digest: Digest,
    /// Mode of rules that have none of their own.
    pub mode: Mode,
    /// Who owns what.
    pub organizations: Organizations,
    /// What counts as an agent workload.
    pub agents: Agents,
    /// Trust and placement.
    pub trust: Trust,
    /// Ceilings, deputies, role templates.
    pub rbac: Rbac,
    /// Where further kinds name Secrets and ConfigMaps.
    pub references: References,
    /// What agent workloads need a grant for.
    pub grants: Grants,
    /// What looks like a credential.
    pub literals: Literals,
    /// What is put into agents' pods.
    pub inject: Inject,
    /// Overrides by rule.
    pub rules: BTreeMap<RuleId, RuleMode>,
    /// Further denials.
    pub custom: Vec<CustomRule>,
    /// Exemptions.
    pub exceptions: Vec<Exception>,
}

impl AdmissionPolicy {
    /// This policy with the injection of the one before it, where both inject and not the same: what mutation by a replica that doesn't know this one yet has
    /// written is compared with, while everything else is judged by this one.
    #[must_use]
    pub fn injecting_as(&self, before: &Self) -> Option<Self> {
        let (now, then) = (&self.inject, &before.inject);
        let both = [now, then].iter().all(|inject| inject.profile == Profile::Default);
        let digests = |inject: &Inject| -> Vec<Digest> {
            inject.agents.iter().map(|agent| agent.digest).collect()
        };
        let same = (&now.image, now.uid, digests(now)) == (&then.image, then.uid, digests(then));
        (both && !same).then(|| Self { inject: then.clone(), ..self.clone() })
    }
}

/// What a policy says about one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleMode {
    /// Judged in this mode.
    On(Mode),
    /// Not judged.
    Off,
}

/// Who owns what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organizations {
    /// Namespace labels that name the organization: the policy's, and its twin of the other API group.
    pub namespace_labels: Vec<String>,
    /// Groups whose members are platform administrators.
    pub admin_groups: BTreeSet<String>,
    /// Users who are platform administrators.
    pub admin_users: BTreeSet<String>,
    /// Namespaces of the platform.
    pub platform_namespaces: BTreeSet<String>,
}

/// What counts as an agent workload, beside the records.
#[derive(Debug, Clone)]
pub struct Agents {
    /// Labels that guard a namespace; all must hold.
    pub namespace_labels: Vec<(String, String)>,
    /// `namespace/name` globs of agent ServiceAccounts.
    pub service_accounts: Vec<Pattern>,
}

/// Trust and placement.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Who may claim a run.
    pub controllers: Vec<Controller>,
    /// Refs that are trusted.
    pub trusted_refs: Vec<Pattern>,
    /// Refs that never are, whatever the other list says.
    pub untrusted_refs: Vec<Pattern>,
    /// Pools that the policy itself describes.
    pub pools: Vec<Pool>,
    /// What happens to untrusted work on a trusted pool.
    pub on_untrusted: OnUntrusted,
    /// Where other runners say what their work is.
    pub provenance: Vec<Provenance>,
    /// Repositories whose work provenance may be trusted.
    pub trusted_repositories: Vec<Pattern>,
    /// Who makes objects only from what an owner says.
    pub relays: Vec<Controller>,
    /// Schedulers that untrusted work may ask for.
    pub schedulers: Vec<String>,
    /// Runtime classes, one of which untrusted work must name; none means any.
    pub untrusted_runtime_classes: Vec<String>,
    /// Who may move nodes into trusted pools and out of them, beside the platform's administrators.
    pub node_managers: Members,
}

/// Users and groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Users.
    pub users: BTreeSet<String>,
}

impl Members {
    /// Whether somebody is one of them.
    #[must_use]
    pub fn include(&self, requester: &Requester) -> bool {
        self.users.contains(&requester.name)
            || requester.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// An identity that may claim a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controller {
    /// By user name.
    User(String),
    /// By ServiceAccount `(namespace, name)`, pinned to a uid if the policy says one.
    ServiceAccount {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Uid.
        uid: Option<String>,
    },
}

/// What happens to untrusted work on a trusted pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUntrusted {
    /// It is denied.
    #[default]
    Deny,
    /// It is rewritten to the untrusted pool, and denied where it can't be.
    Force,
}

/// Trust tier of a pool or of a piece of work.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Anybody's code.
    Untrusted,
    /// Reviewed code.
    Trusted,
}

/// A pool of nodes that the policy describes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// Tier.
    pub tier: Tier,
    /// Labels of its nodes.
    pub node_selector: Vec<(String, String)>,
    /// Taints of its nodes, as the toleration that would tolerate them (`operator` is `Equal`).
    pub taints: Vec<Toleration>,
    /// ServiceAccounts `(namespace, name)` that belong to it.
    pub service_accounts: Vec<(String, String)>,
    /// Runtime classes that lead to it.
    pub runtime_classes: Vec<String>,
    /// Priority classes that belong to it.
    pub priority_classes: Vec<String>,
    /// PersistentVolumeClaims `(namespace, name)` that its work shares.
    pub caches: Vec<(String, String)>,
    /// Filesystem policies that may run on it; none means any that the tier allows.
    pub filesystem_policies: Vec<String>,
}

/// Which objects something applies to.
#[derive(Debug, Clone, Default)]
pub struct ObjectMatch {
    /// API groups; none means any.
    pub api_groups: Vec<String>,
    /// Kinds; none means any.
    pub kinds: Vec<String>,
    /// Namespace globs; none means any.
    pub namespaces: Vec<Pattern>,
    /// Name globs; none means any.
    pub names: Vec<Pattern>,
}

impl ObjectMatch {
    /// Whether an object matches.
    #[must_use]
    pub fn matches(&self, key: &ObjectKey) -> bool {
        let listed = |list: &[String], text: &String| list.is_empty() || list.contains(text);
        let globbed = |list: &[Pattern], text: &str| {
            list.is_empty() || list.iter().any(|pattern| pattern.matches(text))
        };
        listed(&self.api_groups, &key.group)
            && listed(&self.kinds, &key.kind)
            && globbed(&self.namespaces, &key.namespace)
            && globbed(&self.names, &key.name)
    }
}

/// A denial that a policy defines itself.
#[derive(Debug, Clone)]
pub struct CustomRule {
    /// Its id.
    pub id: RuleId,
    /// Kinds.
    pub applies: ObjectMatch,
    /// Selects the values.
    pub path: JsonPath,
    /// Fires if any selected value passes all of these.
    pub tests: Vec<super::values::ValueTest>,
    /// Told to the user.
    pub message: String,
}

/// An exemption: of the named rules, for the matching objects, until a day.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Rules.
    pub rules: BTreeSet<RuleId>,
    /// Objects.
    pub applies: ObjectMatch,
    /// Last day on which it holds.
    pub until: Option<jiff::civil::Date>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
}

impl Exception {
    /// Whether it exempts an object from a rule at a time.
    #[must_use]
    pub fn exempts(&self, rule: &RuleId, key: &ObjectKey, now: Timestamp) -> bool {
        self.rules.contains(rule)
            && self.until.is_none_or(|until| now.to_zoned(TimeZone::UTC).date() <= until)
            && self.applies.matches(key)
    }
}

impl Agents {
    /// Whether a Namespace with these labels is guarded: it carries all that the policy asks for.
    #[must_use]
    pub fn guards(&self, labels: &BTreeMap<String, String>) -> bool {
        let wanted = &self.namespace_labels;
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl AdmissionPolicy {
    /// Whether an exception exempts an object from a rule at a time.
    #[must_use]
    pub fn exempts(&self, rule: &RuleId, key: &ObjectKey, now: Timestamp) -> bool {
        self.exceptions.iter().any(|exception| exception.exempts(rule, key, now))
    }

    /// The mode of a rule; `None` if the policy switched it off.
    #[must_use]
    pub fn mode_of(&self, rule: &RuleId) -> Option<Mode> {
        match self.rules.get(rule) {
            Some(RuleMode::On(mode)) => Some(*mode),
            Some(RuleMode::Off) => None,
            None => Some(self.mode),
        }
    }
}
