//! PF-POD-007.

use serde_json::json;

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
        ],
    );
}

#[test]
fn templates_too_and_not_without_a_sidecar() {
    let pod = put(honest(), "/spec/dnsPolicy", json!("None"));
    assert_eq!(told(&template(&pod)), [format!("{RULE} $.spec.template.spec.dnsPolicy")]);
    assert!(spoken(&judged(&pod, &policy("inject: {profile: none}"))).is_empty());
}
