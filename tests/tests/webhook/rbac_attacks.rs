//! Every way around the RBAC gate that `docs/attacks.md` lists: one file of cases a family, one stage a file.

use pinfold_model::document::{Dialect, read};
use serde_json::{Value, json};

use crate::Outcome;
use crate::kubernetes::repository;
use crate::rbac_cases::hold;
use crate::rbac_object::{items, text, with};

#[test]
fn no_binding_passes_the_ceiling() -> Outcome {
    hold("ceiling", &no_further)
}

#[test]
fn nothing_grows_past_the_ceiling() -> Outcome {
    hold("growth", &no_further)
}

#[test]
fn rights_that_end_in_escalation_reach_no_agent() -> Outcome {
    hold("danger", &dangers)
}

#[test]
fn an_agent_role_binding_gives_no_more_than_its_author_may() -> Outcome {
    hold("agent-binding", &no_further)
}

#[test]
fn a_deputy_gives_no_more_than_whom_it_acts_for() -> Outcome {
    hold("deputy", &no_further)
}

#[test]
fn organizations_are_kept_apart() -> Outcome {
    hold("organization", &no_further)
}

#[test]
fn what_is_pinfolds_own_is_left_alone() -> Outcome {
    hold("own", &no_further)
}

#[test]
fn what_platform_teams_install_passes() -> Outcome {
    hold("honest", &no_further)
}

fn no_further(_document: &Value) -> Vec<Value> {
    Vec::new()
}

/// Every right bound to an agent, and added to what an agent is bound to.
fn dangers(document: &Value) -> Vec<Value> {
    let tries = |list: &str, how: fn(&Value, bool) -> Value, is_denied: bool| -> Vec<Value> {
        items(document, list).iter().map(|right| how(right, is_denied)).collect()
    };
    let both = |how: fn(&Value, bool) -> Value| {
        [tries("rights", how, true), tries("harmless", how, false)].concat()
    };
    [both(bound), both(grown)].concat()
}

fn bound(right: &Value, is_denied: bool) -> Value {
    let role = role(right);
    let object = binding("second", &role, is_denied);
    json!({
        "name": format!("{}, bound", text(right, "/name")),
        "given": [role],
        "tries": [verdict(right, json!({"by": "root", "how": "create", "object": object}), is_denied.then_some("PF-RBAC-004"))],
    })
}

fn grown(right: &Value, is_denied: bool) -> Value {
    let role = role(right);
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let small = with(role.clone(), "rules", rules);
    json!({
        "name": format!("{}, added to what is bound", text(right, "/name")),
        "given": [small, binding("first", &role, is_denied)],
        "tries": [verdict(right, json!({"by": "root", "how": "merge", "object": role}), is_denied.then_some("PF-RBAC-005"))],
    })
}

/// Denied by the ceiling's rule and what else the right says, or allowed.
fn verdict(right: &Value, attempt: Value, rule: Option<&str>) -> Value {
    let Some(rule) = rule else {
        return with(attempt, "allowed", json!(true));
    };
    let listed = right.get("by").and_then(Value::as_array);
    let also: Vec<&str> = match listed {
        Some(rules) => rules.iter().filter_map(Value::as_str).collect(),
        None => vec!["ceiling", "PF-RBAC-007"],
    };
    let rules = also.iter().map(|&also| if also == "ceiling" { rule } else { also });
    let denied: serde_json::Map<_, _> = rules.map(|rule| (rule.to_owned(), json!("$"))).collect();
    with(attempt, "denied", denied.into())
}

fn role(right: &Value) -> Value {
    let stage = "rbac-danger";
    json!({"kind": "ClusterRole", "metadata": {"name": format!("{stage}-right")}, "rules": right.get("rules")})
}

/// What is harmless is so in an agent's namespace; URLs count cluster-wide only.
fn binding(name: &str, role: &Value, is_denied: bool) -> Value {
    let stage = "rbac-danger";
    let urls = role.pointer("/rules/0/nonResourceURLs").is_some();
    let (kind, metadata) = if is_denied || urls {
        ("ClusterRoleBinding", json!({"name": format!("{stage}-{name}")}))
    } else {
        ("RoleBinding", json!({"name": name, "namespace": format!("{stage}-acme")}))
    };
    json!({
        "kind": kind, "metadata": metadata,
        "subjects": [{"kind": "ServiceAccount", "name": "agent-coder", "namespace": format!("{stage}-acme")}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": text(role, "/metadata/name")},
    })
}

/// `docs/attacks.md` lists every case under each of its rows, and every case that is open.
#[test]
fn the_page_lists_every_case() -> Outcome {
    let page = std::fs::read_to_string(repository("docs/attacks.md"))?;
    for file in std::fs::read_dir(repository("tests/tests/webhook/rbac"))? {
        let file = file?.path();
        let documents =
            read(&file.to_string_lossy(), &std::fs::read_to_string(&file)?, Dialect::Policy)?;
        let document = documents.first().ok_or("no document")?.to_json();
        for case in items(&document, "cases") {
            let name = text(case, "/name");
            for row in items(case, "rows").iter().filter_map(Value::as_str) {
                let line = page.lines().find(|line| line.starts_with(&format!("| {row} |")));
                assert!(line.is_some_and(|line| line.contains(name)), "{row}: {name}");
            }
            let told = page
                .lines()
                .any(|line| line.contains(&format!(": {name} | {}", text(case, "/open"))));
            assert!(text(case, "/open").is_empty() || told, "open: {name}");
        }
    }
    Ok(())
}
