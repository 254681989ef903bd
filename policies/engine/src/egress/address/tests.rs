//! The table against the documentation, and against what another implementation says.

use super::*;

/// Made by Python: see its first line.
const INDEPENDENT: &str = include_str!("ipaddress.txt");
const DOCUMENTED: &str = include_str!("../../../../../docs/addresses.md");

/// What Python calls global and this table refuses, and why.
const STRICTER: &[(&str, &str)] = &[
    (
        "192.0.0.0/24",
        "protocol anycast (PCP, TURN), and in older Pythons all but some of the range",
    ),
    ("192.31.196.0/24", "AS112, globally reachable by the registry"),
    ("192.52.193.0/24", "AMT, globally reachable by the registry"),
    ("192.88.99.0/24", "6to4 relays, deprecated"),
    ("192.175.48.0/24", "AS112, globally reachable by the registry"),
    ("224.0.0.0/4", "multicast, which the registry doesn't list"),
    ("2002::/16", "6to4: what it reaches is the IPv4 address inside"),
    ("2620:4f:8000::/48", "AS112, globally reachable by the registry"),
    ("3fff::/20", "documentation, newer than the Python"),
];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn whatever_an_independent_implementation_calls_special_is_refused() {
    let rows = INDEPENDENT.lines().filter(|line| !line.starts_with('#'));
    let (mut special_rows, mut global_rows) = (0, 0);
    for row in rows {
        let (text, said) = row.split_once(' ').expect("two columns");
        let found = special(address(text));
        if said == "special" {
            special_rows += 1;
            assert!(found.is_some(), "{text} is allowed, but not global");
            continue;
        }
        let Some(found) = found else {
            global_rows += 1;
            continue;
        };
        // IPv6 has one range for global unicast; Python takes all that isn't listed for global.
        let unicast = IpNet::V6("2000::/3".parse().expect("a range"));
        let outside = address(text).is_ipv6() && !unicast.contains(&address(text));
        let known = STRICTER
            .iter()
            .any(|(range, _)| range.parse::<IpNet>().expect("a range").contains(&address(text)));
        assert!(outside || known, "{text} is refused as {} without a reason", found.what);
    }
    assert!(special_rows > 100 && global_rows > 100, "{special_rows} {global_rows}");
}

#[test]
fn every_stricter_row_is_needed() {
    for (range, why) in STRICTER {
        let range: IpNet = range.parse().expect("a range");
        let rows = INDEPENDENT.lines().filter_map(|line| line.split_once(' '));
        let differs = rows
            .filter(|(_, said)| *said == "global")
            .filter_map(|(text, _)| text.parse::<IpAddr>().ok())
            .any(|address| range.contains(&address) && special(address).is_some());
        assert!(differs, "{range}: {why}");
    }
}

#[test]
fn the_documentation_has_every_row_and_no_other() {
    let mut expected: Vec<String> = V4
        .iter()
        .chain(V6)
        .map(|Special { range, what, source }| format!("| `{range}` | {what} | {source} |"))
        .collect();
    expected.extend(METADATA.iter().map(|(address, whose)| format!("| `{address}` | {whose} |")));
    let found: Vec<&str> = DOCUMENTED.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(found, expected);
}

#[test]
fn rows_19_25_to_29_metadata_in_every_spelling() {
    for (known, whose) in METADATA {
        assert!(is_metadata(*known), "{known} {whose}");
        let IpAddr::V4(inner) = known else { continue };
        let [a, b, c, d] = inner.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let spellings = [
            format!("::ffff:{inner}"),
            format!("::{inner}"),
            format!("::ffff:0:{inner}"),
            format!("64:ff9b::{inner}"),
            format!("64:ff9b:1::{inner}"),
            format!("64:ff9b:1:{high:x}:{:x}:{:x}::", u16::from(c), u16::from(d) << 8),
            format!("2002:{high:x}:{low:x}::1"),
            format!("2001:0:{high:x}:{low:x}::1"),
            format!("2001::{:x}:{:x}", !high, !low),
            format!("2001:db8::5efe:{inner}"),
            format!("2a00:1450:1:1:200:5efe:{inner}"),
            format!("fe80::5efe:{inner}"),
        ];
        for text in spellings {
            assert!(is_metadata(address(&text)), "{text} of {inner}");
            assert!(special(address(&text)).is_some(), "{text} of {inner}");
        }
    }
    for honest in ["8.8.8.8", "2606:4700::6812", "2a00:1450:1:1::a9fe:a9fe", "64:ff9b::8.8.8.8"] {
        assert!(!is_metadata(address(honest)), "{honest}");
    }
}

#[test]
fn row_19_v4_inside_v6_is_special_and_neighbours_are_not() {
    let cases = [
        ("::ffff:0:1.1.1.1", "translated"),
        ("2a00:1450:1:1:0:5efe:101:101", "ISATAP"),
        ("2a00:1450:1:1:200:5efe:101:101", "ISATAP"),
        ("64:ff9b:1:ffff::1", "local NAT64"),
        ("2001:0:1::1", "Teredo"),
        ("2002:808:808::1", "6to4"),
    ];
    for (text, what) in cases {
        let found = special(address(text)).expect("special");
        assert!(found.what.contains(what), "{text} is {}", found.what);
    }
    for text in ["2a00:1450:1:1:1:5efe:101:101", "2a00:1450:1:1:0:5eff:101:101", "2620:4f:8001::1"]
    {
        assert_eq!(special(address(text)), None, "{text}");
    }
}
