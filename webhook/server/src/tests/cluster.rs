//! The webhook against an API server: the view, live questions, Events, and certificates of its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, PATIENCE, Reply, Server, harmless, review};
use super::fake::Fake;
use crate::config::{ServingSource, ViewSource};

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "plain"}})
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "canary"},
        "metadata": {"name": "settings", "namespace": "plain"}})
}

fn role() -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "powerful", "namespace": "plain"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
}

fn binding(uid: &str) -> Value {
    review(
        uid,
        "CREATE",
        "plain",
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "mine", "namespace": "plain"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ada"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "powerful"}
        }),
    )
}

fn bench(fake: &Fake) -> Bench {
    let mut bench = Bench::new().limits(|limits| {
        limits.discovery_every = Duration::from_millis(50);
    });
    bench.config.view = ViewSource::Kubeconfig(fake.kubeconfig(bench.dir.path()));
    bench
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "never: {what}");
}

async fn ready(server: &Server) {
    until("ready", async || server.page("/readyz").await.status == 200).await;
}

async fn objects(server: &Server, kind: &str, count: f64) {
    let series = format!("pinfold_cache_objects{{kind=\"{kind}\"}}");
    let what = format!("{count} of {kind}");
    until(&what, async || (server.metric(&series).await - count).abs() < 0.5).await;
}

async fn ask(server: &Server, review: &Value) -> Reply {
    server.http1().await.post("/validate", review.to_string()).await
}

#[tokio::test]
async fn the_view_follows_the_cluster_and_asks_for_no_secret() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    fake.put("configmaps", config_map());
    fake.put("serviceaccounts", account("one"));
    let server = bench(&fake).start().await;
    ready(&server).await;
    objects(&server, "ServiceAccount", 1.0).await;
    fake.put("serviceaccounts", account("two"));
    objects(&server, "ServiceAccount", 2.0).await;
    fake.remove("serviceaccounts", &account("one"));
    objects(&server, "ServiceAccount", 1.0).await;
    fake.forget("serviceaccounts", &account("two"));
    fake.set_down(true);
    fake.set_down(false);
    objects(&server, "ServiceAccount", 0.0).await;
    let seen = fake.seen();
    assert!(!seen.iter().any(|(_, path, _)| path.contains("secret") || path.contains("configmap")));
    // Of pods rules read the claims and the place, of nodes the taints; of what makes pods no more than who it is.
    for path in ["apis/apps/v1/replicasets", "apis/apps/v1/deployments", "apis/batch/v1/jobs"] {
        assert!(seen.iter().any(|(_, found, _)| found == path), "{path}");
        for (_, _, accept) in seen.iter().filter(|(_, found, _)| found == path) {
            assert!(accept.contains("as=PartialObjectMetadata"), "{path}: {accept}");
        }
    }
}

#[tokio::test]
async fn nothing_passes_before_every_kind_was_listed() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    fake.forbid("serviceaccounts");
    let server = bench(&fake).start().await;
    server.until_metric("pinfold_watch_errors_total{kind=\"ServiceAccount\"}", 1.0).await;
    assert_eq!(server.page("/readyz").await.status, 503);
    let reply = ask(&server, &harmless("u-1")).await;
    assert!(!reply.allowed());
    assert!(reply.message().contains("not complete yet"), "{}", reply.message());
    fake.permit_all();
    ready(&server).await;
    assert!(ask(&server, &harmless("u-2")).await.allowed());
}

#[tokio::test]
async fn an_old_view_denies_until_the_cluster_is_back() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    let mut bench = bench(&fake);
    bench.config.view_lag_max = Duration::from_secs(1);
    let server = bench.start().await;
    ready(&server).await;
    assert!(ask(&server, &harmless("u-1")).await.allowed());
    fake.set_down(true);
    until("too old", async || !ask(&server, &harmless("u-2")).await.allowed()).await;
    let reply = ask(&server, &harmless("u-3")).await;
    assert!(reply.message().contains("s old, at most 1 s are allowed"), "{}", reply.message());
    assert!(server.metric("pinfold_cache_lag_seconds").await > 1.0);
    assert_eq!(server.page("/readyz").await.status, 503);
    fake.set_down(false);
    ready(&server).await;
    assert!(ask(&server, &harmless("u-4")).await.allowed());
}

#[tokio::test]
async fn the_api_server_is_asked_where_the_view_cannot_tell() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    fake.put("roles", role());
    let server = bench(&fake).start().await;
    ready(&server).await;
    objects(&server, "Role", 1.0).await;
    let denied = ask(&server, &binding("u-1")).await;
    assert!(!denied.allowed());
    assert!(denied.message().starts_with("PF-RBAC-002 "), "{}", denied.message());
    fake.grant(true);
    let mut by_bob = binding("u-2");
    by_bob["request"]["userInfo"]["username"] = json!("bob");
    let allowed = ask(&server, &by_bob).await;
    assert!(allowed.allowed(), "who may `bind` may bind: {}", allowed.message());
    let answered = "pinfold_live_questions_total{question=\"access\",result=\"answered\"}";
    let before = server.metric(answered).await;
    assert!(before >= 2.0);
    assert!(ask(&server, &by_bob).await.allowed());
    assert!((server.metric(answered).await - before).abs() < 0.5, "not asked again so soon");
    let cached = "pinfold_live_questions_total{question=\"access\",result=\"cached\"}";
    assert!(server.metric(cached).await >= 1.0);
    fake.set_down(true);
    let mut by_eve = binding("u-3");
    by_eve["request"]["userInfo"]["username"] = json!("eve");
    assert!(!ask(&server, &by_eve).await.allowed(), "no answer leaves the denial");
}

