//! What a scan writes as reports is what the reports' resources take.

use pinfold::Outcome;
use serde_json::{Value, json};

use crate::Answer;
use crate::command::Place;

/// The reports' resources with no field but those that a scan writes, after the documented types of `wgpolicyk8s.io/v1alpha2` and
/// `openreports.io/v1alpha1`; a field of another name is refused by strict validation.
pub(crate) fn resources() -> String {
    let of = |group: &str, version: &str, kind: &str, scope: &str| {
        let singular = kind.to_lowercase();
        let plural = format!("{singular}s");
        let mut fields = json!({
            "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
            "summary": {"type": "object", "properties": summary()},
            "results": {"type": "array", "items": result()},
        });
        if let (true, Value::Object(fields)) = (group == "openreports.io", &mut fields) {
            fields.insert("source".to_owned(), json!({"type": "string"}));
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "scope": scope,
                "names": {"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List")},
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}},
                }],
            },
        })
    };
    let items = [
        of("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "Namespaced"),
        of("wgpolicyk8s.io", "v1alpha2", "ClusterPolicyReport", "Cluster"),
        of("openreports.io", "v1alpha1", "Report", "Namespaced"),
        of("openreports.io", "v1alpha1", "ClusterReport", "Cluster"),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn summary() -> Value {
    let count = || json!({"type": "integer"});
    json!({"pass": count(), "fail": count(), "warn": count(), "error": count(), "skip": count()})
}

fn result() -> Value {
    let text = || json!({"type": "string"});
    let subject = json!({
        "type": "object",
        "properties": {"apiVersion": text(), "kind": text(), "name": text(), "namespace": text(), "uid": text()},
    });
    json!({
        "type": "object",
        "required": ["policy"],
        "properties": {
            "source": text(), "policy": text(), "rule": text(), "category": text(), "message": text(),
            "severity": {"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
            "result": {"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]},
            "scored": {"type": "boolean"},
            "properties": {"type": "object", "additionalProperties": text()},
            "resources": {"type": "array", "items": subject},
        },
    })
}

pub(crate) fn are_accepted_by_the_server(place: &Place<'_>) -> Answer {
    for (format, in_namespace, of_cluster) in [
        ("policyreport", "policyreports.wgpolicyk8s.io", "clusterpolicyreports.wgpolicyk8s.io"),
        ("openreports", "reports.openreports.io", "clusterreports.openreports.io"),
    ] {
        let scanned = place.scan_as(place.server.kubeconfig(), &["-o", format])?;
        assert_eq!(scanned.outcome, Outcome::Denied, "{scanned:?}");
        let apply = ["apply", "--validate=strict", "-f", "-"];
        place.server.kubectl(&apply, &scanned.out)?.ok()?;
        let get = |words: &[&str], path: &str| {
            let output = format!("jsonpath={{{path}}}");
            place.server.kubectl(&[&["get"], words, &["-o", &output]].concat(), "")?.ok()
        };
        let own = [in_namespace, "pinfold-scan", "-n", "acme"];
        let whole = [of_cluster, "pinfold-scan"];
        let failed =
            |words: &[&str]| -> Answer<usize> { Ok(get(words, ".summary.fail")?.parse()?) };
        assert!(failed(&own)? >= 6, "three bindings and three workloads");
        assert!(failed(&whole)? >= 2, "two cluster bindings");
        let named = get(&whole, ".results[*].resources[*].name")?;
        for name in ["bad-1-admin", "bad-2-group"] {
            assert!(named.contains(name), "{named}");
        }
        let remedies = get(&own, ".results[*].properties.remedy")?;
        assert!(!remedies.is_empty(), "each says how to mend it");
        let uids = get(&own, ".results[*].resources[*].uid")?;
        let deployment = get(&["deployment", "reader", "-n", "acme"], ".metadata.uid")?;
        assert!(uids.contains(&deployment), "{uids}");
        let all = place.server.kubectl(&["get", in_namespace, "-A", "-o", "name"], "")?.ok()?;
        assert_eq!(all.lines().count(), 1, "namespaces without findings have no report: {all}");
        // What is written again is the same, so that nothing changes in the cluster while nothing changes.
        let again = place.server.kubectl(&apply, &scanned.out)?.ok()?;
        assert!(again.lines().all(|line| line.ends_with("unchanged")), "{again}");
    }
    Ok(())
}
