//! Both protocols, both endpoints, and what an answer carries.

use serde_json::json;

use super::bench::{Bench, harmless, review};

#[tokio::test]
async fn both_protocols_and_endpoints_echo_the_uid() {
    let server = Bench::new().start().await;
    for mut client in [server.http1().await, server.http2().await] {
        for path in ["/validate?timeout=5s", "/mutate?timeout=5s"] {
            for uid in ["11111111-1", "22222222-2"] {
                let reply = client.post(path, harmless(uid).to_string()).await;
                assert_eq!(reply.status, 200);
                assert_eq!(reply.headers["content-type"], "application/json");
                let answer = reply.json();
                assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
                assert_eq!(answer["kind"], "AdmissionReview");
                assert_eq!(answer["response"]["uid"], uid);
                assert_eq!(answer["response"]["allowed"], true, "{answer}");
                assert!(answer["response"].get("patch").is_none());
                assert!(answer["response"].get("patchType").is_none());
                let annotations = &answer["response"]["auditAnnotations"];
                assert!(annotations["decision-id"].is_string());
                assert!(annotations["policy-digest"].as_str().unwrap().starts_with("sha256:"));
            }
        }
    }
}

#[tokio::test]
async fn a_denial_is_403_with_the_rule_and_is_recorded_first() {
    let server = Bench::new().start().await;
    let mut client = server.http1().await;
    let mut unreadable = harmless("11111111-1");
    unreadable["request"]["userInfo"] = json!({});
    let reply = client.post("/validate", unreadable.to_string()).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.allowed());
    let status = &reply.json()["response"]["status"];
    assert_eq!(status["code"], 403);
    assert_eq!(status["reason"], "Forbidden");
    assert!(reply.message().starts_with("PF-REQ-003 $.request.userInfo.username: "));
    let decision = reply.json()["response"]["auditAnnotations"]["decision-id"].clone();
    let log = std::fs::read_dir(server.bench.path("audit"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .collect::<String>();
    assert!(log.contains(decision.as_str().unwrap()), "no record of the denial");
    assert_eq!(server.metric("pinfold_audit_failures_total").await, 0.0);
}

#[tokio::test]
async fn metrics_have_bounded_labels_and_every_promised_name() {
    let server = Bench::new().start().await;
    let mut client = server.http1().await;
    let strange = json!({"apiVersion": "evil.example/v1", "kind": "Surprise",
        "metadata": {"name": "x", "namespace": "plain"}});
    client.post("/validate", review("1-1", "CREATE", "plain", &strange).to_string()).await;
    client.post("/validate", harmless("1-2").to_string()).await;
    client.post("/validate", "").await;
    let text = server.page("/metrics").await.text();
    let config_map = "pinfold_admission_requests_total{decision=\"allow\",group=\"\",\
        kind=\"ConfigMap\",operation=\"CREATE\"} 1";
    assert!(text.contains(config_map), "{text}");
    assert!(text.contains("group=\"other\",kind=\"other\",operation=\"CREATE\""), "{text}");
    assert!(!text.contains("Surprise") && !text.contains("evil.example"));
    let refused = "pinfold_admission_denials_total{kind=\"other\",mode=\"enforce\",\
        rule=\"PF-REQ-001\"} 1";
    assert!(text.contains(refused), "{text}");
    for name in [
        "pinfold_admission_duration_seconds_bucket{path=\"validate\",le=\"0.00005\"}",
        "pinfold_policy_info{digest=\"sha256:",
        "pinfold_cache_lag_seconds 0",
        "pinfold_certificate_expiry_timestamp_seconds{certificate=\"serving\"} 1",
        "pinfold_audit_records_total ",
        "pinfold_audit_failures_total 0",
        "pinfold_panics_total 0",
        "pinfold_ready 1",
    ] {
        assert!(text.contains(name), "no {name} in {text}");
    }
}
