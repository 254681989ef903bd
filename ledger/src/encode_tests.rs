//! Cases of the encoder: canonical bytes, bounds, and the verifier's own opinion of them.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::event::{Actor, Decision, EventKind, Gate, Object};
use crate::format::MAX_RECORD_BYTES;
use crate::verify::line;

fn deny() -> Event {
    Event::new(Gate::Sidecar, EventKind::ToolCall, Decision::Deny)
}

fn reading() -> Reading {
    let wall = Timestamp::new(1_795_262_400, 1_234_567).unwrap();
    Reading { wall, monotonic: Duration::from_nanos(42) }
}

fn line_of(event: &Event) -> String {
    Fields::of(event).unwrap().seal(&Head::empty(), reading()).line
}

#[test]
fn a_record_is_this_line() {
    let event = Event { tool: Some("git/push".to_owned()), port: Some(443), ..deny() };
    let body = format!(
        r#""event":"tool-call","gate":"sidecar","monotonic_ns":42,"port":443,"prev_hash":"{GENESIS_PREV_HASH}","seq":1,"time":"2026-11-21T12:00:00.001234Z","tool":"git/push"}}"#
    );
    let hashed = format!(r#"{{"decision":"deny",{body}"#);
    // The figure is `printf %s "$hashed" | sha256sum`, so it depends on no code of this crate.
    let hash = "1b4876ffb1ffdbf3269602c9b6202f29e507f410c1bbd1f40a4d5a8a6954b9cd";
    assert_eq!(sha256_hex(hashed.as_bytes()), hash);
    assert_eq!(
        line_of(&event),
        format!("{{\"decision\":\"deny\",\"entry_hash\":\"{hash}\",{body}\n")
    );
}

#[test]
fn nothing_escapes_its_line() {
    let cases = [
        ("a\nb", r"a\nb"),
        ("\u{1b}[2J", r"\u001b[2J"),
        ("\u{7f}\u{9b}", r"\u007f\u009b"),
        ("say \"no\" \\", r#"say \"no\" \\"#),
        ("\r\t\u{8}\u{c}\0", r"\r\t\b\f\u0000"),
        ("\u{202e}txt", r"\u202etxt"),
        ("é\u{1f980}\u{2028}", r"\u00e9\ud83e\udd80\u2028"),
    ];
    for (text, escaped) in cases {
        let line = line_of(&Event { host: Some(text.to_owned()), ..deny() });
        assert!(line.contains(&format!(r#""host":"{escaped}""#)), "{line}");
        assert!(line.trim_end().chars().all(|c| (' '..='~').contains(&c)), "{line}");
    }
}

#[test]
fn long_strings_are_cut_at_a_character_and_say_so() {
    let cases = [
        ("x".repeat(MAX_STRING_BYTES), "x".repeat(MAX_STRING_BYTES)),
        (
            "x".repeat(MAX_STRING_BYTES + 5),
            format!("{}...[cut 5 bytes]", "x".repeat(MAX_STRING_BYTES)),
        ),
        (
            format!("{}éé", "x".repeat(MAX_STRING_BYTES - 1)),
            format!("{}...[cut 4 bytes]", "x".repeat(MAX_STRING_BYTES - 1)),
        ),
    ];
    for (text, kept) in cases {
        let line = line_of(&Event { host: Some(text), ..deny() });
        assert!(line.contains(&format!(r#""host":"{kept}""#)), "{line}");
    }
    let message = "m".repeat(MAX_MESSAGE_BYTES + 1);
    let line = line_of(&Event { message: Some(message), ..deny() });
    assert!(line.contains("m...[cut 1 bytes]"), "{line}");
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let rules = vec!["r".to_owned(); MAX_LIST_ITEMS + 3];
    let line = line_of(&Event { rules, ..deny() });
    assert_eq!(line.matches(r#""r""#).count(), MAX_LIST_ITEMS);
    assert!(line.contains("...[cut 3 items]"), "{line}");
}

#[test]
fn what_is_absent_is_left_out() {
    let actor = Some(Actor::default());
    let object = Some(Object { kind: Some("Pod".to_owned()), ..Object::default() });
    let line = line_of(&Event { actor, object, ..deny() });
    assert!(line.contains(r#""object":{"kind":"Pod"}"#), "{line}");
    for absent in ["null", "actor", "rules", "approvals"] {
        assert!(!line.contains(absent), "{absent}: {line}");
    }
}

/// Every string and list of an event at its worst: each byte takes six on disk.
fn worst() -> Event {
    let long = || Some("\u{1}".repeat(1 << 20));
    let many = || vec!["\u{1}".repeat(1 << 12); 1000];
    let actor = Some(Actor { user: long(), uid: long(), groups: Some(u32::MAX) });
    let object = Some(Object {
        group: long(),
        version: long(),
        kind: long(),
        namespace: long(),
        name: long(),
        subresource: long(),
    });
    // Listed in full, so that a new field has to be added here too.
    Event {
        gate: Gate::Webhook,
        event: EventKind::Admission,
        decision: Decision::Allow,
        rules: many(),
        path: long(),
        reason: long(),
        message: long(),
        actor,
        service_account: long(),
        organization: long(),
        operation: long(),
        dry_run: Some(false),
        object,
        request_uid: long(),
        source_event: long(),
        trigger_rule: long(),
        stack_generation: Some(i64::MIN),
        permission_snapshot_digest: long(),
        service_accounts: many(),
        grants: many(),
        keys: many(),
        agent: long(),
        server: long(),
        tool: long(),
        model: long(),
        arguments_digest: long(),
        findings: many(),
        host: long(),
        port: Some(u16::MAX),
        protocol: long(),
        method: long(),
        address: long(),
        session_id: long(),
        run_id: long(),
        approvals: many(),
        artifacts: many(),
        policy_digest: long(),
        correlation_id: long(),
        traceparent: long(),
        duration_us: Some(u64::MAX),
        count: Some(u64::MAX),
    }
}

#[test]
fn the_largest_record_fits() {
    let line = line_of(&worst());
    assert!(line.len() <= MAX_RECORD_BYTES, "{} bytes", line.len());
    line::read(line.trim_end().as_bytes()).unwrap();
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn writer_and_verifier_agree_on_the_canonical_form(value in json()) {
        let written = canonical(&value).unwrap();
        prop_assert_eq!(line::canonical(&value).unwrap(), written.as_bytes());
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    }

    #[test]
    fn any_text_makes_a_line_that_verifies(host in any::<String>(), rules in prop::collection::vec(any::<String>(), 0..4)) {
        let line = line_of(&Event { host: Some(host), rules, ..deny() });
        prop_assert!(line::read(line.trim_end().as_bytes()).is_ok(), "{}", line);
    }
}

#[test]
fn floats_have_no_canonical_form() {
    let value = serde_json::json!({ "a": [1.5] });
    assert!(canonical(&value).is_err());
    assert!(line::canonical(&value).is_none());
}
