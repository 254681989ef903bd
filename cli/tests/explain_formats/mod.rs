//! The formats of `pinfold explain` for programs: JSON by its schema, pictures by the grammar of DOT, and names that try to break out.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{DOCS, pinfold};

const QUESTIONS: [(&str, &str); 7] = [
    ("what-can", "explain what-can AgentStack/fixer -n acme-agents"),
    ("what-can", "explain what-can AgentStack/none"),
    ("who-can", "explain who-can get pods/log"),
    ("who-can", "explain who-can get /metrics"),
    ("binding", "explain binding docs/examples/explain/proposed.yaml --as alice"),
    ("binding", "explain binding docs/examples/explain/reader.yaml"),
    (
        "review",
        "explain review --stack acme-agents/fixer --repository acme/app --ref main --trigger manual",
    ),
];

fn json(line: &str) -> Value {
    let (_, out, err) = pinfold(line);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}{err}"))
}

#[test]
fn every_answer_is_of_its_schema() {
    for (answer, line) in QUESTIONS {
        let schema = json(&format!("explain schema {answer}"));
        let value = json(&format!("{line} -o json {DOCS} -p docs/examples/explain/policy.yaml"));
        assert_eq!(value["version"], 1, "{line}");
        let mut faults = Vec::new();
        validate(&schema, &schema, &value, answer, &mut faults);
        assert!(faults.is_empty(), "{line}: {faults:#?}");
        // The check sees what is wrong.
        let mut wrong = value.clone();
        wrong["version"] = Value::String("1".to_owned());
        validate(&schema, &schema, &wrong, answer, &mut faults);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
}

/// The part of JSON Schema that the schemas of this command use; anything else is a fault, as are members that no schema names.
fn validate(root: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).expect(name);
        return validate(root, target, value, path, faults);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut faults = Vec::new();
            validate(root, choice, value, path, &mut faults);
            faults.is_empty()
        };
        if !choices.iter().any(fits) {
            faults.push(format!("{path}: none of anyOf"));
        }
        return;
    }
    let Some(schema) = schema.as_object().filter(|schema| schema.contains_key("type")) else {
        if schema != &Value::Bool(true) && schema["description"].is_null() {
            faults.push(format!("{path}: can't read schema {schema}"));
        }
        return;
    };
    let one = || vec![schema["type"].clone()];
    let types = schema["type"].as_array().cloned().unwrap_or_else(one);
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.iter().any(|one| one == own) {
        faults.push(format!("{path}: {own} is not of {types:?}"));
    }
    if let Value::Array(items) = value {
        for (at, item) in items.iter().enumerate() {
            validate(root, &schema["items"], item, &format!("{path}[{at}]"), faults);
        }
    }
    if let Value::Object(members) = value {
        let known = schema["properties"].as_object().expect("properties");
        for (name, member) in members {
            match known.get(name) {
                Some(schema) => validate(root, schema, member, &format!("{path}.{name}"), faults),
                None => faults.push(format!("{path}: unknown `{name}`")),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).cloned();
        for name in required.unwrap_or_default() {
            if !members.contains_key(name.as_str().expect("a name")) {
                faults.push(format!("{path}: no {name}"));
            }
        }
    }
}

/// Names that would end a string, a line, a node or a page.
const HOSTILE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: acme}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: coder, namespace: acme}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "r\"]; evil [label=\"x", namespace: acme}
rules:
- {apiGroups: [""], resources: ["\u001b[31mpods", "a\\"], verbs: ["get\n}", "\\\""]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "b\\", namespace: acme}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "r\"]; evil [label=\"x"}
subjects:
- {kind: ServiceAccount, name: coder}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "u\u0007\r\n-> \"n0\" <b>\u009b\u202e"}
"#;

