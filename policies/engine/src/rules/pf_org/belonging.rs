//! PF-ORG-002: agents of nobody. An agent resource belongs to an organization or is the platform's, and agents run in guarded namespaces that
//! somebody answers for.
//!
//! In a namespace whose organization is disputed or unknown this is the one finding of the family: what is said there can't be weighed.

use std::collections::BTreeSet;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::Ties;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object};
use pinfold_model::snapshot::names_agent;

use super::part::{ask_for, content_comes};
use crate::agent_workload::service_account;
use crate::context::{Context, Found};
use crate::organization::{Ownership, namespace_key, ownership};
use crate::rbac::agents::{Agents, Naming};
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::administers;
use crate::rules::pf_sec::untouched::is_untouched;

const RULE: RuleId = RuleId::ORG_NONE;
/// Labels of the control plane by which a workload says that it is an agent's.
const MARKS: [&str; 2] = ["agent-stack", "dispatch-run"];

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| content_comes(facts)) else { return };
    if let Some(workload) = object.facts.workload() {
        // Where the organization became disputed, controllers still scale down and clean up.
        if !is_untouched(context, object, workload) {
            judge_workload(context, object, workload, found);
        }
    } else if object.facts.ties().is_some() {
        match facts.target.namespace.as_str() {
            "" if !is_blank(&object.facts) => judge_unplaced(context, found),
            "" => {}
            namespace => judge_namespace(context, object, namespace, found),
        }
        judge_guard(context, object, found);
    }
}

/// Whether it is of a kind of which nothing is known, and says nothing that a rule reads.
fn is_blank(facts: &Facts) -> bool {
    matches!(facts, Facts::AgentResource(ties) if **ties == Ties::default())
}

/// An agent resource in no namespace: nothing bears out what it says, so only the platform may say it.
fn judge_unplaced(context: &Context<'_>, found: &mut Found) {
    if administers(context, RULE, found) == Some(false) {
        let kind = excerpt(&context.facts.target.kind);
        let message = format!(
            "this `{kind}` is in no namespace, so nothing tells whose it is, and its author is no platform administrator"
        );
        let remedy = "put it into a namespace of its organization, or have a platform administrator \
                      (`organizations.platformAdmins`) apply it";
        found.add(RULE, "$.metadata", message, remedy);
    }
}

/// An agent resource in a namespace of nobody. Where nobody can tell whose rights an AgentRoleBinding gives, PF-RBAC-006 refuses it.
fn judge_namespace(context: &Context<'_>, object: &Object, namespace: &str, found: &mut Found) {
    let owner = ownership(context, namespace);
    let binding = matches!(object.facts, Facts::AgentRoleBinding(_));
    match owner {
        Ownership::Owned(_) | Ownership::Platform => {}
        Ownership::Conflict(_) | Ownership::Unknown if binding => {}
        Ownership::Unowned | Ownership::Conflict(_) | Ownership::Unknown => {
            refuse_place(context, namespace, &owner, found);
        }
    }
}

/// Agents live in guarded namespaces only.
fn judge_guard(context: &Context<'_>, object: &Object, found: &mut Found) {
    let path = if matches!(object.facts, Facts::AgentServiceAccount(_)) {
        "$.spec.namespace"
    } else if matches!(object.facts, Facts::AgentStack(_)) {
        "$.spec.runtimeIdentity.serviceAccountRef"
    } else if matches!(object.facts, Facts::RunnerPool(_)) {
        "$.spec.serviceAccountRef"
    } else {
        return;
    };
    let own = context.facts.target.namespace.as_str();
    let identity = names_agent(object).map(|(namespace, _)| namespace);
    let places: BTreeSet<&str> = [own].into_iter().chain(identity.as_deref()).collect();
    for place in places.into_iter().filter(|place| !place.is_empty()) {
        let path = if place == own { "$.metadata.namespace" } else { path };
        judge_place(context, place, path, found);
    }
}

