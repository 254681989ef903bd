//! PF-RUN-005 and `pinfold explain review` on a real API server: a dispatch that lacks something is refused, the review says what, and what it
//! suggests, applied as it stands, lets the dispatch pass.

use clap::Parser as _;
use pinfold_tests::{KubectlOutput, User};

use crate::Outcome;
use crate::denial::findings;
use crate::stage::{ROOT, Stage};

/// A stack with an MCP server that needs a token, a ConfigMap and a role.
const STACK: &str = "
{apiVersion: v1, kind: ServiceAccount, metadata: {name: fixer, namespace: STAGE-acme}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: fixer-id, namespace: STAGE-acme}, spec: {serviceAccountName: fixer}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: fixer, namespace: STAGE-acme}, spec: {runtimeIdentity: {serviceAccountRef: fixer-id}, mcpServerRefs: [github]}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMcpServer, metadata: {name: github, namespace: STAGE-acme}, spec: {transport: streamable-http, url: 'https://mcp.example', allowedAgentStacks: [fixer]}}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentCapabilityRequirement, metadata: {name: needs, namespace: STAGE-acme}, spec: {ownerRef: {kind: AgentMcpServer, name: github},
  requiredSecretRefs: [{name: github-token, keys: [token]}], requiredConfigRefs: [{name: github-config}], requiredRoles: [agent-basic]}}
";

/// The run of the stack, as the controller makes it.
const RUN: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: dispatched, namespace: STAGE-acme}, spec: {repository: acme/api, ref: refs/heads/main, \
                   agentStack: fixer, sourceEvent: manual}}";

const BINDING: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: fixer, namespace: STAGE-acme}, subjects: [{kind: ServiceAccount, name: fixer}], \
                       roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent-basic}}";

/// The control plane may write its records; that it does is not what is tested here.
const RIGHTS: &str = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: dispatches, namespace: STAGE-acme}, rules: [{apiGroups: [krate.a5c.ai], resources: [agentdispatchruns], verbs: ['*']}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: dispatches, namespace: STAGE-acme}, subjects: [{kind: ServiceAccount, name: krate-controller, namespace: STAGE-krate}],
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dispatches}}
";

/// `pinfold explain review` of the stack on the running cluster.
fn review(stage: &Stage, output: &str) -> Outcome<(pinfold::Outcome, String)> {
    let kubeconfig = stage.server.kubeconfig().display().to_string();
    let policy = stage.path("policy").display().to_string();
    let stack = stage.named("STAGE-acme/fixer");
    let line = [
        "pinfold",
        "explain",
        "review",
        "--stack",
        &stack,
        "--repository",
        "acme/api",
        "--ref",
        "main",
    ];
    let line = line.into_iter().chain([
        "--trigger",
        "manual",
        "-p",
        &policy,
        "--kubeconfig",
        &kubeconfig,
        "-o",
        output,
    ]);
    let arguments = pinfold::Arguments::try_parse_from(line)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = pinfold::run(&arguments, &mut out, &mut err);
    if out.is_empty() && !err.is_empty() {
        return Err(String::from_utf8_lossy(&err).into());
    }
    Ok((outcome, String::from_utf8(out)?))
}

fn is_refused(answer: &KubectlOutput) -> bool {
    answer.stderr.contains("PF-RUN-005")
}

#[test]
fn what_the_review_suggests_lets_the_dispatch_pass() -> Outcome {
    let (stage, _replica) = Stage::open("dispatch")?;
    let controller_name = stage.named("system:serviceaccount:STAGE-krate:krate-controller");
    let controller = User {
        name: &controller_name,
        groups: &["system:serviceaccounts", "system:authenticated"],
    };
    stage.server.apply(&stage.named(RIGHTS))?;
    stage.apply_as(ROOT, STACK)?.ok()?;

    let refused =
        stage.until_tried(controller, RUN, |answer| answer.stderr.contains("github-config"))?;
    let found = findings(&refused.stderr)?;
    assert!(
        found.iter().all(|(rule, path)| rule == "PF-RUN-005" && path == "$.spec.agentStack"),
        "{found:?}"
    );
    for missing in [
        "Secret `dispatch-acme/github-token`",
        "ConfigMap `dispatch-acme/github-config`",
        "role `agent-basic`",
    ] {
        assert!(refused.stderr.contains(missing), "{missing}: {}", refused.stderr);
    }

    let (outcome, answer) = review(&stage, "json")?;
    assert_eq!(outcome, pinfold::Outcome::Denied, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    assert_eq!(answer["identities"][0]["account"], stage.named("STAGE-acme/fixer"), "{answer:#}");
    let (_, grants) = review(&stage, "yaml")?;
    assert_eq!(grants.matches("Grant").count(), 2, "{grants}");

    // Applied as they stand; the role stays unbound, so that it alone refuses now.
    stage.apply_as(ROOT, &grants)?.ok()?;
    let refused = stage.until_tried(controller, RUN, |answer| {
        is_refused(answer) && !answer.stderr.contains("github-")
    })?;
    assert!(refused.stderr.contains("role `agent-basic`"), "{}", refused.stderr);
    stage.apply_as(ROOT, BINDING)?.ok()?;
    stage.until_tried(controller, RUN, KubectlOutput::success)?;
    let (outcome, answer) = review(&stage, "table")?;
    assert_eq!(outcome, pinfold::Outcome::Passed, "{answer}");

    // A grant that is revoked a moment ago counts no more.
    let (kind, namespace) = ("agentsecretgrants.krate.a5c.ai", stage.named("STAGE-acme"));
    stage.server.kubectl(&["delete", kind, "--all", "-n", &namespace], "")?.ok()?;
    stage.until_tried(controller, RUN, |answer| answer.stderr.contains("github-token"))?;
    Ok(())
}
