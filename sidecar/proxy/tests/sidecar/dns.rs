//! The DNS gate as clients see it: the rows of attack table D.1, each beside what must work.

mod limits;
mod upstream;

use hickory_resolver::proto::rr::RData;

use super::support::asking::{Tcp, plain_query, query, udp, udp_bytes};
use super::support::{Raw, Setup, Sidecar, labels};

const A: u16 = 1;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;
const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
/// Extended errors.
const BLOCKED: u16 = 15;
const PROHIBITED: u16 = 18;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: tester}
spec:
  egress:
    dns: {searchSuffixes: [corp.example, ns.svc.cluster.local, svc.cluster.local], maxQps: 5000}
    allow:
    - {host: api.example, ports: [443], protocol: tls}
    - {host: db.internal, ports: [5432], protocol: tcp}
    - {host: pool.example, ports: [443], protocol: tls}
    - {host: db.ns.svc.cluster.local, ports: [5432], protocol: tcp}
    - {host: "*.wild.example", ports: [443], protocol: tls}
    - {cidr: 10.20.0.0/16, ports: [5432], protocol: tcp}
    - {cidr: 10.30.0.0/16, ports: [1], protocol: tcp}
"#;

async fn sidecar() -> Sidecar {
    Setup::new(POLICY).await.with_dns().start().await
}

