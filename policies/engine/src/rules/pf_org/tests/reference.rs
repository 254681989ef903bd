//! PF-ORG-001: T-15, T-17, T-21 and their twins; every way in which one agent resource can name another.

use super::{ADMIN, DEV, asked, cluster, found, told};
use crate::organization::fixture::{object, value};
use crate::organization::namespace_key;

const NONE: &[&str] = &[];

/// What is named in the cases, and who shares what with whom.
const NAMED: &str = "
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: here, namespace: acme}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: ours}, spec: {trustTier: trusted, organizationRef: acme}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: theirs}, spec: {trustTier: trusted, organizationRef: beta}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: newer}, spec: {trustTier: trusted, organizationRef: beta}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: nobodys}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: offered}, spec: {trustTier: trusted, organizationRef: beta}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {name: s}, spec: {sourceOrg: beta, targetOrg: acme, allowedRefs: [AgentMcpServer/beta/shared, RunnerPool//offered, Repository/beta/lib, {kind: AgentSkill, namespace: beta, name: parts}]}}
";

fn stack(spec: &str) -> String {
    agent("AgentStack", "acme", spec)
}

fn agent(kind: &str, namespace: &str, spec: &str) -> String {
    let place =
        if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: x{place}}}, spec: {spec}}}"
    )
}

/// Whoever asks, because nobody is an exception.
fn hold(cases: &[(String, &[&str])]) {
    let view = cluster(NAMED);
    for (manifest, expected) in cases {
        for user in [DEV, ADMIN] {
            assert_eq!(told(&asked(user, manifest, None), &view), *expected, "{manifest}");
        }
    }
}

#[test]
fn what_is_its_own_may_be_named() {
    hold(&[
        // Nothing named, something of the own namespace, and something that isn't there.
        (stack("{}"), NONE),
        (stack("{runnerPool: here, mcpServerRefs: [not-there]}"), NONE),
        // Another namespace of the same organization.
        (stack("{runnerPool: plain/any, toolProfileRef: {namespace: acme-2, name: t}}"), NONE),
    ]);
}

#[test]
fn no_field_leads_to_another_organization() {
    hold(&[
        // Another organization's, by every field and in every spelling.
        (stack("{toolProfileRef: beta/t}"), &["PF-ORG-001 $.spec.toolProfileRef"]),
        (
            stack("{toolProfileRef: {namespace: beta, name: t}}"),
            &["PF-ORG-001 $.spec.toolProfileRef"],
        ),
        (stack("{mcpServerRefs: [m, beta/m]}"), &["PF-ORG-001 $.spec.mcpServerRefs[1]"]),
        (
            stack("{skillRefs: [beta/s], subagentRefs: [beta/s]}"),
            &["PF-ORG-001 $.spec.skillRefs[0]", "PF-ORG-001 $.spec.subagentRefs[0]"],
        ),
        (
            stack("{contextLabelRefs: [beta/l], workspacePolicyRef: beta/w}"),
            &["PF-ORG-001 $.spec.contextLabelRefs[0]", "PF-ORG-001 $.spec.workspacePolicyRef"],
        ),
        (stack("{runnerPool: beta/p}"), &["PF-ORG-001 $.spec.runnerPool"]),
        (
            stack(
                "{permissionRefs: {roleBindings: [beta/r], secretGrants: [beta/g], configGrants: [beta/c]}}",
            ),
            &[
                "PF-ORG-001 $.spec.permissionRefs.configGrants[0]",
                "PF-ORG-001 $.spec.permissionRefs.roleBindings[0]",
                "PF-ORG-001 $.spec.permissionRefs.secretGrants[0]",
            ],
        ),
        (
            stack("{runtimeIdentity: {serviceAccountRef: beta/agent}}"),
            &["PF-ORG-001 $.spec.runtimeIdentity.serviceAccountRef"],
        ),
    ]);
}

