//! The fields of each kind that rules read, besides what it names.

use serde_json::{Value, json};

use super::super::object;
use crate::object::Facts;
use crate::object::agent::{
    AgentStack, Capability, Memory, OrganizationRecord, RequiredObject, RunRecord,
};
use crate::object::reference::ReferenceKind;

fn facts(kind: &str, spec: &Value) -> Facts {
    object(&json!({"apiVersion": "kradle.a5c.ai/v1alpha1", "kind": kind, "metadata": {"namespace": "own"}, "spec": spec})).facts
}

fn capability(kind: &str, spec: &Value) -> Capability {
    let Facts::Capability(found) = facts(kind, spec) else { panic!("a capability") };
    *found
}

fn required(kind: ReferenceKind, parts: [&str; 4], keys: &[&str]) -> RequiredObject {
    let [namespace, name, purpose, path] = parts.map(str::to_owned);
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    RequiredObject { kind, namespace, name, keys, purpose, path }
}

#[test]
fn what_a_run_says_of_itself() {
    let run = |spec: &Value| {
        let Facts::Run(found) = facts("AgentDispatchRun", spec) else { panic!("a run") };
        RunRecord { ties: crate::object::agent::Ties::default(), ..*found }
    };
    let text = str::to_owned;
    let spec = json!({"repository": {"namespace": "n", "name": "app"}, "ref": "refs/heads/main", "sha": "1f", "agentStack": "own/s",
        "taskKind": "fix", "workspaceRef": {"name": "w"}, "runnerPool": "n/p", "actor": "ada", "headRepository": "fork/app", "fork": true,
        "trustTier": "untrusted", "sourceEvent": "comment", "sourceRefs": {"triggerRule": "t", "pipeline": "n/pl"}});
    let expected = RunRecord {
        repository: text("app"),
        git_ref: text("refs/heads/main"),
        head_repository: text("fork/app"),
        fork: true,
        trust_tier: text("untrusted"),
        runner_pool: text("n/p"),
        sources: vec![(text("Pipeline"), text("n/pl"))],
        sha: text("1f"),
        agent_stack: text("s"),
        trigger_source: text("comment"),
        trigger_rule: text("t"),
        workspace: text("w"),
        task_kind: text("fix"),
        actor: text("ada"),
        ..RunRecord::default()
    };
    assert_eq!(run(&spec), expected);
    for (event, expected) in [
        (json!({"kind": "manual", "type": "x"}), "manual"),
        (json!({"type": "pull-request"}), "pull-request"),
        (json!({"id": "7"}), ""),
        (Value::Null, ""),
    ] {
        assert_eq!(run(&json!({"sourceEvent": event})).trigger_source, expected);
    }
    let Facts::Run(attempt) = facts(
        "AgentDispatchAttempt",
        &json!({"agentDispatchRun": {"name": "r"}, "agentStackSnapshot": {"name": "s", "generation": 3}, "runnerPool": "p"}),
    ) else {
        panic!("an attempt")
    };
    assert_eq!([attempt.run.as_str(), &attempt.agent_stack, &attempt.runner_pool], ["r", "s", "p"]);
    let Facts::Run(delivery) = facts(
        "WebhookDelivery",
        &json!({"ref": "refs/pull/1/head", "fork": true, "actor": {"name": "eve"}}),
    ) else {
        panic!("a delivery")
    };
    assert_eq!(
        (delivery.git_ref.as_str(), delivery.fork, delivery.actor.as_str()),
        ("refs/pull/1/head", true, "eve")
    );
}

#[test]
fn a_stack_its_identity_and_its_secrets() {
    let stack = |spec: &Value| -> AgentStack {
        let Facts::AgentStack(found) = facts("AgentStack", spec) else { panic!("a stack") };
        *found
    };
    for (written, expected) in [
        (json!("a"), "a"),
        (json!("own/a"), "a"),
        (json!("n/a"), "n/a"),
        (json!({"name": "a"}), "a"),
        (json!({"namespace": "n", "name": "a"}), "n/a"),
        (json!({"namespace": "own", "name": "a"}), "a"),
        (json!({"namespace": "n"}), ""),
    ] {
        let found = stack(&json!({"runtimeIdentity": {"serviceAccountRef": written}}));
        assert_eq!(found.service_account, expected, "{written}");
        let Facts::RunnerPool(pool) = facts("RunnerPool", &json!({"serviceAccountRef": written}))
        else {
            panic!("a pool")
        };
        assert_eq!(pool.service_account, expected, "{written}");
    }
    let found = stack(
        &json!({"repository": "acme/app", "repositories": ["acme/lib", ""], "team": "t", "runnerPool": "p",
        "secretPolicy": {"allowOnForks": true, "allowedSecretRefs": ["a/b", {"name": "c"}, {"namespace": "n", "name": "d"}]}}),
    );
    assert_eq!(found.repositories, ["acme/app", "acme/lib"]);
    assert_eq!(
        (found.secrets_on_forks, found.team.as_str(), found.runner_pool.as_str()),
        (true, "t", "p")
    );
    assert_eq!(found.allowed_secrets.expect("a list"), ["a/b", "c", "n/d"]);
    assert_eq!(stack(&json!({"secretPolicy": {"allowedSecretRefs": null}})).allowed_secrets, None);
    assert_eq!(
        stack(&json!({"secretPolicy": {"allowedSecretRefs": []}})).allowed_secrets,
        Some(Vec::new())
    );
    assert!(!stack(&json!({"secretPolicy": {}})).secrets_on_forks);
}

