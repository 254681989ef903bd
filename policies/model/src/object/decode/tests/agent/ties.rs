//! What each kind names of the others: kind, namespace, name and path, however it is written.

use serde_json::{Value, json};

use super::super::object;
use crate::object::agent::{AgentReference, Ties};

/// The ties of an object of that kind, the same in both groups.
fn ties(kind: &str, spec: &Value) -> Ties {
    let groups = ["krate.a5c.ai/v1alpha1", "kradle.a5c.ai/v1alpha1"];
    let [one, other] = groups.map(|version| {
        let object = object(&json!({"apiVersion": version, "kind": kind,
            "metadata": {"namespace": "own", "name": "x"}, "spec": spec}));
        object.facts.ties().unwrap_or_else(|| panic!("{kind} has ties")).clone()
    });
    assert_eq!(one, other, "both groups");
    one
}

/// Kind, namespace, name, path.
type Named<'t> = (&'t str, &'t str, &'t str, &'t str);

fn named(reference: &AgentReference) -> Named<'_> {
    (&reference.kind, &reference.namespace, &reference.name, &reference.path)
}

#[test]
fn a_link_is_text_or_an_object_and_never_loses_its_namespace() {
    let cases = [
        (json!("a"), vec![("AgentToolProfile", "", "a")]),
        (json!("n/a"), vec![("AgentToolProfile", "n", "a")]),
        (json!({"name": "a"}), vec![("AgentToolProfile", "", "a")]),
        (
            json!({"namespace": "n", "name": "a", "apiGroup": "krate.a5c.ai"}),
            vec![("AgentToolProfile", "n", "a")],
        ),
        // Who says another kind than the field has is held to both.
        (
            json!({"kind": "AgentSkill", "name": "a"}),
            vec![("AgentToolProfile", "", "a"), ("AgentSkill", "", "a")],
        ),
        (
            json!({"kind": "agent-stack", "name": "a"}),
            vec![("AgentToolProfile", "", "a"), ("AgentStack", "", "a")],
        ),
        (json!({"kind": "tool-profile", "name": "a"}), vec![("AgentToolProfile", "", "a")]),
        (json!(""), vec![]),
        (json!(null), vec![]),
        (json!({}), vec![]),
        (json!({"namespace": "n"}), vec![]),
    ];
    for (written, expected) in cases {
        let found = ties("AgentStack", &json!({"toolProfileRef": written}));
        let shown = found
            .references
            .iter()
            .map(|one| (one.kind.as_str(), one.namespace.as_str(), one.name.as_str()));
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{written}");
    }
    for odd in [json!(7), json!(["a"]), json!(true), json!({"name": 7})] {
        let object = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentStack", "spec": {"toolProfileRef": odd}});
        assert!(crate::object::from_value(&object).is_err(), "{object}");
    }
}

