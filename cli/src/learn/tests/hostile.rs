//! Logs of somebody who wants more in the proposal than was refused.

use serde_json::{Value, json};

use super::{learn, lines, policy, record, request, rules};
use crate::Outcome;

/// What would end a string, a comment, a line or a document, and what would be wider.
const TEXTS: &[&str] = &[
    "a.example\", ports: [1], protocol: tcp}\n    - {host: \"**.example",
    "a.example\n    - {host: b.example, ports: [1], protocol: tcp}",
    "a.example # ",
    "a.example\r- x",
    "*.example.com",
    "**.com",
    "*",
    "a.example\u{2028}- {host: x}",
    "a.example\u{85}",
    "\u{feff}a.example",
    "---",
    "!!str a",
    "&a a.example",
    "${HOME}",
    "a..example",
    "0x7f000001",
    "127.1",
    "a.example:443",
    "user@a.example",
    "",
];

#[test]
fn no_text_of_a_record_gets_into_the_proposal_unread() {
    let fields = [
        "host", "protocol", "method", "path", "reason", "agent", "time", "event", "server", "tool",
    ];
    for text in TEXTS {
        for field in fields {
            let mut hostile = request("a.example", 80, "GET", "/x");
            hostile[field] = (*text).into();
            let said = learn(&lines(&[hostile]), None, &[]);
            assert_eq!(said.outcome, Outcome::Passed, "{field} {text:?}: {}", said.err);
            let policy = policy(&said.out);
            let harmless = |rule: &&str| {
                **rule
                    == *r#"- {host: "a.example", ports: [80], protocol: http, methods: ["GET"], paths: ["/x"]}"#
            };
            assert!(rules(&said.out).iter().all(harmless), "{field} {text:?}: {}", said.out);
            assert!(policy.egress.len() <= 1 && policy.upstreams.is_empty());
            let told = said.out.lines().filter(|line| !line.trim_start().starts_with('#'));
            assert!(told.count() <= 7, "{field} {text:?}: {}", said.out);
        }
    }
}

#[test]
fn paths_mean_themselves_or_nothing() {
    for (path, proposed) in [
        ("/a", true),
        ("/a/", true),
        ("/", true),
        ("/a-b_c.d~e", true),
        ("/a:b@c!$&'(),=", true),
        ("/a;b", false),
        ("/a\"b", true),
        ("/a\\b", false),
        ("/a%62", false),
        ("/*", false),
        ("/a?b", false),
        ("/**", false),
        ("/a//b", false),
        ("/a/../b", false),
        ("a", false),
        ("/a b", false),
        ("/\u{e4}", false),
        ("/a\n- x", false),
    ] {
        let said = learn(&lines(&[request("a.example", 80, "GET", path)]), None, &[]);
        assert_eq!(said.outcome, Outcome::Passed, "{path}: {}", said.err);
        let found = rules(&said.out).len();
        assert!(found == usize::from(proposed), "{path}: {}", said.out);
        if proposed {
            let (written, path) = (rules(&said.out)[0], Value::from(path).to_string());
            assert!(written.ends_with(&format!("paths: [{path}]}}")), "{written}");
        }
    }
}

#[test]
fn what_is_no_refusal_of_the_sidecar_is_passed_over() {
    let with = |field: &str, value: Value| {
        let mut record = record("a.example", 443, "tls", "host");
        record[field] = value;
        record
    };
    let others = [
        with("decision", "allow".into()),
        with("gate", "webhook".into()),
        json!({"message": "listening", "host": "a.example"}),
    ];
    let said = learn(&lines(&others), None, &[]);
    assert!(
        rules(&said.out).is_empty() && said.out.contains("# Read: 0 refusals."),
        "{}",
        said.out
    );
    let unreadable = [
        "not json".to_owned(),
        r#"{"gate":"sidecar","decision":"deny","host":"a.example","host":"b.example"}"#.to_owned(),
        with("port", json!(70_000)).to_string(),
        with("port", json!("443")).to_string(),
        with("host", json!(["a"])).to_string(),
        format!("{{\"gate\":\"{}\"}}", "x".repeat(100_000)),
    ];
    let said = learn(&format!("{}\n", unreadable.join("\n")), None, &[]);
    assert!(rules(&said.out).is_empty(), "{}", said.out);
    assert!(said.out.contains("# Left out: 6 lines that can't be read."), "{}", said.out);
}

#[test]
fn very_many_names_end_in_a_bounded_proposal() {
    let of = |at: usize| record(&format!("h{at}.example"), 443, "tls", "host");
    let literal =
        |at: usize| record(&format!("10.0.{}.{}", at / 250, at % 250), 443, "tls", "address");
    let mut records: Vec<Value> = (0..6_000).map(of).collect();
    records.extend((0..1_000).map(literal));
    let said = learn(&lines(&records), None, &[]);
    assert_eq!(said.outcome, Outcome::Passed, "{}", said.err);
    assert!(
        said.out.contains("# Left out: 1500 refusals beyond the bounds"),
        "{}",
        said.out.lines().take(9).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(policy(&said.out).egress.len(), 5_000);
}
