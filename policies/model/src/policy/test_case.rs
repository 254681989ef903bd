//! PolicyTest documents: expectations that live beside the policy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::raw::RawMeta;

/// Expectations of some policies on some objects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTestDocument {
    /// `pinfold.dev/v1alpha1`.
    pub api_version: String,
    /// `PolicyTest`.
    pub kind: String,
    /// Name.
    pub metadata: RawMeta,
    /// The test.
    pub spec: PolicyTestSpec,
}

/// The test.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTestSpec {
    /// Policy files or directories, relative to this file.
    pub policies: Vec<String>,
    /// Files or directories of objects that exist, relative to this file.
    #[serde(default)]
    pub cluster: Vec<String>,
    /// The time at which the cases happen, RFC 3339; now if left out.
    pub now: Option<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case: an `object`, a `toolCall` or an `egress` attempt, and what is expected.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Who asks.
    pub user: Option<CaseUser>,
    /// CREATE (default), UPDATE, DELETE or CONNECT.
    pub operation: Option<String>,
    /// A path relative to this file, or the object itself.
    pub object: Option<Value>,
    /// The object as stored, for UPDATE.
    pub old_object: Option<Value>,
    /// Namespace, where the object has none.
    pub namespace: Option<String>,
    /// Subresource.
    pub subresource: Option<String>,
    /// Dry run.
    #[serde(default)]
    pub dry_run: bool,
    /// Which agent's policy a tool call or egress attempt is judged by; not needed when there is one.
    pub agent: Option<CaseAgent>,
    /// A tool call.
    pub tool_call: Option<CaseToolCall>,
    /// A URL, or `{host, port, method, path}`.
    pub egress: Option<Value>,
    /// A model call; not judged by this version.
    pub model_call: Option<super::values::Unenforced>,
    /// What is expected.
    pub expect: Expectation,
}

/// Who asks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseUser {
    /// User name.
    pub name: String,
    /// Uid.
    #[serde(default)]
    pub uid: String,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Extra keys, each with its values.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Which agent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseAgent {
    /// Name of an AgentPolicy.
    pub policy: String,
}

/// A tool call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseToolCall {
    /// Server.
    pub server: String,
    /// Tool.
    pub tool: String,
    /// Arguments.
    #[serde(default)]
    pub arguments: serde_json::Map<String, Value>,
}

/// An egress attempt in parts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseEgress {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// HTTP method; without it, the attempt is a tunnel.
    pub method: Option<String>,
    /// HTTP path.
    pub path: Option<String>,
}

/// What is expected.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Whether it passes.
    pub allowed: bool,
    /// The set of rule ids found, all modes; not compared if left out.
    pub rules: Option<Vec<String>>,
    /// The reason of a sidecar denial; not compared if left out.
    pub reason: Option<String>,
    /// Text that some finding's message or path contains; not compared if left out.
    pub message: Option<String>,
    /// Whether mutation changes the object; not compared if left out.
    pub mutated: Option<bool>,
}
