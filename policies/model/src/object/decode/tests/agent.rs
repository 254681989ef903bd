//! RBAC and the kinds of the agent control plane.

mod grants;
mod kinds;
mod ties;

use serde_json::{Value, json};

use super::object;
use crate::object::Facts;
use crate::object::agent::{OrganizationRecord, RunRecord};

fn facts(version: &str, kind: &str, spec: &Value) -> Facts {
    object(&json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": "own"}, "spec": spec}))
        .facts
}

#[test]
fn roles_with_null_rules_and_aggregation() {
    let role = |rest: Value| {
        let mut manifest =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"});
        for (key, value) in rest.as_object().expect("members") {
            manifest[key] = value.clone();
        }
        let Facts::Role(role) = object(&manifest).facts else { panic!("a role") };
        role
    };
    assert_eq!(role(json!({"rules": null})).aggregation, None);
    let found = role(
        json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"], "apiGroups": [""], "resources": ["pods"], "resourceNames": null}]}),
    );
    let rule = found.rules.iter().next().expect("a rule");
    assert_eq!(
        (rule.verbs.as_slice(), rule.non_resource_urls.as_slice()),
        (&["get".to_owned()][..], &["/x".to_owned()][..])
    );
    assert_eq!((rule.api_groups.as_slice(), rule.resource_names.len()), (&[String::new()][..], 0));
    let found = role(json!({"aggregationRule": {"clusterRoleSelectors": [
        {"matchLabels": {"a": "b"}}, {"matchExpressions": [{"key": "k", "operator": "Exists"}]}, null]}}));
    let selectors = found.aggregation.expect("selectors");
    assert_eq!(selectors.len(), 3);
    assert_eq!(selectors[0].match_labels, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(selectors[1].match_expressions[0].operator, "Exists");
    assert_eq!(role(json!({"aggregationRule": {}})).aggregation, Some(Vec::new()));
}

#[test]
fn bindings() {
    let manifest = json!({"apiVersion": "rbac.authorization.k8s.io/v1beta1", "kind": "RoleBinding",
        "roleRef": {"kind": "ClusterRole", "name": "admin", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "n"}, {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]});
    let Facts::Binding(found) = object(&manifest).facts else { panic!("a binding") };
    assert_eq!(
        (found.role_ref.kind.as_str(), found.role_ref.name.as_str()),
        ("ClusterRole", "admin")
    );
    let subjects: Vec<_> = found
        .subjects
        .iter()
        .map(|s| [&s.kind, &s.namespace, &s.name].map(String::as_str))
        .collect();
    assert_eq!(subjects, [["ServiceAccount", "n", "a"], ["User", "", "u"]]);
}

#[test]
fn agent_role_bindings_of_both_groups() {
    let spec = json!({"organizationRef": "acme", "subject": {"kind": "agent-stack", "name": "s", "serviceAccountRef": {"name": "agent-a"}},
        "scope": {"kind": "organization", "name": "acme"}, "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}], "escalationPolicy": "deny"});
    for version in ["krate.a5c.ai/v1alpha1", "kradle.a5c.ai/v1alpha1"] {
        let Facts::AgentRoleBinding(found) = facts(version, "AgentRoleBinding", &spec) else {
            panic!("a binding")
        };
        let shown = [
            &found.ties.organization,
            &found.subject_kind,
            &found.subject_name,
            &found.service_account,
            &found.scope_kind,
            &found.scope_name,
            &found.escalation_policy,
        ];
        assert_eq!(shown, ["acme", "agent-stack", "s", "agent-a", "organization", "acme", "deny"]);
        assert_eq!(found.role_ref.expect("a role").name, "edit");
        assert_eq!(found.resource_rules.len(), 1);
    }
    assert_eq!(facts("other.io/v1", "AgentRoleBinding", &spec), Facts::MetaOnly);
    let Facts::AgentRoleBinding(bare) =
        facts("krate.a5c.ai/v1alpha1", "AgentRoleBinding", &json!({"resourceRules": null}))
    else {
        panic!("a binding")
    };
    assert!(bare.role_ref.is_none() && bare.resource_rules.is_empty());
}

/// An account in another namespace, however it is written: a namespace that is dropped would be a hole.
#[test]
fn the_account_of_an_agent_role_binding_keeps_its_namespace() {
    let cases = [
        (json!("a"), ["", "a"]),
        (json!("n/a"), ["n", "a"]),
        (json!({"name": "a"}), ["", "a"]),
        (json!({"namespace": "n", "name": "a"}), ["n", "a"]),
        (json!({"namespace": null, "name": "a"}), ["", "a"]),
        (json!({}), ["", ""]),
        (Value::Null, ["", ""]),
    ];
    for (account, expected) in cases {
        let spec = json!({"subject": {"kind": "service-account", "serviceAccountRef": account}});
        let found = facts("krate.a5c.ai/v1alpha1", "AgentRoleBinding", &spec);
        let Facts::AgentRoleBinding(found) = found else { panic!("a binding") };
        let parts = [found.service_account_namespace.as_str(), found.service_account.as_str()];
        assert_eq!(parts, expected, "{spec}");
    }
    for odd in [json!(["n", "a"]), json!(7), json!({"name": ["a"]})] {
        let object = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentRoleBinding",
            "spec": {"subject": {"serviceAccountRef": odd}}});
        assert!(crate::object::from_value(&object).is_err(), "{object}");
    }
}

#[test]
fn what_an_approval_was_given_for() {
    let digests = |spec: Value| {
        let found = facts("krate.a5c.ai/v1alpha1", "AgentApproval", &spec);
        let Facts::Approval(found) = found else { panic!("an approval") };
        found.digests
    };
    assert!(digests(json!({"artifactRefs": ["patch-1", {"name": "b"}, null]})).is_empty());
    let spec = json!({"artifactDigest": "sha256:a", "artifactRefs": ["sha256:b", {"name": "c", "digest": "sha256:c"}]});
    assert_eq!(digests(spec), ["sha256:a", "sha256:b", "sha256:c"]);
}

#[test]
fn organizations_pools_accounts_and_approvals() {
    let group = "krate.a5c.ai/v1alpha1";
    let text = |text: &str| text.to_owned();
    assert_eq!(
        facts(group, "Organization", &json!({"namespaceName": "acme-ns"})),
        Facts::Organization(Box::new(OrganizationRecord::Organization {
            namespace: text("acme-ns")
        }))
    );
    assert_eq!(
        facts(
            group,
            "OrgNamespaceBinding",
            &json!({"organizationRef": {"name": "acme"}, "namespace": "x"})
        ),
        Facts::Organization(Box::new(OrganizationRecord::NamespaceBinding {
            organization: text("acme"),
            namespace: text("x")
        }))
    );
    assert_eq!(
        facts(
            group,
            "OrgSharingPolicy",
            &json!({"sourceOrg": "a", "targetOrg": "b",
            "allowedRefs": ["Secret/n/x", {"kind": "ConfigMap", "namespace": "n", "name": "y"}]})
        ),
        Facts::Organization(Box::new(OrganizationRecord::Sharing {
            source: text("a"),
            target: text("b"),
            allowed: vec![text("Secret/n/x"), text("ConfigMap/n/y")],
            expires_at: None,
            faults: Vec::new(),
        }))
    );
    for (tier, trusted) in [
        (json!("trusted"), true),
        (json!("untrusted"), false),
        (json!("Untrusted"), true),
        (Value::Null, true),
    ] {
        let Facts::RunnerPool(found) = facts(
            group,
            "RunnerPool",
            &json!({"trustTier": tier, "serviceAccountRef": "runner", "nodeSelector": {"a": "b"}}),
        ) else {
            panic!("a pool")
        };
        assert_eq!(found.trusted, trusted, "{tier}");
        assert_eq!((found.service_account.as_str(), found.node_selector.len()), ("runner", 1));
    }
    let Facts::AgentServiceAccount(found) =
        facts(group, "AgentServiceAccount", &json!({"serviceAccountName": "agent-a"}))
    else {
        panic!("an account")
    };
    assert_eq!((found.namespace.as_str(), found.service_account.as_str()), ("own", "agent-a"));
    let approval = json!({"apiVersion": group, "kind": "AgentApproval", "spec": {"requestedBy": "dev", "action": {"type": "bind", "target": "t"}}, "status": {"phase": "Approved", "approver": "root"}});
    let Facts::Approval(found) = object(&approval).facts else { panic!("an approval") };
    assert_eq!(
        [&found.phase, &found.approver, &found.requested_by, &found.action, &found.target],
        ["Approved", "root", "dev", "bind", "t"]
    );
}

#[test]
fn runs_and_what_is_behind_them() {
    let run = |kind: &str, spec: Value| {
        let Facts::Run(run) = facts("kradle.a5c.ai/v1alpha1", kind, &spec) else { panic!("a run") };
        run
    };
    let text = |text: &str| text.to_owned();
    let sources = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(kind, name)| (text(kind), text(name))).collect()
    };
    let found = run(
        "AgentDispatchRun",
        json!({"repository": "r", "ref": "refs/heads/main", "runnerPool": "p",
        "sourceRefs": {"pullRequest": "pr-1", "pipeline": "pl", "job": null, "triggerRule": "t"}}),
    );
    let expected = RunRecord {
        ties: found.ties.clone(),
        repository: text("r"),
        git_ref: text("refs/heads/main"),
        runner_pool: text("p"),
        sources: sources(&[("PullRequest", "pr-1"), ("Pipeline", "pl")]),
        trigger_rule: text("t"),
        ..RunRecord::default()
    };
    assert_eq!(*found, expected);
    assert_eq!(run("AgentDispatchAttempt", json!({"agentDispatchRun": "run"})).run, "run");
    assert_eq!(run("Job", json!({"pipeline": "pl"})).sources, sources(&[("Pipeline", "pl")]));
    let found = run(
        "PullRequest",
        json!({"repository": "r", "head": "feature", "headRepository": "fork/r", "fork": true, "trustTier": "untrusted"}),
    );
    assert_eq!((found.git_ref.as_str(), found.head_repository.as_str()), ("feature", "fork/r"));
    assert!(found.fork && found.trust_tier == "untrusted");
    // A Job of `batch` runs a pod; one of the control plane is a record.
    let batch = object(&json!({"apiVersion": "batch/v1", "kind": "Job"}));
    assert!(matches!(batch.facts, Facts::Workload(_)));
}
