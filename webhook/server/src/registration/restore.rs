//! What is written to restore a configuration: the entries that are wanted, with the CA that was there.

use kube::Error;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use super::compare::Bundles;
use super::desired::{Configuration, Wanted};
use super::entry::name_of;
use super::{FIELD_MANAGER, NAME};

/// The wanted entries with a CA each: the one that was there when all was well, else the one that is there now, else that of another entry,
/// since one Service is behind all of them.
pub(super) fn with_bundles(wanted: &Wanted, known: &Bundles, now: &Bundles) -> Vec<Value> {
    let any = known.values().chain(now.values()).next();
    let entries = wanted.entries.iter().map(|entry| {
        let name = name_of(entry);
        let bundle = known.get(name).or_else(|| now.get(name)).or(any);
        let mut entry = entry.clone();
        let client = entry.get_mut("clientConfig").and_then(Value::as_object_mut);
        if let (Some(client), Some(bundle)) = (client, bundle) {
            client.insert("caBundle".to_owned(), json!(bundle));
        }
        entry
    });
    entries.collect()
}

/// Writes the wanted state over what was found, if that is still what is there; makes what isn't there.
///
/// # Errors
/// The API server's; a conflict means that somebody else was faster.
pub(super) async fn write(
    api: &Api<DynamicObject>,
    configuration: Configuration,
    (wanted, entries): (&Wanted, Vec<Value>),
    found: Option<&DynamicObject>,
) -> Result<(), Error> {
    let Wanted { labels, annotations, .. } = wanted;
    let Some(found) = found else {
        let metadata = ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..ObjectMeta::default()
        };
        let made =
            DynamicObject::new(NAME, &configuration.resource()).data(json!({"webhooks": entries}));
        let by =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        return api.create(&by, &DynamicObject { metadata, ..made }).await.map(|_| ());
    };
    // With the resourceVersion that was read, a change in between is a conflict.
    let patch = json!({
        "metadata": {
            "resourceVersion": found.metadata.resource_version,
            "labels": labels,
            "annotations": annotations,
        },
        "webhooks": entries,
    });
    let by =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(NAME, &by, &Patch::Merge(patch)).await.map(|_| ())
}
