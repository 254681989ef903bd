//! The Kubernetes and agent objects that rules read, decoded once, the same way from an AdmissionReview, a watch and a file.
//!
//! A raw struct borrows from the bytes; the ready struct keeps only what a rule asks about. Field names are case-sensitive as in the API
//! server. An object of a known kind that can't be decoded is an error, never an object without facts.

pub mod agent;
mod change;
mod decode;
pub mod meta;
pub mod pod;
pub mod rbac;
pub mod reference;
pub mod scheduling;
pub mod security;
pub mod storage;

use std::fmt;

pub use change::{Change, change};
pub use decode::{
    AGENT_GROUPS, DecodeError, Kind, NESTED_LISTS_MAX, decode, decode_value, from_value, items,
};
pub(crate) use decode::{AgentKind, agent_kinds};
pub use meta::Meta;

/// Which object: group, kind, namespace, name. The version is left out on purpose: it is one object in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, as in `Role`.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A key from its parts.
    #[must_use]
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let own = str::to_owned;
        Self { group: own(group), kind: own(kind), namespace: own(namespace), name: own(name) }
    }
}

impl ObjectKey {
    /// Whether objects of the kind are pods, or make pods from a template. Known from the key alone, because a watch may bring no more than
    /// the metadata.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        matches!(
            (self.group.as_str(), self.kind.as_str()),
            ("", "Pod" | "ReplicationController")
                | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet")
                | ("apps", "StatefulSet")
                | ("batch" | "extensions", "Job")
                | ("batch", "CronJob" | "ScheduledJob")
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(formatter, ".{}", self.group)?;
        }
        formatter.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(formatter, "{}/", self.namespace)?;
        }
        formatter.write_str(&self.name)
    }
}

/// An object: its metadata and what the rules read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Group, kind, namespace, name.
    pub key: ObjectKey,
    /// Labels, annotations, owners, uid.
    pub meta: Meta,
    /// What the rules read.
    pub facts: Facts,
}

/// What the rules read of an object, by family. Those that are big are boxed: most objects are bindings and roles.
#[derive(Debug, Clone, PartialEq)]
pub enum Facts {
    /// Nothing beyond metadata: Namespace, Secret, ConfigMap, unknown kinds, and any kind of which the metadata alone is watched.
    MetaOnly,
    /// Role, ClusterRole.
    Role(rbac::Role),
    /// RoleBinding, ClusterRoleBinding.
    Binding(rbac::Binding),
    /// AgentRoleBinding.
    AgentRoleBinding(Box<rbac::AgentRoleBinding>),
    /// Pod, or any kind that embeds a pod template.
    Workload(Box<pod::Workload>),
    /// `pods/binding`, `bindings`: the node that a pod is put on.
    NodeBinding(pod::NodeBinding),
    /// Node, RuntimeClass, Scale.
    Scheduling(Box<scheduling::Scheduling>),
    /// PersistentVolume, PersistentVolumeClaim, StorageClass, VolumeAttachment, ServiceAccount, Ingress and others that name Secrets or
    /// ConfigMaps and are no workload.
    Referrer(Box<storage::Referrer>),
    /// Organization, OrgNamespaceBinding, OrgSharingPolicy.
    Organization(Box<agent::OrganizationRecord>),
    /// RunnerPool.
    RunnerPool(Box<agent::RunnerPool>),
    /// AgentDispatchRun, AgentDispatchAttempt, Pipeline, Job of the control plane, PullRequest: what work is and where it came from.
    Run(Box<agent::RunRecord>),
    /// AgentServiceAccount.
    AgentServiceAccount(Box<agent::AgentServiceAccount>),
    /// AgentStack.
    AgentStack(Box<agent::AgentStack>),
    /// AgentApproval.
    Approval(Box<agent::Approval>),
    /// AgentSecretGrant, AgentConfigGrant.
    Grant(Box<agent::Grant>),
    /// AgentToolProfile, AgentMcpServer, AgentSkill, AgentSubagent.
    Capability(Box<agent::Capability>),
    /// AgentCapabilityRequirement.
    Requirement(Box<agent::Requirement>),
    /// AgentTriggerRule.
    TriggerRule(Box<agent::TriggerRule>),
    /// AgentMemoryRepository, AgentMemorySource and the other kinds of memory.
    Memory(Box<agent::Memory>),
    /// Every other agent resource, as far as what it names.
    AgentResource(Box<agent::Ties>),
}

impl Facts {
    /// Organization and references of an agent resource; `None` for kinds that aren't, and for those that say who owns what.
    #[must_use]
    pub fn ties(&self) -> Option<&agent::Ties> {
        match self {
            Self::AgentRoleBinding(binding) => Some(&binding.ties),
            Self::RunnerPool(pool) => Some(&pool.ties),
            Self::Run(run) => Some(&run.ties),
            Self::AgentServiceAccount(account) => Some(&account.ties),
            Self::AgentStack(stack) => Some(&stack.ties),
            Self::Approval(approval) => Some(&approval.ties),
            Self::Grant(grant) => Some(&grant.ties),
            Self::Capability(capability) => Some(&capability.ties),
            Self::Requirement(requirement) => Some(&requirement.ties),
            Self::TriggerRule(rule) => Some(&rule.ties),
            Self::Memory(memory) => Some(&memory.ties),
            Self::AgentResource(ties) => Some(ties),
            Self::MetaOnly
            | Self::Role(_)
            | Self::Binding(_)
            | Self::Workload(_)
            | Self::NodeBinding(_)
            | Self::Scheduling(_)
            | Self::Referrer(_)
            | Self::Organization(_) => None,
        }
    }

    /// The workload, if it is one.
    #[must_use]
    pub fn workload(&self) -> Option<&pod::Workload> {
        if let Self::Workload(workload) = self { Some(workload) } else { None }
    }

    /// What decides where or how many pods run, if it is of that kind.
    #[must_use]
    pub fn scheduling(&self) -> Option<&scheduling::Scheduling> {
        if let Self::Scheduling(scheduling) = self { Some(scheduling) } else { None }
    }

    /// What a kind that runs nothing refers to, if it is one that refers.
    #[must_use]
    pub fn referrer(&self) -> Option<&storage::Referrer> {
        if let Self::Referrer(referrer) = self { Some(referrer) } else { None }
    }
}
