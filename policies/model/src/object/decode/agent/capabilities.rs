//! AgentToolProfile, AgentMcpServer, AgentSkill, AgentSubagent, AgentCapabilityRequirement: what a stack is put together from, and needs.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Block, Link, List, Named, Text, Written};
use super::links::{Links, reference};
use super::{NoStatus, Spec};
use crate::object::agent::{
    ALLOWED_HOST_BYTES_MAX, ALLOWED_HOSTS_MAX, Capability, RequiredObject, Requirement,
};
use crate::object::reference::ReferenceKind;
use crate::object::{Facts, ObjectKey};

/// A Secret or ConfigMap that is needed.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct Needed<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    keys: List<Text<'a>>,
    #[serde(borrow)]
    purpose: Text<'a>,
}

/// By its name, which is never split, or as an object.
type Need<'a> = Written<'a, Needed<'a>>;

/// A variable or header that is filled from a Secret or ConfigMap.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Filled<'a> {
    #[serde(borrow)]
    secret_ref: Need<'a>,
    #[serde(borrow)]
    config_map_ref: Need<'a>,
    /// As a container's variable says it.
    #[serde(borrow)]
    value_from: Block<FilledFrom<'a>>,
    #[serde(borrow)]
    purpose: Text<'a>,
}

/// `valueFrom` of a variable.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FilledFrom<'a> {
    #[serde(borrow)]
    secret_key_ref: Need<'a>,
    #[serde(borrow)]
    config_map_key_ref: Need<'a>,
}

/// A Secret by its name alone, or what it is filled from.
type Fill<'a> = Written<'a, Filled<'a>>;

/// Gathers what is needed.
#[derive(Debug, Default)]
struct Needs(Vec<RequiredObject>);

impl Needs {
    fn one(&mut self, kind: ReferenceKind, path: &str, need: &Need<'_>) {
        let path = path.to_owned();
        let found = match need {
            Written::Text(name) => RequiredObject {
                kind,
                namespace: String::new(),
                name: name.owned(),
                keys: Vec::new(),
                purpose: String::new(),
                path,
            },
            Written::Parts(parts) => RequiredObject {
                kind,
                namespace: parts.namespace.owned(),
                name: parts.name.owned(),
                keys: parts.key.some().into_iter().chain(parts.keys.owned()).collect(),
                purpose: parts.purpose.owned(),
                path,
            },
        };
        if !found.name.is_empty() {
            self.0.push(found);
        }
    }

    fn all(mut self, kind: ReferenceKind, path: &str, needs: &List<Need<'_>>) -> Self {
        for (index, need) in needs.0.iter().enumerate() {
            self.one(kind, &format!("{path}[{index}]"), need);
        }
        self
    }

    fn filled(mut self, path: &str, fills: &List<Fill<'_>>) -> Self {
        for (index, fill) in fills.0.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let from = self.0.len();
            match fill {
                Written::Text(name) => {
                    self.one(ReferenceKind::Secret, &path, &Written::Text(name.clone()));
                }
                Written::Parts(parts) => {
                    let secret = format!("{path}.secretRef");
                    self.one(ReferenceKind::Secret, &secret, &parts.secret_ref);
                    let config = format!("{path}.configMapRef");
                    self.one(ReferenceKind::ConfigMap, &config, &parts.config_map_ref);
                    if let Some(from) = parts.value_from.get() {
                        let path = format!("{path}.valueFrom");
                        let secret = format!("{path}.secretKeyRef");
                        self.one(ReferenceKind::Secret, &secret, &from.secret_key_ref);
                        let config = format!("{path}.configMapKeyRef");
                        self.one(ReferenceKind::ConfigMap, &config, &from.config_map_key_ref);
                    }
                    for new in self.0.iter_mut().skip(from).filter(|new| new.purpose.is_empty()) {
                        new.purpose = parts.purpose.owned();
                    }
                }
            }
        }
        self
    }
}

fn names(list: &List<Named<'_>>) -> Vec<String> {
    list.0.iter().map(Named::owned).collect()
}

