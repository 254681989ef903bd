//! Hosts as browsers and most HTTP libraries read them (the WHATWG URL standard, by the `url` crate): whatever they take for an address must not
//! pass here as a name, or as another address (rows 18, 21, 23 and 24 of the attack table).
#![cfg(test)]

use std::net::IpAddr;

use pinfold_model::host::Host;
use proptest::prelude::*;

/// What the standard reads.
fn standard(text: &str) -> Option<url::Host<String>> {
    url::Host::parse(text).ok()
}

fn check(text: &str) -> Result<(), String> {
    let ours = Host::parse(text);
    match (standard(text), ours) {
        (Some(url::Host::Ipv4(theirs)), Ok(Host::Address(IpAddr::V4(ours)))) => {
            let canonical = theirs == ours && text == theirs.to_string();
            canonical.then_some(()).ok_or_else(|| format!("{text:?}: {theirs} and {ours}"))
        }
        (Some(url::Host::Ipv6(theirs)), Ok(Host::Address(IpAddr::V6(ours)))) => {
            (theirs == ours).then_some(()).ok_or_else(|| format!("{text:?}: {theirs} and {ours}"))
        }
        (Some(url::Host::Domain(theirs)), Ok(Host::Name(ours))) => {
            let theirs = theirs.strip_suffix('.').unwrap_or(&theirs);
            (theirs == ours.as_str())
                .then_some(())
                .ok_or_else(|| format!("{text:?}: {theirs} and {ours}"))
        }
        // What is refused here is never dialled; what only the standard refuses is no address to anybody.
        (_, Err(_)) | (None, Ok(Host::Name(_))) => Ok(()),
        (theirs, Ok(ours)) => Err(format!("{text:?}: {theirs:?} and {ours}")),
    }
}

/// A number in one of the spellings that resolvers and browsers accept.
fn number() -> impl Strategy<Value = String> {
    let value = prop_oneof![0_u32..=300, any::<u32>()];
    (value, 0..6_u8).prop_map(|(value, form)| match form {
        0 => format!("{value}"),
        1 => format!("0{value:o}"),
        2 => format!("0x{value:x}"),
        3 => format!("0X{value:X}"),
        4 => format!("00{value}"),
        _ => "0x".to_owned(),
    })
}

fn numbers() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(number(), 1..6);
    (parts, 0..5_u8).prop_map(|(parts, form)| {
        let text = parts.join(".");
        match form {
            0 => format!("{text}."),
            1 => format!("name.{text}"),
            2 => text.replace('1', "\u{ff11}"),
            3 => text.replace('.', "\u{3002}"),
            _ => text,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn numbers_are_addresses_in_their_one_spelling_only(text in numbers()) {
        prop_assert_eq!(check(&text), Ok(()));
    }

    #[test]
    fn brackets_hold_the_same_address_for_both(
        segments in any::<[u16; 8]>(),
        zeros in 0..8_usize,
        tail in prop_oneof![Just(""), Just("%eth0"), Just("%25eth0"), Just("]"), Just(".")],
    ) {
        let mut segments = segments;
        segments.iter_mut().take(zeros).for_each(|segment| *segment = 0);
        let address = std::net::Ipv6Addr::from(segments);
        for text in [format!("[{address}{tail}]"), format!("[{address}]{tail}"), address.to_string()] {
            prop_assert_eq!(check(&text), Ok(()));
        }
    }

    #[test]
    fn names_are_the_same_name_for_both(text in "[a-zA-Z0-9_.%\u{e9}\u{2488}\\[\\]:@-]{1,24}") {
        // The standard maps non-ASCII and escapes; here they are refused before that.
        prop_assert_eq!(check(&text), Ok(()));
    }
}

#[test]
fn the_oracle_reads_what_attackers_write() {
    // A test of the test: without these readings the properties would say nothing.
    for text in
        ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "\u{ff11}27.0.0.1", "127\u{3002}0.0.1"]
    {
        assert!(matches!(standard(text), Some(url::Host::Ipv4(_))), "{text}");
        assert!(Host::parse(text).is_err(), "{text}");
    }
    assert!(Host::parse("127.0.0.1").is_ok());
}
