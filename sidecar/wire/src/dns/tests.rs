//! Queries that are read, queries that are not, and what replies look like on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::SVCB;
use hickory_proto::rr::rdata::svcb::{
    Alpn, EchConfigList, IpHint, Mandatory, SvcParamKey, SvcParamValue, Unknown,
};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData};
use hickory_proto::serialize::binary::BinEncodable as _;
use proptest::prelude::*;

use super::*;

/// A query for `name` with everything else as given; the name is taken apart at dots.
fn query(flags: u16, counts: [u16; 4], name: &str, kind: u16, class: u16) -> Vec<u8> {
    let mut out = vec![0xab, 0xcd];
    out.extend(flags.to_be_bytes());
    for count in counts {
        out.extend(count.to_be_bytes());
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend(label.bytes());
    }
    out.push(0);
    out.extend(kind.to_be_bytes());
    out.extend(class.to_be_bytes());
    out
}

fn plain(name: &str, kind: u16) -> Vec<u8> {
    query(0x0100, [1, 0, 0, 0], name, kind, 1)
}

fn with_edns(size: u16, version: u8, options: &[u8]) -> Vec<u8> {
    let mut out = query(0x0120, [1, 0, 0, 1], "a.example", 1, 1);
    out.extend([0, 0, 41]);
    out.extend(size.to_be_bytes());
    out.extend([0, version, 0x80, 0]);
    out.extend(u16::try_from(options.len()).expect("few").to_be_bytes());
    out.extend(options);
    out
}

#[test]
fn honest_queries_are_read() {
    // dig (AD, EDNS, cookie), glibc and musl (plain), a DNS client with 0x20.
    let cookie = [&[0, 10, 0, 8][..], &[7; 8]].concat();
    let cases = [
        (plain("api.example", 1), "api.example", 1, 512),
        (plain("API.eXample", 28), "api.example", 28, 512),
        (plain("_8443._https.api.example", 65), "_8443._https.api.example", 65, 512),
        (with_edns(1232, 0, &cookie), "a.example", 1, 1232),
        (with_edns(65535, 0, &[]), "a.example", 1, 1232),
        (with_edns(0, 0, &[]), "a.example", 1, 512),
    ];
    for (bytes, name, kind, udp) in cases {
        let query = read(&bytes).expect("a query");
        assert_eq!(query.name, AskedName::Host(DnsName::parse(name).expect("a name")));
        assert_eq!((query.kind, query.udp_reply_bytes_max()), (kind, udp), "{name}");
    }
}

#[test]
fn row_15_what_could_be_read_in_two_ways_is_refused() {
    let mut pointer = plain("", 1);
    pointer.splice(12..13, [0xc0, 12]);
    let mut forward = plain("", 1);
    forward.splice(12..13, [1, b'a', 0xc0, 14]);
    let long_name = ["a".repeat(63).as_str(); 4].join(".") + ".b";
    let trailing = [plain("a.example", 1), vec![0]].concat();
    let mut oversize = with_edns(1232, 0, &[]);
    oversize.resize(QUERY_BYTES_MAX + 1, 0);
    let not_edns = {
        let mut bytes = with_edns(1232, 0, &[]);
        let at = bytes.len() - 9;
        bytes[at] = 1;
        bytes
    };
    let whole = plain("a.example", 1);
    let cases: Vec<(Vec<u8>, Fault, Option<u8>)> = vec![
        (Vec::new(), Fault::Short, None),
        (whole[..11].to_vec(), Fault::Short, None),
        (query(0x8100, [1, 0, 0, 0], "a", 1, 1), Fault::Reply, None),
        (query(0x2000, [1, 0, 0, 0], "a", 6, 1), Fault::Operation, Some(4)),
        (query(0x2800, [1, 0, 0, 0], "a", 6, 1), Fault::Operation, Some(4)),
        (query(0x0300, [1, 0, 0, 0], "a", 1, 1), Fault::Flags, Some(1)),
        (query(0x0103, [1, 0, 0, 0], "a", 1, 1), Fault::Flags, Some(1)),
        (query(0x0140, [1, 0, 0, 0], "a", 1, 1), Fault::Flags, Some(1)),
        (query(0x0100, [0, 0, 0, 0], "a", 1, 1), Fault::Sections, Some(1)),
        (query(0x0100, [2, 0, 0, 0], "a", 1, 1), Fault::Sections, Some(1)),
        (query(0x0100, [1, 1, 0, 0], "a", 1, 1), Fault::Sections, Some(1)),
        (query(0x0100, [1, 0, 1, 0], "a", 1, 1), Fault::Sections, Some(1)),
        (query(0x0100, [1, 0, 0, 2], "a", 1, 1), Fault::Sections, Some(1)),
        (query(0x0100, [1, 0, 0, 1], "a", 1, 1), Fault::CutOff, Some(1)),
        (query(0x0100, [1, 0, 0, 0], "a", 1, 3), Fault::Class, Some(5)),
        (query(0x0100, [1, 0, 0, 0], "a", 1, 255), Fault::Class, Some(5)),
        (pointer, Fault::Name, Some(1)),
        (forward, Fault::Name, Some(1)),
        (plain(&long_name, 1), Fault::Name, Some(1)),
        (whole[..14].to_vec(), Fault::Name, Some(1)),
        (whole[..whole.len() - 1].to_vec(), Fault::CutOff, Some(1)),
        (trailing, Fault::Trailing, Some(1)),
        (oversize, Fault::Oversize, Some(1)),
        (with_edns(1232, 1, &[]), Fault::EdnsVersion, Some(0)),
        (with_edns(1232, 0, &[0, 10, 0]), Fault::Edns, Some(1)),
        (with_edns(1232, 0, &[0, 10, 0, 9, 1]), Fault::Edns, Some(1)),
        (not_edns, Fault::Edns, Some(1)),
    ];
    for (bytes, fault, code) in cases {
        assert_eq!(read(&bytes), Err(fault), "{bytes:?}");
        let reply = fault.reply(&bytes);
        assert_eq!(reply.as_ref().map(|reply| reply[3] & 0xf), code, "{fault}");
        if let Some(reply) = reply {
            assert_eq!(reply[..2], bytes[..2], "the id");
            let message = Message::from_vec(&reply).expect("a reply");
            assert_eq!(message.queries.len(), 0);
        }
    }
}