#[tokio::test]
async fn row_12_allowed_names_are_answered_whatever_their_case() {
    let sidecar = sidecar().await;
    sidecar.dns.set("api.example", &["93.184.216.34", "93.184.216.35", "2606:2800::1"]);
    sidecar.dns.ttl(60);
    let server = sidecar.dns_gate();
    for make in [query, plain_query] {
        let told = udp(server, &make("aPi.eXaMple", A)).await;
        assert_eq!(
            (told.code(), told.addresses()),
            (NOERROR, strings(&["93.184.216.34", "93.184.216.35"]))
        );
        assert_eq!(told.message.queries[0].name().to_ascii(), "aPi.eXaMple.");
        assert!(told.message.recursion_available && !told.message.truncation);
        assert!((1..=60).contains(&told.message.answers[0].ttl));
        let told = udp(server, &make("api.example", AAAA)).await;
        assert_eq!(told.addresses(), ["2606:2800::1"]);
    }
    let told = udp(server, &query("pool.example", A)).await;
    assert_eq!((told.code(), told.addresses().len()), (NXDOMAIN, 0), "listed, and there is none");
    let asked = sidecar.dns.asked();
    assert!(asked.iter().all(|name| ["api.example", "pool.example"].contains(&name.as_str())));
    assert_eq!(
        sidecar.metric(r#"pinfold_dns_queries_total{decision="allow",reason="none"}"#).await,
        5.0
    );
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn rows_5_7_17_what_is_denied_sends_no_packet_upstream() {
    let sidecar = sidecar().await;
    sidecar.dns.set("api.example", &["93.184.216.34"]);
    let server = sidecar.dns_gate();
    let cases: &[(&str, u16, &str)] = &[
        ("data.evil.example", A, "host"),
        ("data.evil.example", AAAA, "host"),
        ("data.evil.example", HTTPS, "host"),
        ("sub.api.example", A, "host"),
        ("api.example.evil.org", A, "host"),
        ("a.b.wild.example", A, "host"),
        ("_dns.resolver.arpa", 64, "host"),
        ("34.216.184.93.in-addr.arpa", 12, "record-type"),
        ("api.example", 2, "record-type"),
        ("api.example", 5, "record-type"),
        ("api.example", 6, "record-type"),
        ("api.example", 10, "record-type"),
        ("api.example", 15, "record-type"),
        ("api.example", 16, "record-type"),
        ("api.example", 33, "record-type"),
        ("api.example", 255, "record-type"),
        ("api.example", 252, "record-type"),
        ("api.example", 65_399, "record-type"),
        ("data.evil.example", 16, "record-type"),
    ];
    let mut tcp = Tcp::connect(server).await;
    for (name, kind, reason) in cases {
        for told in [udp(server, &query(name, *kind)).await, tcp.ask(&query(name, *kind)).await] {
            assert_eq!((told.code(), told.addresses().len()), (REFUSED, 0), "{name} {kind}");
            let (number, text) = told.why();
            assert_eq!(number, PROHIBITED);
            assert!(text.starts_with(&format!("{reason} (spec.egress")), "{text}");
        }
        let told = udp(server, &plain_query(name, *kind)).await;
        assert_eq!((told.code(), told.message.edns.is_none()), (REFUSED, true));
    }
    assert_eq!(sidecar.dns.questions(), [], "no packet");
    assert_eq!(udp(server, &query("api.example", A)).await.addresses(), ["93.184.216.34"]);
}

#[tokio::test]
async fn rows_1_3_4_every_final_address_is_judged() {
    let sidecar = sidecar().await;
    let server = sidecar.dns_gate();
    let cases: &[(&str, u16, &[&str], bool)] = &[
        ("api.example", A, &["93.184.216.34"], true),
        ("api.example", A, &["127.0.0.1"], false),
        ("api.example", A, &["10.0.0.1"], false),
        ("api.example", A, &["169.254.169.254"], false),
        ("api.example", A, &["168.63.129.16"], false),
        ("api.example", A, &["93.184.216.34", "192.168.1.1"], false),
        ("api.example", A, &["10.20.0.1"], false),
        ("api.example", AAAA, &["fd00:ec2::254"], false),
        ("api.example", AAAA, &["::ffff:10.0.0.1"], false),
        ("api.example", AAAA, &["2606:2800::1", "::1"], false),
        ("db.internal", A, &["10.20.0.1"], true),
        ("db.internal", A, &["10.30.0.1"], false),
        ("db.internal", A, &["10.20.0.1", "10.21.0.1"], false),
    ];
    for (name, kind, addresses, allowed) in cases {
        sidecar.dns.set(name, addresses);
        for alias in [false, true] {
            if alias {
                // The same at the end of a chain of names that nobody lists.
                sidecar.dns.set("edge.cdn.example", addresses);
                sidecar.dns.set(name, &[]);
                sidecar.dns.set("mid.cdn.example", &[]);
                sidecar.dns.alias(name, "mid.cdn.example");
                sidecar.dns.alias("mid.cdn.example", "edge.cdn.example");
            }
            let told = udp(server, &query(name, *kind)).await;
            if *allowed {
                assert_eq!((told.code(), told.addresses()), (NOERROR, strings(addresses)));
                let owner = told.message.answers[0].name.to_ascii();
                assert_eq!(owner, format!("{name}."), "flattened");
                continue;
            }
            assert_eq!((told.code(), told.addresses().len()), (REFUSED, 0), "{name} {addresses:?}");
            let (number, text) = told.why();
            assert_eq!(number, BLOCKED);
            assert!(text.starts_with("address (spec.egress.allow["), "{text}");
        }
    }
}

#[tokio::test]
async fn row_4_chains_are_bounded() {
    let sidecar = sidecar().await;
    sidecar.dns.alias("api.example", "b.example");
    sidecar.dns.alias("b.example", "api.example");
    let told = udp(sidecar.dns_gate(), &query("api.example", A)).await;
    assert_eq!(told.addresses().len(), 0, "a loop");
    for hop in 0..20 {
        sidecar.dns.alias(&format!("h{hop}.example"), &format!("h{}.example", hop + 1));
    }
    sidecar.dns.set("h20.example", &["93.184.216.34"]);
    sidecar.dns.set("db.internal", &[]);
    sidecar.dns.alias("db.internal", "h0.example");
    let told = udp(sidecar.dns_gate(), &query("db.internal", A)).await;
    assert_eq!(told.addresses().len(), 0, "too long");
    sidecar.dns.set("pool.example", &[]);
    sidecar.dns.alias("pool.example", "h17.example");
    let told = udp(sidecar.dns_gate(), &query("pool.example", A)).await;
    assert_eq!(told.addresses(), ["93.184.216.34"], "five names");
}

#[tokio::test]
async fn row_2_rebinding_is_seen_at_each_answer_and_at_the_connection() {
    let sidecar = sidecar().await;
    let turns: &[&[&str]] = &[&["93.184.216.34"], &["10.0.0.1"]];
    sidecar.dns.turns("api.example", turns);
    let server = sidecar.dns_gate();
    let told = udp(server, &query("api.example", A)).await;
    assert_eq!(told.addresses(), ["93.184.216.34"]);
    assert!(told.message.answers[0].ttl > 0, "told for some time, though the zone says none");
    assert_eq!(udp(server, &query("api.example", A)).await.code(), REFUSED);
    let connect = "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n";
    let reply = Raw::connect(sidecar.proxy()).await.ask(connect).await;
    assert_eq!(reply.reason(), "address");
}

#[tokio::test]
async fn row_11_service_records_lose_hints_and_ech() {
    let sidecar = sidecar().await;
    let alpn = [0, 1, 0, 6, 2, b'h', b'3', 2, b'h', b'2'];
    let hint = [0, 4, 0, 4, 10, 0, 0, 1];
    let ech = [0, 5, 0, 4, 0, 2, 1, 1];
    let own = [&[0, 1, 0][..], &alpn, &hint, &ech].concat();
    let alias = |target: &str| [vec![0, 0], labels(target)].concat();
    let server = sidecar.dns_gate();
    sidecar.dns.add("api.example", HTTPS, own.clone());
    let told = udp(server, &query("api.example", HTTPS)).await;
    assert_eq!(told.message.answers.len(), 1);
    let RData::HTTPS(service) = &told.message.answers[0].data else { panic!("{}", told.message) };
    assert_eq!(service.0.svc_params.len(), 1, "alpn is left: {service}");
    assert!(
        !udp_bytes(server, &query("api.example", HTTPS))
            .await
            .windows(4)
            .any(|w| w == [10, 0, 0, 1])
    );

    // A browser asks so for other ports; the name behind is judged.
    sidecar.dns.add("_8443._https.api.example", HTTPS, own.clone());
    let told = udp(server, &query("_8443._https.api.example", HTTPS)).await;
    assert_eq!((told.code(), told.message.answers.len()), (NOERROR, 1));
    assert_eq!(udp(server, &query("_8443._https.evil.example", HTTPS)).await.code(), REFUSED);
    assert_eq!(udp(server, &query("_8443._https.api.example", A)).await.code(), REFUSED);

    // Aliases lead to listed names only.
    for (name, target, answers) in
        [("db.internal", "evil.example", 0), ("a.wild.example", "pool.example", 1)]
    {
        sidecar.dns.add(name, HTTPS, alias(target));
        let told = udp(server, &query(name, HTTPS)).await;
        assert_eq!((told.code(), told.message.answers.len()), (NOERROR, answers), "{name}");
    }
}

#[tokio::test]
async fn row_13_search_lists_are_no_attack_and_cluster_names_need_a_rule() {
    let setup = Setup::new(POLICY).await.with_dns().audited();
    let sidecar = setup.start().await;
    sidecar.dns.set("api.example", &["93.184.216.34"]);
    sidecar.dns.set("db.ns.svc.cluster.local", &["10.20.0.7"]);
    let server = sidecar.dns_gate();
    // What glibc and musl do with `ndots:5`: both families at once, until one suffix answers.
    let suffixes = ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"];
    for suffix in suffixes {
        let name = format!("api.example.{suffix}");
        let (query_v4, query_v6) = (plain_query(&name, A), plain_query(&name, AAAA));
        let (v4, v6) = tokio::join!(udp(server, &query_v4), udp(server, &query_v6));
        assert_eq!((v4.code(), v6.code()), (NXDOMAIN, NXDOMAIN), "{name}");
    }
    assert_eq!(udp(server, &plain_query("api.example", A)).await.addresses(), ["93.184.216.34"]);
    assert_eq!(
        udp(server, &query("kubernetes.default.svc.cluster.local", A)).await.code(),
        NXDOMAIN
    );
    assert_eq!(sidecar.dns.asked(), ["api.example"]);
    let listed = udp(server, &query("db.ns.svc.cluster.local", A)).await;
    assert_eq!(listed.addresses(), ["10.20.0.7"]);
    let series = r#"pinfold_dns_queries_total{decision="deny",reason="search-suffix"}"#;
    assert_eq!(sidecar.metric(series).await, 9.0);
    assert_eq!(sidecar.verified_records().await.len(), 0, "not an attack");
}

#[tokio::test]
async fn row_15_what_is_no_plain_query_is_refused_and_the_gate_lives() {
    let sidecar = sidecar().await;
    sidecar.dns.set("api.example", &["93.184.216.34"]);
    let server = sidecar.dns_gate();
    let honest = query("api.example", A);
    let changed = |at: usize, value: u8| {
        let mut bytes = honest.clone();
        bytes[at] = value;
        bytes
    };
    let cases: Vec<(Vec<u8>, u8)> = vec![
        (changed(5, 2), 1),                            // two questions
        (changed(5, 0), 1),                            // none
        (changed(12, 0xc0), 1),                        // a compressed name
        (changed(2, 0x29), 4),                         // an update
        (honest[..honest.len() - 1].to_vec(), 1),      // cut off
        ([honest.clone(), vec![0; 3]].concat(), 1),    // more than one message
        ([honest.clone(), vec![0; 3000]].concat(), 1), // oversize
        (honest[..13].to_vec(), 1),
    ];
    for (bytes, code) in cases {
        let reply = udp_bytes(server, &bytes).await;
        assert_eq!(reply[3] & 0xf, code, "{bytes:?}");
        assert_eq!(reply[..2], honest[..2], "the id");
    }
    // What must not be answered: a reply, and what has no id.
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for bytes in [changed(2, 0x81), vec![0; 11], Vec::new(), honest.clone()] {
        socket.send_to(&bytes, server).await.expect("sent");
    }
    let mut buffer = [0; 512];
    let (length, _) = socket.recv_from(&mut buffer).await.expect("one reply");
    assert_eq!(buffer[3] & 0xf, 0, "{:?}", &buffer[..length]);
    assert_eq!(sidecar.dns.asked(), ["api.example"]);
}

#[tokio::test]
async fn tcp_is_pipelined_and_bounded() {
    let sidecar = sidecar().await;
    sidecar.dns.set("api.example", &["93.184.216.34"]);
    let server = sidecar.dns_gate();
    let mut tcp = Tcp::connect(server).await;
    let kinds: Vec<u16> = (0..100).map(|index| if index % 3 == 0 { A } else { 16 }).collect();
    let queries: Vec<Vec<u8>> = kinds.iter().map(|kind| query("api.example", *kind)).collect();
    tcp.send(&queries).await;
    let mut ids: Vec<u16> = Vec::new();
    for _ in 0..100 {
        let told = tcp.reply().await.expect("a reply");
        assert_eq!(told.code() == NOERROR, u16::from(told.message.queries[0].query_type()) == A);
        ids.push(told.message.id);
    }
    let mut sent: Vec<u16> =
        queries.iter().map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])).collect();
    ids.sort_unstable();
    sent.sort_unstable();
    assert_eq!(ids, sent);

    // Bytes one by one are a query too, and who says no more still gets the answer.
    let mut slow = Tcp::connect(server).await;
    let one = query("api.example", A);
    let length = u16::try_from(one.len()).expect("short").to_be_bytes();
    for byte in length.iter().chain(&one) {
        slow.send_bytes(&[*byte]).await;
    }
    slow.shut().await;
    assert_eq!(slow.reply().await.expect("a reply").addresses(), ["93.184.216.34"]);
    assert!(slow.reply().await.is_none(), "the end");

    let mut huge = Tcp::connect(server).await;
    huge.send_bytes(&[0xff, 0xff, 1, 2, 3]).await;
    assert!(huge.reply().await.is_none(), "no query is that large");
}

