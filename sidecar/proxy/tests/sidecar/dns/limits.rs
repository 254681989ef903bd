//! Limits of the DNS gate: how often, how many new names below a wildcard, and what such a name can say.

use crate::support::asking::{plain_query, query, udp};
use crate::support::{Setup, Sidecar, allowing};

const A: u16 = 1;
const REFUSED: u16 = 5;

fn policy(rate: u32) -> String {
    allowing(&format!(
        r#"
    - {{host: "**.cloud.example", ports: [443], protocol: tls}}
    - {{host: f00dfacef00dfacef00dfacef00dfacef00dface0123.cloud.example, ports: [443], protocol: tls}}
    dns: {{maxQps: {rate}}}
"#
    ))
}

async fn sidecar(rate: u32) -> Sidecar {
    Setup::new(&policy(rate)).await.with_dns().audited().start().await
}

#[tokio::test]
async fn a_flood_is_refused_and_is_one_record() {
    let sidecar = sidecar(1).await;
    let server = sidecar.dns_gate();
    let mut codes = Vec::new();
    for _ in 0..200 {
        codes.push(udp(server, &plain_query("a.cloud.example", A)).await.code());
    }
    let refused = codes.iter().filter(|code| **code == REFUSED).count();
    assert!(refused >= 150, "{refused}");
    assert_ne!(codes[0], REFUSED, "the first is answered");
    let told = udp(server, &query("b.cloud.example", A)).await;
    assert!(told.why().1.starts_with("limit (spec.egress.dns.maxQps)"), "{}", told.why().1);
    let asked = sidecar.dns.asked().len();
    assert!(asked + refused <= 201, "what is refused isn't asked");
    let records = sidecar.verified_records().await;
    assert!(!records.is_empty() && records.len() < 50, "{}", records.len());
    assert!(records.iter().all(|record| record["reason"] == "limit"));
}

#[tokio::test]
async fn row_6_many_new_names_below_a_wildcard_are_refused_and_known_ones_are_not() {
    let sidecar = sidecar(5000).await;
    let server = sidecar.dns_gate();
    let name = |index: usize| format!("host-{index}.cloud.example");
    let mut codes = Vec::new();
    for index in 0..40 {
        codes.push(udp(server, &plain_query(&name(index), A)).await.code());
    }
    let (first, last) = codes.split_at(30);
    assert!(first.iter().all(|code| *code != REFUSED), "{codes:?}");
    assert!(last.iter().all(|code| *code == REFUSED), "{codes:?}");
    assert_ne!(udp(server, &plain_query(&name(3), A)).await.code(), REFUSED, "known");
    let asked = sidecar.dns.asked();
    assert!((30..40).all(|index| !asked.contains(&name(index))), "{asked:?}");
    let told = udp(server, &query(&name(39), A)).await;
    assert!(told.why().1.starts_with("limit (spec.egress.allow[0])"), "{}", told.why().1);
}

#[tokio::test]
async fn row_6_names_that_carry_data_are_refused_without_a_packet() {
    let sidecar = sidecar(5000).await;
    let server = sidecar.dns_gate();
    let secret = "mzxw6ytboi2dgnjvgy3tqojqmfrggzdf";
    let cases = [
        (format!("{secret}{}.cloud.example", "abcdefgh"), true),
        (format!("{secret}.{secret}.cloud.example"), true),
        (format!("{}.cloud.example", ["word"; 21].join(".")), true),
        (format!("{}.cloud.example", "a".repeat(57)), true),
        ("d41d8cd98f00b204e9800998ecf8427e.r2.cloud.example".to_owned(), false),
        ("my-load-balancer-1234567890.us-east-1.elb.cloud.example".to_owned(), false),
        ("f00dfacef00dfacef00dfacef00dfacef00dface0123.cloud.example".to_owned(), false),
    ];
    for (name, denied) in cases {
        let code = udp(server, &plain_query(&name, A)).await.code();
        assert_eq!(code == REFUSED, denied, "{name}");
        assert_eq!(!sidecar.dns.asked().contains(&name), denied, "{name}");
    }
}