#[test]
fn no_field_of_other_kinds_does_either() {
    hold(&[
        (
            agent("AgentServiceAccount", "acme", "{namespace: beta, serviceAccountName: a}"),
            &["PF-ORG-001 $.spec.namespace"],
        ),
        (
            agent(
                "AgentServiceAccount",
                "acme",
                "{serviceAccountName: a, allowedRunnerPools: [here, beta/p]}",
            ),
            &["PF-ORG-001 $.spec.allowedRunnerPools[1]"],
        ),
        (
            agent("RunnerPool", "acme", "{trustTier: untrusted, serviceAccountRef: beta/agent}"),
            &["PF-ORG-001 $.spec.serviceAccountRef"],
        ),
        (
            agent("AgentTriggerRule", "acme", "{agentStack: beta/s}"),
            &["PF-ORG-001 $.spec.agentStack"],
        ),
        (
            agent("AgentDispatchRun", "acme", "{agentStack: beta/s, runnerPool: here}"),
            &["PF-ORG-001 $.spec.agentStack"],
        ),
        (
            agent("AgentApproval", "acme", "{dispatchRun: beta/r}"),
            &["PF-ORG-001 $.spec.dispatchRun"],
        ),
        (
            agent(
                "AgentSecretGrant",
                "acme",
                "{subject: {kind: agent-stack, name: s, namespace: beta}, secretRef: {name: k}}",
            ),
            &["PF-ORG-001 $.spec.subject.name"],
        ),
        (
            agent(
                "AgentSecretGrant",
                "acme",
                "{subject: {kind: agent-stack, name: s}, secretRef: {name: k}}",
            ),
            NONE,
        ),
    ]);
}

#[test]
fn what_is_nobodys_or_in_no_namespace_is_not_its_own() {
    hold(&[
        // The platform's, nobody's, a disputed namespace's, an unknown one's.
        (stack("{toolProfileRef: krate/t}"), &["PF-ORG-001 $.spec.toolProfileRef"]),
        (stack("{toolProfileRef: open/t}"), &["PF-ORG-001 $.spec.toolProfileRef"]),
        (stack("{toolProfileRef: disputed/t}"), &["PF-ORG-001 $.spec.toolProfileRef"]),
        (stack("{toolProfileRef: absent/t}"), &["PF-ORG-001 $.spec.toolProfileRef"]),
        // Pools in no namespace.
        (stack("{runnerPool: ours}"), NONE),
        (stack("{runnerPool: theirs}"), &["PF-ORG-001 $.spec.runnerPool"]),
        (stack("{runnerPool: newer}"), &["PF-ORG-001 $.spec.runnerPool"]),
        (stack("{runnerPool: nobodys}"), &["PF-ORG-001 $.spec.runnerPool"]),
    ]);
}

#[test]
fn what_is_shared_may_be_named_exactly() {
    hold(&[
        // What is shared, exactly.
        (
            stack("{mcpServerRefs: [beta/shared], runnerPool: offered, skillRefs: [beta/parts]}"),
            NONE,
        ),
        (
            stack("{mcpServerRefs: [beta/shared-2], toolProfileRef: beta/shared}"),
            &["PF-ORG-001 $.spec.mcpServerRefs[0]", "PF-ORG-001 $.spec.toolProfileRef"],
        ),
    ]);
}

#[test]
fn another_kind_hides_nothing() {
    hold(&[
        // A kind that the field doesn't have hides nothing: neither a pool, nor by what is shared under another kind.
        (stack("{runnerPool: {kind: Other, name: theirs}}"), &["PF-ORG-001 $.spec.runnerPool"]),
        (
            stack("{toolProfileRef: {kind: AgentMcpServer, namespace: beta, name: shared}}"),
            &["PF-ORG-001 $.spec.toolProfileRef"],
        ),
        (
            agent("AgentDispatchRun", "acme", "{repository: {kind: Other, name: beta/app}}"),
            &["PF-ORG-001 $.spec.repository", "PF-ORG-001 $.spec.repository"],
        ),
    ]);
}

#[test]
fn repositories_of_one_name_are_not_one() {
    hold(&[
        // T-21: repositories of the same name.
        (agent("AgentDispatchRun", "acme", "{repository: app}"), NONE),
        (agent("AgentDispatchRun", "acme", "{repository: acme/app}"), NONE),
        (
            agent("AgentDispatchRun", "acme", "{repository: beta/app}"),
            &["PF-ORG-001 $.spec.repository"],
        ),
        (agent("AgentDispatchRun", "acme", "{repository: beta/lib}"), NONE),
        (stack("{repositories: [app, beta/app]}"), &["PF-ORG-001 $.spec.repositories[1]"]),
        (
            agent(
                "AgentSecretGrant",
                "acme",
                "{subject: {kind: agent-stack, name: s}, secretRef: {name: k}, allowedRepositories: [app, acme/app, '*', 'acme/*', beta/app]}",
            ),
            &["PF-ORG-001 $.spec.allowedRepositories[4]"],
        ),
        (
            agent(
                "AgentServiceAccount",
                "acme",
                "{serviceAccountName: a, allowedRepositories: [beta/app]}",
            ),
            &["PF-ORG-001 $.spec.allowedRepositories[0]"],
        ),
    ]);
}

