//! The `literals` section: what is read, what is refused, what is allowed.

use super::{Literals, RawLiterals, SHIPPED_IDS};
use crate::digest::Digest;
use crate::document::{Dialect, read};

fn literals(yaml: &str) -> Result<Literals, String> {
    let node = read("p.yaml", yaml, Dialect::Policy).expect("YAML").remove(0);
    let raw: RawLiterals = node.read("p.yaml").map_err(|error| error.to_string())?;
    let mut ready = Literals::default();
    ready.add(&raw);
    Ok(ready)
}

#[test]
fn the_section_is_read() {
    let digest = Digest::of(b"known to all");
    let text = format!(
        "patterns: [{{id: acme-badge, match: 'ACME-[0-9]{{6}}', keywords: [Acme-]}}]\nallow: ['demo-.*', '{digest}']\noff: [github-token, named-password]"
    );
    let ready = literals(&text).expect("literals");
    let pattern = &ready.patterns[0];
    assert_eq!((pattern.id.as_str(), &*pattern.keywords[0]), ("acme-badge", "acme-"));
    assert_eq!(pattern.search.find("x ACME-123456."), Some((2, 13)));
    assert_eq!(pattern.search.find("ACME-12345"), None);
    assert!(ready.off.contains("github-token") && ready.off.len() == 2);
    for (value, expected) in
        [("demo-1", true), ("a demo-1", false), ("known to all", true), ("known", false)]
    {
        assert_eq!(ready.allows(value), expected, "{value}");
    }
}

#[test]
fn what_is_refused() {
    let cases = [
        ("off: [github-tokn]", "did you mean `github-token`?"),
        ("off: [zzzzzzzzzzzz]", "docs/credentials.md"),
        ("patterns: [{id: github-token, match: a}]", "ships"),
        ("patterns: [{id: A_b, match: a}]", "lower-case"),
        ("patterns: [{id: a, match: 'a*'}]", "empty text"),
        ("patterns: [{id: a, match: '('}]", "regular expression"),
        (r"patterns: [{id: a, match: '(a)\1'}]", "regular expression"),
        ("patterns: [{id: a, match: '(?:a{500}){500}'}]", "large"),
        ("patterns: [{id: a}]", "match"),
        ("allow: ['sha256:abc']", "hexadecimal"),
        ("allowed: []", "allow"),
    ];
    for (yaml, expected) in cases {
        let error = literals(yaml).expect_err(yaml);
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

/// The ids are cut from the text of the document, so its shape is held here.
#[test]
fn every_shipped_id_is_known() {
    let document = read("c.yaml", super::SHIPPED, Dialect::Policy).expect("YAML").remove(0);
    let spec = document.to_json()["spec"].clone();
    let patterns = spec["patterns"].as_array().expect("a list").clone();
    for pattern in &patterns {
        let id = pattern["id"].as_str().expect("an id");
        assert!(SHIPPED_IDS.contains(id), "{id}");
    }
    assert_eq!(SHIPPED_IDS.len(), patterns.len() + super::NAMED.len());
}
