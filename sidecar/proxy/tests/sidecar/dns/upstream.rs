//! The DNS gate and its upstreams: replies that lie, servers that are gone, the same question twice, names that need no DNS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::support::asking::{Tcp, query, udp};
use crate::support::{Dns, Raw, Setup, Sidecar, Trick};

const A: u16 = 1;
const AAAA: u16 = 28;
const SERVFAIL: u16 = 2;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: tester}
spec:
  egress:
    dns: {maxQps: 5000}
    allow:
    - {host: api.example, ports: [443], protocol: tls}
    - {host: pod.example, ports: [443], protocol: tls}
    - {host: "*.wild.example", ports: [443], protocol: tls}
    - {cidr: 127.0.0.0/8, ports: [443], protocol: tcp}
"#;

async fn setup() -> Setup {
    Setup::new(POLICY).await.with_dns().name("api.example", &["93.184.216.34"])
}

async fn ask(sidecar: &Sidecar, kind: u16) -> (u16, Vec<String>) {
    let told = udp(sidecar.dns_gate(), &query("api.example", kind)).await;
    (told.code(), told.addresses())
}

fn found() -> (u16, Vec<String>) {
    (0, vec!["93.184.216.34".to_owned()])
}

#[tokio::test]
async fn row_16_spoofed_replies_are_not_taken() {
    let sidecar = setup().await.start().await;
    sidecar.dns.trick("api.example", Trick::Spoofing);
    for _ in 0..5 {
        assert_eq!(ask(&sidecar, A).await, found());
    }
}

#[tokio::test]
async fn row_16_ids_and_ports_can_not_be_guessed() {
    let sidecar = setup().await.start().await;
    for index in 0..30 {
        let name = format!("a{index}.wild.example");
        udp(sidecar.dns_gate(), &query(&name, A)).await;
    }
    let asked = sidecar.dns.questions();
    let distinct = |values: Vec<u16>| {
        let mut values = values;
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    // 30 of 16 bits: two pairs of equals happen once in some thousands of runs, sequences never look so.
    let (ids, ports): (Vec<u16>, Vec<u16>) =
        asked.iter().map(|asked| (asked.id, asked.port)).unzip();
    assert!(distinct(ids.clone()) >= 28 && distinct(ports.clone()) >= 28, "{ids:?} {ports:?}");
    let steps =
        |values: &[u16]| values.windows(2).filter(|two| two[1].wrapping_sub(two[0]) <= 2).count();
    assert!(steps(&ids) < 10 && steps(&ports) < 10, "{ids:?} {ports:?}");
}

#[tokio::test]
async fn one_server_that_is_gone_does_not_matter() {
    // One address refuses, the other swallows what it gets.
    let closed: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let mute = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for dead in [closed, mute.local_addr().expect("an address")] {
        let setup = setup().await.with(|config| config.resolver.insert(0, dead));
        let sidecar = setup.start().await;
        assert_eq!(ask(&sidecar, A).await, found(), "{dead}");
    }
}

#[tokio::test]
async fn without_an_upstream_nothing_is_answered_and_it_says_so() {
    let setup = setup().await.audited().with(|config| {
        config.resolver = vec!["127.0.0.1:1".parse().expect("an address")];
        config.limits.resolve_max = Duration::from_millis(300);
    });
    let sidecar = setup.start().await;
    let told = udp(sidecar.dns_gate(), &query("api.example", A)).await;
    assert_eq!((told.code(), told.addresses().len()), (SERVFAIL, 0));
    let (number, text) = told.why();
    assert_eq!(number, 22);
    assert!(text.contains("`api.example` can't be resolved"), "{text}");
    let series = r#"pinfold_dns_queries_total{decision="deny",reason="resolve"}"#;
    assert_eq!(sidecar.metric(series).await, 1.0);
    assert_eq!(sidecar.verified_records().await[0]["reason"], "resolve");
}

#[tokio::test]
async fn failures_of_the_upstream_are_failures_and_never_answers() {
    for trick in [Trick::Failure, Trick::Garbage, Trick::Silence] {
        let setup = setup().await.with(|config| {
            config.limits.resolve_max = Duration::from_millis(300);
        });
        let sidecar = setup.start().await;
        sidecar.dns.trick("api.example", trick);
        assert_eq!(ask(&sidecar, A).await, (SERVFAIL, Vec::new()), "{trick:?}");
    }
}

#[tokio::test]
async fn one_family_that_fails_does_not_take_the_other_along() {
    let sidecar = setup().await.start().await;
    sidecar.dns.set("api.example", &["127.0.0.1"]);
    sidecar.dns.trick("api.example", Trick::HalfFailure);
    assert_eq!(ask(&sidecar, AAAA).await, (SERVFAIL, Vec::new()));
    let _tunnel = Raw::tunnel(sidecar.proxy(), "api.example:443").await;
}

#[tokio::test]
async fn the_same_question_goes_out_once() {
    let sidecar = setup().await.name("pod.example", &["93.184.216.35"]).start().await;
    sidecar.dns.trick("api.example", Trick::Waiting);
    let mut tcp = Tcp::connect(sidecar.dns_gate()).await;
    let mut queries: Vec<Vec<u8>> = (0..10).map(|_| query("api.example", A)).collect();
    queries.push(query("pod.example", A));
    tcp.send(&queries).await;
    // The last is answered first: by then all before it have set out or wait.
    assert_eq!(tcp.reply().await.expect("a reply").addresses(), ["93.184.216.35"]);
    sidecar.dns.release();
    for _ in 0..10 {
        assert_eq!(tcp.reply().await.expect("a reply").addresses(), ["93.184.216.34"]);
    }
    let asked = sidecar.dns.asked();
    assert_eq!(asked.iter().filter(|name| *name == "api.example").count(), 1);
}

#[tokio::test]
async fn answers_are_kept_as_long_as_they_hold_and_no_longer() {
    let sidecar = setup().await.start().await;
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, A).await, found());
    }
    assert_eq!(sidecar.dns.asked().len(), 3, "for no time at all");
    sidecar.dns.ttl(60);
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, A).await, found());
    }
    assert_eq!(sidecar.dns.asked().len(), 4);
    sidecar.dns.ttl(1_000_000);
    let told = udp(sidecar.dns_gate(), &query("a.wild.example", A)).await;
    assert_eq!(told.code(), 3);
    sidecar.dns.set("b.wild.example", &["93.184.216.34"]);
    let told = udp(sidecar.dns_gate(), &query("b.wild.example", A)).await;
    assert!(told.message.answers[0].ttl <= 300, "{}", told.message);
}