/// A binding to an agent passes by the role as it is now, and not if nobody says how that is.
#[tokio::test]
async fn a_permission_that_rests_on_a_role_needs_the_role_as_it_is() {
    let fake = Fake::start().await;
    let labels = json!({"krate.a5c.ai/org": "acme", "pinfold.dev/agents": "true"});
    fake.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme", "labels": labels}}));
    let of_rbac = |kind: &str, name: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": name, "namespace": "acme"}})
    };
    let mut role = of_rbac("Role", "viewer");
    role["rules"] = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    fake.put("roles", role);
    fake.put(
        "agentserviceaccounts",
        json!({"apiVersion": "krate.a5c.ai/v1", "kind": "AgentServiceAccount",
            "metadata": {"name": "coder", "namespace": "acme"}, "spec": {"serviceAccountName": "coder"}}),
    );
    fake.crd("krate.a5c.ai", "agentserviceaccounts", "AgentServiceAccount");
    fake.grant(true);
    let server = bench(&fake).start().await;
    ready(&server).await;
    objects(&server, "AgentServiceAccount", 1.0).await;
    objects(&server, "Role", 1.0).await;
    let mut binding = of_rbac("RoleBinding", "x");
    binding["subjects"] = json!([{"kind": "ServiceAccount", "name": "coder", "namespace": "acme"}]);
    binding["roleRef"] =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "viewer"});
    let create = |uid: &str| review(uid, "CREATE", "acme", &binding);

    let allowed = ask(&server, &create("u-1")).await;
    assert!(allowed.allowed(), "{}", allowed.message());
    let read = |(_, path, _): &(String, String, String)| path.ends_with("/roles/viewer");
    assert!(fake.seen().iter().any(read), "nobody asked how the role is now");
    fake.forbid("roles");
    let denied = ask(&server, &create("u-2")).await;
    assert!(!denied.allowed(), "allowed by an old view");
    let message = denied.message();
    assert!(
        message.contains("Role.rbac.authorization.k8s.io acme/viewer as it is now"),
        "{message}"
    );
    assert!(message.contains("PF-REQ-"), "{message}");
    fake.permit_all();
    assert!(ask(&server, &create("u-3")).await.allowed());
}

#[tokio::test]
async fn denials_become_events_but_dry_runs_do_not() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    fake.put("roles", role());
    let server = bench(&fake).start().await;
    ready(&server).await;
    objects(&server, "Role", 1.0).await;
    let mut dry = binding("u-dry");
    dry["request"]["dryRun"] = json!(true);
    assert!(!ask(&server, &dry).await.allowed());
    assert!(!ask(&server, &binding("u-1")).await.allowed());
    server.until_metric("pinfold_events_total{result=\"written\"}", 1.0).await;
    let events = fake.all("events");
    assert_eq!(events.len(), 1, "one of two was a dry run");
    let event = &events[0];
    assert_eq!(event["metadata"]["namespace"], "plain");
    assert_eq!(
        event["involvedObject"],
        json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "namespace": "plain", "name": "mine"})
    );
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("Denied")));
    assert!(event["message"].as_str().unwrap().starts_with("PF-RBAC-002 "));
}

#[tokio::test]
async fn agent_resources_come_and_go() {
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    let server = bench(&fake).start().await;
    ready(&server).await;
    let pool = json!({"apiVersion": "krate.a5c.ai/v1", "kind": "RunnerPool",
        "metadata": {"name": "pool", "namespace": "plain"}, "spec": {"trustTier": "trusted"}});
    fake.put("runnerpools", pool);
    fake.crd("krate.a5c.ai", "runnerpools", "RunnerPool");
    objects(&server, "RunnerPool", 1.0).await;
    fake.no_crds();
    objects(&server, "RunnerPool", 0.0).await;
    ready(&server).await;
}

fn configuration(kind: &str) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "pinfold"}, "webhooks": [
            {"name": "a.pinfold.dev", "clientConfig": {"url": "https://localhost/validate"}},
            {"name": "b.pinfold.dev", "clientConfig": {"url": "https://localhost/validate"}}]})
}

#[tokio::test]
async fn every_replica_ends_with_the_same_ca_and_publishes_it() {
    const SECRET: &str = "api/v1/namespaces/pinfold-system/secrets/pinfold-webhook-ca";
    const GROUP: &str = "apis/admissionregistration.k8s.io/v1";
    let fake = Fake::start().await;
    fake.put("namespaces", namespace("plain"));
    let kinds = [
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ];
    for (plural, kind) in kinds {
        fake.put(plural, configuration(kind));
    }
    fake.conflict(1);
    let managed = || {
        let mut bench = bench(&fake);
        bench.config.serving = ServingSource::SelfManaged { ca_out: None };
        bench
    };
    let (first, second) = tokio::join!(managed().start(), managed().start());
    ready(&first).await;
    ready(&second).await;
    let ca = {
        use base64::Engine as _;
        let secret = fake.get(SECRET).unwrap();
        let encoded = secret["data"]["ca.crt"].as_str().unwrap().to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    for server in [&first, &second] {
        let connector = super::bench::trusting(&ca);
        let tcp = tokio::net::TcpStream::connect(server.running.addresses.listen).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut client = super::bench::http1(connector.connect(name, tcp).await.unwrap()).await;
        assert!(client.post("/validate", harmless("u-1").to_string()).await.allowed());
    }
    let bundle = fake.get(SECRET).unwrap()["data"]["ca.crt"].clone();
    for (plural, _) in kinds {
        until("published", async || {
            let found = fake.get(&format!("{GROUP}/{plural}/pinfold")).unwrap();
            found["webhooks"]
                .as_array()
                .unwrap()
                .iter()
                .all(|webhook| webhook["clientConfig"]["caBundle"] == bundle)
        })
        .await;
    }
}