#[test]
fn names_that_no_host_has_can_be_logged() {
    let cases = [
        ("", "."),
        ("a b.example", "a\\032b.example"),
        ("a\n\"x.example", "a\\010\\034x.example"),
        ("*.example", "\\042.example"),
        ("b\u{fc}.example", "b\\195\\188.example"),
        ("1.2.3.4", "1.2.3.4"),
        ("-a.example", "-a.example"),
    ];
    for (name, text) in cases {
        let query = read(&plain(name, 1)).expect("a query");
        assert_eq!(query.name, AskedName::Other(text.to_owned()), "{name:?}");
    }
    // A dot within a label is not a dot between labels.
    let mut dotted = plain("", 1);
    dotted.splice(12..13, [b"\x0bapi.example".as_slice(), &[0]].concat());
    let query = read(&dotted).expect("a query");
    assert_eq!(query.name.as_str(), "api\\046example");
}

#[test]
fn row_12_replies_echo_id_case_and_rd() {
    let query = read(&with_edns(1232, 0, &[])).expect("a query");
    let mixed = read(&plain("aPi.ExAmple", 1)).expect("a query");
    let v4 = Answer { ttl: 60, data: Data::V4(Ipv4Addr::new(192, 0, 2, 1)) };
    let reply = Reply { query: &mixed, code: ResponseCode::NoError, answers: &[v4], error: None };
    let bytes = reply.encode(512);
    let message = Message::from_vec(&bytes).expect("a reply");
    assert_eq!((message.id, message.recursion_desired, message.truncation), (0xabcd, true, false));
    assert!(message.recursion_available && !message.authoritative);
    assert_eq!(message.queries[0].name().to_ascii(), "aPi.ExAmple.");
    assert_eq!(message.answers[0].name, Name::from_ascii("api.example.").expect("a name"));
    assert_eq!(message.answers[0].data, RData::A(A::new(192, 0, 2, 1)));
    assert!(message.edns.is_none(), "the client doesn't speak it");

    let error = Some(ExtendedError { code: 18, text: "host: `x` isn't\nlisted" });
    let reply = Reply { query: &query, code: ResponseCode::Refused, answers: &[], error };
    let bytes = reply.encode(1232);
    let message = Message::from_vec(&bytes).expect("a reply");
    assert_eq!(u16::from(message.response_code), 5);
    assert_eq!(message.edns.expect("EDNS").max_payload(), 1232);
    let tail = [&[0, 15, 0, 23, 0, 18][..], b"host: `x` isn'tlisted"].concat();
    assert!(bytes.ends_with(&tail), "{bytes:?}");
}

#[test]
fn what_does_not_fit_is_truncated_and_says_so() {
    let query = read(&plain("a.example", 28)).expect("a query");
    let v6 = |last: u16| Data::V6(Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0, 0, last));
    let answers: Vec<Answer> = (0..60).map(|last| Answer { ttl: 1, data: v6(last) }).collect();
    let reply =
        Reply { query: &query, code: ResponseCode::NoError, answers: &answers, error: None };
    let cut = Message::from_vec(&reply.encode(query.udp_reply_bytes_max())).expect("a reply");
    assert!(cut.truncation && cut.answers.is_empty());
    let whole = Message::from_vec(&reply.encode(65_535)).expect("a reply");
    assert_eq!((whole.truncation, whole.answers.len()), (false, 60));
    assert_eq!(whole.answers[9].data, RData::AAAA(AAAA::new(0x2606, 0, 0, 0, 0, 0, 0, 9)));
}