/// Which tools a stack has, and how far they reach.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct ToolProfile<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// `no-fs`, `read-only`, `repo-write` or `workspace-write`.
    #[serde(borrow)]
    filesystem_policy: Text<'a>,
    /// Where it may connect to.
    #[serde(borrow)]
    network_policy: Block<Network<'a>>,
    /// Roles that it needs.
    #[serde(borrow)]
    required_roles: List<Named<'a>>,
    /// Secrets that it needs.
    #[serde(borrow)]
    required_secret_refs: List<Need<'a>>,
    /// ConfigMaps that it needs.
    #[serde(borrow)]
    required_config_refs: List<Need<'a>>,
}

/// Where a stack may connect to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Network<'a> {
    /// `allow`, or `deny` for what isn't listed; `deny` if it is left out.
    #[serde(borrow)]
    default: Text<'a>,
    /// Names, patterns and addresses.
    #[serde(borrow)]
    allow_hosts: List<Named<'a>>,
}

impl<'a> Spec for ToolProfile<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        Facts::Capability(Box::new(Capability {
            ties: Links::default().ties(&self.organization_ref),
            requires: required(&self.required_secret_refs, &self.required_config_refs).0,
            roles: names(&self.required_roles),
            filesystem_policy: self.filesystem_policy.owned(),
            allowed_hosts: self
                .network_policy
                .get()
                .filter(|network| network.default.as_str() != "allow")
                .map(|network| hosts(&network.allow_hosts)),
            ..Capability::default()
        }))
    }
}

/// Tenants write them: no more than can ever be looked at is kept in the view.
fn hosts(list: &List<Named<'_>>) -> Vec<String> {
    let all = list.0.iter().map(Named::owned);
    let possible = all.filter(|host| host.len() <= ALLOWED_HOST_BYTES_MAX);
    possible.take(ALLOWED_HOSTS_MAX.saturating_add(1)).collect()
}

fn required(secrets: &List<Need<'_>>, configs: &List<Need<'_>>) -> Needs {
    Needs::default().all(ReferenceKind::Secret, "$.spec.requiredSecretRefs", secrets).all(
        ReferenceKind::ConfigMap,
        "$.spec.requiredConfigRefs",
        configs,
    )
}

/// A server of tools.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct McpServer<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Stacks that may use it; any if it is left out.
    #[serde(borrow)]
    allowed_agent_stacks: Option<List<Link<'a>>>,
    /// Roles that it needs.
    #[serde(borrow)]
    required_roles: List<Named<'a>>,
    /// Secrets that it needs.
    #[serde(borrow)]
    required_secret_refs: List<Need<'a>>,
    /// ConfigMaps that it needs.
    #[serde(borrow)]
    required_config_refs: List<Need<'a>>,
    /// Secrets that it uses.
    #[serde(borrow)]
    secret_refs: List<Need<'a>>,
    /// ConfigMaps that it uses.
    #[serde(borrow)]
    config_refs: List<Need<'a>>,
    /// Variables of its environment.
    #[serde(borrow)]
    env_refs: List<Fill<'a>>,
    /// Headers of its requests.
    #[serde(borrow)]
    header_refs: List<Fill<'a>>,
}

impl<'a> Spec for McpServer<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let none = List::default();
        let stacks = self.allowed_agent_stacks.as_ref();
        let path = "$.spec.allowedAgentStacks";
        let links = Links::default().all("AgentStack", path, stacks.unwrap_or(&none));
        let needs = required(&self.required_secret_refs, &self.required_config_refs)
            .all(ReferenceKind::Secret, "$.spec.secretRefs", &self.secret_refs)
            .all(ReferenceKind::ConfigMap, "$.spec.configRefs", &self.config_refs)
            .filled("$.spec.envRefs", &self.env_refs)
            .filled("$.spec.headerRefs", &self.header_refs);
        Facts::Capability(Box::new(Capability {
            ties: links.ties(&self.organization_ref),
            requires: needs.0,
            roles: names(&self.required_roles),
            allowed_stacks: stacks.map(|stacks| stacks.placed(&key.namespace)),
            ..Capability::default()
        }))
    }
}