#[test]
fn an_object_is_of_its_namespaces_organization() {
    let view = cluster("");
    let path = "PF-ORG-001 $.spec.organizationRef";
    let cases: [(String, &[&str], &[&str]); 9] = [
        // T-21b, T-15; T-17 is the same, whoever asks.
        (stack("{organizationRef: acme}"), NONE, NONE),
        (stack("{organizationRef: beta}"), &[path], &[path]),
        (stack("{organizationRef: Acme}"), &[path], &[path]),
        (stack("{organizationRef: {name: beta}}"), &[path], &[path]),
        (agent("AgentDispatchRun", "plain", "{organizationRef: beta, ref: r}"), &[path], &[path]),
        // Nobody's namespace is nobody's, whatever is said there.
        (
            agent("AgentDispatchRun", "open", "{organizationRef: acme}"),
            &["PF-ORG-002 $.metadata.namespace"],
            &["PF-ORG-002 $.metadata.namespace"],
        ),
        // The platform's own namespaces hold what is whoever's; only its administrators say whose.
        (agent("AgentDispatchRun", "krate", "{organizationRef: acme}"), &[path], NONE),
        (agent("AgentDispatchRun", "krate", "{organizationRef: ACME}"), &[path], &[path]),
        (
            agent("AgentDispatchRun", "krate", "{agentStack: acme/s, runnerPool: beta/p}"),
            NONE,
            NONE,
        ),
    ];
    for (manifest, by_dev, by_admin) in cases {
        for (user, expected) in [
            ("system:serviceaccount:krate:krate-controller", by_dev),
            (DEV, by_dev),
            (ADMIN, by_admin),
        ] {
            assert_eq!(told(&asked(user, &manifest, None), &view), expected, "{user} {manifest}");
        }
    }
    let said = agent("AgentDispatchRun", "krate", "{organizationRef: acme, agentStack: beta/s}");
    assert_eq!(told(&asked(ADMIN, &said, None), &view), ["PF-ORG-001 $.spec.agentStack"]);
    assert_eq!(
        found(&asked("", &said, None), &view).undecided.len(),
        1,
        "offline nobody is known to ask"
    );
}

#[test]
fn labels_say_the_same_as_the_namespace() {
    let view = cluster("");
    let pod = |namespace: &str, labels: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}, labels: {labels}}}, spec: {{}}}}"
        )
    };
    let job = |labels: &str| {
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: p, namespace: acme}}, spec: {{template: {{metadata: {{labels: {labels}}}, spec: {{}}}}}}}}"
        )
    };
    let run = |labels: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {{name: r, namespace: acme, labels: {labels}}}, spec: {{}}}}"
        )
    };
    let old = "PF-ORG-001 $.metadata.labels['krate.a5c.ai/org']";
    let new = "PF-ORG-001 $.metadata.labels['kradle.a5c.ai/org']";
    let cases: [(String, &[&str]); 11] = [
        (pod("acme", "{krate.a5c.ai/org: acme}"), NONE),
        (pod("acme", "{krate.a5c.ai/org: beta}"), &[old]),
        (pod("acme", "{kradle.a5c.ai/org: beta}"), &[new]),
        (pod("acme", "{krate.a5c.ai/org: ''}"), &[old]),
        (pod("acme", "{krate.a5c.ai/org: beta, kradle.a5c.ai/org: acme}"), &[old]),
        (pod("acme", "{example.com/org: beta}"), NONE),
        // No agents, no matter.
        (pod("plain", "{krate.a5c.ai/org: beta}"), NONE),
        (job("{krate.a5c.ai/org: acme}"), NONE),
        (
            job("{krate.a5c.ai/org: beta}"),
            &["PF-ORG-001 $.spec.template.metadata.labels['krate.a5c.ai/org']"],
        ),
        (run("{krate.a5c.ai/org: acme}"), NONE),
        (run("{krate.a5c.ai/org: beta}"), &[old]),
    ];
    for (manifest, expected) in cases {
        assert_eq!(told(&asked(DEV, &manifest, None), &view), expected, "{manifest}");
    }
    // T-19: on a pod that runs, by any subresource.
    let (before, after) =
        (pod("acme", "{krate.a5c.ai/org: acme}"), pod("acme", "{krate.a5c.ai/org: beta}"));
    for subresource in ["", "status", "resize"] {
        let mut facts = asked(DEV, &after, Some(&before));
        facts.subresource = subresource.to_owned();
        assert_eq!(told(&facts, &view), [old], "{subresource}");
    }
}

