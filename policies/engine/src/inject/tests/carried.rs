//! What a pod gets through its compiled policy alone: authorities and resolvers, which nobody in its namespace may add to.

use serde_json::{Value, json};

use super::fixture::{BASE, cluster, pod};

/// An authority's certificate, made for this test.
const PEM: &str = "-----BEGIN CERTIFICATE-----\\nMIIBeTCCAR+gAwIBAgIUFC5IP1YZjq3Ha1ybE1K4kT/I3oUwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHcHJpdmF0ZTAeFw0yNjExMjIwMTMwNThaFw0yNjExMjMwMTMwNThaMBIxEDAOBgNVBAMMB3ByaXZhdGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS2RffNvydue+ZLoHKXR2n2V+C4dHrCsWj1k2yyYShUOJx6GJAHV2QB3juAFGwfoACthdzgIOjq05aW5WirTD4Mo1MwUTAdBgNVHQ4EFgQUifN3WryIx3oksbJ9O83uWhpjBOYwHwYDVR0jBBgwFoAUifN3WryIx3oksbJ9O83uWhpjBOYwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiA0Mp/nIIkaVZWjoaSZVd45d8aOpUWK15+z1fftzlU8vwIhAIuUkB/6qG0sR0X/Q8b8u3E+D2tDxkR7IuPQ/0EaNLTs\\n-----END CERTIFICATE-----\\n";

fn corporate() -> String {
    format!(
        "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: corp}}, spec: {{appliesTo: {{namespaces: [a]}},
          tls: {{roots: [{{hosts: ['**.corp.example'], pem: \"{PEM}\"}}]}}, egress: {{dns: {{resolvers: ['10.96.0.10:53']}}}}}}}}"
    )
}

#[test]
fn authorities_and_resolvers_travel_in_the_annotation_and_nowhere_else() {
    let (plain, corporate) = (cluster("", &[BASE]), cluster("", &[BASE, &corporate()]));
    let compiled = corporate.compiled("dev", &pod()).expect("a policy");
    assert_eq!(compiled.pointer("/spec/egress/dns/resolvers"), Some(&json!(["10.96.0.10:53"])));
    let text = compiled.pointer("/spec/tls/roots/0/pem").and_then(Value::as_str);
    assert!(text.is_some_and(|pem| pem.starts_with("-----BEGIN CERTIFICATE-----\n")));
    assert!(
        plain.compiled("dev", &pod()).is_some_and(|policy| policy.pointer("/spec/tls").is_none())
    );

    // No ConfigMap, no further volume, no flag: what a tenant could write to is no source.
    let made = |cluster: &super::fixture::Cluster| cluster.mutated("dev", &pod());
    assert_eq!(made(&plain)["spec"], made(&corporate)["spec"]);

    // Neither can the pod's author say either of them.
    let confined = made(&corporate);
    for (args, env) in [
        (Some("--upstream-ca=/tmp/ca.crt"), None),
        (Some("--resolver=10.0.0.9:53"), None),
        (None, Some("PINFOLD_UPSTREAM_CA")),
        (None, Some("PINFOLD_RESOLVER")),
    ] {
        let mut forged = confined.clone();
        let sidecar = &mut forged["spec"]["initContainers"][1];
        if let Some(flag) = args {
            sidecar["args"].as_array_mut().expect("arguments").push(json!(flag));
        }
        if let Some(name) = env {
            sidecar["env"] = json!([{"name": name, "value": "10.0.0.9:53"}]);
        }
        assert_eq!(corporate.refused("dev", &forged).len(), 1, "{args:?} {env:?}");
    }
    assert_eq!(corporate.refused("dev", &confined), [""; 0]);
}