/// Something that an agent knows how to do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Skill<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Where it is kept.
    #[serde(borrow)]
    source_ref: Written<'a, SkillSource<'a>>,
    /// Tools that it needs.
    #[serde(borrow)]
    required_tools: List<Named<'a>>,
    /// AgentMcpServers that it needs.
    #[serde(borrow)]
    required_mcp_servers: List<Link<'a>>,
    /// Roles that it needs.
    #[serde(borrow)]
    required_roles: List<Named<'a>>,
    /// Secrets that it needs.
    #[serde(borrow)]
    required_secret_refs: List<Need<'a>>,
    /// ConfigMaps that it needs.
    #[serde(borrow)]
    required_config_refs: List<Need<'a>>,
}

/// Where a skill is kept.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct SkillSource<'a> {
    #[serde(borrow)]
    repository: Link<'a>,
}

impl<'a> Spec for Skill<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        let mut links = Links::default().all(
            "AgentMcpServer",
            "$.spec.requiredMcpServers",
            &self.required_mcp_servers,
        );
        if let Written::Parts(source) = &self.source_ref {
            links = links.repository("$.spec.sourceRef.repository", &source.repository);
        }
        Facts::Capability(Box::new(Capability {
            ties: links.ties(&self.organization_ref),
            requires: required(&self.required_secret_refs, &self.required_config_refs).0,
            roles: names(&self.required_roles),
            tools: names(&self.required_tools),
            ..Capability::default()
        }))
    }
}

/// An agent that another one may start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Subagent<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Its AgentToolProfile, no wider than the stack's.
    #[serde(borrow)]
    tool_profile_ref: Link<'a>,
    /// Tools of the stack that it may use.
    #[serde(borrow)]
    tools: List<Named<'a>>,
    /// AgentSkills of the stack that it may use.
    #[serde(borrow)]
    skill_refs: List<Link<'a>>,
    /// AgentMcpServers of the stack that it may use.
    #[serde(borrow)]
    mcp_server_refs: List<Link<'a>>,
}

impl<'a> Spec for Subagent<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        let links = Links::default()
            .one("AgentToolProfile", "$.spec.toolProfileRef", &self.tool_profile_ref)
            .all("AgentSkill", "$.spec.skillRefs", &self.skill_refs)
            .all("AgentMcpServer", "$.spec.mcpServerRefs", &self.mcp_server_refs);
        Facts::Capability(Box::new(Capability {
            ties: links.ties(&self.organization_ref),
            tools: names(&self.tools),
            ..Capability::default()
        }))
    }
}

/// What a capability needs before it may be used.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Required<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Whose requirement it is.
    #[serde(borrow)]
    owner_ref: Link<'a>,
    /// Secrets that it needs.
    #[serde(borrow)]
    required_secret_refs: List<Need<'a>>,
    /// ConfigMaps that it needs.
    #[serde(borrow)]
    required_config_refs: List<Need<'a>>,
    /// Roles that it needs.
    #[serde(borrow)]
    required_roles: List<Named<'a>>,
}

/// What it is short of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct RequiredStatus<'a> {
    /// Grants that nobody has given yet.
    #[serde(borrow)]
    missing_grants: List<Named<'a>>,
}

impl<'a> Spec for Required<'a> {
    type Status = RequiredStatus<'a>;

    fn facts(&self, status: &RequiredStatus<'a>, _key: &ObjectKey) -> Facts {
        let path = "$.spec.ownerRef";
        Facts::Requirement(Box::new(Requirement {
            ties: Links::default().one("", path, &self.owner_ref).ties(&self.organization_ref),
            owner: reference("", path, &self.owner_ref),
            requires: required(&self.required_secret_refs, &self.required_config_refs).0,
            roles: names(&self.required_roles),
            missing: names(&status.missing_grants),
        }))
    }
}
