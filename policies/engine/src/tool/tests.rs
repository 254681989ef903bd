//! Cases of the tool gate: servers, tools, arguments, methods.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use serde_json::json;

use super::*;

fn policy() -> AgentPolicy {
    let text = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ci}
spec:
  egress: {allow: [{host: api.github.com, ports: [443], protocol: tls}, {cidr: 10.0.0.0/8, ports: [443], protocol: tls}]}
  upstreams: [{name: up, url: "http://127.0.0.1:1"}]
  tools:
    servers:
    - name: github
      upstream: up
      allow:
      - tool: get_file
        arguments:
          closed: true
          rules:
          - {path: $.owner, in: [acme]}
          - {path: $.path, glob: "src/**", pathSafe: true}
          - {path: $.lines, min: 1, max: 100, type: integer, optional: true}
      - tool: fetch
        arguments: {rules: [{path: $.url, host: true}, {path: $.token, exists: false}]}
      - tool: tags
        arguments: {rules: [{path: "$.tags[*].name", matches: "[a-z]+"}]}
      - tool: echo
      - tool: both
      deny: [both, merge]
"#;
    let file = SourceFile { name: "p.yaml".to_owned(), text: text.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

fn outcome(tool: &str, arguments: Value) -> String {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    match call(&policy(), "github", tool, &arguments) {
        Ok(permit) => format!("allow {}", permit.rule()),
        Err(denial) => {
            format!("{} {} {}", denial.reason, denial.rule, denial.path).trim().to_owned()
        }
    }
}

#[test]
fn calls_with_paths() {
    // Rows 30, 83, 89, 94 to 97 of the attack table among them.
    let rule = |tool: usize, rule: usize, path: &str| {
        format!("argument spec.tools.servers[0].allow[{tool}].arguments.rules[{rule}] {path}")
    };
    let cases = [
        (
            "get_file",
            json!({"owner": "acme", "path": "src/a.rs"}),
            "allow spec.tools.servers[0].allow[0]".to_owned(),
        ),
        (
            "get_file",
            json!({"owner": "acme", "path": "src/a.rs", "lines": 5}),
            "allow spec.tools.servers[0].allow[0]".to_owned(),
        ),
        ("get_file", json!({"owner": "evil", "path": "src/a.rs"}), rule(0, 0, "$.owner")),
        ("get_file", json!({"owner": ["acme"], "path": "src/a.rs"}), rule(0, 0, "$.owner")),
        ("get_file", json!({"path": "src/a.rs"}), rule(0, 0, "$.owner")),
        ("get_file", json!({"owner": "acme", "path": "../secrets"}), rule(0, 1, "$.path")),
        ("get_file", json!({"owner": "acme", "path": "src/../../x"}), rule(0, 1, "$.path")),
        ("get_file", json!({"owner": "acme", "path": "src/%2e%2e/x"}), rule(0, 1, "$.path")),
        ("get_file", json!({"owner": "acme", "path": "srcx/a"}), rule(0, 1, "$.path")),
        ("get_file", json!({"owner": "acme", "path": "/src/a"}), rule(0, 1, "$.path")),
        (
            "get_file",
            json!({"owner": "acme", "path": "src/a", "lines": 1.5}),
            rule(0, 2, "$.lines"),
        ),
        (
            "get_file",
            json!({"owner": "acme", "path": "src/a", "lines": 101}),
            rule(0, 2, "$.lines"),
        ),
        (
            "get_file",
            json!({"owner": "acme", "path": "src/a", "ref": "x"}),
            "argument spec.tools.servers[0].allow[0].arguments $.ref".to_owned(),
        ),
    ];
    for (tool, arguments, expected) in cases {
        assert_eq!(outcome(tool, arguments.clone()), expected, "{tool} {arguments}");
    }
}

#[test]
fn calls_with_hosts_lists_and_no_rules() {
    let rule = |tool: usize, rule: usize, path: &str| {
        format!("argument spec.tools.servers[0].allow[{tool}].arguments.rules[{rule}] {path}")
    };
    let cases = [
        (
            "fetch",
            json!({"url": "https://api.github.com/x"}),
            "allow spec.tools.servers[0].allow[1]".to_owned(),
        ),
        ("fetch", json!({"url": "https://api.github.com/x", "token": 1}), rule(1, 1, "$.token")),
        ("fetch", json!({"url": "https://evil.example/"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "https://api.github.com@evil.example/"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "https://evil.example\\@api.github.com/"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "http://169.254.169.254/latest"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "http://2852039166/"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "ftp://api.github.com/"}), rule(1, 0, "$.url")),
        ("fetch", json!({"url": "http://api.github.com/"}), rule(1, 0, "$.url")),
        (
            "fetch",
            json!({"url": "https://10.1.2.3/"}),
            "allow spec.tools.servers[0].allow[1]".to_owned(),
        ),
        (
            "tags",
            json!({"tags": [{"name": "a"}, {"name": "b"}]}),
            "allow spec.tools.servers[0].allow[2]".to_owned(),
        ),
        ("tags", json!({"tags": [{"name": "a"}, {"name": "B"}]}), rule(2, 0, "$.tags[1].name")),
        ("tags", json!({"tags": []}), rule(2, 0, "$.tags[*].name")),
        ("echo", json!({"any": {"thing": 1}}), "allow spec.tools.servers[0].allow[3]".to_owned()),
        ("both", json!({}), "tool spec.tools.servers[0].deny".to_owned()),
        ("merge", json!({}), "tool spec.tools.servers[0].deny".to_owned()),
        ("Echo", json!({}), "tool spec.tools.servers[0].allow".to_owned()),
        ("echo ", json!({}), "tool spec.tools.servers[0].allow".to_owned()),
        ("\u{435}cho", json!({}), "tool spec.tools.servers[0].allow".to_owned()),
    ];
    for (tool, arguments, expected) in cases {
        assert_eq!(outcome(tool, arguments.clone()), expected, "{tool} {arguments}");
    }
}

#[test]
fn a_denied_call_says_what_would_be_accepted() {
    let arguments = json!({"owner": "evil", "path": "src/a"});
    let denial = call(&policy(), "github", "get_file", arguments.as_object().expect("an object"))
        .expect_err("evil");
    assert_eq!(denial.message, "`evil` is not one of `\"acme\"`");
    assert_eq!(denial.remedy, "give one of `\"acme\"`");
    let denial = call(&policy(), "github", "rm", &Map::new()).expect_err("not listed");
    assert_eq!(
        denial.remedy,
        "use `get_file` or `fetch` or `tags` or `echo`, or ask for it in `spec.tools.servers[0].allow`"
    );
}

#[test]
fn lists_and_methods() {
    let policy = policy();
    for (tool, seen) in [("get_file", true), ("echo", true), ("both", false), ("rm", false)] {
        assert_eq!(sees(&policy, "github", tool), seen, "{tool}");
    }
    assert!(!sees(&policy, "other", "echo"));
    for method in PASSED_METHODS {
        assert!(rpc(&policy, "github", method).is_ok(), "{method}");
    }
    for method in
        ["tools/call", "resources/read", "prompts/get", "sampling/createMessage", "Tools/List", ""]
    {
        let denial = rpc(&policy, "github", method).expect_err(method);
        assert_eq!(denial.reason, Reason::RpcMethod, "{method}");
    }
    assert_eq!(rpc(&policy, "other", "ping").expect_err("no server").reason, Reason::Server);
}
