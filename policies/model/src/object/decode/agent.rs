//! Objects of the agent control plane, raw to ready.

use serde::Deserialize;

use super::meta::RawMeta;
use super::wire::{Block, List, Named, Pairs, Text};
use crate::object::agent::{
    AgentServiceAccount, AgentStack, Approval, OrganizationRecord, RunRecord, RunnerPool, Ties,
};
use crate::object::{Facts, ObjectKey};

/// API groups of the agent control plane: the older and the newer name (design, domain.md).
pub const AGENT_GROUPS: [&str; 2] = ["krate.a5c.ai", "kradle.a5c.ai"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAgent<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawSpec<'a>>,
    #[serde(borrow)]
    status: Block<RawApprovalStatus<'a>>,
}

/// The fields of all small agent kinds together; which of them a kind has is in design/domain.md.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec<'a> {
    #[serde(borrow)]
    organization_ref: Named<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    namespace_name: Text<'a>,
    #[serde(borrow)]
    source_org: Named<'a>,
    #[serde(borrow)]
    target_org: Named<'a>,
    #[serde(borrow)]
    allowed_refs: List<Shared<'a>>,
    #[serde(borrow)]
    trust_tier: Text<'a>,
    #[serde(borrow)]
    service_account_ref: Named<'a>,
    #[serde(borrow)]
    node_selector: Pairs<'a>,
    #[serde(borrow)]
    service_account_name: Text<'a>,
    #[serde(borrow)]
    runtime_identity: Block<RawIdentity<'a>>,
    #[serde(borrow)]
    requested_by: Named<'a>,
    #[serde(borrow)]
    action: Block<RawAction<'a>>,
    #[serde(borrow)]
    artifact_digest: Text<'a>,
    #[serde(borrow)]
    artifact_refs: List<RawArtifact<'a>>,
}

/// An artifact by its name or digest, or as an object that may have a digest.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawArtifact<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Parts(#[serde(borrow)] Block<RawArtifactParts<'a>>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawArtifactParts<'a> {
    #[serde(borrow)]
    digest: Text<'a>,
}

/// How a digest begins.
const DIGEST_PREFIX: &str = "sha256:";

