//! Files to one policy: parses every document, merges, and reports all errors at once.

use super::admission::AdmissionPolicy;
use super::agent::AgentPolicy;
use super::agent_raw::AgentPolicyDocument;
use super::place::Place;
use super::raw::{AdmissionPolicyDocument, RawMeta};
use super::ready_admission::Merge;
use super::ready_agent::agent;
use super::schema::KINDS;
use crate::digest::Digest;
use crate::document::{Dialect, DocumentError, Node, Step, nearest, read};
use crate::sources::SourceFile;

/// The only version of the format.
pub(in crate::policy) const API_VERSION: &str = "pinfold.dev/v1alpha1";

/// Everything that a gate judges by.
#[derive(Debug, Clone)]
pub struct PolicySet {
    /// The merged AdmissionPolicy; `None` if there is no such document, and then everything in scope is denied.
    pub admission: Option<AdmissionPolicy>,
    /// The AgentPolicies, by name.
    pub agents: Vec<AgentPolicy>,
    /// Digest over all documents.
    pub digest: Digest,
    /// What a user should know, though it is no error: servers without a pin.
    pub warnings: Vec<DocumentError>,
}

impl PolicySet {
    /// The AgentPolicy of that name, or the only one there is if no name is given.
    #[must_use]
    pub fn agent(&self, name: Option<&str>) -> Option<&AgentPolicy> {
        match (name, self.agents.as_slice()) {
            (Some(name), agents) => agents.iter().find(|agent| agent.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

struct Document {
    file: String,
    node: Node,
}

/// Reads and merges policy documents; documents of other kinds are errors, PolicyTests are left out.
///
/// # Errors
/// Every error of every document, in the order of files.
pub fn load(files: &[SourceFile]) -> Result<PolicySet, Vec<DocumentError>> {
    let mut errors = Vec::new();
    let documents = read_all(files, &mut errors);
    let mut parts: Vec<(String, String)> = Vec::new();
    for document in &documents {
        parts.push((document.kind().to_owned(), canonical(&document.node)));
    }
    parts.sort();
    let digest = Digest::of_parts(parts.iter().map(|(_, text)| text.as_bytes()));
    let mut admission = merge_admission(&documents, digest, &mut errors);
    let mut warnings = Vec::new();
    let agents = ready_agents(&documents, &mut errors, &mut warnings);
    if let Some(admission) = &mut admission {
        admission.inject.agents.clone_from(&agents);
    }
    errors.sort_by(|left, right| (&left.file, left.at).cmp(&(&right.file, right.at)));
    if errors.is_empty() {
        Ok(PolicySet { admission, agents, digest, warnings })
    } else {
        Err(errors)
    }
}

fn canonical(node: &Node) -> String {
    // serde_json's map is sorted, so equal content is equal text.
    node.to_json().to_string()
}

impl Document {
    fn kind(&self) -> &str {
        self.node.get("kind").and_then(Node::text).unwrap_or_default()
    }
}

fn read_all(files: &[SourceFile], errors: &mut Vec<DocumentError>) -> Vec<Document> {
    let mut documents = Vec::new();
    for file in files {
        let nodes = match read(&file.name, &file.text, Dialect::Policy) {
            Ok(nodes) => nodes,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for node in nodes {
            match check_header(&file.name, &node) {
                Ok(()) => documents.push(Document { file: file.name.clone(), node }),
                Err(error) => errors.push(error),
            }
        }
    }
    documents
}

fn check_header(file: &str, node: &Node) -> Result<(), DocumentError> {
    let member = |name: &str| vec![Step::Member(name.to_owned())];
    let text = |name: &str| node.get(name).and_then(Node::text).unwrap_or_default();
    if text("apiVersion") != API_VERSION {
        let found = node.get("apiVersion").map_or_else(|| "nothing".to_owned(), Node::describe);
        let message = format!("not a policy document: expected `{API_VERSION}`, found {found}");
        return Err(node.error(file, &member("apiVersion"), message));
    }
    let kind = text("kind");
    if KINDS.contains(&kind) {
        return Ok(());
    }
    let hint = match nearest(kind, KINDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of `{}`", KINDS.join("`, `")),
    };
    Err(node.error(file, &member("kind"), format!("unknown kind `{kind}`: {hint}")))
}

fn merge_admission(
    documents: &[Document],
    digest: Digest,
    errors: &mut Vec<DocumentError>,
) -> Option<AdmissionPolicy> {
    let mut merge = Merge::new(digest);
    let mut policies = Vec::new();
    for document in documents.iter().filter(|document| document.kind() == "AdmissionPolicy") {
        match document.node.read::<AdmissionPolicyDocument>(&document.file) {
            Ok(policy) => policies.push((document, policy)),
            Err(error) => errors.push(error),
        }
    }
    policies.iter().for_each(|(_, policy)| merge.declare(&policy.spec));
    for (document, policy) in &policies {
        let place = Place::root(&document.file, &document.node).field("spec");
        merge.add(&policy.spec, &place, errors);
    }
    (!policies.is_empty()).then(|| merge.finish(errors))
}

fn ready_agents(
    documents: &[Document],
    errors: &mut Vec<DocumentError>,
    warnings: &mut Vec<DocumentError>,
) -> Vec<AgentPolicy> {
    let mut agents: Vec<AgentPolicy> = Vec::new();
    for document in documents.iter().filter(|document| document.kind() == "AgentPolicy") {
        let raw = match document.node.read::<AgentPolicyDocument>(&document.file) {
            Ok(raw) => raw,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let place = Place::root(&document.file, &document.node);
        let RawMeta { name, .. } = &raw.metadata;
        if agents.iter().any(|agent| agent.name == *name) {
            let at = place.field("metadata").field("name");
            errors.push(at.error(format!("an AgentPolicy `{name}` exists already")));
        }
        let source = canonical(&document.node);
        let digest = Digest::of(source.as_bytes());
        let spec = place.field("spec");
        match agent(name, (digest, &source), &raw.spec, &spec) {
            Ok(ready) => {
                for (index, server) in ready.servers.iter().enumerate() {
                    let at = spec.field("tools").field("servers").item(index);
                    let text = format!(
                        "the tool descriptions of `{}` are not pinned; pins come with a later version",
                        server.name
                    );
                    warnings.push(at.error(text));
                }
                agents.push(ready);
            }
            Err(more) => errors.extend(more),
        }
    }
    agents
}

#[cfg(test)]
mod tests;
