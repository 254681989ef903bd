//! PF-POD-007.

use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use serde_json::{Value, json};

use super::{check, honest, judged, put, template, told};
use crate::organization::fixture::{policy, spoken};

const RULE: &str = "PF-POD-007";

#[test]
fn names_and_resolvers() {
    check(
        RULE,
        &[
            (
                "/spec/hostAliases",
                json!([{"ip": "203.0.113.9", "hostnames": ["api.example.com"]}]),
                &["$.spec.hostAliases"],
            ),
            ("/spec/hostAliases", json!([{"ip": "203.0.113.9"}]), &["$.spec.hostAliases"]),
            ("/spec/hostAliases", json!([]), &[]),
            ("/spec/dnsPolicy", json!("None"), &["$.spec.dnsPolicy"]),
            ("/spec/dnsPolicy", json!("Default"), &[]),
            ("/spec/dnsPolicy", json!("ClusterFirst"), &[]),
            (
                "/spec/dnsConfig",
                json!({"nameservers": ["203.0.113.9"]}),
                &["$.spec.dnsConfig.nameservers"],
            ),
            (
                "/spec/dnsConfig",
                json!({"searches": ["evil.example"]}),
                &["$.spec.dnsConfig.searches"],
            ),
            ("/spec/dnsConfig", json!({"options": [{"name": "ndots", "value": "1"}]}), &[]),
            ("/spec/hostnameOverride", json!("api.example.com"), &["$.spec.hostnameOverride"]),
            ("/spec/hostnameOverride", json!("worker"), &[]),
            ("/spec/hostname", json!("worker"), &[]),
            ("/spec/hostname", json!("api.example.com"), &["$.spec.hostname"]),
            ("/metadata/name", json!("api.example.com"), &["$.metadata.name"]),
        ],
    );
}

#[test]
fn templates_too_and_not_without_a_sidecar() {
    let pod = put(honest(), "/spec/dnsPolicy", json!("None"));
    assert_eq!(told(&template(&pod)), [format!("{RULE} $.spec.template.spec.dnsPolicy")]);
    assert!(spoken(&judged(&pod, &policy("inject: {profile: none}"))).is_empty());
}

/// AgentPolicies of two namespaces that name hosts in every way that there is.
fn naming() -> AdmissionPolicy {
    let agent = |name: &str, namespace: &str, spec: &str| {
        format!(
            "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: {name}}}, spec: {{appliesTo: {{namespaces: [{namespace}]}}, {spec}}}}}"
        )
    };
    let texts = [
        "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}, spec: {mode: enforce}}".to_owned(),
        agent("rules", "agents", "egress: {allow: [{host: api.example.com, ports: [443], protocol: tls}, {host: cache, ports: [80], protocol: tcp}, {host: '*.peers.agents.svc.cluster.local', ports: [80], protocol: tcp}]}"),
        agent("proxied", "agents", "egress: {via: {url: 'http://proxy:3128'}}"),
        agent("services", "'*'", "upstreams: [{name: git, url: 'http://gitea:3000', allowPrivate: true}, {name: full, url: 'http://git.dev.agents.svc.cluster.local', allowPrivate: true}]"),
        agent("elsewhere", "plain", "egress: {via: {url: 'http://far:3128'}}"),
    ];
    let files = texts.into_iter().enumerate();
    let files: Vec<SourceFile> =
        files.map(|(at, text)| SourceFile { name: format!("{at}.yaml"), text }).collect();
    let set = load(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
    set.admission.expect("an AdmissionPolicy")
}

fn named(metadata: Value, spec: &[(&str, &str)]) -> Value {
    let pod = put(honest(), "/metadata", metadata);
    spec.iter().fold(pod, |pod, (field, name)| put(pod, &format!("/spec/{field}"), json!(name)))
}

/// Names that the kubelet binds to the pod's own address, in front of every resolver.
#[test]
fn a_pod_has_no_name_of_a_host() {
    let policy = naming();
    let called = |name: &str| json!({"name": name, "namespace": "agents"});
    let made = |prefix: &str| json!({"generateName": prefix, "namespace": "agents"});
    let long = format!("gitea{}", "-".repeat(70));
    let rows = [
        (called("proxy.infra.svc"), vec![], "$.metadata.name"),
        (called("proxy.infra.svc"), vec![("hostname", "worker")], ""),
        (made("proxy.infra-"), vec![], "$.metadata.generateName"),
        (made("proxy.infra-"), vec![("hostname", "worker")], ""),
        (made("gitea-"), vec![], ""),
        (called("gitea"), vec![], "$.metadata.name"),
        (called("gitea-0"), vec![], ""),
        (called(&long), vec![], "$.metadata.name"),
        (called("gitea"), vec![("hostname", "worker")], ""),
        (called("p"), vec![("hostname", "gitea")], "$.spec.hostname"),
        (called("p"), vec![("hostname", "proxy")], "$.spec.hostname"),
        (called("p"), vec![("hostname", "cache")], "$.spec.hostname"),
        (called("p"), vec![("hostname", "far")], ""),
        (called("p"), vec![("hostname", "git"), ("subdomain", "dev")], "$.spec.hostname"),
        (called("git"), vec![("subdomain", "dev")], "$.metadata.name"),
        (called("git"), vec![("subdomain", "de")], ""),
        (called("git"), vec![], ""),
        (called("p"), vec![("hostnameOverride", "gitea")], "$.spec.hostnameOverride"),
        (called("gitea"), vec![("hostnameOverride", "worker")], ""),
        // What a pattern allows is a peer of a StatefulSet's too.
        (called("peer-0"), vec![("subdomain", "peers")], ""),
    ];
    for (metadata, spec, path) in rows {
        let pod = named(metadata, &spec);
        let said = spoken(&judged(&pod, &policy));
        let expected = if path.is_empty() { vec![] } else { vec![format!("{RULE} {path}")] };
        assert_eq!(said, expected, "{} {spec:?}", pod["metadata"]);
    }
}

/// What a template is called is not what its pods are.
#[test]
fn templates_say_host_names() {
    let rows = [
        (vec![("hostname", "gitea")], "$.spec.template.spec.hostname"),
        (vec![("hostname", "git"), ("subdomain", "dev")], "$.spec.template.spec.hostname"),
        (vec![("hostname", "worker"), ("subdomain", "dev")], ""),
        (vec![], ""),
    ];
    for (spec, path) in rows {
        let object = template(&named(json!({"name": "p", "namespace": "agents"}), &spec));
        let object = put(object, "/metadata/name", json!("proxy.infra"));
        let said = spoken(&judged(&object, &naming()));
        let expected = if path.is_empty() { vec![] } else { vec![format!("{RULE} {path}")] };
        assert_eq!(said, expected, "{spec:?}");
    }
}