#[test]
fn identities_and_pools() {
    let Facts::AgentServiceAccount(found) = facts(
        "AgentServiceAccount",
        &json!({"namespace": "n", "serviceAccountName": "a",
        "allowedRepositories": ["acme/app"], "allowedRunnerPools": ["p", {"namespace": "m", "name": "q"}], "tokenAudience": "vault",
        "tokenExpirationSeconds": 600, "imagePullSecretRefs": ["s", {"name": "t"}], "automountServiceAccountToken": true}),
    ) else {
        panic!("an account")
    };
    assert_eq!(
        [found.namespace.as_str(), &found.service_account, &found.token_audience],
        ["n", "a", "vault"]
    );
    assert_eq!(
        (found.repositories, found.runner_pools),
        (vec!["acme/app".to_owned()], vec!["p".to_owned(), "m/q".to_owned()])
    );
    assert_eq!((found.token_expiration_seconds, found.automount), (Some(600), true));
    assert_eq!(found.image_pull_secrets, ["s", "t"]);
    for (cache, claims) in [
        (json!("c"), vec!["c"]),
        (
            json!(["c", {"claimName": "d"}, {"persistentVolumeClaim": {"name": "e"}}, {"name": "f"}]),
            vec!["c", "d", "e", "f"],
        ),
        (json!({"persistentVolumeClaim": "c"}), vec!["c"]),
        (json!({"size": "10Gi"}), vec![]),
        (Value::Null, vec![]),
    ] {
        let Facts::RunnerPool(pool) =
            facts("RunnerPool", &json!({"cache": cache, "allowedFilesystemPolicies": ["no-fs"]}))
        else {
            panic!("a pool")
        };
        assert_eq!(pool.caches, claims, "{cache}");
        assert_eq!(pool.filesystem_policies, ["no-fs"]);
    }
}

#[test]
fn what_capabilities_need() {
    use ReferenceKind::{ConfigMap, Secret};
    let refs = json!({"requiredSecretRefs": ["a/b", {"namespace": "n", "name": "s", "keys": ["k"], "purpose": "push"}], "requiredConfigRefs": [{"name": "c", "key": "x"}],
        "requiredRoles": ["edit", {"name": "view"}]});
    let expected = [
        required(Secret, ["", "a/b", "", "$.spec.requiredSecretRefs[0]"], &[]),
        required(Secret, ["n", "s", "push", "$.spec.requiredSecretRefs[1]"], &["k"]),
        required(ConfigMap, ["", "c", "", "$.spec.requiredConfigRefs[0]"], &["x"]),
    ];
    for kind in ["AgentToolProfile", "AgentMcpServer", "AgentSkill"] {
        let found = capability(kind, &refs);
        assert_eq!(found.requires, expected, "{kind}");
        assert_eq!(found.roles, ["edit", "view"], "{kind}");
    }
    let Facts::Requirement(found) = facts("AgentCapabilityRequirement", &refs) else {
        panic!("a requirement")
    };
    assert_eq!((found.requires.as_slice(), found.roles.len()), (&expected[..], 2));
    let server = capability(
        "AgentMcpServer",
        &json!({"secretRefs": ["s"], "configRefs": ["c"],
        "envRefs": [{"name": "TOKEN", "secretRef": {"name": "e", "key": "k"}, "purpose": "api"}],
        "headerRefs": ["h", {"configMapRef": "m"}], "allowedAgentStacks": ["n/x"]}),
    );
    let expected = [
        required(Secret, ["", "s", "", "$.spec.secretRefs[0]"], &[]),
        required(ConfigMap, ["", "c", "", "$.spec.configRefs[0]"], &[]),
        required(Secret, ["", "e", "api", "$.spec.envRefs[0].secretRef"], &["k"]),
        required(Secret, ["", "h", "", "$.spec.headerRefs[0]"], &[]),
        required(ConfigMap, ["", "m", "", "$.spec.headerRefs[1].configMapRef"], &[]),
    ];
    assert_eq!(server.requires, expected);
    assert_eq!(server.allowed_stacks.expect("a list"), ["n/x"]);
    assert_eq!(capability("AgentMcpServer", &json!({})).allowed_stacks, None);
    assert_eq!(
        capability("AgentMcpServer", &json!({"allowedAgentStacks": []})).allowed_stacks,
        Some(Vec::new())
    );
    assert_eq!(
        capability("AgentToolProfile", &json!({"filesystemPolicy": "repo-write"}))
            .filesystem_policy,
        "repo-write"
    );
    assert_eq!(capability("AgentSkill", &json!({"requiredTools": ["shell"]})).tools, ["shell"]);
    assert_eq!(capability("AgentSubagent", &json!({"tools": ["shell"]})).tools, ["shell"]);
    let requirement = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentCapabilityRequirement",
        "spec": {"ownerRef": {"kind": "AgentMcpServer", "namespace": "n", "name": "m"}}, "status": {"missingGrants": ["g", {"name": "h"}]}});
    let Facts::Requirement(found) = object(&requirement).facts else { panic!("a requirement") };
    assert_eq!(found.missing, ["g", "h"]);
    assert_eq!(
        [found.owner.kind.as_str(), &found.owner.namespace, &found.owner.name],
        ["AgentMcpServer", "n", "m"]
    );
}

