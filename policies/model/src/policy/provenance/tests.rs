//! Cases of extractors: what captures take out, and what is refused when a policy is read.

use super::{CAPTURED_BYTES_MAX, CaptureText, Field};
use crate::policy::load;
use crate::sources::SourceFile;

#[test]
fn captures_take_fields_out_of_whole_texts() {
    let workflow = r"(?<repository>[^/@]+/[^/@]+)/\.github/workflows/[^@]+@(?<ref>.+)";
    let pattern = CaptureText::parse(workflow).expect("an expression");
    let cases = [
        ("acme/app/.github/workflows/x.yml@refs/heads/main", Some(("acme/app", "refs/heads/main"))),
        (
            "acme/app/.github/workflows/x.yml@refs/pull/7/merge",
            Some(("acme/app", "refs/pull/7/merge")),
        ),
        ("acme/app/.github/workflows/x.yml@a@b", Some(("acme/app", "a@b"))),
        ("acme/app/.github/workflows/x.yml", None),
        ("x acme/app/.github/workflows/x.yml@refs/heads/main\n", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let found = pattern.take(text);
        let expected = expected.map(|(repository, git_ref)| {
            vec![(Field::Repository, repository), (Field::Ref, git_ref)]
        });
        assert_eq!(found, expected, "{text}");
    }
    assert!(pattern.has(Field::Ref) && !pattern.has(Field::Event));
    let any = CaptureText::parse("(?<ref>.*)").expect("an expression");
    assert!(any.take(&"x".repeat(CAPTURED_BYTES_MAX)).is_some());
    assert!(any.take(&"x".repeat(CAPTURED_BYTES_MAX + 1)).is_none());
    let slow = CaptureText::parse("(?<ref>(a*)*b)").expect("an expression");
    assert!(slow.take(&"a".repeat(CAPTURED_BYTES_MAX)).is_none());
    // A group that takes no part is no field.
    let either = CaptureText::parse("a(?<ref>x)|b(?<sha>y)").expect("an expression");
    assert_eq!(either.take("by"), Some(vec![(Field::Sha, "y")]));
}

#[test]
fn what_captures_refuse() {
    for (bad, reason) in [
        ("x", "expected a named group"),
        ("(x)", "expected a named group"),
        ("(?<Ref>x)", "no field `Ref`"),
        ("(?<ref>x", "not a regular expression"),
        (r"(?<ref>x)\1", "not a regular expression"),
        ("(?<ref>(?:a{500}){500})", "compiles to more than"),
        (&format!("(?<ref>{})", "x".repeat(600)), "at most 512 bytes"),
    ] {
        let error = CaptureText::parse(bad).expect_err(bad);
        assert!(error.contains(reason), "{bad}: {error}");
    }
}

fn read(extractor: &str) -> Result<(), String> {
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: p}}\nspec:\n  trust:\n    provenance:\n    - {extractor}\n"
    );
    let files = [SourceFile { name: "policy.yaml".to_owned(), text }];
    load(&files).map(|_| ()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn what_extractors_refuse() {
    for (extractor, reason) in [
        ("{match: {kinds: [Pod]}}", "nothing says the ref"),
        ("{match: {kinds: [Pod]}, repository: $.a}", "nothing says the ref"),
        (
            "{match: {kinds: [Pod]}, ref: $.a, event: $.b}",
            "expected the events that may be trusted",
        ),
        ("{match: {kinds: [Pod]}, ref: $.a, events: $.b}", "unknown field `events`"),
        ("{match: {kinds: [Pod]}, assume: {repository: r, ref: m}}", "would hold true of every"),
        (
            "{match: {kinds: [Pod], names: [x-*]}, assume: {repository: r, ref: ''}}",
            "expected a `repository` and a `ref`",
        ),
        (
            "{match: {kinds: [Pod], names: [x-*]}, ref: $.a, assume: {repository: r, ref: m}}",
            "expected nothing else",
        ),
        (
            "{match: {kinds: [Pod]}, capture: [{from: $.a, pattern: '(?<branch>.*)'}]}",
            "no field `branch`",
        ),
    ] {
        let error = read(extractor).expect_err(extractor);
        assert!(error.contains(reason), "{extractor}: {error}");
    }
    for good in [
        "{match: {kinds: [Pod]}, ref: $.a}",
        "{match: {kinds: [Pod]}, capture: [{from: $.a, pattern: '(?<ref>.*)'}]}",
        "{match: {kinds: [Pod]}, ref: $.a, event: $.b, trustedEvents: [push], actor: $.c, sha: $.d}",
        "{match: {kinds: [Pod], names: [x-*]}, assume: {repository: r, ref: refs/heads/main}}",
    ] {
        read(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}
