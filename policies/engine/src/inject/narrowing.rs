//! What the tool profiles of a pod's stacks allow. Tenants write both: they take away only, and everything that is read of them is bounded.

use std::collections::HashSet;

use pinfold_model::facts::Question;
use pinfold_model::object::agent::{ALLOWED_HOSTS_MAX, Ties};
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};

use super::choice::{Subject, Unapplied, unapplied};
use crate::explain::World;
use crate::grants::{RECORDS_MAX, stacks_beside};
use crate::rbac::describe::excerpt;

/// Most hosts of all tool profiles of a pod together.
const HOSTS_MAX: usize = 2 * ALLOWED_HOSTS_MAX;
/// Most fields of a pod's stacks that name a tool profile.
const REFERENCES_MAX: usize = 1_024;
/// A list that allows nothing.
pub(super) const NO_HOSTS: &[String] = &[];

/// The hosts that the tool profiles of its stacks allow, a list for each profile that denies others. Without a record every stack beside the pod
/// counts that could run as its ServiceAccount: whoever writes stacks can only take away by them.
pub(super) fn narrowing<'w>(
    world: &World<'w>,
    namespace: &str,
    subject: &Subject,
) -> Result<Vec<&'w [String]>, Unapplied> {
    let mut found = Found::default();
    if subject.stacks.is_empty() {
        let Some(stacks) = stacks_beside(world, (namespace, &subject.service_account)) else {
            return Err(too_many_records(&subject.service_account));
        };
        for (key, stack) in stacks {
            found.add(world, key, &stack.ties)?;
        }
        return Ok(found.lists);
    }
    if subject.stacks.len() > RECORDS_MAX {
        return Err(too_many_records(&subject.service_account));
    }
    for stack in &subject.stacks {
        let (place, name) = stack.split_once('/').unwrap_or((namespace, stack));
        let stack = find(world, "AgentStack", (place, name), "its stack")?;
        if let Facts::AgentStack(facts) = &stack.facts {
            found.add(world, &stack.key, &facts.ties)?;
        }
    }
    Ok(found.lists)
}

fn too_many_records(account: &str) -> Unapplied {
    let message = format!(
        "cannot tell what the tool profile of its stack allows: too many agent records name ServiceAccount `{}`",
        excerpt(account)
    );
    unapplied(message, "give each stack a ServiceAccount of its own")
}

/// The lists of profiles, each profile once.
#[derive(Default)]
struct Found<'w> {
    lists: Vec<&'w [String]>,
    profiles: HashSet<&'w ObjectKey>,
    references: usize,
    hosts: usize,
}

impl<'w> Found<'w> {
    /// Adds the tool profiles that a stack names.
    fn add(&mut self, world: &World<'w>, stack: &ObjectKey, ties: &Ties) -> Result<(), Unapplied> {
        for reference in ties.references.iter().filter(|one| one.kind == "AgentToolProfile") {
            self.references = self.references.saturating_add(1);
            if self.references > REFERENCES_MAX {
                let message = format!(
                    "the stacks of the pod name tool profiles more than {REFERENCES_MAX} times, `{}/{}` among them",
                    excerpt(&stack.namespace),
                    excerpt(&stack.name)
                );
                return Err(unapplied(message, "name fewer"));
            }
            let place = Some(reference.namespace.as_str()).filter(|place| !place.is_empty());
            let named = (place.unwrap_or(&stack.namespace), reference.name.as_str());
            let profile = find(world, "AgentToolProfile", named, "the tool profile of its stack")?;
            self.profile(profile)?;
        }
        Ok(())
    }

    fn profile(&mut self, profile: &'w Object) -> Result<(), Unapplied> {
        let Facts::Capability(facts) = &profile.facts else { return Ok(()) };
        let Some(hosts) = facts.allowed_hosts.as_deref() else { return Ok(()) };
        if !self.profiles.insert(&profile.key) {
            return Ok(());
        }
        self.hosts = self.hosts.saturating_add(hosts.len());
        let name = format!("{}/{}", excerpt(&profile.key.namespace), excerpt(&profile.key.name));
        let message = if hosts.len() > ALLOWED_HOSTS_MAX {
            format!(
                "AgentToolProfile `{name}` has more than {ALLOWED_HOSTS_MAX} `networkPolicy.allowHosts`"
            )
        } else if self.hosts > HOSTS_MAX {
            format!(
                "with AgentToolProfile `{name}` the tool profiles of the pod have more than {HOSTS_MAX} `networkPolicy.allowHosts` together"
            )
        } else {
            self.lists.push(hosts);
            return Ok(());
        };
        Err(unapplied(message, "list fewer hosts, with patterns like `*.example.com`"))
    }
}

/// An agent resource of either group.
fn find<'w>(
    world: &World<'w>,
    kind: &str,
    (namespace, name): (&str, &str),
    what: &str,
) -> Result<&'w Object, Unapplied> {
    let keys = AGENT_GROUPS.map(|group| ObjectKey::new(group, kind, namespace, name));
    let lookup = |key: &ObjectKey| match world.answers.live(key) {
        Some(live) => live,
        None => world.view.get(key),
    };
    if let Some(found) = keys.iter().find_map(lookup) {
        return Ok(found);
    }
    let message = format!(
        "cannot tell what {what} allows: {kind} `{}/{}` isn't in the view of the cluster",
        excerpt(namespace),
        excerpt(name)
    );
    let asked = keys.into_iter().filter(|key| world.answers.live(key).is_none());
    let questions = asked.map(Question::Object).collect();
    Err(Unapplied {
        questions,
        ..unapplied(message, "make it, or have the stack name one that is there")
    })
}