fn service(priority: u16, target: &str, parameters: Vec<(SvcParamKey, SvcParamValue)>) -> Vec<u8> {
    let target = Name::from_ascii(target).expect("a name");
    SVCB::new(priority, target, parameters).to_bytes().expect("bytes")
}

#[test]
fn row_11_ech_and_hints_are_stripped() {
    use SvcParamKey as Key;
    use SvcParamValue as Value;
    let alpn = |list: &[&str]| {
        (Key::Alpn, Value::Alpn(Alpn(list.iter().map(|id| (*id).to_owned()).collect())))
    };
    let hints = (Key::Ipv4Hint, Value::Ipv4Hint(IpHint(vec![A::new(10, 0, 0, 1)])));
    let ech = (Key::EchConfigList, Value::EchConfigList(EchConfigList(vec![1, 2, 3])));
    let six = (Key::Ipv6Hint, Value::Ipv6Hint(IpHint(vec![AAAA::new(0, 0, 0, 0, 0, 0, 0, 1)])));
    let unknown = (Key::Key(65_300), Value::Unknown(Unknown(vec![9])));
    let port = (Key::Port, Value::Port(8443));
    let must = |keys: &[Key]| (Key::Mandatory, Value::Mandatory(Mandatory(keys.to_vec())));
    let no_default = (Key::NoDefaultAlpn, Value::NoDefaultAlpn);

    let full = service(
        1,
        ".",
        vec![alpn(&["h3", "h2"]), port.clone(), hints.clone(), ech.clone(), six, unknown],
    );
    let cut = strip_service(&full).expect("a record");
    assert_eq!(cut.target, None);
    assert_eq!(cut.data, [0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2', 0, 3, 0, 2, 0x20, 0xfb]);

    let alias = strip_service(&service(0, "Pool.Example.", vec![])).expect("a record");
    assert_eq!(alias.target, Some(DnsName::parse("pool.example").expect("a name")));
    assert_eq!(alias.data, b"\0\0\x04pool\x07example\0");

    let kept = service(1, ".", vec![must(&[Key::Port]), alpn(&["h2"]), port]);
    assert!(strip_service(&kept).is_some());
    let refused = [
        service(1, ".", vec![must(&[Key::Ipv4Hint]), hints]),
        service(1, ".", vec![must(&[Key::EchConfigList]), ech]),
        service(1, ".", vec![alpn(&["h3"]), no_default]),
        service(1, "*.example.", vec![]),
        // Not well-formed: cut off, out of order, twice, an empty protocol, a short port.
        vec![0],
        vec![0, 1],
        vec![0, 1, 0, 0],
        vec![0, 1, 0, 0, 3, 0, 2, 1],
        vec![0, 1, 0, 0, 3, 0, 2, 1, 1, 0, 1, 0, 3, 2, b'h', b'2'],
        vec![0, 1, 0, 0, 3, 0, 2, 1, 1, 0, 3, 0, 2, 1, 1],
        vec![0, 1, 0, 0, 1, 0, 1, 0],
        vec![0, 1, 0, 0, 3, 0, 1, 1],
        vec![0, 1, 0, 0, 0, 0, 0],
        vec![0, 1, 0xc0, 0],
    ];
    for record in refused {
        assert_eq!(strip_service(&record), None, "{record:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Err(fault) = read(&bytes) {
            let _ = fault.reply(&bytes);
        }
        let _ = strip_service(&bytes);
    }

    /// What is accepted here, hickory-proto reads in the same way: small changes of an honest query.
    #[test]
    fn agrees_with_hickory(
        name in "[a-zA-Z0-9_-]{1,12}(\\.[a-zA-Z0-9_-]{1,12}){0,4}",
        kind in 0u16..70,
        options in proptest::collection::vec(any::<u8>(), 0..12),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        with_options in any::<bool>(),
    ) {
        let mut bytes = plain(&name, kind);
        if with_options {
            bytes[11] = 1;
            bytes.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
            let length = u8::try_from(options.len()).expect("few");
            bytes.extend([0, length.saturating_add(4), 0, 10, 0, length]);
            bytes.extend(&options);
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let Ok(query) = read(&bytes) else { return Ok(()) };
        let Ok(message) = Message::from_vec(&bytes) else {
            prop_assert!(false, "hickory refuses {bytes:?}");
            return Ok(());
        };
        prop_assert_eq!(message.id, query.id);
        prop_assert_eq!(message.queries.len(), 1);
        let asked = &message.queries[0];
        prop_assert_eq!(u16::from(asked.query_type()), query.kind);
        if let AskedName::Host(host) = &query.name {
            let theirs = asked.name().to_lowercase().to_ascii();
            prop_assert_eq!(theirs.trim_end_matches('.'), host.as_str());
        }
        prop_assert_eq!(message.edns.is_some(), query.edns.is_some());
    }
}
