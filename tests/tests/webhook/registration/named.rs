//! A kind that only the site's own policy names: sent without anybody changing the registration, as long as the policy names it and the cluster
//! has it.

use std::fs;
use std::time::Duration;

use pinfold_tests::until;
use serde_json::Value;

use super::home::Home;
use crate::Outcome;
use crate::replica::Replica;
use crate::stage::replace;

/// Policy and cluster are looked at every 10 seconds, then the registration.
const LONG: Duration = Duration::from_secs(60);
const DEFINITIONS: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: oxen.site.example}, spec: {group: site.example, \
     names: {kind: Ox, plural: oxen}, scope: Namespaced, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: sheep.site.example}, spec: {group: site.example, \
     names: {kind: Sheep, plural: sheep}, scope: Cluster, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}";
const OX: &str = "{apiVersion: site.example/v1, kind: Ox, metadata: {name: o, namespace: acme}, spec: {yoke: heavy}}";
const HONEST_OX: &str = "{apiVersion: site.example/v1, kind: Ox, metadata: {name: o, namespace: acme}, spec: {yoke: light}}";
const SHEEP: &str =
    "{apiVersion: site.example/v1, kind: Sheep, metadata: {name: s}, spec: {yoke: heavy}}";

/// A policy that names both kinds, or nothing.
fn site(names: &str) -> String {
    format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: site}}\nspec: {{{names}}}\n"
    )
}

const NAMES: &str = "custom: [{id: no-heavy-yoke, match: {apiGroups: [site.example]}, deny: {path: $.spec.yoke, equals: heavy, message: too heavy}}]";

/// The rules of the policy's entry, `None` without such an entry.
fn rules(home: &Home) -> Outcome<Option<Value>> {
    let found = home.configuration("validatingwebhookconfiguration")?.unwrap_or_default();
    let entries = found.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = |entry: &Value| entry.get("name") == Some(&"policy.pinfold.dev".into());
    Ok(entries.into_iter().find(ours).and_then(|entry| entry.get("rules").cloned()))
}

fn until_rules(home: &Home, replicas: &[&Replica], wanted: &[(&str, &str)]) -> Outcome {
    let expected: Vec<Value> = wanted
        .iter()
        .map(|(plural, scope)| {
            serde_json::json!({"apiGroups": ["site.example"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": [plural], "scope": scope})
        })
        .collect();
    let expected = (!expected.is_empty()).then(|| Value::from(expected));
    let mut last = None;
    let found = until(LONG, || {
        last = rules(home).ok()?;
        (last == expected).then_some(())
    });
    let log = || replicas.iter().map(|replica| replica.process.log()).collect::<String>();
    found.ok_or_else(|| format!("{last:?} instead of {expected:?}:\n{}", log()).into())
}

fn told(replica: &Replica) -> Outcome<f64> {
    let labels = [("configuration", "validating"), ("change", "rules")];
    let added = [("configuration", "validating"), ("change", "entry-added")];
    let missing = [("configuration", "validating"), ("change", "entry-missing")];
    let mut sum = 0.0;
    for labels in [labels, added, missing] {
        sum += replica.count("pinfold_registration_changes_total", &labels)?;
    }
    Ok(sum)
}

#[test]
fn what_the_policy_names_is_sent_as_long_as_it_does() -> Outcome {
    let home = Home::new()?;
    let file = home.path("policy").join("site.yaml");
    fs::write(&file, site(NAMES))?;
    // Two replicas, which must agree.
    let replica = home.open(&home.flags("keep"))?;
    let second = Replica::start(&home.flags("keep"))?;
    home.enforces()?;
    assert_eq!(rules(&home)?, None, "the cluster has none of it");

    home.server.apply(DEFINITIONS)?;
    home.server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
    until_rules(&home, &[&replica, &second], &[("sheep", "Cluster"), ("oxen", "Namespaced")])?;
    for forbidden in [OX, SHEEP] {
        home.until_tried(forbidden, |answer| answer.stderr.contains("no-heavy-yoke"))?;
    }
    home.until_tried(HONEST_OX, |answer| answer.success())?;

    replace(&file, &site("mode: enforce"))?;
    until_rules(&home, &[&replica, &second], &[])?;
    home.until_tried(OX, |answer| answer.success())?;
    assert_eq!(told(&replica)? + told(&second)?, 0.0, "nobody changed the registration");
    home.enforces()
}