impl RawArtifact<'_> {
    fn digest(&self) -> Option<String> {
        match self {
            Self::Text(text) => text.starts_with(DIGEST_PREFIX).then(|| text.clone().into_owned()),
            Self::Parts(parts) => parts.get().and_then(|parts| parts.digest.some()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawIdentity<'a> {
    #[serde(borrow)]
    service_account_ref: Named<'a>,
}

/// `Secret/namespace/name`, or the same in three fields.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Shared<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Parts {
        #[serde(borrow)]
        kind: Text<'a>,
        #[serde(borrow)]
        namespace: Text<'a>,
        #[serde(borrow)]
        name: Text<'a>,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAction<'a> {
    #[serde(borrow, rename = "type")]
    action: Text<'a>,
    #[serde(borrow)]
    target: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawApprovalStatus<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    approver: Named<'a>,
}

impl RawAgent<'_> {
    /// What an object of this agent kind says.
    pub(super) fn ready(&self, key: &ObjectKey) -> Facts {
        let none = RawSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        match key.kind.as_str() {
            "Organization" => Facts::Organization(OrganizationRecord::Organization {
                namespace: spec.namespace_name.owned(),
            }),
            "OrgNamespaceBinding" => Facts::Organization(OrganizationRecord::NamespaceBinding {
                organization: spec.organization_ref.owned(),
                namespace: spec.namespace.owned(),
            }),
            "OrgSharingPolicy" => Facts::Organization(spec.sharing()),
            "RunnerPool" => Facts::RunnerPool(spec.runner_pool()),
            "AgentServiceAccount" => Facts::AgentServiceAccount(AgentServiceAccount {
                namespace: spec.namespace.some().unwrap_or_else(|| key.namespace.clone()),
                service_account: spec.service_account_name.owned(),
                ..AgentServiceAccount::default()
            }),
            "AgentStack" => Facts::AgentStack(Box::new(AgentStack {
                ties: spec.ties(),
                service_account: spec
                    .runtime_identity
                    .get()
                    .map(|identity| identity.service_account_ref.owned())
                    .unwrap_or_default(),
                ..AgentStack::default()
            })),
            "AgentApproval" => Facts::Approval(Box::new(self.approval(spec))),
            _ => Facts::MetaOnly,
        }
    }

    fn approval(&self, spec: &RawSpec<'_>) -> Approval {
        let status = self.status.get();
        let action = spec.action.get();
        Approval {
            phase: status.map(|status| status.phase.owned()).unwrap_or_default(),
            approver: status.map(|status| status.approver.owned()).unwrap_or_default(),
            requested_by: spec.requested_by.owned(),
            action: action.map(|action| action.action.owned()).unwrap_or_default(),
            target: action.map(|action| action.target.owned()).unwrap_or_default(),
            digests: spec
                .artifact_digest
                .some()
                .into_iter()
                .chain(spec.artifact_refs.0.iter().filter_map(RawArtifact::digest))
                .collect(),
            ..Approval::default()
        }
    }
}

impl RawSpec<'_> {
    fn sharing(&self) -> OrganizationRecord {
        let text = |shared: &Shared<'_>| match shared {
            Shared::Text(text) => text.clone().into_owned(),
            Shared::Parts { kind, namespace, name } => {
                format!("{}/{}/{}", kind.as_str(), namespace.as_str(), name.as_str())
            }
        };
        OrganizationRecord::Sharing {
            source: self.source_org.owned(),
            target: self.target_org.owned(),
            allowed: self.allowed_refs.0.iter().map(text).collect(),
            expires_at: None,
            faults: Vec::new(),
        }
    }

    fn runner_pool(&self) -> RunnerPool {
        RunnerPool {
            ties: self.ties(),
            trusted: self.trust_tier.as_str() != "untrusted",
            service_account: self.service_account_ref.owned(),
            node_selector: self.node_selector.owned(),
            ..RunnerPool::default()
        }
    }

    fn ties(&self) -> Ties {
        Ties { organization: self.organization_ref.owned(), references: Vec::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRun<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawRunSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawRunSpec<'a> {
    #[serde(borrow)]
    repository: Named<'a>,
    #[serde(borrow, rename = "ref")]
    git_ref: Text<'a>,
    /// PullRequest: the branch that is proposed.
    #[serde(borrow)]
    head: Named<'a>,
    #[serde(borrow)]
    head_repository: Named<'a>,
    fork: Option<bool>,
    #[serde(borrow)]
    trust_tier: Text<'a>,
    #[serde(borrow)]
    runner_pool: Named<'a>,
    #[serde(borrow)]
    agent_dispatch_run: Named<'a>,
    /// A Pipeline's PullRequest, a Job's Pipeline.
    #[serde(borrow)]
    pull_request: Named<'a>,
    #[serde(borrow)]
    pipeline: Named<'a>,
    #[serde(borrow)]
    job: Named<'a>,
    #[serde(borrow)]
    source_refs: Block<RawSources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSources<'a> {
    #[serde(borrow)]
    pull_request: Named<'a>,
    #[serde(borrow)]
    pipeline: Named<'a>,
    #[serde(borrow)]
    job: Named<'a>,
}

impl RawRunSpec<'_> {
    /// Kind and name of what is behind the run.
    fn sources(&self) -> Vec<(String, String)> {
        let none = RawSources::default();
        let below = self.source_refs.get().unwrap_or(&none);
        let all = [
            ("PullRequest", &self.pull_request),
            ("Pipeline", &self.pipeline),
            ("Job", &self.job),
            ("PullRequest", &below.pull_request),
            ("Pipeline", &below.pipeline),
            ("Job", &below.job),
        ];
        let named = all.into_iter().filter(|(_, name)| !name.0.is_empty());
        named.map(|(kind, name)| (kind.to_owned(), name.owned())).collect()
    }
}

impl RawRun<'_> {
    pub(super) fn ready(&self) -> Facts {
        let none = RawRunSpec::default();
        let spec = self.spec.get().unwrap_or(&none);
        Facts::Run(Box::new(RunRecord {
            repository: spec.repository.owned(),
            git_ref: spec.git_ref.some().unwrap_or_else(|| spec.head.owned()),
            head_repository: spec.head_repository.owned(),
            fork: spec.fork == Some(true),
            trust_tier: spec.trust_tier.owned(),
            runner_pool: spec.runner_pool.owned(),
            run: spec.agent_dispatch_run.owned(),
            sources: spec.sources(),
            ..RunRecord::default()
        }))
    }
}
