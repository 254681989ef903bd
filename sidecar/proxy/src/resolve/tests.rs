//! Cases of resolving: which records of a reply count, and the system's files.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};

use super::*;

fn wire(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn record(name: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(wire(name), ttl, data)
}

fn v4(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn to(name: &str) -> RData {
    RData::CNAME(CNAME(wire(name)))
}

#[test]
fn only_records_at_the_end_of_the_chain_count() {
    let v6 = RData::AAAA(AAAA(Ipv6Addr::LOCALHOST));
    let records = [
        record("other.example.", 1, v4(9)),
        record("c.example.", 30, v4(1)),
        record("B.example.", 20, to("c.example.")),
        record("a.example.", 60, to("b.example.")),
        record("c.example.", 10, v6),
        record("c.example.", 40, v4(2)),
    ];
    let found = collect(&wire("a.example."), RecordType::A, &records).expect("records");
    let expected: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
    assert_eq!((found.exists, found.addresses.as_slice(), found.ttl), (true, &expected[..], 20));
    let none = collect(&wire("x.example."), RecordType::A, &records).expect("no records");
    assert_eq!((none.exists, none.addresses.len()), (true, 0));
}

#[test]
fn chains_and_records_are_bounded() {
    let hop = |index: u32| format!("h{index}.example.");
    let chain = |length: u32| {
        let mut records: Vec<Record> =
            (0..length).map(|index| record(&hop(index), 1, to(&hop(index + 1)))).collect();
        records.push(record(&hop(length), 1, v4(1)));
        collect(&wire(&hop(0)), RecordType::A, &records)
    };
    assert_eq!(chain(8).expect("an end").addresses.len(), 1);
    assert_eq!(chain(9), None);
    let circle = [record("a.", 1, to("b.")), record("b.", 1, to("a."))];
    assert_eq!(collect(&wire("a."), RecordType::A, &circle), None);
    let many = |count: u8| {
        let records: Vec<Record> = (0..count).map(|last| record("a.", 1, v4(last))).collect();
        collect(&wire("a."), RecordType::A, &records)
    };
    assert_eq!(many(64).expect("records").addresses.len(), 64);
    assert_eq!(many(65), None);
}

#[test]
fn hosts_files() {
    let text = "# made by the kubelet\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n\
        10.0.0.7 Pod.ns.example pod # mine\nfe80::1%eth0 zone\nnonsense here\n10.0.0.8 -bad- pod\n\n10.0.0.9";
    let hosts = Hosts::parse(text);
    let name = |text: &str| DnsName::parse(text).expect("a name");
    let cases: &[(&str, Option<&[&str]>)] = &[
        ("localhost", Some(&["127.0.0.1", "::1"])),
        ("pod.ns.example", Some(&["10.0.0.7"])),
        ("pod", Some(&["10.0.0.7", "10.0.0.8"])),
        ("zone", None),
        ("here", None),
        ("mine", None),
    ];
    for (host, addresses) in cases {
        let found = hosts.addresses(&name(host));
        let found = found.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            found,
            addresses.map(|list| list.iter().map(ToString::to_string).collect()),
            "{host}"
        );
    }
    assert_eq!(hosts.names("10.0.0.7".parse().expect("ip")), [name("pod.ns.example"), name("pod")]);
}

#[tokio::test]
async fn a_resolv_conf_names_servers_and_search_list() {
    let text =
        "search ns.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
    let state = system::configured(text).expect("a configuration");
    let search: Vec<String> = state.search.iter().map(ToString::to_string).collect();
    assert_eq!(search, ["ns.svc.cluster.local", "svc.cluster.local"]);
    assert!(system::configured("search a.example\n").is_err(), "nobody to ask");
}

#[tokio::test]
async fn changed_files_are_read_again_and_broken_ones_are_not_taken() {
    let files = tempfile::tempdir().expect("a directory");
    let (conf, hosts) = (files.path().join("resolv.conf"), files.path().join("hosts"));
    let write = |path: &std::path::Path, text: &str| std::fs::write(path, text).expect("written");
    write(&conf, "search one.example\nnameserver 127.0.0.1\n");
    write(&hosts, "10.0.0.1 pod\n");
    let sources = Sources {
        servers: Vec::new(),
        hosts: Some(hosts.clone()),
        resolv_conf: Some(conf.clone()),
    };
    let resolver = Resolver::new(&sources, Duration::from_secs(1)).expect("a resolver");
    let search = || resolver.with_search(|search| search[0].to_string());
    let pod = DnsName::parse("pod").expect("a name");
    let address = || resolver.hosts.load().addresses(&pod).expect("an address")[0].to_string();
    assert_eq!((search(), address()), ("one.example".to_owned(), "10.0.0.1".to_owned()));

    write(&conf, "search two.example\nnameserver 127.0.0.1\n");
    write(&hosts, "10.0.0.2 pod\n");
    resolver.refresh().await;
    assert_eq!(search(), "one.example", "not looked at again so soon");
    resolver.watched.look_now();
    resolver.refresh().await;
    assert_eq!((search(), address()), ("two.example".to_owned(), "10.0.0.2".to_owned()));

    write(&conf, "search three.example\n");
    resolver.watched.look_now();
    resolver.refresh().await;
    assert_eq!(search(), "two.example", "the one before stays");
    std::fs::remove_file(&conf).expect("removed");
    resolver.watched.look_now();
    resolver.refresh().await;
    assert_eq!(search(), "two.example");
}

#[test]
fn the_system_s_files_are_for_who_names_no_server() {
    let server = "127.0.0.1:53".parse().expect("an address");
    let given = Sources { servers: vec![server], hosts: None, resolv_conf: None };
    let files = format!("{:?}", SystemFiles::new(&given));
    assert!(!files.contains("/etc"), "{files}");
    let files = format!("{:?}", SystemFiles::new(&Sources::default()));
    assert!(files.contains("/etc/resolv.conf") && files.contains("/etc/hosts"), "{files}");
}

/// A DNS server that has one address for every name; how often it was asked.
async fn server(last: u8) -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    use hickory_resolver::proto::op::{Message, MessageType, OpCode};
    let socket = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let asked = Arc::<std::sync::atomic::AtomicUsize>::default();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let query = Message::from_vec(&bytes[..length]).expect("a query");
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
            let question = query.queries.first().expect("a question").clone();
            reply.add_answer(Record::from_rdata(question.name().clone(), 60, v4(last)));
            reply.add_query(question);
            let _ = socket.send_to(&reply.to_vec().expect("a reply"), from).await;
        }
    });
    (address, asked)
}

