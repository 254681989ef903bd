//! Cases of the permission review: one world, and what each change of it takes away.

use pinfold_model::facts::Answers;

use super::{Dispatch, Review, Severity, UseStanding, review};
use crate::explain::World;
use crate::organization::fixture::{NOW, policy, view};

const POLICY: &str = "
trust:
  controllers: [{user: controller}]
  trustedRefs: [refs/heads/main]
";

/// A stack with an MCP server that needs a token and a role, all granted.
const WORLD: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: fixer, namespace: acme}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: fixer-id, namespace: acme}, spec: {serviceAccountName: fixer, allowedRunnerPools: [small]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: small, namespace: acme}, spec: {trustTier: untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: fixer, namespace: acme}, spec: {runtimeIdentity: {serviceAccountRef: fixer-id}, runnerPool: small, mcpServerRefs: [github], permissionRefs: {roleBindings: [reader]}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentMcpServer, metadata: {name: github, namespace: acme}, spec: {transport: streamable-http, allowedAgentStacks: [fixer], requiredRoles: [pod-reader]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentCapabilityRequirement, metadata: {name: github-needs, namespace: acme}, spec: {ownerRef: {kind: AgentMcpServer, name: github}, requiredSecretRefs: [{name: github-token, keys: [token]}], requiredConfigRefs: [{name: github-config}]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentSecretGrant, metadata: {name: github-token, namespace: acme}, spec: {subject: {kind: agent-stack, name: fixer}, secretRef: {name: github-token, keys: [token]}, allowedRepositories: [acme/app], allowedRefs: {include: [refs/heads/main]}, allowedTriggerSources: [manual], mountPolicy: env}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentConfigGrant, metadata: {name: github-config, namespace: acme}, spec: {subject: {kind: agent-stack, name: fixer}, configMapRef: {name: github-config}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: reader, namespace: acme}, spec: {subject: {kind: service-account, serviceAccountRef: fixer}, scope: {kind: namespace, name: acme}, roleRef: {kind: Role, name: pod-reader}}}
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: pod-reader, namespace: acme}, rules: [{apiGroups: [''], resources: [pods], verbs: [get, list]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: acme}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pod-reader}, subjects: [{kind: ServiceAccount, name: fixer, namespace: acme}]}
";

fn asked() -> Dispatch {
    Dispatch {
        namespace: "acme".into(),
        stack: "fixer".into(),
        repository: "acme/app".into(),
        git_ref: "refs/heads/main".into(),
        trigger: "manual".into(),
        ..Dispatch::default()
    }
}

fn reviewed(world: &str, dispatch: &Dispatch) -> Review {
    let (view, policy, answers) = (view(world), policy(POLICY), Answers::default());
    review(&World { view: &view, policy: &policy, answers: &answers, now: NOW }, dispatch)
}

/// `RULE ABOUT: MESSAGE` of the errors.
fn errors(found: &Review) -> Vec<String> {
    let errors = found.reasons.iter().filter(|reason| reason.severity == Severity::Error);
    errors
        .map(|reason| {
            let rule = reason.rule.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{rule} {}: {}", reason.about, reason.message)
        })
        .collect()
}

#[test]
fn what_is_granted_and_bound_passes() {
    let found = reviewed(WORLD, &asked());
    assert!(found.allowed, "{:#?}", errors(&found));
    assert_eq!(found.untrusted, None);
    let account = found.assessment.identities.first().and_then(|one| one.account.clone());
    assert_eq!(account.map(|account| account.name).as_deref(), Some("fixer"));
    assert_eq!(found.assessment.uses.len(), 2);
    let granted = |one: &super::RequiredUse| matches!(one.standing, UseStanding::Granted(_));
    assert!(found.assessment.uses.iter().all(granted), "{:#?}", found.assessment.uses);
    let role = found.assessment.roles.first().expect("the MCP server's role");
    assert_eq!(role.held_by.as_ref().map(|key| key.name.as_str()), Some("reader"));
}

/// The world without the objects whose line has this part.
fn without(part: &str) -> String {
    assert!(WORLD.lines().any(|line| line.contains(part)), "{part}");
    WORLD.lines().filter(|line| !line.contains(part)).map(|line| format!("{line}\n")).collect()
}

