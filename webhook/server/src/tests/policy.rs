//! The policy in force while its files change.

use super::bench::{Bench, POLICY, harmless};

/// A policy whose custom rule denies ConfigMaps of that name.
fn denying(name: &str) -> String {
    format!(
        "{}  custom:\n  - id: TEST-001\n    match: {{kinds: [ConfigMap]}}\n    deny:\n      path: $.metadata.name\n      equals: {name}\n      message: not this one\n",
        POLICY.replace("spec: {}", "spec:")
    )
}

const RELOADED: &str = "pinfold_policy_reloads_total{result=\"success\"}";
const FAILED: &str = "pinfold_policy_reloads_total{result=\"error\"}";

#[tokio::test]
async fn an_edit_is_in_force_soon_and_a_bad_one_never() {
    let server = Bench::new().start().await;
    let file = server.bench.path("policy/policy.yaml");
    let mut client = server.http1().await;
    let before = client.post("/validate", harmless("u-1").to_string()).await;
    assert!(before.allowed());
    std::fs::write(&file, denying("settings")).unwrap();
    server.until_metric(RELOADED, 1.0).await;
    let denied = client.post("/validate", harmless("u-2").to_string()).await;
    assert!(!denied.allowed());
    assert!(denied.message().starts_with("TEST-001 "), "{}", denied.message());
    let digest = |reply: &super::bench::Reply| {
        reply.json()["response"]["auditAnnotations"]["policy-digest"].clone()
    };
    assert_ne!(digest(&before), digest(&denied));
    for bad in ["spec: [", "apiVersion: pinfold.dev/v1alpha1\nkind: Nonsense\n"] {
        let failures = server.metric(FAILED).await;
        std::fs::write(&file, bad).unwrap();
        server.until_metric(FAILED, failures + 1.0).await;
        let kept = client.post("/validate", harmless("u-3").to_string()).await;
        assert_eq!(digest(&kept), digest(&denied), "the old policy stays");
        assert_eq!(server.page("/readyz").await.status, 200);
    }
    std::fs::write(&file, POLICY).unwrap();
    server.until_metric(RELOADED, 2.0).await;
    assert!(client.post("/validate", harmless("u-4").to_string()).await.allowed());
    let text = server.page("/metrics").await.text();
    assert_eq!(text.matches("pinfold_policy_info{").count(), 1, "only the policy in force");
}

/// Replaces the content of a mounted ConfigMap as the kubelet does: a new directory, and one rename of a symbolic link.
fn swap(dir: &std::path::Path, version: &str, text: &str) {
    let data = dir.join(format!("..{version}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("policy.yaml"), text).unwrap();
    let fresh = dir.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &fresh).unwrap();
    std::fs::rename(fresh, dir.join("..data")).unwrap();
}

#[tokio::test]
async fn every_symlink_swap_is_seen() {
    let mut bench = Bench::new();
    let mount = bench.path("mount");
    std::fs::create_dir(&mount).unwrap();
    swap(&mount, "v0", POLICY);
    std::os::unix::fs::symlink("..data/policy.yaml", mount.join("policy.yaml")).unwrap();
    bench.config.policy = vec![mount.clone()];
    let server = bench.start().await;
    let mut client = server.http1().await;
    for round in 1..=4_u32 {
        let deny = round % 2 == 1;
        let text = if deny { denying("settings") } else { POLICY.to_owned() };
        swap(&mount, &format!("v{round}"), &text);
        server.until_metric(RELOADED, f64::from(round)).await;
        let reply = client.post("/validate", harmless("u-1").to_string()).await;
        assert_eq!(reply.allowed(), !deny, "round {round}");
    }
    assert_eq!(server.metric(FAILED).await, 0.0);
}

#[tokio::test]
async fn without_a_policy_document_nothing_passes() {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("policy/policy.yaml")).unwrap();
    let server = bench.start().await;
    assert_eq!(server.page("/readyz").await.status, 503);
    assert_eq!(server.page("/healthz").await.status, 200);
    let mut client = server.http1().await;
    for path in ["/validate", "/mutate"] {
        let reply = client.post(path, harmless("u-1").to_string()).await;
        assert!(!reply.allowed(), "{path}");
        assert!(reply.message().starts_with("PF-REQ-005 $: there is no AdmissionPolicy"));
    }
    std::fs::write(server.bench.path("policy/policy.yaml"), POLICY).unwrap();
    server.until_metric(RELOADED, 1.0).await;
    assert_eq!(server.page("/readyz").await.status, 200);
    assert!(client.post("/validate", harmless("u-1").to_string()).await.allowed());
}