fn judge_place(context: &Context<'_>, namespace: &str, path: &str, found: &mut Found) {
    // Whose the object's own namespace is was judged before.
    let own = namespace == context.facts.target.namespace;
    let Some(object) = context.lookup(&namespace_key(namespace)) else {
        if !own {
            ask_for(context, namespace, found);
            let message =
                format!("namespace `{}` isn't in the view of the cluster", excerpt(namespace));
            found.add(RULE, path, message, "name a guarded namespace that exists");
        }
        return;
    };
    let told =
        own && !matches!(ownership(context, namespace), Ownership::Owned(_) | Ownership::Platform);
    if !told && !context.policy.agents.guards(&object.meta.labels) {
        let kind = excerpt(&context.facts.target.kind);
        let what = format!("this `{kind}` puts agents there");
        refuse_unguarded(namespace, path, &what, found);
    }
}

/// Whether a workload says itself that it is an agent's. It can; it can't say that it is none.
fn opts_in(object: &Object, workload: &Workload) -> bool {
    let agents = |group: &str| AGENT_GROUPS.contains(&group);
    let label = |key: &String| {
        key.split_once('/').is_some_and(|(group, name)| agents(group) && MARKS.contains(&name))
    };
    object.meta.owners.iter().any(|owner| agents(&owner.group))
        || object.meta.labels.keys().any(label)
        || workload.pod_labels.iter().any(|(key, _)| label(key))
}

fn judge_workload(context: &Context<'_>, object: &Object, workload: &Workload, found: &mut Found) {
    let namespace = context.facts.target.namespace.as_str();
    let key = namespace_key(namespace);
    let Some(place) = context.lookup(&key) else {
        match context.facts.answers.live(&key) {
            Some(_) => refuse_place(context, namespace, &Ownership::Unknown, found),
            // Nothing says that this is an agent, and the view may be behind.
            None => found.confirm(Question::Object(key)),
        }
        return;
    };
    let guarded = context.policy.agents.guards(&place.meta.labels);
    let account = service_account(workload);
    let naming = Agents::of(context).naming(namespace, account);
    if !guarded && naming.is_none() && !opts_in(object, workload) {
        return;
    }
    let owner = ownership(context, namespace);
    if !matches!(owner, Ownership::Owned(_) | Ownership::Platform) {
        refuse_place(context, namespace, &owner, found);
    } else if let Some(Naming::Record(record)) = naming.filter(|_| !guarded) {
        // A pattern may reach further than agents do; a record means this one.
        let path = format!("{}.serviceAccountName", workload.spec_path);
        let what = format!(
            "{} makes ServiceAccount `{}` an agent's",
            excerpt(&record.to_string()),
            excerpt(account)
        );
        refuse_unguarded(namespace, &path, &what, found);
    }
}

fn refuse_unguarded(namespace: &str, path: &str, what: &str, found: &mut Found) {
    let namespace = excerpt(namespace);
    let message = format!(
        "namespace `{namespace}` isn't guarded, and {what}; agents run in guarded namespaces only"
    );
    let remedy = "use a guarded namespace, or have a platform administrator guard this one \
                  (`agents.namespaceSelector`)";
    found.add(RULE, path, message, remedy);
}

fn refuse_place(context: &Context<'_>, namespace: &str, owner: &Ownership, found: &mut Found) {
    if *owner == Ownership::Unknown {
        ask_for(context, namespace, found);
    }
    let shown = excerpt(namespace);
    let message =
        format!("namespace `{shown}` {owner}, and nobody would answer for an agent there");
    let remedy = match owner {
        Ownership::Conflict(_) => {
            "have a platform administrator make the sources agree: OrgNamespaceBinding, Organization and the label"
                .to_owned()
        }
        Ownership::Unknown => {
            "use a namespace that exists; offline, add it to the cluster files".to_owned()
        }
        Ownership::Owned(_) | Ownership::Platform | Ownership::Unowned => format!(
            "have a platform administrator give it an organization: `kubectl label namespace {shown} {}=NAME`",
            excerpt(label(context))
        ),
    };
    found.add(RULE, "$.metadata.namespace", message, remedy);
}

/// The label to tell people about.
fn label<'c>(context: &Context<'c>) -> &'c str {
    context.policy.organizations.namespace_labels.first().map_or("", String::as_str)
}