/// For each kind a field, what is written there, and what it names.
#[rustfmt::skip]
const FIELDS: &[(&str, &str, &[Named<'static>])] = &[
    ("AgentStack", r#"{"runtimeIdentity": {"serviceAccountRef": "n/a"}}"#, &[("AgentServiceAccount", "n", "a", "$.spec.runtimeIdentity.serviceAccountRef")]),
    ("AgentStack", r#"{"mcpServerRefs": ["a", {"namespace": "n", "name": "b"}]}"#, &[("AgentMcpServer", "", "a", "$.spec.mcpServerRefs[0]"), ("AgentMcpServer", "n", "b", "$.spec.mcpServerRefs[1]")]),
    ("AgentStack", r#"{"skillRefs": ["a"], "subagentRefs": ["b"]}"#, &[("AgentSkill", "", "a", "$.spec.skillRefs[0]"), ("AgentSubagent", "", "b", "$.spec.subagentRefs[0]")]),
    ("AgentStack", r#"{"contextLabelRefs": [null, "a"], "workspacePolicyRef": "b"}"#, &[("AgentContextLabel", "", "a", "$.spec.contextLabelRefs[1]"), ("AgentWorkspacePolicy", "", "b", "$.spec.workspacePolicyRef")]),
    ("AgentStack", r#"{"runnerPool": {"name": "p"}}"#, &[("RunnerPool", "", "p", "$.spec.runnerPool")]),
    ("AgentStack", r#"{"permissionRefs": {"roleBindings": ["a"], "secretGrants": ["b"], "configGrants": ["c"]}}"#, &[
        ("AgentRoleBinding", "", "a", "$.spec.permissionRefs.roleBindings[0]"), ("AgentSecretGrant", "", "b", "$.spec.permissionRefs.secretGrants[0]"),
        ("AgentConfigGrant", "", "c", "$.spec.permissionRefs.configGrants[0]")]),
    ("AgentStack", r#"{"repository": "acme/app", "repositories": ["acme/lib"]}"#, &[("Repository", "", "acme/app", "$.spec.repository"), ("Repository", "", "acme/lib", "$.spec.repositories[0]")]),
    ("AgentMcpServer", r#"{"allowedAgentStacks": ["n/a"]}"#, &[("AgentStack", "n", "a", "$.spec.allowedAgentStacks[0]")]),
    ("AgentSkill", r#"{"sourceRef": {"repository": {"namespace": "n", "name": "r"}}, "requiredMcpServers": ["m"]}"#, &[("AgentMcpServer", "", "m", "$.spec.requiredMcpServers[0]"), ("Repository", "n", "r", "$.spec.sourceRef.repository")]),
    ("AgentSubagent", r#"{"toolProfileRef": "t", "skillRefs": ["s"], "mcpServerRefs": ["m"]}"#, &[
        ("AgentToolProfile", "", "t", "$.spec.toolProfileRef"), ("AgentSkill", "", "s", "$.spec.skillRefs[0]"), ("AgentMcpServer", "", "m", "$.spec.mcpServerRefs[0]")]),
    ("AgentCapabilityRequirement", r#"{"ownerRef": {"kind": "AgentSkill", "name": "s"}}"#, &[("AgentSkill", "", "s", "$.spec.ownerRef")]),
    ("AgentServiceAccount", r#"{"allowedRunnerPools": ["p"], "owner": {"kind": "AgentStack", "namespace": "n", "name": "s"}}"#, &[("AgentStack", "n", "s", "$.spec.owner"), ("RunnerPool", "", "p", "$.spec.allowedRunnerPools[0]")]),
    ("AgentServiceAccount", r#"{"owner": "a person"}"#, &[]),
    ("RunnerPool", r#"{"serviceAccountRef": {"namespace": "n", "name": "a"}}"#, &[("AgentServiceAccount", "n", "a", "$.spec.serviceAccountRef")]),
    ("AgentRoleBinding", r#"{"subject": {"kind": "agent-stack", "name": "s", "stackRef": "n/s"}}"#, &[("AgentStack", "", "s", "$.spec.subject.name"), ("AgentStack", "n", "s", "$.spec.subject.stackRef")]),
    ("AgentRoleBinding", r#"{"subject": {"kind": "user", "name": "u", "serviceAccountRef": "n/a"}}"#, &[("AgentServiceAccount", "n", "a", "$.spec.subject.serviceAccountRef")]),
    ("AgentRoleBinding", r#"{"scope": {"kind": "repository", "name": "r"}, "roleRef": {"kind": "ClusterRole", "name": "edit"}}"#, &[("Repository", "", "r", "$.spec.scope.name")]),
    ("AgentRoleBinding", r#"{"roleRef": {"kind": "AgentRoleTemplate", "name": "t"}}"#, &[("AgentRoleTemplate", "", "t", "$.spec.roleRef.name")]),
    ("AgentSecretGrant", r#"{"subject": {"kind": "runner-pool", "name": "p"}}"#, &[("RunnerPool", "", "p", "$.spec.subject.name")]),
    ("AgentSecretGrant", r#"{"subject": {"kind": "team", "name": "t"}}"#, &[]),
    ("AgentConfigGrant", r#"{"subject": {"kind": "AgentMcpServer", "name": "m", "namespace": "n"}}"#, &[("AgentMcpServer", "n", "m", "$.spec.subject.name")]),
    ("AgentTriggerRule", r#"{"agentStack": "n/s", "runnerPool": "p"}"#, &[("AgentStack", "n", "s", "$.spec.agentStack"), ("RunnerPool", "", "p", "$.spec.runnerPool")]),
    ("AgentTriggerExecution", r#"{"triggerRule": "t"}"#, &[("AgentTriggerRule", "", "t", "$.spec.triggerRule")]),
    ("AgentDispatchRun", r#"{"sourceRefs": {"pullRequest": "pr", "pipeline": "pl", "job": "j", "triggerRule": "t"}}"#, &[
        ("PullRequest", "", "pr", "$.spec.sourceRefs.pullRequest"), ("Pipeline", "", "pl", "$.spec.sourceRefs.pipeline"),
        ("Job", "", "j", "$.spec.sourceRefs.job"), ("AgentTriggerRule", "", "t", "$.spec.sourceRefs.triggerRule")]),
    ("AgentDispatchRun", r#"{"repository": "r", "agentStack": "s", "contextBundleRef": "c", "workspaceRef": "n/w", "runnerPool": "p"}"#, &[
        ("Repository", "", "r", "$.spec.repository"), ("AgentStack", "", "s", "$.spec.agentStack"), ("AgentContextBundle", "", "c", "$.spec.contextBundleRef"),
        ("AgentWorkspace", "n", "w", "$.spec.workspaceRef"), ("RunnerPool", "", "p", "$.spec.runnerPool")]),
    ("AgentDispatchAttempt", r#"{"agentDispatchRun": "n/r", "agentStackSnapshot": {"name": "s", "generation": 4}}"#, &[("AgentDispatchRun", "n", "r", "$.spec.agentDispatchRun"), ("AgentStack", "", "s", "$.spec.agentStackSnapshot")]),
    ("AgentSession", r#"{"dispatchRun": "r", "attempt": "a", "workspaceRef": "w"}"#, &[("AgentDispatchRun", "", "r", "$.spec.dispatchRun"), ("AgentDispatchAttempt", "", "a", "$.spec.attempt"), ("AgentWorkspace", "", "w", "$.spec.workspaceRef")]),
    ("AgentWorkspace", r#"{"ownerRun": "r", "activeSessions": ["s"], "workspacePolicyRef": "p"}"#, &[("AgentDispatchRun", "", "r", "$.spec.ownerRun"), ("AgentWorkspacePolicy", "", "p", "$.spec.workspacePolicyRef"), ("AgentSession", "", "s", "$.spec.activeSessions[0]")]),
    ("AgentArtifact", r#"{"dispatchRun": "n/r"}"#, &[("AgentDispatchRun", "n", "r", "$.spec.dispatchRun")]),
    ("AgentReviewArtifact", r#"{"artifactRef": "a"}"#, &[("AgentArtifact", "", "a", "$.spec.artifactRef")]),
    ("AgentContextBundle", r#"{"contextLabelRefs": ["l"]}"#, &[("AgentContextLabel", "", "l", "$.spec.contextLabelRefs[0]")]),
    ("WorkItemSessionLink", r#"{"sessionRef": "n/s"}"#, &[("AgentSession", "n", "s", "$.spec.sessionRef")]),
    ("WorkItemWorkspaceLink", r#"{"workspaceRef": "w"}"#, &[("AgentWorkspace", "", "w", "$.spec.workspaceRef")]),
    ("AgentApproval", r#"{"dispatchRun": "r", "attempt": "n/a", "artifactRefs": ["sha256:a", {"namespace": "m", "name": "b"}]}"#, &[
        ("AgentDispatchRun", "", "r", "$.spec.dispatchRun"), ("AgentDispatchAttempt", "n", "a", "$.spec.attempt"), ("AgentArtifact", "m", "b", "$.spec.artifactRefs[1]")]),
    ("Pipeline", r#"{"repository": "r", "pullRequest": "n/pr", "runnerPool": "p"}"#, &[("PullRequest", "n", "pr", "$.spec.pullRequest"), ("Repository", "", "r", "$.spec.repository"), ("RunnerPool", "", "p", "$.spec.runnerPool")]),
    ("AgentMemoryQuery", r#"{"memoryRepository": "m", "sourceRef": "n/s", "snapshotRef": "t", "dispatchRun": "r"}"#, &[
        ("AgentMemoryRepository", "", "m", "$.spec.memoryRepository"), ("AgentMemorySource", "n", "s", "$.spec.sourceRef"),
        ("AgentMemorySnapshot", "", "t", "$.spec.snapshotRef"), ("AgentDispatchRun", "", "r", "$.spec.dispatchRun")]),
    ("AgentMemoryUpdate", r#"{"sourceRun": "n/r", "ontologyRef": "o"}"#, &[("AgentMemoryOntology", "", "o", "$.spec.ontologyRef"), ("AgentDispatchRun", "n", "r", "$.spec.sourceRun")]),
    ("AgentRunMemoryImport", r#"{"sourceRun": "n/r", "sourceSession": "s", "sourceRepository": "acme/app", "memoryRepositoryRef": "m"}"#, &[
        ("AgentDispatchRun", "n", "r", "$.spec.sourceRun"), ("AgentSession", "", "s", "$.spec.sourceSession"),
        ("Repository", "", "acme/app", "$.spec.sourceRepository"), ("AgentMemoryRepository", "", "m", "$.spec.memoryRepositoryRef")]),
];

#[test]
fn every_named_resource_is_a_tie() {
    for (kind, spec, expected) in FIELDS {
        let spec: Value = serde_json::from_str(spec).expect("JSON");
        let found = ties(kind, &spec);
        let shown: Vec<Named<'_>> = found.references.iter().map(named).collect();
        assert_eq!(shown, *expected, "{kind} {spec}");
    }
}

#[test]
fn every_kind_but_the_owners_says_its_organization() {
    for known in crate::object::agent_kinds() {
        if ["Organization", "OrgNamespaceBinding", "OrgSharingPolicy"].contains(&known.kind) {
            continue;
        }
        for written in [json!("acme"), json!({"name": "acme"})] {
            let found = ties(known.kind, &json!({"organizationRef": written}));
            assert_eq!(
                (found.organization.as_str(), found.references.len()),
                ("acme", 0),
                "{}",
                known.kind
            );
        }
    }
    assert_eq!(ties("SomethingNew", &json!({"organizationRef": "acme"})).organization, "acme");
}