/// The world with one text for another.
fn instead(old: &str, new: &str) -> String {
    assert!(WORLD.contains(old), "{old}");
    WORLD.replace(old, new)
}

/// That PF-RUN-005 refuses, and says so in these words.
fn refuses(world: &str, dispatch: &Dispatch, part: &str) {
    let found = reviewed(world, dispatch);
    let errors = errors(&found);
    assert!(!found.allowed, "{part}: nothing refuses");
    let told = errors.iter().any(|error| error.starts_with("PF-RUN-005") && error.contains(part));
    assert!(told, "{part}: {errors:#?}");
}

#[test]
fn whatever_is_missing_refuses_the_dispatch() {
    let cases = [
        (without("kind: AgentStack,"), "AgentStack `acme/fixer` isn't in the view"),
        (without("kind: AgentMcpServer,"), "names AgentMcpServer.krate.a5c.ai acme/github"),
        (without("kind: AgentSecretGrant"), "Secret `acme/github-token`"),
        (without("kind: AgentConfigGrant"), "ConfigMap `acme/github-config`"),
        (without("kind: RoleBinding"), "role `pod-reader`"),
        (without("kind: AgentRoleBinding,"), "names AgentRoleBinding.krate.a5c.ai acme/reader"),
        (instead("name: pod-reader}, subjects", "name: other}, subjects"), "drifted"),
        (instead("Stacks: [fixer]", "Stacks: [other]"), "`spec.allowedAgentStacks` lists `other`"),
        (
            instead("keys: [token]}, allowed", "keys: [user]}, allowed"),
            "Secret `acme/github-token`",
        ),
        (instead("mountPolicy: env}", "mountPolicy: env, revoked: true}"), "revoked"),
        (
            instead("mountPolicy: env}", "mountPolicy: env, expiresAt: '2026-11-20T00:00:00Z'}"),
            "ended at 2026-11-20",
        ),
        (instead("serviceAccountRef: fixer-id", "serviceAccountRef: ''"), "identity"),
    ];
    for (world, part) in cases {
        refuses(&world, &asked(), part);
    }
}

#[test]
fn what_is_asked_for_must_be_what_was_granted() {
    let asks = [
        Dispatch { repository: "acme/other".into(), ..asked() },
        Dispatch { trigger: "comment".into(), ..asked() },
        Dispatch { git_ref: "refs/pull/7/head".into(), ..asked() },
        Dispatch { head_repository: "evil/app".into(), ..asked() },
    ];
    for dispatch in asks {
        refuses(WORLD, &dispatch, "Secret `acme/github-token`");
    }
}

#[test]
fn what_would_fix_it_fixes_it() {
    let without: String = WORLD
        .lines()
        .filter(|line| {
            !line.contains("kind: AgentSecretGrant") && !line.contains("kind: AgentConfigGrant")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let found = reviewed(&without, &asked());
    let suggested: Vec<String> = found
        .assessment
        .uses
        .iter()
        .filter_map(|one| match &one.standing {
            UseStanding::Missing { suggestion: Some(grant), .. } => Some(grant.to_string()),
            UseStanding::Missing { suggestion: None, .. }
            | UseStanding::Granted(_)
            | UseStanding::NotNeeded => None,
        })
        .collect();
    assert_eq!(suggested.len(), 2, "{:#?}", found.assessment.uses);
    let fixed = format!("{without}\n{}\n", suggested.join("\n"));
    let found = reviewed(&fixed, &asked());
    assert!(found.allowed, "{:#?}", errors(&found));
}

#[test]
fn the_heaviest_reason_comes_first() {
    let world: String = WORLD
        .lines()
        .filter(|line| {
            !line.contains("kind: AgentSecretGrant")
                && !line.contains("kind: ServiceAccount, metadata")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let dispatch = Dispatch { git_ref: "refs/heads/feature".into(), ..asked() };
    let found = reviewed(&world, &dispatch);
    let severities: Vec<Severity> = found.reasons.iter().map(|reason| reason.severity).collect();
    assert!(severities.is_sorted(), "{:#?}", found.reasons);
    for wanted in [Severity::Error, Severity::Warning, Severity::Note] {
        assert!(severities.contains(&wanted), "{wanted:?}: {:#?}", found.reasons);
    }
}
