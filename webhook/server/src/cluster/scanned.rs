//! Which kinds a scan reads whole: those that the registration of this version sends to be judged.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use kube::core::ApiResource;
use kube::core::discovery::{ApiCapabilities, Scope};
use kube::discovery::{Discovery, verbs};
use serde_json::{Map, Value};

use super::ClusterError;
use super::paging::{Part, explained};
use crate::informers::{Depth, Source};
use crate::registration::Desired;

/// Kinds whose content is no matter of any rule: only metadata is asked for.
const METADATA_ONLY: [(&str, &str); 2] = [("", "secrets"), ("", "configmaps")];
/// An annotation that repeats the object as it was applied, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ALL: &str = "*";

/// The kinds that are sent and that the cluster serves, sorted by group and plural.
pub(super) async fn sources(
    client: &Client,
    further_groups: &[String],
) -> Result<Vec<Source>, ClusterError> {
    let desired =
        Desired::built_in().map_err(|error| ClusterError::Registration(error.to_string()))?;
    let mut sent = desired.sent();
    for group in further_groups {
        sent.entry(group.clone()).or_default().insert(ALL.to_owned());
    }
    let groups: Vec<&str> = sent.keys().map(String::as_str).collect();
    let served = Discovery::new(client.clone()).filter(&groups).run().await;
    let served = served.map_err(|error| ClusterError::Discovery(explained(&error)))?;
    let mut found = Vec::new();
    for group in served.groups() {
        let resources = group.resources_by_stability();
        found.extend(resources.into_iter().filter_map(|resource| source(resource, &sent)));
    }
    found.sort_by(|left, right| order(left).cmp(&order(right)));
    Ok(found)
}

fn order(source: &Source) -> (&str, &str) {
    (&source.resource.group, &source.resource.plural)
}

fn source(
    (resource, capabilities): (ApiResource, ApiCapabilities),
    sent: &BTreeMap<String, BTreeSet<String>>,
) -> Option<Source> {
    let wanted = sent.get(&resource.group)?;
    if !(wanted.contains(ALL) || wanted.contains(&resource.plural))
        || !capabilities.supports_operation(verbs::LIST)
    {
        return None;
    }
    let bare = METADATA_ONLY.contains(&(resource.group.as_str(), resource.plural.as_str()));
    let depth = if bare { Depth::Metadata } else { Depth::Whole };
    Some(Source { resource, depth, namespaced: capabilities.scope == Scope::Namespaced })
}

/// The object as it would be sent for admission.
pub(super) fn whole((mut meta, data): Part, source: &Source) -> Value {
    meta.managed_fields = None;
    if source.depth == Depth::Metadata
        && let Some(annotations) = &mut meta.annotations
    {
        annotations.remove(LAST_APPLIED);
    }
    let mut object = if let Value::Object(fields) = data { fields } else { Map::new() };
    object.insert("apiVersion".to_owned(), source.resource.api_version.clone().into());
    object.insert("kind".to_owned(), source.resource.kind.clone().into());
    object.insert("metadata".to_owned(), serde_json::to_value(meta).unwrap_or_default());
    Value::Object(object)
}
