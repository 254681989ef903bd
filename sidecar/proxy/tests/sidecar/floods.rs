//! Floods of denials: none is lost, and the ledger doesn't drown in them.

use super::entrances::{policy, setup};
use super::support::{Raw, Sidecar, stands_for};

const HOST: &str =
    r#"pinfold_egress_connections_total{decision="deny",protocol="http",reason="host"}"#;

/// Requests on one connection for the hosts that a function names, each refused.
async fn refused(sidecar: &Sidecar, count: u32, host: impl Fn(u32) -> String) {
    let mut agent = Raw::connect(sidecar.proxy()).await;
    for number in 0..count {
        let host = host(number);
        let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(agent.ask(request).await.reason(), "host");
    }
}

#[tokio::test]
async fn equal_denials_are_recorded_at_once_and_then_together() {
    let sidecar = setup(&policy(9)).await.start().await;
    refused(&sidecar, 1, |_| "evil.example".to_owned()).await;
    let path = sidecar.audit_directory();
    let text: String = std::fs::read_dir(path)
        .expect("the ledger")
        .filter_map(|file| std::fs::read_to_string(file.expect("an entry").path()).ok())
        .collect();
    assert!(text.contains("evil.example"), "the first is durable before its answer");
    refused(&sidecar, 499, |_| "evil.example".to_owned()).await;
    assert_eq!(sidecar.metric(HOST).await, 500.0, "each is counted at once");
    let records = sidecar.verified_records().await;
    assert!(records.len() < 50, "{}", records.len());
    assert_eq!(records.iter().map(stands_for).sum::<u64>(), 500, "a stop loses none");
    for record in &records {
        let facts = ["host", "reason", "protocol", "method"].map(|name| record[name].as_str());
        assert_eq!(facts, ["evil.example", "host", "http", "GET"].map(Some));
        assert_eq!(record["port"], 80);
    }
    assert!(records[0].get("count").is_none() && records[1]["count"].as_u64() > Some(1));
}

#[tokio::test]
async fn denials_that_all_differ_are_listed_up_to_a_rate() {
    let sidecar = setup(&policy(9)).await.start().await;
    refused(&sidecar, 2, |number| format!("honest-{number}.example")).await;
    refused(&sidecar, 600, |number| format!("x{number}.example")).await;
    assert_eq!(sidecar.metric(HOST).await, 602.0);
    let records = sidecar.verified_records().await;
    assert_eq!(records.iter().map(stands_for).sum::<u64>(), 602);
    let listed = records.iter().filter(|record| record.get("count").is_none());
    // More only as time goes.
    assert!((256..600).contains(&listed.count()));
    let rest = records.iter().find(|record| record.get("count").is_some()).expect("the rest");
    assert!(rest.get("host").is_none() && rest["reason"] == "host", "{rest}");
    let text = rest["message"].as_str().expect("a text");
    assert!(text.contains("further denials") && text.contains("of `host`"), "{text}");
    assert!(records.iter().any(|record| record["host"] == "honest-0.example"));
}
