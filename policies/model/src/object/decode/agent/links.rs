//! Gathers what an agent resource names, and reads times of which none may be taken for another.

use jiff::Timestamp;

use super::super::wire::{Link, List, Named, Text};
use crate::object::agent::{AgentReference, Ties};

/// A time as written: `None` is left out or `null`; the empty text is a time that can't be read.
pub(in crate::object::decode) type Instant<'a> = Option<Text<'a>>;

/// Reads a time of RFC 3339; one that can't be read is a fault of its own path.
pub(super) fn instant(
    written: &Instant<'_>,
    path: &str,
    faults: &mut Vec<String>,
) -> Option<Timestamp> {
    let parsed = written.as_ref()?.as_str().parse::<Timestamp>();
    if parsed.is_err() {
        faults.push(format!(
            "`{path}`: expected a time of RFC 3339 such as `2026-01-31T00:00:00Z`, found other text"
        ));
    }
    parsed.ok()
}

/// The kind that a field means: kinds of subjects have a spelling of their own (design, domain.md).
fn kind_of(written: &str) -> &str {
    match written {
        "agent-stack" => "AgentStack",
        "service-account" | "agent-service-account" => "AgentServiceAccount",
        "runner-pool" => "RunnerPool",
        "tool-profile" => "AgentToolProfile",
        "mcp-server" => "AgentMcpServer",
        "skill" => "AgentSkill",
        "subagent" => "AgentSubagent",
        "repository" => "Repository",
        "trigger-rule" => "AgentTriggerRule",
        "dispatch-run" => "AgentDispatchRun",
        "workspace" => "AgentWorkspace",
        other => other,
    }
}

/// Kinds of subjects that are no resources of the control plane: people, and organizations, which have no namespace.
const NO_RESOURCES: [&str; 9] = [
    "user",
    "User",
    "group",
    "Group",
    "team",
    "Team",
    "organization",
    "Organization",
    "ServiceAccount",
];

/// A reference from its parts; `kind` is what the API documents for the field.
pub(super) fn reference(kind: &str, path: &str, link: &Link<'_>) -> AgentReference {
    let [own_kind, namespace, name] = link.parts();
    AgentReference {
        kind: kind_of(if own_kind.is_empty() { kind } else { own_kind }).to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
    }
}

/// What an agent resource names.
#[derive(Debug, Default)]
pub(in crate::object::decode) struct Links(Vec<AgentReference>);

impl Links {
    /// A field that names one object; nothing if it is empty.
    #[must_use]
    pub(in crate::object::decode) fn one(
        mut self,
        kind: &str,
        path: &str,
        link: &Link<'_>,
    ) -> Self {
        self.push(kind, reference(kind, path, link));
        self
    }

    /// A field that says another kind than its API documents is both: whoever reads it may not look at what it says.
    fn push(&mut self, documented: &str, found: AgentReference) {
        if found.name.is_empty() {
            return;
        }
        if !documented.is_empty() && found.kind != documented {
            self.0.push(AgentReference { kind: documented.to_owned(), ..found.clone() });
        }
        if !found.kind.is_empty() {
            self.0.push(found);
        }
    }

    /// A field that names several.
    #[must_use]
    pub(in crate::object::decode) fn all(
        self,
        kind: &str,
        path: &str,
        links: &List<Link<'_>>,
    ) -> Self {
        let numbered = links.0.iter().enumerate();
        numbered
            .fold(self, |found, (index, link)| found.one(kind, &format!("{path}[{index}]"), link))
    }

    /// A repository, whose name may have a slash: only an object says where it is.
    #[must_use]
    pub(in crate::object::decode) fn repository(mut self, path: &str, link: &Link<'_>) -> Self {
        let found = match link {
            Link::Text(name) => AgentReference {
                kind: "Repository".to_owned(),
                namespace: String::new(),
                name: name.owned(),
                path: path.to_owned(),
            },
            Link::Parts(_) => reference("Repository", path, link),
        };
        self.push("Repository", found);
        self
    }

    /// A subject: kind and name in two fields, and the namespace in a third. People and organizations are no resources.
    #[must_use]
    pub(in crate::object::decode) fn subject(mut self, path: &str, parts: [&Text<'_>; 3]) -> Self {
        let [kind, namespace, name] = parts.map(Text::as_str);
        let person = kind.is_empty() || NO_RESOURCES.contains(&kind);
        if !person && !name.is_empty() {
            self.0.push(AgentReference {
                kind: kind_of(kind).to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                path: path.to_owned(),
            });
        }
        self
    }

    /// With the organization that the object says it belongs to.
    #[must_use]
    pub(in crate::object::decode) fn ties(self, organization: &Named<'_>) -> Ties {
        Ties { organization: organization.owned(), references: self.0 }
    }
}

/// The name of a repository as it is compared: the text, or the name of the object form.
pub(in crate::object::decode) fn repository_name(link: &Link<'_>) -> String {
    match link {
        Link::Text(name) => name.owned(),
        Link::Parts(parts) => parts.name.owned(),
    }
}