#[tokio::test]
async fn names_of_the_hosts_file_need_no_dns() {
    let files = tempfile::tempdir().expect("a directory");
    let hosts = files.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.5\tpod.example pod # this pod\n")
        .expect("a file");
    let sidecar = setup().await.with(|config| config.hosts = Some(hosts)).start().await;
    let told = udp(sidecar.dns_gate(), &query("pod.example", A)).await;
    assert_eq!(told.addresses(), ["127.0.0.5"]);
    let told = udp(sidecar.dns_gate(), &query("pod.example", AAAA)).await;
    assert_eq!((told.code(), told.addresses().len()), (0, 0), "one family is enough");
    let connect = "CONNECT pod.example:443 HTTP/1.1\r\nHost: pod.example:443\r\n\r\n";
    let _ = Raw::connect(sidecar.proxy()).await.ask(connect).await;
    assert_eq!(sidecar.dns.asked().len(), 0);
}

#[tokio::test]
async fn both_ways_see_the_same_answers() {
    let sidecar = setup().await.start().await;
    sidecar.dns.ttl(60);
    sidecar.dns.set("api.example", &["127.0.0.1"]);
    let told = udp(sidecar.dns_gate(), &query("api.example", A)).await;
    assert_eq!(told.addresses(), ["127.0.0.1"]);
    let _tunnel = Raw::tunnel(sidecar.proxy(), "api.example:443").await;
    let asked = sidecar.dns.questions();
    assert_eq!(asked.iter().filter(|asked| asked.kind == A).count(), 1, "from the same cache");
}

#[tokio::test]
async fn a_second_server_is_as_good() {
    let other = Dns::start().await;
    other.set("api.example", &["93.184.216.34"]);
    let setup = setup().await.with(|config| config.resolver.push(other.address));
    let sidecar = setup.start().await;
    sidecar.dns.silence("api.example");
    assert_eq!(ask(&sidecar, A).await, found());
}
