//! A denial as the person at kubectl reads it.

use std::collections::BTreeSet;

use crate::Outcome;

/// Rule id and JSON path of every finding.
pub(crate) type Findings = BTreeSet<(String, String)>;

/// The findings that kubectl printed. Each must say how to mend it.
pub(crate) fn findings(stderr: &str) -> Outcome<Findings> {
    let mut found = Findings::new();
    for line in stderr.lines() {
        let text = line.split_once("denied the request: ").map_or(line, |(_, text)| text);
        if !text.starts_with("PF-") {
            continue;
        }
        let incomplete = || format!("not `RULE PATH: MESSAGE; fix: REMEDY`: {text}");
        let (rule, rest) = text.split_once(' ').ok_or_else(incomplete)?;
        let (path, rest) = rest.split_once(": ").ok_or_else(incomplete)?;
        let (message, remedy) = rest.split_once("; fix: ").ok_or_else(incomplete)?;
        if message.is_empty() || remedy.is_empty() || !path.starts_with('$') {
            return Err(incomplete().into());
        }
        found.insert((rule.to_owned(), path.to_owned()));
    }
    Ok(found)
}

/// The same in a table.
pub(crate) fn expected(findings: &[(&str, &str)]) -> Findings {
    findings.iter().map(|&(rule, path)| (rule.to_owned(), path.to_owned())).collect()
}

#[test]
fn what_kubectl_prints_is_read() {
    let two = "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"w\" denied the request: PF-A-001 $.a: m: n; fix: f\n\
               PF-B-002 $.b['c/d']: o; fix: g\n";
    assert_eq!(
        findings(two).unwrap(),
        expected(&[("PF-A-001", "$.a"), ("PF-B-002", "$.b['c/d']")])
    );
    assert!(findings("PF-A-001 $.a: no remedy").is_err());
    assert!(findings("Error from server (NotFound)").unwrap().is_empty());
}