#[test]
fn triggers_and_memory() {
    let Facts::TriggerRule(rule) = facts(
        "AgentTriggerRule",
        &json!({"sources": ["push", {"kind": "comment"}], "agentStack": "n/s", "runnerPool": "p"}),
    ) else {
        panic!("a rule")
    };
    assert_eq!(
        (rule.sources.as_slice(), rule.agent_stack.as_str(), rule.runner_pool.as_str()),
        (&["push".to_owned(), "comment".to_owned()][..], "n/s", "p")
    );
    let memory = |kind: &str, spec: &Value| -> Memory {
        let Facts::Memory(found) = facts(kind, spec) else { panic!("memory") };
        *found
    };
    let found = memory(
        "AgentMemorySource",
        &json!({"allowedPaths": ["docs/**"], "paths": ["a"], "allowedKinds": ["note"]}),
    );
    assert_eq!(
        (found.paths.as_slice(), found.kinds.as_slice()),
        (&["a".to_owned(), "docs/**".to_owned()][..], &["note".to_owned()][..])
    );
    let found = memory(
        "AgentRunMemoryImport",
        &json!({"sourceOrg": "beta", "sourceRun": {"namespace": "n", "name": "r"}, "paths": ["p"], "kinds": ["k"]}),
    );
    assert_eq!([found.source_organization.as_str(), &found.source_run], ["beta", "n/r"]);
    assert_eq!((found.paths.len(), found.kinds.len()), (1, 1));
}

#[test]
fn a_sharing_policy_ends_or_cannot_be_read() {
    for (end, ready, faults) in [
        (Value::Null, None, 0),
        (json!("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:00Z"), 0),
        (json!("later"), None, 1),
        (json!(""), None, 1),
    ] {
        let found = facts(
            "OrgSharingPolicy",
            &json!({"sourceOrg": "a", "targetOrg": {"name": "b"}, "expiresAt": end}),
        );
        let Facts::Organization(record) = found else { panic!("a policy") };
        let OrganizationRecord::Sharing { expires_at, faults: found, .. } = *record else {
            panic!("a policy")
        };
        assert_eq!(
            (expires_at.map(|end| end.to_string()).as_deref(), found.len()),
            (ready, faults),
            "{end}"
        );
    }
}

#[test]
fn an_approval_whose_end_cannot_be_read_has_ended() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    for (end, over) in [
        (Value::Null, None),
        (json!("2026-01-01T00:00:00Z"), Some(false)),
        (json!("later"), Some(true)),
        (json!(""), Some(true)),
    ] {
        let Facts::Approval(found) =
            facts("AgentApproval", &json!({"dispatchRun": "r", "expiresAt": end}))
        else {
            panic!("an approval")
        };
        assert_eq!(found.expires_at.map(|end| end <= now), over, "{end}");
        assert_eq!(found.run, "r");
    }
}
