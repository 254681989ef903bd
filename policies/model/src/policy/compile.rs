//! Several AgentPolicies to the one that an agent's sidecar holds it to: what any allows, minus what any denies, with the smallest limits.
//!
//! Works on the documents themselves, so that the sidecar's own loader reads the result like any file. The order of files never
//! matters. A field that this module knows nothing of must be equal wherever it is set: a limit that is lost would be a hole.

mod memo;
mod merge;
mod narrow;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::agent::{AgentPolicy, Credential};
use super::inject::POLICY_BYTES_MAX;
use super::load::{API_VERSION, load};
use crate::digest::Digest;
use crate::document::DocumentError;
use crate::sources::SourceFile;

pub use self::memo::Memo;

/// The file that errors of a compiled policy name.
const COMPILED: &str = "compiled policy";
/// Joins the names of the policies that one was compiled of.
const JOINT: &str = "+";

/// One policy for one agent.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// An AgentPolicy document as canonical JSON.
    pub text: Arc<str>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The same, ready.
    pub policy: AgentPolicy,
}

/// Why policies can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// There is none.
    #[error("no AgentPolicy to compile")]
    Nothing,
    /// A field has two values, and neither is the stricter one.
    #[error(
        "AgentPolicies `{first}` and `{second}` both apply and set `{field}` to different values; keep one of them, or have them apply to different pods"
    )]
    Conflict {
        /// Its place: `spec.upstreams[github]`.
        field: String,
        /// A policy that sets it.
        first: String,
        /// Another one.
        second: String,
    },
    /// Together they say what no document may say.
    #[error("AgentPolicies `{names}` together are no policy: {error}")]
    Invalid {
        /// Their names.
        names: String,
        /// What is wrong.
        error: String,
    },
    /// An annotation doesn't take it.
    #[error(
        "AgentPolicies `{names}` together have {bytes} bytes, more than the {POLICY_BYTES_MAX} that a pod can carry; allow less by longer patterns, or split the agents"
    )]
    TooLarge {
        /// Their names.
        names: String,
        /// How many.
        bytes: usize,
    },
    /// No volume brings the file.
    #[error(
        "`{place}` of AgentPolicies `{names}` reads its credential from file `{file}`, which nothing brings into a pod; name a Secret of the pod's namespace instead: `from: {{secret: {{name: .., key: ..}}}}`"
    )]
    CredentialFile {
        /// Their names.
        names: String,
        /// Where it is used.
        place: String,
        /// The file.
        file: String,
    },
}

/// One policy of those that apply to an agent; `narrowing` has, for each of its tool profiles that denies other hosts, the hosts that it allows.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(
    policies: &[&AgentPolicy],
    narrowing: &[&[String]],
) -> Result<Compiled, CompileError> {
    let mut policies = policies.to_vec();
    policies.sort_by(|left, right| left.name.cmp(&right.name));
    policies.dedup_by(|left, right| left.name == right.name);
    if policies.is_empty() {
        return Err(CompileError::Nothing);
    }
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    let names = names.join(JOINT);
    let invalid = |error: String| CompileError::Invalid { names: names.clone(), error };
    let mut specs = Vec::with_capacity(policies.len());
    for policy in &policies {
        let document: Value =
            serde_json::from_str(&policy.source).map_err(|error| invalid(error.to_string()))?;
        let Some(Value::Object(spec)) = document.get("spec") else {
            return Err(invalid("`spec` is no mapping".to_owned()));
        };
        let mut spec = spec.clone();
        if policies.len() > 1 {
            say_protection(&mut spec);
        }
        specs.push((policy.name.as_str(), spec));
    }
    let mut spec = merge::merged(specs)?;
    narrow::narrow(&mut spec, narrowing)
        .map_err(|bytes| CompileError::TooLarge { names: names.clone(), bytes })?;
    ready(&names, &spec)
}

/// Says what protects the results of a policy's tools without being said, so that another policy can't take it from them.
fn say_protection(spec: &mut Map<String, Value>) {
    let Some(Value::Object(tools)) = spec.get_mut("tools") else { return };
    if tools.get("servers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return;
    }
    let results = tools.entry("results").or_insert(Value::Null);
    if results.is_null() {
        *results = Value::Object(Map::new());
    }
    if let Value::Object(results) = results {
        results.entry("redact").or_insert_with(|| json!(["secrets"]));
        results.entry("injection").or_insert_with(|| json!("flag"));
    }
}

fn ready(names: &str, spec: &Map<String, Value>) -> Result<Compiled, CompileError> {
    let document = json!({"apiVersion": API_VERSION, "kind": "AgentPolicy", "metadata": {"name": names}, "spec": spec});
    let text: Arc<str> = document.to_string().into();
    if text.len() > POLICY_BYTES_MAX {
        return Err(CompileError::TooLarge { names: names.to_owned(), bytes: text.len() });
    }
    let file = SourceFile { name: COMPILED.to_owned(), text: text.to_string() };
    let invalid = |error: String| CompileError::Invalid { names: names.to_owned(), error };
    let first = |errors: Vec<DocumentError>| {
        invalid(errors.first().map(ToString::to_string).unwrap_or_default())
    };
    let mut set = load(&[file]).map_err(first)?;
    let policy = set.agents.pop().ok_or(CompileError::Nothing)?;
    let files = policy.credentials().find(|(_, credential)| credential.secret.is_none());
    if let Some((place, credential)) = files {
        let (place, file) = (place.to_owned(), credential.file.clone());
        return Err(CompileError::CredentialFile { names: names.to_owned(), place, file });
    }
    Ok(Compiled { digest: Digest::of(text.as_bytes()), text, policy })
}

impl AgentPolicy {
    /// Every credential that the sidecar adds, and the place of what it is for.
    pub fn credentials(&self) -> impl Iterator<Item = (&str, &Credential)> {
        let upstreams = self
            .upstreams
            .iter()
            .filter_map(|upstream| Some((upstream.place.as_str(), upstream.credential.as_ref()?)));
        let via =
            self.via.iter().filter_map(|via| Some((via.place.as_str(), via.credential.as_ref()?)));
        upstreams.chain(via)
    }
}

#[cfg(test)]
mod tests;
