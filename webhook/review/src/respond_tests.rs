//! Cases of the answers: bounds, warnings, patches, and what people read.

use pinfold_model::finding::RuleId;
use serde_json::{Value, json};

use super::*;
use crate::message::{MESSAGE_BYTES_MAX, WARNING_CHARS_MAX, WARNINGS_MAX};

fn finding(mode: Mode, message: &str) -> Finding {
    Finding {
        rule: RuleId::SEC_CROSS_ORGANIZATION,
        mode,
        path: "$.spec.volumes[0].secret.secretName".to_owned(),
        message: message.to_owned(),
        remedy: "name a Secret of your own".to_owned(),
    }
}

fn reasons(findings: &[Finding]) -> Reasons<'_> {
    Reasons { findings, decision_id: "d-1", policy_digest: "sha256:00" }
}

fn read(bytes: &[u8]) -> Value {
    let answer: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].clone()
}

#[test]
fn a_denial_says_everything_at_once() {
    let findings = [
        finding(Mode::Enforce, "`a` is another organization's"),
        finding(Mode::Enforce, "`b` is another organization's"),
        finding(Mode::Warn, "`c` is odd"),
        finding(Mode::Audit, "`d` is noted"),
    ];
    let answer = read(&denied("u-1", &reasons(&findings)));
    let line = |name: &str| {
        format!(
            "PF-SEC-001 $.spec.volumes[0].secret.secretName: `{name}` is another organization's; \
             fix: name a Secret of your own"
        )
    };
    assert_eq!(
        answer,
        json!({
            "uid": "u-1", "allowed": false,
            "status": {"code": 403, "reason": "Forbidden", "message": format!("{}\n{}", line("a"), line("b"))},
            "warnings": ["PF-SEC-001 $.spec.volumes[0].secret.secretName: `c` is odd; fix: name a Secret of your own"],
            "auditAnnotations": {"decision-id": "d-1", "policy-digest": "sha256:00", "rules": "PF-SEC-001"},
        })
    );
}

#[test]
fn an_allowance_is_bare() {
    let none = Reasons { findings: &[], decision_id: "", policy_digest: "" };
    assert_eq!(read(&allowed("u-2", &none)), json!({"uid": "u-2", "allowed": true}));
    assert_eq!(read(&patched("u-2", &none, None)), json!({"uid": "u-2", "allowed": true}));
}

#[test]
fn a_patch_comes_with_its_type_and_only_then() {
    let none = Reasons { findings: &[], decision_id: "", policy_digest: "" };
    let answer = read(&patched("u-3", &none, Some(b"[]")));
    assert_eq!(
        answer,
        json!({"uid": "u-3", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"})
    );
}

#[test]
fn warnings_are_cut_on_a_character_and_counted() {
    let long = "ä".repeat(1000);
    let findings: Vec<Finding> = (0..40).map(|_| finding(Mode::Warn, &long)).collect();
    let answer = read(&allowed("u", &reasons(&findings)));
    let warnings = answer["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), WARNINGS_MAX);
    for warning in warnings {
        assert!(warning.as_str().unwrap().chars().count() <= WARNING_CHARS_MAX);
    }
    assert!(warnings[0].as_str().unwrap().ends_with('…'));
    assert_eq!(warnings[WARNINGS_MAX - 1], "and 25 more, see the audit record");
    let sixteen: Vec<Finding> = (0..16).map(|_| finding(Mode::Warn, "x")).collect();
    let answer = read(&allowed("u", &reasons(&sixteen)));
    assert!(!answer["warnings"].to_string().contains("more"), "all fit");
}

#[test]
fn messages_are_bounded_and_say_what_was_cut() {
    let findings: Vec<Finding> =
        (0..500).map(|_| finding(Mode::Enforce, &"long ".repeat(40))).collect();
    let answer = read(&denied("u", &reasons(&findings)));
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.len() <= MESSAGE_BYTES_MAX);
    let shown = message.lines().count() - 1;
    assert!(message.ends_with(&format!("and {} more, see the audit record", 500 - shown)));
    let huge = [finding(Mode::Enforce, &"ö".repeat(100_000))];
    let answer = read(&denied("u", &reasons(&huge)));
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.len() <= MESSAGE_BYTES_MAX && message.starts_with("PF-SEC-001"));
}

#[test]
fn names_cannot_break_the_line_nor_the_terminal() {
    let hostile = "a\nPF-OK: allowed\u{1b}[31m\u{202e}\u{0}\u{feff}";
    let findings = [finding(Mode::Enforce, hostile), finding(Mode::Warn, hostile)];
    let answer = read(&denied("u", &reasons(&findings)));
    let told =
        [answer["status"]["message"].as_str().unwrap(), answer["warnings"][0].as_str().unwrap()];
    for text in told {
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}') && !text.contains('\u{feff}'));
        assert!(text.contains("a\\nPF-OK: allowed\\u{1b}[31m"), "{text}");
    }
}
