//! AgentStack: what an agent is put together from.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Block, Link, List, Named, Text, Written};
use super::links::{Links, repository_name};
use super::{NoStatus, Spec};
use crate::object::agent::{AgentStack, Ties};
use crate::object::{Facts, ObjectKey};

/// An agent: model, identity, tools, and what it may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Stack<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Whom it runs as.
    #[serde(borrow)]
    runtime_identity: Block<Identity<'a>>,
    /// Its AgentToolProfile.
    #[serde(borrow)]
    tool_profile_ref: Link<'a>,
    /// Its AgentMcpServers.
    #[serde(borrow)]
    mcp_server_refs: List<Link<'a>>,
    /// Its AgentSkills.
    #[serde(borrow)]
    skill_refs: List<Link<'a>>,
    /// Its AgentSubagents.
    #[serde(borrow)]
    subagent_refs: List<Link<'a>>,
    /// Its AgentContextLabels.
    #[serde(borrow)]
    context_label_refs: List<Link<'a>>,
    /// Its AgentWorkspacePolicy.
    #[serde(borrow)]
    workspace_policy_ref: Link<'a>,
    /// The RunnerPool that it runs on.
    #[serde(borrow)]
    runner_pool: Link<'a>,
    /// What gives it rights.
    #[serde(borrow)]
    permission_refs: Block<Permissions<'a>>,
    /// Which Secrets it may use at all.
    #[serde(borrow)]
    secret_policy: Block<SecretPolicy<'a>>,
    /// The repository that it works on.
    #[serde(borrow)]
    repository: Link<'a>,
    /// The repositories that it works on.
    #[serde(borrow)]
    repositories: List<Link<'a>>,
    /// The team that it belongs to.
    #[serde(borrow)]
    team: Named<'a>,
}

/// Whom a stack runs as.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Identity<'a> {
    /// An AgentServiceAccount, or a ServiceAccount beside the stack.
    #[serde(borrow)]
    service_account_ref: Link<'a>,
}

/// What gives a stack rights.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Permissions<'a> {
    /// AgentRoleBindings.
    #[serde(borrow)]
    role_bindings: List<Link<'a>>,
    /// AgentSecretGrants.
    #[serde(borrow)]
    secret_grants: List<Link<'a>>,
    /// AgentConfigGrants.
    #[serde(borrow)]
    config_grants: List<Link<'a>>,
}

/// Which Secrets a stack may use at all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct SecretPolicy<'a> {
    /// Whether work of forks may use any.
    allow_on_forks: Option<bool>,
    /// Those that it may use; any if it is left out.
    #[serde(borrow)]
    allowed_secret_refs: Option<List<Written<'a, SecretName<'a>>>>,
}

/// A Secret.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct SecretName<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> Spec for Stack<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let identity = self.runtime_identity.get();
        let account = identity.map(|identity| identity.service_account_ref.placed(&key.namespace));
        let secrets = self.secret_policy.get();
        let allowed = secrets.and_then(|secrets| secrets.allowed_secret_refs.as_ref());
        let repositories = std::iter::once(&self.repository).chain(&self.repositories.0);
        let repositories = repositories.map(repository_name).filter(|name| !name.is_empty());
        Facts::AgentStack(Box::new(AgentStack {
            ties: self.ties(),
            service_account: account.unwrap_or_default(),
            runner_pool: self.runner_pool.placed(&key.namespace),
            repositories: repositories.collect(),
            secrets_on_forks: secrets.is_some_and(|secrets| secrets.allow_on_forks == Some(true)),
            allowed_secrets: allowed.map(|list| list.0.iter().map(secret_name).collect()),
            team: self.team.owned(),
        }))
    }
}

/// `name`, or `namespace/name` of the object form.
fn secret_name(written: &Written<'_, SecretName<'_>>) -> String {
    match written {
        Written::Text(name) => name.owned(),
        Written::Parts(parts) if parts.namespace.is_empty() => parts.name.owned(),
        Written::Parts(parts) => format!("{}/{}", parts.namespace.as_str(), parts.name.as_str()),
    }
}

impl Stack<'_> {
    fn ties(&self) -> Ties {
        let (nobody, nothing) = (Identity::default(), Permissions::default());
        let identity = self.runtime_identity.get().unwrap_or(&nobody);
        let permissions = self.permission_refs.get().unwrap_or(&nothing);
        let account = "$.spec.runtimeIdentity.serviceAccountRef";
        let mut links = Links::default()
            .one("AgentServiceAccount", account, &identity.service_account_ref)
            .one("AgentToolProfile", "$.spec.toolProfileRef", &self.tool_profile_ref)
            .all("AgentMcpServer", "$.spec.mcpServerRefs", &self.mcp_server_refs)
            .all("AgentSkill", "$.spec.skillRefs", &self.skill_refs)
            .all("AgentSubagent", "$.spec.subagentRefs", &self.subagent_refs)
            .all("AgentContextLabel", "$.spec.contextLabelRefs", &self.context_label_refs)
            .one("AgentWorkspacePolicy", "$.spec.workspacePolicyRef", &self.workspace_policy_ref)
            .one("RunnerPool", "$.spec.runnerPool", &self.runner_pool)
            .all(
                "AgentRoleBinding",
                "$.spec.permissionRefs.roleBindings",
                &permissions.role_bindings,
            )
            .all(
                "AgentSecretGrant",
                "$.spec.permissionRefs.secretGrants",
                &permissions.secret_grants,
            )
            .all(
                "AgentConfigGrant",
                "$.spec.permissionRefs.configGrants",
                &permissions.config_grants,
            )
            .repository("$.spec.repository", &self.repository);
        for (index, repository) in self.repositories.0.iter().enumerate() {
            links = links.repository(&format!("$.spec.repositories[{index}]"), repository);
        }
        links.ties(&self.organization_ref)
    }
}
