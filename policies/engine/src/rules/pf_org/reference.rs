//! PF-ORG-001: an agent resource is of its namespace's organization, and names only what is that organization's or shared with it.
//!
//! Whoever writes it: a controller that serves every organization is no exception, because what it writes is what somebody asked it to. An
//! AgentRoleBinding is PF-RBAC-006's, the references of memory are PF-ORG-004's.

use std::collections::BTreeMap;

use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::{AgentReference, Ties};
use pinfold_model::object::{Facts, Object};

use super::home::{Home, home};
use super::part::{content_comes, labels_come};
use super::reach::{MAX_TOLD, Reach};
use crate::context::{Context, Found};
use crate::organization::{namespace_key, ownership};
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::administers;

const RULE: RuleId = RuleId::ORG_REFERENCE;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let Some(object) = &context.facts.object else { return };
    if object.facts.workload().is_some() {
        judge_workload(context, object, found);
        return;
    }
    let Some(ties) = object.facts.ties() else { return };
    if matches!(object.facts, Facts::AgentRoleBinding(_)) {
        return;
    }
    let home = home(context, ties);
    if content_comes(context.facts) {
        judge_content(context, object, ties, &home, found);
    }
    if let Some(organization) = home.organization().filter(|_| labels_come(context.facts)) {
        judge_labels(context, organization, &object.meta.labels, "$.metadata", found);
    }
}

fn judge_content(
    context: &Context<'_>,
    object: &Object,
    ties: &Ties,
    home: &Home,
    found: &mut Found,
) {
    match home {
        Home::Wrong(says) => return refuse_home(context, says, found),
        Home::Claimed(says) if administers(context, RULE, found) == Some(false) => {
            return refuse_home(context, says, found);
        }
        Home::Organization(_) | Home::Claimed(_) | Home::Platform | Home::Told => {}
    }
    let Some(organization) = home.organization() else { return };
    if matches!(object.facts, Facts::Memory(_)) {
        return;
    }
    let before = found.raw.len();
    let mut reach = Reach { context, rule: RULE, home: organization, found };
    for reference in ties.references.iter().chain(&account(object)) {
        if reach.found.raw.len().saturating_sub(before) >= MAX_TOLD {
            return;
        }
        reach.judge(reference);
    }
    judge_repositories(&mut reach, &object.facts, before);
}

/// The ServiceAccount that an AgentServiceAccount makes an agent's.
fn account(object: &Object) -> Option<AgentReference> {
    let Facts::AgentServiceAccount(account) = &object.facts else { return None };
    Some(AgentReference {
        kind: "ServiceAccount".to_owned(),
        namespace: account.namespace.clone(),
        name: account.service_account.clone(),
        path: "$.spec.namespace".to_owned(),
    })
}

/// Lists of repositories that may be patterns: an owner that is spelled out must be the own organization. One that isn't is confined to it anyway,
/// because only work of the own organization is held against the list.
fn judge_repositories(reach: &mut Reach<'_, '_>, facts: &Facts, before: usize) {
    let repositories = if let Facts::Grant(grant) = facts {
        &grant.repositories
    } else if let Facts::AgentServiceAccount(account) = facts {
        &account.repositories
    } else {
        return;
    };
    for (index, name) in repositories.iter().enumerate() {
        let owner = name.split_once('/').map_or("", |(owner, _)| owner);
        let told = reach.found.raw.len().saturating_sub(before) >= MAX_TOLD;
        if !told && !owner.contains(['*', '?']) {
            reach.judge_repository(name, &format!("$.spec.allowedRepositories[{index}]"));
        }
    }
}

fn refuse_home(context: &Context<'_>, says: &str, found: &mut Found) {
    let namespace = context.facts.target.namespace.as_str();
    let message = match namespace {
        "" => format!("organization `{}` is named, which is no valid name", excerpt(says)),
        namespace => format!(
            "organization `{}` is named, and namespace `{}` {}",
            excerpt(says),
            excerpt(namespace),
            ownership(context, namespace)
        ),
    };
    let remedy = "leave organizationRef out, or apply this in a namespace of that organization";
    found.add(RULE, "$.spec.organizationRef", message, remedy);
}

/// The labels of an agent workload, and those of its pods.
fn judge_workload(context: &Context<'_>, object: &Object, found: &mut Found) {
    if !content_comes(context.facts) && !labels_come(context.facts) {
        return;
    }
    let namespace = context.facts.target.namespace.as_str();
    let guarded = context
        .lookup(&namespace_key(namespace))
        .is_some_and(|object| context.policy.agents.guards(&object.meta.labels));
    let owner = ownership(context, namespace);
    let (Some(organization), Some(workload)) = (owner.organization(), object.facts.workload())
    else {
        return;
    };
    if !guarded {
        return;
    }
    judge_labels(context, organization, &object.meta.labels, "$.metadata", found);
    if workload.meta_path != "$.metadata" {
        let labels: BTreeMap<String, String> = workload.pod_labels.iter().cloned().collect();
        judge_labels(context, organization, &labels, &workload.meta_path, found);
    }
}

/// A label that names an organization names the own one.
fn judge_labels(
    context: &Context<'_>,
    organization: &str,
    labels: &BTreeMap<String, String>,
    at: &str,
    found: &mut Found,
) {
    for key in &context.policy.organizations.namespace_labels {
        let Some(says) = labels.get(key).filter(|says| *says != organization) else { continue };
        let message = format!(
            "label `{}` says organization `{}`, and this is of organization `{}`",
            excerpt(key),
            excerpt(says),
            excerpt(organization)
        );
        let path = format!("{at}.labels['{}']", excerpt(key));
        found.add(RULE, path, message, "leave the label out; the namespace says whose this is");
    }
}
