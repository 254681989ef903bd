//! What the policy names (`references`, `custom`, `trust.provenance`) and no entry that ships covers: an entry of its own, made from the policy and
//! from what the cluster serves, so that a kind that somebody writes a rule for is sent without anybody changing the registration.
//!
//! The same policy and the same cluster make the same entry in every replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::core::discovery::Scope;
use kube::discovery::{Discovery, verbs};
use pinfold_model::policy::admission::{AdmissionPolicy, ObjectMatch};
use serde_json::{Value, json};

use super::Registration;
use super::desired::{Desired, Wanted};
use super::entry::name_of;
use crate::drain::DrainWatch;

/// The entry of what the policy names.
pub(crate) const POLICY_ENTRY: &str = "policy.pinfold.dev";
/// The entry whose selector, conditions and client it has.
const TEMPLATE: &str = "workloads.pinfold.dev";
/// Resources of the core group of which [`TEMPLATE`] sends few, and the condition that leaves out the rest.
const SIFTED: [(&str, &str); 2] =
    [("secrets", "secret-that-is-copied"), ("services", "service-that-names-a-secret")];
/// How often policy and cluster are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the API server has to say what it serves.
const DISCOVERY_MAX: Duration = Duration::from_secs(10);
/// Most resources of the entry; a policy that names more has to be narrowed.
const RESOURCES_MAX: usize = 500;

/// A resource that a cluster serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Served {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// What is wanted as of now, and which time that is.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) desired: Desired,
    /// Counts the changes of what is wanted; 0 until policy and cluster were looked at.
    pub(crate) generation: u64,
}

/// Keeps what is wanted up to date until the server leaves.
pub(super) async fn run(shared: Arc<Registration>, mut drain: DrainWatch) {
    loop {
        match tokio::time::timeout(DISCOVERY_MAX, served(&shared.client)).await {
            Ok(Ok(served)) => follow(&shared, &served),
            Ok(Err(error)) => {
                tracing::warn!(%error, "can't tell which kinds that the policy names are served");
            }
            Err(_) => tracing::warn!("no answer about the kinds that are served"),
        }
        if !drain.pause(LOOK_EVERY).await {
            return;
        }
    }
}

fn follow(shared: &Registration, served: &[Served]) {
    let published = shared.health.admission.policy.load();
    let named = published.policy.admission.as_ref();
    let base = &shared.plan.base;
    let entry = named.and_then(|policy| entry(base.validating(), policy, served));
    let desired = base.with(entry);
    let current = shared.plan.current.load();
    if current.generation == 0 || current.desired != desired {
        let generation = current.generation.saturating_add(1);
        shared.plan.current.store(Arc::new(Current { desired, generation }));
    }
}

/// Everything that can be listed, sorted; what can't is no object.
async fn served(client: &Client) -> Result<Vec<Served>, kube::Error> {
    let found = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(found) => found,
        Err(_) => Discovery::new(client.clone()).run().await?,
    };
    let mut all = BTreeSet::new();
    for group in found.groups() {
        for (resource, capabilities) in group.resources_by_stability() {
            if capabilities.supports_operation(verbs::LIST) {
                let namespaced = capabilities.scope == Scope::Namespaced;
                let (group, kind, plural) = (resource.group, resource.kind, resource.plural);
                all.insert(Served { group, kind, plural, namespaced });
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// The entry for what a policy names; nothing if those that ship cover it.
pub(crate) fn entry(
    validating: &Wanted,
    policy: &AdmissionPolicy,
    served: &[Served],
) -> Option<Value> {
    let template = validating.entries.iter().find(|entry| name_of(entry) == TEMPLATE)?;
    let matches = matches(policy);
    let named = served.iter().filter(|one| matches.iter().any(|rule| names(rule, one)));
    let open = named.filter(|one| !validating.entries.iter().any(|entry| covers(entry, one)));
    let mut rules: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    for one in open.take(RESOURCES_MAX) {
        rules.entry((&one.group, one.namespaced)).or_default().insert(&one.plural);
    }
    if rules.is_empty() {
        return None;
    }
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|((group, namespaced), plurals)| {
            json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": plurals, "scope": if namespaced { "Namespaced" } else { "Cluster" }})
        })
        .collect();
    let mut entry = template.clone();
    let fields = entry.as_object_mut()?;
    fields.insert("name".to_owned(), json!(POLICY_ENTRY));
    fields.insert("rules".to_owned(), json!(rules));
    if let Some(conditions) = fields.get_mut("matchConditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| SIFTED.iter().all(|(_, name)| name_of(condition) != *name));
    }
    Some(entry)
}

fn matches(policy: &AdmissionPolicy) -> Vec<&ObjectMatch> {
    let references = policy.references.iter().map(|field| &field.applies);
    let custom = policy.custom.iter().map(|rule| &rule.applies);
    let provenance = policy.trust.provenance.iter().map(|extractor| &extractor.applies);
    let all = references.chain(custom).chain(provenance);
    // What applies to everything names nothing: to send everything would make all of a cluster's work wait for Pinfold.
    all.filter(|rule| !(rule.api_groups.is_empty() && rule.kinds.is_empty())).collect()
}

fn names(rule: &ObjectMatch, served: &Served) -> bool {
    let listed = |list: &[String], text: &String| list.is_empty() || list.contains(text);
    let nowhere = || rule.namespaces.iter().any(|pattern| pattern.matches(""));
    listed(&rule.api_groups, &served.group)
        && listed(&rule.kinds, &served.kind)
        && (served.namespaced || rule.namespaces.is_empty() || nowhere())
}

/// Whether an entry sends what is made or changed of a resource: of a namespaced one, wherever agents are.
fn covers(entry: &Value, served: &Served) -> bool {
    if served.group.is_empty() && SIFTED.iter().any(|(plural, _)| *plural == served.plural) {
        return false;
    }
    let everywhere = entry.get("namespaceSelector").is_none_or(|selector| *selector == json!({}));
    if served.namespaced && !everywhere && name_of(entry) != TEMPLATE {
        return false;
    }
    let scope = if served.namespaced { "Namespaced" } else { "Cluster" };
    let rules = entry.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    rules.iter().any(|rule| {
        let has = |field: &str, wanted: &str| {
            let list = rule.get(field).and_then(Value::as_array);
            let found = |one: &Value| one == wanted || one == "*";
            list.is_some_and(|list| list.iter().any(found))
        };
        let scoped = rule.get("scope").is_none_or(|found| found == scope || found == "*");
        let made = has("operations", "CREATE") && has("operations", "UPDATE");
        scoped && made && has("apiGroups", &served.group) && has("resources", &served.plural)
    })
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
