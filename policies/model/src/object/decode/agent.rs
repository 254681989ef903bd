//! Objects of the agent control plane, raw to ready: one raw struct a kind, one file a family.
//!
//! What a kind names of the others is gathered in its ties, each with kind, namespace, name and JSON path. What this module must never do: split
//! the name of a Secret or a repository, or drop the namespace of a reference.

mod approvals;
mod capabilities;
mod grants;
mod identities;
mod links;
mod memory;
mod organizations;
mod runs;
mod stacks;
mod triggers;
mod work;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::meta::RawMeta;
use super::wire::{Block, Source};
use super::{Build, Raw, build, rbac};
use crate::object::{Facts, ObjectKey};
pub(super) use links::Links;

/// API groups of the agent control plane: the older and the newer name (design, domain.md).
pub const AGENT_GROUPS: [&str; 2] = ["krate.a5c.ai", "kradle.a5c.ai"];

/// The `spec` of one kind, with the `status` that goes with it.
pub(super) trait Spec: Default {
    /// What rules read of `status`.
    type Status: Default;

    /// What an object says.
    fn facts(&self, status: &Self::Status, key: &ObjectKey) -> Facts;
}

/// An object of one kind, from its `spec` and its `status`.
#[derive(Debug, Deserialize)]
#[serde(default, bound(deserialize = "S: Deserialize<'de>, T: Deserialize<'de>"))]
pub(super) struct Resource<'a, S, T> {
    #[serde(borrow)]
    metadata: Block<RawMeta<'a>>,
    spec: Block<S>,
    status: Block<T>,
}

/// What became of the object. No rule reads any of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct NoStatus {}

impl<S, T> Default for Resource<'_, S, T> {
    fn default() -> Self {
        Self { metadata: Block::default(), spec: Block::default(), status: Block::default() }
    }
}

impl<'a, S, T> Raw<'a> for Resource<'a, S, T>
where
    S: Spec<Status = T> + Deserialize<'a>,
    T: Default + Deserialize<'a>,
{
    fn metadata(&self) -> &Block<RawMeta<'a>> {
        &self.metadata
    }

    fn facts(&self, key: &ObjectKey) -> Facts {
        let (no_spec, no_status) = (S::default(), T::default());
        let spec = self.spec.get().unwrap_or(&no_spec);
        spec.facts(self.status.get().unwrap_or(&no_status), key)
    }
}

/// One kind of the control plane, as a cluster has to know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindOf {
    /// Kind.
    pub(crate) kind: &'static str,
    /// Plural, as in its URL.
    pub(crate) plural: &'static str,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
    /// The schemas of `spec` and `status`.
    pub(crate) schemas: fn(&mut SchemaGenerator) -> [Schema; 2],
}

macro_rules! kinds {
    ($($kind:literal, $plural:literal, $namespaced:literal => $family:ident::$spec:ident;)*) => {
        /// What builds an object of a kind.
        pub(super) fn build_of<'a, S: Source<'a>>(kind: &str) -> Build<S> {
            match kind {
                $($kind => build::<S, Resource<'a, $family::$spec<'a>, <$family::$spec<'a> as Spec>::Status>>,)*
                _ => build::<S, Resource<'a, work::Other<'a>, NoStatus>>,
            }
        }

        /// Every kind that is known, in the order of the design.
        pub(crate) fn known() -> Vec<KindOf> {
            vec![$(KindOf {
                kind: $kind,
                plural: $plural,
                namespaced: $namespaced,
                schemas: |generator| [
                    generator.subschema_for::<$family::$spec<'_>>(),
                    generator.subschema_for::<<$family::$spec<'_> as Spec>::Status>(),
                ],
            },)*]
        }
    };
}

kinds! {
    "Organization", "organizations", false => organizations::Organization;
    "OrgNamespaceBinding", "orgnamespacebindings", false => organizations::NamespaceBinding;
    "OrgSharingPolicy", "orgsharingpolicies", false => organizations::Sharing;
    "AgentStack", "agentstacks", true => stacks::Stack;
    "AgentToolProfile", "agenttoolprofiles", true => capabilities::ToolProfile;
    "AgentMcpServer", "agentmcpservers", true => capabilities::McpServer;
    "AgentSkill", "agentskills", true => capabilities::Skill;
    "AgentSubagent", "agentsubagents", true => capabilities::Subagent;
    "AgentCapabilityRequirement", "agentcapabilityrequirements", true => capabilities::Required;
    "AgentServiceAccount", "agentserviceaccounts", true => identities::Account;
    "AgentRoleBinding", "agentrolebindings", true => rbac::AgentRoleBindingSpec;
    "AgentSecretGrant", "agentsecretgrants", true => grants::Grant;
    "AgentConfigGrant", "agentconfiggrants", true => grants::Grant;
    "AgentContextLabel", "agentcontextlabels", true => work::ContextLabel;
    "AgentTriggerRule", "agenttriggerrules", true => triggers::Rule;
    "AgentTriggerExecution", "agenttriggerexecutions", true => triggers::Execution;
    "AgentDispatchRun", "agentdispatchruns", true => runs::DispatchRun;
    "AgentDispatchAttempt", "agentdispatchattempts", true => runs::Attempt;
    "AgentSession", "agentsessions", true => work::Session;
    "AgentWorkspace", "agentworkspaces", true => work::Workspace;
    "AgentWorkspacePolicy", "agentworkspacepolicies", true => work::Other;
    "AgentContextBundle", "agentcontextbundles", true => work::Record;
    "AgentArtifact", "agentartifacts", true => work::Record;
    "AgentReviewArtifact", "agentreviewartifacts", true => work::Record;
    "WorkItemSessionLink", "workitemsessionlinks", true => work::SessionLink;
    "WorkItemWorkspaceLink", "workitemworkspacelinks", true => work::WorkspaceLink;
    "AgentApproval", "agentapprovals", true => approvals::Approval;
    "RunnerPool", "runnerpools", true => identities::Pool;
    "Repository", "repositories", true => work::Other;
    "PullRequest", "pullrequests", true => runs::Origin;
    "Pipeline", "pipelines", true => runs::Origin;
    "Job", "jobs", true => runs::Origin;
    "WebhookDelivery", "webhookdeliveries", true => runs::Origin;
    "AgentMemoryRepository", "agentmemoryrepositories", true => memory::Memory;
    "AgentMemorySource", "agentmemorysources", true => memory::Memory;
    "AgentMemoryOntology", "agentmemoryontologies", true => memory::Memory;
    "AgentMemoryAssociation", "agentmemoryassociations", true => memory::Memory;
    "AgentMemorySnapshot", "agentmemorysnapshots", true => memory::Memory;
    "AgentMemoryQuery", "agentmemoryqueries", true => memory::Memory;
    "AgentMemoryUpdate", "agentmemoryupdates", true => memory::Memory;
    "AgentRunMemoryImport", "agentrunmemoryimports", true => memory::Import;
}
