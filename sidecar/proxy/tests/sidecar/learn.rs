//! Learn mode: nothing is let through, nothing is asked of anybody, and one run shows name, port, protocol, method and path.

use serde_json::Value;

use super::support::asking::{query, udp};
use super::support::tls::hello;
use super::support::{Raw, Setup, Sidecar};

const A: u16 = 1;
const AAAA: u16 = 28;
const TXT: u16 = 16;
const NOERROR: u16 = 0;
const REFUSED: u16 = 5;

/// A policy in a mode, with further rules.
fn policy(mode: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: tester}}, spec: {{mode: {mode}, \
         egress: {{allow: [{{host: api.example, ports: [443], protocol: tls}}{rules}]}}}}}}"
    )
}

async fn sidecar(text: &str) -> Sidecar {
    Setup::new(text).await.with_dns().transparent().audited().start().await
}

/// The address that a name gets.
async fn address(sidecar: &Sidecar, name: &str) -> String {
    let told = udp(sidecar.dns_gate(), &query(name, A)).await;
    assert_eq!(told.code(), NOERROR, "{name}");
    let [address] = told.addresses().try_into().expect("one address");
    assert!(address.starts_with("198.18."), "{address}");
    assert!(told.message.answers[0].ttl <= 5);
    address
}

async fn go(sidecar: &Sidecar, address: &str, port: u16) -> Raw {
    let to = format!("{address}:{port}").parse().expect("an address");
    Raw::redirected(sidecar.transparent(), to).await
}

fn of<'r>(records: &'r [Value], host: &str, event: &str) -> &'r Value {
    let wanted = |record: &&Value| record["host"] == host && record["event"] == event;
    records.iter().find(wanted).unwrap_or_else(|| panic!("{event} {host}: {records:#?}"))
}

#[tokio::test]
async fn one_run_shows_what_would_be_needed_and_nothing_leaves() {
    let sidecar = sidecar(&policy("learn", "")).await;
    for name in ["tls.example", "web.example", "db.example"] {
        sidecar.dns.set(name, &["127.0.0.1"]);
    }
    let tls = address(&sidecar, "tls.example").await;
    assert_eq!(address(&sidecar, "TLS.example").await, tls, "one name, one address");
    let told = udp(sidecar.dns_gate(), &query("tls.example", AAAA)).await;
    assert_eq!((told.code(), told.addresses().len()), (NOERROR, 0));
    let mut agent = go(&sidecar, &tls, 8443).await;
    agent.send(hello("tls.example")).await;
    assert_eq!(agent.rest().await, [21, 3, 3, 0, 2, 2, 49]);
    let web = address(&sidecar, "web.example").await;
    let request =
        "POST /v1/%61?token=secret HTTP/1.1\r\nHost: web.example\r\nContent-Length: 0\r\n\r\n";
    let reply = go(&sidecar, &web, 80).await.ask(request).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "host"));
    let db = address(&sidecar, "db.example").await;
    assert_eq!(go(&sidecar, &db, 5432).await.rest_or_reset().await, (Vec::new(), true));
    assert!(sidecar.dns.asked().is_empty(), "no question left: {:?}", sidecar.dns.asked());

    let records = sidecar.verified_records().await;
    assert!(records.iter().all(|record| record["decision"] == "deny"), "{records:#?}");
    let seen = |host: &str| {
        let record = of(&records, host, "egress");
        let port = record["port"].as_u64().expect("a port");
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        (port, text("protocol"), text("reason"), text("method"), text("path"))
    };
    let own = str::to_owned;
    assert_eq!(seen("tls.example"), (8443, own("tls"), own("host"), own(""), own("")));
    assert_eq!(seen("web.example"), (80, own("http"), own("host"), own("POST"), own("/v1/a")));
    assert_eq!(seen("db.example"), (5432, own("transparent"), own("host"), own(""), own("")));
    assert_eq!(of(&records, "db.example", "dns")["reason"], "host");
    assert!(!format!("{records:?}").contains("secret"), "queries are recorded nowhere");
}

#[tokio::test]
async fn an_enforcing_policy_refuses_names_and_records_no_path() {
    let sidecar = sidecar(&policy("enforce", "")).await;
    let told = udp(sidecar.dns_gate(), &query("web.example", A)).await;
    assert_eq!((told.code(), told.addresses().len()), (REFUSED, 0));
    let request = "GET /v1/a HTTP/1.1\r\nHost: web.example\r\n\r\n";
    assert_eq!(go(&sidecar, "192.0.2.7", 80).await.ask(request).await.status, 403);
    let records = sidecar.verified_records().await;
    assert_eq!(of(&records, "web.example", "egress").get("path"), None);
}

#[tokio::test]
async fn what_is_refused_for_good_is_refused_as_ever() {
    let sidecar = sidecar(&policy("learn", "")).await;
    for (name, kind) in [("a.example", TXT), ("2130706433", A), ("169.254.169.254", A)] {
        let told = udp(sidecar.dns_gate(), &query(name, kind)).await;
        assert_ne!((told.code(), told.addresses().is_empty()), (NOERROR, false), "{name}");
    }
    // An allowed name that leads inside is no name that policy lacks.
    sidecar.dns.set("api.example", &["10.0.0.7"]);
    let told = udp(sidecar.dns_gate(), &query("api.example", A)).await;
    assert!(told.addresses().is_empty());
    let metadata = "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    let reply = go(&sidecar, "169.254.169.254", 80).await.ask(metadata).await;
    assert_eq!(reply.reason(), "address");
}

#[tokio::test]
async fn where_somebody_may_be_nobody_is_sent() {
    let rules = ", {cidr: 198.18.0.0/16, ports: [443], protocol: tls}";
    let sidecar = sidecar(&policy("learn", rules)).await;
    let told = udp(sidecar.dns_gate(), &query("web.example", A)).await;
    assert_eq!((told.code(), told.addresses().len()), (REFUSED, 0));
}