#[test]
fn no_name_breaks_out_of_a_picture_or_a_terminal() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let file = scratch.path().join("c.yaml");
    fs::write(&file, HOSTILE).expect("a file");
    let binding = scratch.path().join("b.yaml");
    let text = HOSTILE.rsplit("---").next().expect("the binding");
    fs::write(&binding, text).expect("a file");
    let (file, binding) = (file.display(), binding.display());
    let lines = [
        format!("explain what-can acme/coder --cluster {file}"),
        format!("explain who-can get a\\ --cluster {file}"),
        format!("explain who-can \\\" a\\ --cluster {file}"),
        format!("explain binding {binding} --as x --cluster {file}"),
    ];
    for line in lines {
        let (_, dot, err) = pinfold(&format!("{line} -o dot"));
        check_dot(&dot).unwrap_or_else(|fault| panic!("{line}: {fault}: {dot}{err}"));
        draw(&dot);
        let (_, table, _) = pinfold(&line);
        let bad = table.chars().find(|c| is_bad(*c) && *c != '\n');
        assert_eq!(bad, None, "{line}: {table:?}");
    }
    let (_, yaml, _) = pinfold(&format!("explain binding {binding} --render --cluster {file}"));
    assert!(yaml.lines().all(|line| !line.chars().any(is_bad)), "{yaml:?}");
}

fn is_bad(character: char) -> bool {
    character.is_control() || character == '\u{202e}'
}

#[test]
fn pictures_are_of_the_dot_language() {
    // A review is no picture.
    for (_, line) in QUESTIONS.iter().filter(|(answer, _)| *answer != "review") {
        let (_, dot, err) = pinfold(&format!("{line} -o dot {DOCS}"));
        check_dot(&dot).unwrap_or_else(|fault| panic!("{line}: {fault}: {dot}{err}"));
        draw(&dot);
    }
    let broken = [
        "digraph pinfold {\n  n0 [label=\"a\"b\", shape=box];\n}\n",
        "digraph pinfold {\n  n0 [label=\"a\\\", shape=box];\n}\n",
        "digraph pinfold {\n  n0 -> n1;\n}\n",
        "digraph pinfold {\n  n0 [label=\"a\n\", shape=box];\n}\n",
        "digraph pinfold {\n",
        "digraph pinfold {\n  n0 [label=\"a\"];\n}\n}\n",
    ];
    for dot in broken {
        assert!(check_dot(dot).is_err(), "{dot}");
    }
}

/// Has Graphviz parse it, where it is installed.
fn draw(dot: &str) {
    let program =
        Command::new("dot").arg("-Tplain").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let Ok(mut program) = program else { return };
    let mut input = program.stdin.take().expect("its input");
    input.write_all(dot.as_bytes()).expect("written");
    drop(input);
    assert!(program.wait().expect("its end").success(), "{dot}");
}

/// The grammar of what is written: a line a statement; nodes before the edges between them; attributes as words or quoted strings.
fn check_dot(dot: &str) -> Result<(), String> {
    let body = dot.strip_prefix("digraph pinfold {\n").ok_or("no head")?;
    let body = body.strip_suffix("}\n").ok_or("no end")?;
    let mut nodes = 0_usize;
    for line in body.lines() {
        let statement = line.strip_prefix("  ").and_then(|line| line.strip_suffix(';'));
        let statement = statement.ok_or(format!("no statement: {line}"))?;
        if statement == "rankdir=LR" {
            continue;
        }
        let (subject, attributes) = statement.split_once(" [").unwrap_or((statement, ""));
        let id = |text: &str| text.strip_prefix('n').and_then(|id| id.parse::<usize>().ok());
        match subject.split_once(" -> ") {
            None if id(subject) == Some(nodes) && !attributes.is_empty() => {
                nodes = nodes.saturating_add(1);
            }
            Some((from, to))
                if [from, to].iter().all(|one| id(one).is_some_and(|id| id < nodes)) => {}
            _ => return Err(format!("neither node nor edge: {subject}")),
        }
        if !attributes.is_empty() {
            check_attributes(attributes)?;
        }
    }
    Ok(())
}

fn check_attributes(text: &str) -> Result<(), String> {
    let mut rest = text;
    loop {
        let (name, value) = rest.split_once('=').ok_or(format!("no `=`: {rest}"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase()) {
            return Err(format!("attribute `{name}`"));
        }
        rest = match value.strip_prefix('"') {
            Some(quoted) => after_quote(quoted).ok_or(format!("open string: {quoted}"))?,
            None => value.trim_start_matches(|c: char| c.is_ascii_alphanumeric()),
        };
        rest = match (rest.strip_prefix(", "), rest) {
            (Some(rest), _) => rest,
            (None, "]") => return Ok(()),
            (None, rest) => return Err(format!("after an attribute: {rest}")),
        };
    }
}

/// What comes after the end of a quoted string.
fn after_quote(text: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return text.get(at.saturating_add(1)..),
            _ => {}
        }
    }
    None
}