#[test]
fn an_unknown_namespace_is_asked_for() {
    let view = cluster("");
    let mut facts = asked(DEV, &stack("{toolProfileRef: late/t}"), None);
    assert_eq!(found(&facts, &view).questions.len(), 1);
    let late = "{apiVersion: v1, kind: Namespace, metadata: {name: late, labels: {krate.a5c.ai/org: acme}}}";
    facts.answers.objects.push((namespace_key("late"), Some(object(&value(late)))));
    assert_eq!(told(&facts, &view), NONE);
}

#[test]
fn sharing_ends_and_is_not_taken_by_the_one_who_gains() {
    let policy = |metadata: &str, spec: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgSharingPolicy, metadata: {metadata}, spec: {{sourceOrg: beta, targetOrg: acme, {spec}}}}}"
        )
    };
    let list = "allowedRefs: [AgentMcpServer/beta/m]";
    let cases = [
        ("{name: s}", list.to_owned(), true),
        ("{name: s, namespace: krate}", list.to_owned(), true),
        ("{name: s, namespace: kube-system}", list.to_owned(), true),
        ("{name: s, namespace: beta}", list.to_owned(), true),
        ("{name: s, namespace: acme}", list.to_owned(), false),
        ("{name: s, namespace: open}", list.to_owned(), false),
        ("{name: s, namespace: disputed}", list.to_owned(), false),
        ("{name: s, namespace: absent}", list.to_owned(), false),
        // NOW of the fixture is 2026-11-21.
        ("{name: s}", format!("{list}, expiresAt: '2026-11-22T00:00:00Z'"), true),
        ("{name: s}", format!("{list}, expiresAt: '2026-11-20T00:00:00Z'"), false),
        ("{name: s}", format!("{list}, expiresAt: tomorrow"), false),
        ("{name: s}", "allowedRefs: ['AgentMcpServer/beta/*']".to_owned(), false),
        ("{name: s}", "allowedRefs: [AgentMcpServer/beta]".to_owned(), false),
        ("{name: s}", "allowedRefs: ['*']".to_owned(), false),
        ("{name: s}", "allowedRefs: [AgentMcpServer/beta/M]".to_owned(), false),
        (
            "{name: s}",
            "allowedRefs: [{kind: AgentMcpServer, namespace: beta, name: m}]".to_owned(),
            true,
        ),
    ];
    for (metadata, spec, shared) in cases {
        let view = cluster(&policy(metadata, &spec));
        let facts = asked(DEV, &stack("{mcpServerRefs: [beta/m]}"), None);
        assert_eq!(told(&facts, &view).is_empty(), shared, "{metadata} {spec}");
    }
    // Not even a reference that is spelled as the policy spells its glob.
    let view = cluster(&policy("{name: s}", "allowedRefs: ['AgentMcpServer/beta/*']"));
    let facts = asked(DEV, &stack("{mcpServerRefs: ['beta/*']}"), None);
    assert_eq!(told(&facts, &view), ["PF-ORG-001 $.spec.mcpServerRefs[0]"]);
}

#[test]
fn findings_are_counted() {
    let view = cluster("");
    let many: Vec<String> = (0..200).map(|number| format!("beta/m{number}")).collect();
    let facts = asked(DEV, &stack(&format!("{{mcpServerRefs: [{}]}}", many.join(", "))), None);
    assert_eq!(told(&facts, &view).len(), 16);
}
