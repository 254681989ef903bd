//! The webhook configurations of `manifests/`, made to call a stage's webhook, for a stage's objects.

pub(crate) mod home;
mod kept;
mod named;
mod organizations;
mod own;
mod sifted;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pinfold_tests::ApiServer;
use serde_json::{Value, json};

use crate::Outcome;
use crate::kubernetes::repository;

/// Where a configuration leads.
pub(crate) struct Target<'a> {
    /// The stage: the value of its namespaces' label and the beginning of its cluster-scoped objects' names.
    pub(crate) stage: &'a str,
    /// `https://ADDRESS`.
    pub(crate) url: &'a str,
    /// The authority of the webhook's certificate.
    pub(crate) authority_pem: &'a str,
}

/// Registers both configurations.
pub(crate) fn register(server: &ApiServer, target: &Target<'_>) -> Outcome {
    for (file, path) in [("validating.yaml", "/validate"), ("mutating.yaml", "/mutate")] {
        let mut configuration = read(server, file)?;
        lead(&mut configuration, target, path)?;
        server.apply(&configuration.to_string())?;
    }
    Ok(())
}

/// Both configurations as they are, but for a program at this URL, as a file.
pub(crate) fn leading_to(server: &ApiServer, url: &str) -> Outcome<String> {
    let mut text = String::new();
    for (file, path) in [("validating.yaml", "/validate"), ("mutating.yaml", "/mutate")] {
        let mut configuration = read(server, file)?;
        let entries = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
        for entry in entries.ok_or("no webhooks")? {
            let entry = entry.as_object_mut().ok_or("an entry that is no object")?;
            entry.insert("clientConfig".to_owned(), json!({"url": format!("{url}{path}")}));
        }
        text.push_str(&format!("---\n{configuration}\n"));
    }
    Ok(text)
}

/// YAML with anchors to JSON, by kubectl's own reader.
fn read(server: &ApiServer, file: &str) -> Outcome<Value> {
    let path = repository("manifests/base").join(file);
    let read = ["create", "--dry-run=client", "-o", "json", "-f", &path.to_string_lossy()];
    Ok(serde_json::from_str(&server.kubectl(&read, "")?.ok()?)?)
}

fn lead(configuration: &mut Value, target: &Target<'_>, path: &str) -> Outcome {
    let Target { stage, url, authority_pem } = target;
    let metadata = configuration.get_mut("metadata").and_then(Value::as_object_mut);
    metadata.ok_or("no metadata")?.insert("name".to_owned(), json!(stage));
    let entries = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    for entry in entries.ok_or("no webhooks")? {
        let entry = entry.as_object_mut().ok_or("an entry that is no object")?;
        let client = json!({
            "url": format!("{url}{path}"),
            "caBundle": BASE64_STANDARD.encode(authority_pem),
        });
        entry.insert("clientConfig".to_owned(), client);
        let selector = entry.entry("namespaceSelector").or_insert_with(|| json!({}));
        let ours = json!({"key": "pinfold-test", "operator": "In", "values": [stage]});
        push(selector, "matchExpressions", ours)?;
        let own =
            entry.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with("own"));
        let cluster = ["boundary.pinfold.dev", "nodes.pinfold.dev"];
        let cluster = cluster.iter().any(|name| entry.get("name") == Some(&json!(name)));
        if own || cluster {
            // A namespaceSelector lets every cluster-scoped object through.
            let expression = format!(
                "request.?namespace.orValue('') != '' || request.resource.resource == 'namespaces' || \
                 request.?name.orValue('').startsWith('{stage}-')"
            );
            let ours = json!({"name": "of-this-test", "expression": expression});
            let conditions = entry.entry("matchConditions").or_insert_with(|| json!([]));
            conditions.as_array_mut().ok_or("matchConditions that are no list")?.push(ours);
        }
    }
    Ok(())
}

fn push(object: &mut Value, list: &str, item: Value) -> Outcome {
    let fields = object.as_object_mut().ok_or("a selector that is no object")?;
    let list = fields.entry(list).or_insert_with(|| json!([]));
    list.as_array_mut().ok_or("expressions that are no list")?.push(item);
    Ok(())
}
