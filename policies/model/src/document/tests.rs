//! Cases of the document reader: what is read, and what each error says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Sample {
    name: String,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    ReadOnly,
    ReadWrite,
}

fn sample(text: &str) -> Result<Sample, String> {
    let nodes = read("f.yaml", text, Dialect::Policy).map_err(|error| error.to_string())?;
    nodes.first().expect("one document").read("f.yaml").map_err(|error| error.to_string())
}

#[test]
fn reads_typed_values() {
    let text = "name: a\nports: [1, 2]\nmode: read-only\nlabels: {x: '1'}\n";
    let expected = Sample {
        name: "a".to_owned(),
        ports: vec![1, 2],
        mode: Some(Mode::ReadOnly),
        labels: BTreeMap::from([("x".to_owned(), "1".to_owned())]),
    };
    assert_eq!(sample(text), Ok(expected));
}

#[test]
fn errors_say_where_and_what_was_meant() {
    let cases = [
        ("name: a\nprots: [1]\n", "f.yaml:2:1: unknown field `prots`: did you mean `ports`?"),
        (
            "name: a\nports:\n  - 1\n  - x\n",
            "f.yaml:4:5: ports[1]: invalid type: string \"x\", expected u16",
        ),
        (
            "name: a\nmode: readonly\n",
            "f.yaml:2:7: mode: unknown value `readonly`: did you mean `read-only`?",
        ),
        (
            "name: a\nmode: [x]\n",
            "f.yaml:2:7: mode: expected one of `read-only`, `read-write`, found a list",
        ),
        ("name: a\nname: b\n", "f.yaml:2:1: duplicate key `name`"),
        ("ports: []\n", "f.yaml:1:1: missing field `name`"),
        (
            "name: a\nports: [70000]\n",
            "f.yaml:2:9: ports[0]: invalid value: integer `70000`, expected u16",
        ),
        (
            "name: a\nlabels: {x: 1}\n",
            "f.yaml:2:13: labels.x: invalid type: integer `1`, expected a string",
        ),
        (
            "name: a\nlabels: {x: yes}\n",
            "f.yaml:2:13: `yes` is read as a boolean by some; quote it or write true or false",
        ),
        ("- a\n", "f.yaml:1:1: expected a mapping, found a list"),
        ("name: [a\n", "f.yaml:2:1: not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("name: *x\n", "f.yaml:1:7: not YAML: while parsing node, found unknown anchor"),
    ];
    for (text, expected) in cases {
        assert_eq!(sample(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn scalars_as_kubectl_reads_them() {
    let cases = [
        ("0644", Some("420"), None),
        ("yes", Some("true"), None),
        ("off", Some("false"), None),
        ("0x1f", Some("31"), Some("31")),
        ("1e3", Some("1000.0"), Some("1000.0")),
        ("-5", Some("-5"), Some("-5")),
        ("1.2.3", Some("\"1.2.3\""), Some("\"1.2.3\"")),
        ("2027-01-31", Some("\"2027-01-31\""), Some("\"2027-01-31\"")),
        ("~", Some("null"), Some("null")),
        ("'yes'", Some("\"yes\""), Some("\"yes\"")),
        ("!!str 5", Some("\"5\""), Some("\"5\"")),
        ("18446744073709551615", Some("18446744073709551615"), Some("18446744073709551615")),
    ];
    for (text, manifest, policy) in cases {
        let found = |dialect| {
            let nodes = read("f", &format!("[{text}]"), dialect).ok()?;
            let item = nodes.first()?.items()?.first()?.to_json();
            Some(item.to_string())
        };
        assert_eq!(found(Dialect::Manifest).as_deref(), manifest, "{text}");
        if let Some(policy) = policy {
            assert_eq!(found(Dialect::Policy).as_deref(), Some(policy), "{text}");
        }
    }
}

#[test]
fn documents_merge_keys_and_bounds() {
    let nodes = read("f", "a: 1\n---\n---\nb: 2\n", Dialect::Manifest).expect("two documents");
    assert_eq!(nodes.len(), 2);
    let text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n";
    let nodes = read("f", text, Dialect::Manifest).expect("a merge");
    let merged = nodes[0].get("use").expect("use").to_json();
    assert_eq!(merged, serde_json::json!({"y": 3, "x": 1}));

    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let error = read("f", &deep, Dialect::Policy).expect_err("deep");
    assert!(
        error.message.contains("nested deeper") || error.message.contains("recursion"),
        "{error}"
    );
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    let error = read("f", &laughs, Dialect::Policy).expect_err("a billion laughs");
    assert!(error.message.contains("values"), "{error}");
}

#[test]
fn errors_at_a_path_point_to_the_deepest_node() {
    let nodes = read("f", "spec:\n  rules:\n  - id: x\n", Dialect::Policy).expect("a document");
    let steps = [
        Step::Member("spec".to_owned()),
        Step::Member("rules".to_owned()),
        Step::Item(0),
        Step::Member("mode".to_owned()),
    ];
    let error = nodes[0].error("f", &steps, "expected a mode");
    assert_eq!(error.to_string(), "f:3:5: spec.rules[0].mode: expected a mode");
}
