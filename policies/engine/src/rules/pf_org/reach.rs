//! Whether an agent resource of one organization may name another: its own organization's, or what is shared with it.

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::AgentReference;
use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};

use super::part::ask_for;
use crate::context::{Context, Found};
use crate::organization::{Ownership, ownership, shared};
use crate::rbac::describe::excerpt;

/// The kind whose name may have an organization before a slash.
const REPOSITORY: &str = "Repository";
/// How many references of one object are told.
pub(super) const MAX_TOLD: usize = 16;

/// Judges references of one object.
pub(super) struct Reach<'c, 'f> {
    pub(super) context: &'f Context<'c>,
    pub(super) rule: RuleId,
    /// The organization of the object.
    pub(super) home: &'f str,
    pub(super) found: &'f mut Found,
}

/// Where a reference leads: namespace and name. Only a repository's name has slashes of its own.
fn place<'r>(facts: &'r AdmissionFacts, reference: &'r AgentReference) -> (&'r str, &'r str) {
    let AgentReference { kind, namespace, name, .. } = reference;
    let own = facts.target.namespace.as_str();
    match namespace.as_str() {
        "" if kind == REPOSITORY => (own, name),
        "" => name.split_once('/').unwrap_or((own, name)),
        namespace => (namespace, name),
    }
}

/// The object that a reference leads to, in either group of the control plane.
pub(super) fn target<'c>(
    context: &Context<'c>,
    reference: &AgentReference,
) -> (ObjectKey, Option<&'c Object>) {
    let (namespace, name) = place(context.facts, reference);
    let key = |group: &str| ObjectKey::new(group, &reference.kind, namespace, name);
    let own = key(&context.facts.target.group);
    let groups = AGENT_GROUPS.iter().filter(|group| **group != own.group);
    let found = context
        .lookup(&own)
        .or_else(|| groups.map(|group| key(group)).find_map(|key| context.lookup(&key)));
    (own, found)
}

impl Reach<'_, '_> {
    /// Judges one reference.
    pub(super) fn judge(&mut self, reference: &AgentReference) {
        if reference.kind == REPOSITORY && reference.namespace.is_empty() {
            return self.judge_repository(&reference.name, &reference.path);
        }
        let (namespace, name) = place(self.context.facts, reference);
        if namespace == self.context.facts.target.namespace {
            return self.judge_unplaced(reference);
        }
        let owner = ownership(self.context, namespace);
        let text = format!("{}/{namespace}/{name}", reference.kind);
        let own = match &owner {
            Ownership::Owned(theirs) => {
                theirs == self.home || shared(self.context, theirs, self.home, &text)
            }
            Ownership::Platform
            | Ownership::Unowned
            | Ownership::Conflict(_)
            | Ownership::Unknown => false,
        };
        if !own {
            self.refuse_place(reference, &text, namespace, &owner);
        }
    }

    fn refuse_place(
        &mut self,
        reference: &AgentReference,
        text: &str,
        namespace: &str,
        owner: &Ownership,
    ) {
        if *owner == Ownership::Unknown {
            ask_for(self.context, namespace, self.found);
        }
        let message = format!(
            "`{}` is named by what is of organization `{}`; namespace `{}` {owner}",
            excerpt(text),
            excerpt(self.home),
            excerpt(namespace)
        );
        let remedy = match owner {
            Ownership::Owned(theirs) => self.share(theirs, text),
            Ownership::Unknown => {
                "name a namespace that exists; offline, add it to the cluster files".to_owned()
            }
            Ownership::Platform | Ownership::Unowned | Ownership::Conflict(_) => {
                format!("name one of organization `{}`", excerpt(self.home))
            }
        };
        self.found.add(self.rule.clone(), reference.path.as_str(), message, remedy);
    }

    fn share(&self, theirs: &str, text: &str) -> String {
        let (ours, theirs) = (excerpt(self.home), excerpt(theirs));
        format!(
            "name one of organization `{ours}`, or have a platform administrator share it: OrgSharingPolicy from \
             `{theirs}` to `{ours}` with `{}`",
            excerpt(text)
        )
    }

    /// A bare name: what is in the own namespace, or in none. What isn't there crosses nothing.
    fn judge_unplaced(&mut self, reference: &AgentReference) {
        if target(self.context, reference).1.is_some() {
            return;
        }
        let (_, name) = place(self.context.facts, reference);
        let key = |group: &&str| ObjectKey::new(group, &reference.kind, "", name);
        let mut objects = AGENT_GROUPS.iter().filter_map(|group| self.context.lookup(&key(group)));
        let Some(ties) = objects.find_map(|object| object.facts.ties()) else { return };
        let theirs = ties.organization.as_str();
        let text = format!("{}//{name}", reference.kind);
        if theirs == self.home || shared(self.context, theirs, self.home, &text) {
            return;
        }
        let whose = match theirs {
            "" => "no organization".to_owned(),
            theirs => format!("organization `{}`", excerpt(theirs)),
        };
        let message = format!(
            "`{}` is named by what is of organization `{}`; it is in no namespace and of {whose}",
            excerpt(&text),
            excerpt(self.home)
        );
        let remedy = match theirs {
            "" => format!(
                "name one of organization `{}`, or have a platform administrator give it an `organizationRef` and share it",
                excerpt(self.home)
            ),
            theirs => self.share(theirs, &text),
        };
        self.found.add(self.rule.clone(), reference.path.as_str(), message, remedy);
    }

    /// A repository by its name: a bare one is the own organization's, else the organization stands before the slash.
    pub(super) fn judge_repository(&mut self, name: &str, path: &str) {
        let Some((owner, rest)) = name.split_once('/') else { return };
        if owner == self.home {
            return;
        }
        let text = format!("{REPOSITORY}/{owner}/{rest}");
        if shared(self.context, owner, self.home, &text) {
            return;
        }
        let message = format!(
            "repository `{}` is of `{}`, and this is of organization `{}`",
            excerpt(name),
            excerpt(owner),
            excerpt(self.home)
        );
        let remedy = self.share(owner, &text);
        self.found.add(self.rule.clone(), path, message, remedy);
    }
}