#[tokio::test]
async fn what_is_too_large_for_udp_is_told_over_tcp() {
    let sidecar = sidecar().await;
    let many: Vec<String> = (1..=60).map(|last| format!("2606:2800::{last:x}")).collect();
    let texts: Vec<&str> = many.iter().map(String::as_str).collect();
    sidecar.dns.set("api.example", &texts);
    // The upstream's own reply is too large for its UDP too.
    sidecar.dns.trick("api.example", super::support::Trick::Truncation);
    let server = sidecar.dns_gate();
    for make in [query, plain_query] {
        let told = udp(server, &make("api.example", AAAA)).await;
        assert!(told.message.truncation && told.message.answers.is_empty());
    }
    let told = Tcp::connect(server).await.ask(&query("api.example", AAAA)).await;
    assert_eq!(told.addresses().len(), 60);
    assert!(sidecar.dns.questions().iter().any(|asked| asked.tcp));
}

#[tokio::test]
async fn denials_are_recorded_once_a_second_and_names_stay_names() {
    let sidecar = Setup::new(POLICY).await.with_dns().audited().start().await;
    let server = sidecar.dns_gate();
    let started = std::time::Instant::now();
    for _ in 0..25 {
        assert_eq!(udp(server, &plain_query("data.evil.example", A)).await.code(), REFUSED);
    }
    let seconds = started.elapsed().as_secs();
    let mut injected = plain_query("x", AAAA);
    injected.splice(12..14, [b"\x0ba\nb\"},{\x1b[2J".as_slice(), &[7], b"example"].concat());
    assert_eq!(udp(server, &injected).await.code(), REFUSED);
    let denied = r#"pinfold_dns_queries_total{decision="deny",reason="host"}"#;
    assert_eq!(sidecar.metric(denied).await, 26.0);

    let records = sidecar.verified_records().await;
    let of = |host: &'static str| records.iter().filter(move |record| record["host"] == host);
    let evil: Vec<_> = of("data.evil.example").collect();
    let most = usize::try_from(2 * seconds + 2).expect("few");
    assert!((2..=most).contains(&evil.len()), "{evil:#?}");
    let first = evil[0];
    assert_eq!(
        [
            &first["event"],
            &first["decision"],
            &first["reason"],
            &first["protocol"],
            &first["method"]
        ],
        ["dns", "deny", "host", "dns", "A"]
    );
    let counted = evil[1]["message"].as_str().expect("a message");
    assert!(seconds > 0 || counted.ends_with("(24 more like it within a second)"), "{counted}");
    let odd = of("a\\010b\\034\\125\\044\\123\\027\\0912J.example").collect::<Vec<_>>();
    assert_eq!((odd.len(), &odd[0]["method"]), (1, &serde_json::json!("AAAA")));
}
