//! Credentials and trust: into the sidecar alone, with a grant that is good for nothing else.

use serde_json::{Value, json};

use super::fixture::{BASE, Cluster, cluster, patched, pod};

const WITH_SECRET: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: github}, spec: {appliesTo: {namespaces: [a]},
  upstreams: [{name: github, url: 'https://api.github.com', credential: {header: Authorization, format: 'Bearer {}', from: {secret: {name: github, key: token}}}},
    {name: other, url: 'https://other.example', credential: {header: X-Key, from: {secret: {name: github, key: other}}}}]}}";
const HTTPS: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: https}, spec: {appliesTo: {namespaces: [a]},
  egress: {allow: [{host: api.example, ports: [443], protocol: https, methods: [GET]}]}}}";
const BY_REFERENCE: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentSecretGrant, metadata: {name: g, namespace: a}, spec: {secretRef: {name: github, keys: [token, other]}, allowUntrustedRefs: true,
  subject: {kind: service-account, name: agent}, mountPolicy: never-mount-pass-by-reference}}";

fn by_reference() -> String {
    BY_REFERENCE.replace('\n', "")
}

fn rules(cluster: &Cluster, pod: &Value) -> Vec<String> {
    let decision = cluster.decision("dev", pod, None);
    let mut rules: Vec<String> = decision.denials().map(|one| one.rule.to_string()).collect();
    rules.dedup();
    rules
}

#[test]
fn a_credential_is_mounted_into_the_sidecar_alone_and_needs_a_grant() {
    let granted = cluster(&by_reference(), &[WITH_SECRET]);
    let mutated = granted.mutated("dev", &pod());
    let volumes = mutated["spec"]["volumes"].as_array().expect("volumes");
    let secrets =
        volumes.iter().find(|volume| volume["name"] == "pinfold-secrets").expect("secrets");
    assert_eq!(
        secrets["projected"]["sources"],
        json!([{"secret": {"name": "github", "items": [{"key": "other", "path": "github/other"}, {"key": "token", "path": "github/token"}]}}])
    );
    assert!(!mutated["spec"]["containers"].to_string().contains("pinfold-secrets"));
    assert_eq!(rules(&granted, &mutated), [""; 0]);
    // Without a grant it is refused, with one for less too.
    let bare = cluster("", &[WITH_SECRET]);
    assert!(rules(&bare, &bare.mutated("dev", &pod())).contains(&"PF-SEC-002".to_owned()));
    let less = cluster(&by_reference().replace(", other", ""), &[WITH_SECRET]);
    assert_eq!(rules(&less, &less.mutated("dev", &pod())), ["PF-SEC-002"]);
}

/// What an author could try to get at the Secret.
const WAYS: [&str; 4] = [
    r#"{"op": "add", "path": "/spec/volumes/-", "value": {"name": "mine", "projected": {"sources": [{"secret": {"name": "github", "items": [{"key": "token", "path": "t"}]}}]}}}"#,
    r#"{"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "github", "key": "token"}}}]}"#,
    r#"{"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": {"name": "pinfold-secrets", "mountPath": "/x"}}"#,
    r#"{"op": "add", "path": "/spec/initContainers/-", "value": {"name": "late", "image": "i", "volumeMounts": [{"name": "pinfold-secrets", "mountPath": "/x"}]}}"#,
];

#[test]
fn the_pods_author_gets_nothing_by_that_grant() {
    let cluster = cluster(&by_reference(), &[WITH_SECRET]);
    let mutated = cluster.mutated("dev", &pod());
    for way in WAYS {
        let own = patched(&mutated, way);
        assert!(!rules(&cluster, &own).is_empty(), "{own}");
        // Written before mutation it is no better: refused, or gone.
        let mut early = pod();
        early["spec"]["volumes"] = json!([]);
        early["spec"]["initContainers"] = json!([]);
        early["spec"]["containers"][0]["volumeMounts"] = json!([]);
        let early = cluster.mutated("dev", &patched(&early, way));
        let inits = early["spec"]["initContainers"].as_array().expect("inits").iter().skip(2);
        let agents = early["spec"]["containers"].as_array().expect("containers");
        let agents: String = inits.chain(agents).map(Value::to_string).collect();
        let gone = !agents.contains("pinfold-secrets") && !agents.contains("github");
        assert!(gone || !rules(&cluster, &early).is_empty());
    }
    let refused = cluster.mutated("dev", &{
        let mut own = pod();
        own["spec"]["volumes"] = json!([{"name": "mine", "secret": {"secretName": "github", "items": [{"key": "token", "path": "t"}]}}]);
        own
    });
    assert_eq!(rules(&cluster, &refused), ["PF-SEC-005"]);
}

#[test]
fn agents_get_the_pods_own_authority_only_where_tls_ends_in_the_sidecar() {
    let cluster = cluster("", &[BASE, HTTPS]);
    let mut own = pod();
    own["spec"]["containers"][0]["env"] = json!([{"name": "CURL_CA_BUNDLE", "value": "/mine"}]);
    let mutated = cluster.mutated("dev", &own);
    let agent = &mutated["spec"]["containers"][0];
    let variable = |name: &str| {
        agent["env"]
            .as_array()
            .expect("env")
            .iter()
            .find(|one| one["name"] == name)
            .expect("a variable")["value"]
            .clone()
    };
    assert_eq!(variable("CURL_CA_BUNDLE"), "/mine");
    assert_eq!(variable("SSL_CERT_FILE"), "/etc/pinfold/trust/bundle.crt");
    assert_eq!(variable("NODE_EXTRA_CA_CERTS"), "/etc/pinfold/trust/authority.crt");
    assert!(agent["volumeMounts"].as_array().expect("mounts").contains(
        &json!({"name": "pinfold-trust", "mountPath": "/etc/pinfold/trust", "readOnly": true})
    ));
    let sidecar = &mutated["spec"]["initContainers"][1];
    assert!(
        sidecar["args"].as_array().expect("args").contains(&json!("--trust=/etc/pinfold/trust"))
    );
    assert_eq!(cluster.refused("dev", &mutated), [""; 0]);
    let without = super::fixture::cluster("", &[BASE]).mutated("dev", &pod());
    assert!(!without.to_string().contains("pinfold-trust"));
    // An agent that could write there would choose whom it trusts for the others.
    let mut writable = mutated.clone();
    writable["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "pinfold-trust", "mountPath": "/etc/pinfold/trust"}]);
    assert!(!cluster.refused("dev", &writable).is_empty());
}