#[tokio::test]
async fn the_servers_of_the_policy_are_asked_in_place_of_the_systems() {
    let files = tempfile::tempdir().expect("a directory");
    let conf = files.path().join("resolv.conf");
    std::fs::write(&conf, "search one.example\nnameserver 127.0.0.1\n").expect("written");
    let sources = Sources { resolv_conf: Some(conf), ..Sources::default() };
    let ((one, _), (two, asked_two)) = (server(1).await, server(2).await);
    let resolver = Resolver::new(&sources, Duration::from_secs(5)).expect("a resolver");
    let name = DnsName::parse("a.example").expect("a name");
    let address = async |resolver: &Resolver| {
        let found = resolver.lookup(&name, RecordType::A).await.expect("an answer");
        found.addresses.first().expect("an address").to_string()
    };
    resolver.follow(&[one]);
    assert_eq!(address(&resolver).await, "192.0.2.1");
    assert_eq!(resolver.with_search(<[DnsName]>::len), 1, "the search list stays the system's");
    // Another server: nothing that the one before said is told.
    resolver.follow(&[two]);
    assert_eq!(address(&resolver).await, "192.0.2.2");
    let asked = asked_two.load(std::sync::atomic::Ordering::Relaxed);
    // The same again is no change: answers are still known.
    resolver.follow(&[two]);
    assert_eq!(address(&resolver).await, "192.0.2.2");
    assert_eq!(asked_two.load(std::sync::atomic::Ordering::Relaxed), asked);
    // Nobody's: the system's again, which has no answer here.
    resolver.follow(&[]);
    assert!(resolver.chosen.load().is_none());

    // Who starts the sidecar has the last word.
    let told = Sources { servers: vec![one], ..sources };
    let told = Resolver::new(&told, Duration::from_secs(5)).expect("a resolver");
    told.follow(&[two]);
    assert_eq!(address(&told).await, "192.0.2.1");
}
