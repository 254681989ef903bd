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
