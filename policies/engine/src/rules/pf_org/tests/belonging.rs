//! PF-ORG-002: T-16 and its twins, agents outside guarded namespaces, namespaces that nobody can tell anything of.

use pinfold_model::object::Change;

use super::{ADMIN, DEV, asked, cluster, found, told};
use crate::organization::fixture::{object, value};
use crate::organization::namespace_key;

/// `KIND NAMESPACE {spec}`: an agent resource.
fn agent(kind: &str, namespace: &str, spec: &str) -> String {
    let place =
        if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: x{place}}}, spec: {spec}}}"
    )
}

fn pod(namespace: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}}}, spec: {spec}}}"
    )
}

const NAMESPACE: &str = "PF-ORG-002 $.metadata.namespace";
const NONE: &[&str] = &[];

#[test]
fn agents_and_their_resources_belong_to_somebody() {
    let view = cluster("");
    let cases: [(String, &[&str]); 37] = [
        // T-16: an agent's pod in a namespace without an organization; its twin.
        (pod("nobody", "{}"), &[NAMESPACE]),
        (pod("acme", "{}"), NONE),
        (pod("platform", "{}"), NONE),
        (pod("disputed", "{}"), &[NAMESPACE]),
        (pod("misnamed", "{}"), &[NAMESPACE]),
        // What is no agent's is no matter of the rule.
        (pod("open", "{}"), NONE),
        (pod("plain", "{serviceAccountName: web}"), NONE),
        // What says itself that it is an agent's.
        (pod("open", "{}").replace("namespace: open", "namespace: open, labels: {kradle.a5c.ai/agent-stack: s}"), &[NAMESPACE]),
        (pod("open", "{}").replace("namespace: open", "namespace: open, labels: {example.com/agent-stack: s}"), NONE),
        (
            pod("open", "{}").replace("namespace: open", "namespace: open, ownerReferences: [{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, name: r, uid: u}]"),
            &[NAMESPACE],
        ),
        (pod("plain", "{}").replace("namespace: plain", "namespace: plain, labels: {krate.a5c.ai/dispatch-run: r}"), NONE),
        // An account that a pattern of the policy names, which may reach further than agents do.
        (pod("open", "{serviceAccountName: agent-x}"), &[NAMESPACE]),
        (pod("plain", "{serviceAccountName: agent-x}"), NONE),
        (pod("krate", "{serviceAccountName: agent-x}"), NONE),
        // An agent's account outside a guarded namespace.
        (pod("plain", "{serviceAccountName: stray}"), &["PF-ORG-002 $.spec.serviceAccountName"]),
        (
            "{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: nobody}, spec: {jobTemplate: {spec: {template: {spec: {}}}}}}".to_owned(),
            &[NAMESPACE],
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: c, namespace: plain}, spec: {template: {spec: {serviceAccountName: stray}}}}".to_owned(),
            &["PF-ORG-002 $.spec.template.spec.serviceAccountName"],
        ),
        // Agent resources: derived from the namespace, the platform's own, nobody's.
        (agent("AgentDispatchRun", "acme", "{ref: r}"), NONE),
        (agent("AgentDispatchRun", "plain", "{ref: r}"), NONE),
        (agent("AgentDispatchRun", "krate", "{ref: r}"), NONE),
        (agent("AgentDispatchRun", "open", "{ref: r}"), &[NAMESPACE]),
        (agent("AgentDispatchRun", "disputed", "{organizationRef: acme}"), &[NAMESPACE]),
        (agent("AgentApproval", "nobody", "{}"), &[NAMESPACE]),
        (agent("AgentRoleBinding", "open", "{}"), &[NAMESPACE]),
        // In no namespace only the platform says whose something is.
        (agent("RunnerPool", "", "{trustTier: trusted}"), &["PF-ORG-002 $.metadata"]),
        (agent("RunnerPool", "", "{trustTier: trusted, organizationRef: acme}"), &["PF-ORG-002 $.metadata"]),
        // Agents live in guarded namespaces only.
        (agent("AgentStack", "acme", "{}"), NONE),
        (agent("AgentStack", "plain", "{}"), &[NAMESPACE]),
        (agent("AgentStack", "acme", "{runtimeIdentity: {serviceAccountRef: plain/runner}}"), &["PF-ORG-002 $.spec.runtimeIdentity.serviceAccountRef"]),
        (agent("AgentServiceAccount", "acme", "{serviceAccountName: a}"), NONE),
        (agent("AgentServiceAccount", "acme", "{namespace: acme-2, serviceAccountName: a}"), NONE),
        (agent("AgentServiceAccount", "acme", "{namespace: plain, serviceAccountName: a}"), &["PF-ORG-002 $.spec.namespace"]),
        (agent("AgentServiceAccount", "plain", "{namespace: acme, serviceAccountName: a}"), &[NAMESPACE]),
        (agent("RunnerPool", "plain", "{trustTier: trusted}"), &[NAMESPACE]),
        (agent("RunnerPool", "acme", "{trustTier: untrusted, serviceAccountRef: plain/runner}"), &["PF-ORG-002 $.spec.serviceAccountRef"]),
        (agent("AgentStack", "nobody", "{}"), &[NAMESPACE]),
        (agent("AgentStack", "open", "{}"), &[NAMESPACE]),
    ];
    for (manifest, expected) in cases {
        assert_eq!(told(&asked(DEV, &manifest, None), &view), expected, "{manifest}");
    }
}

#[test]
fn what_is_in_no_namespace_is_the_platforms_to_write() {
    let (view, pool) =
        (cluster(""), agent("RunnerPool", "", "{trustTier: trusted, organizationRef: acme}"));
    assert_eq!(told(&asked(ADMIN, &pool, None), &view), NONE);
    let nobody = found(&asked("", &pool, None), &view);
    assert_eq!(
        (nobody.raw.len(), nobody.undecided.len()),
        (0, 1),
        "offline nobody is known to ask"
    );
}

#[test]
fn a_namespace_that_the_view_lacks_is_asked_for_and_never_nobodys() {
    let view = cluster("");
    let key = namespace_key("late");
    let live = |labels: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: late, labels: {labels}}}}}"
        );
        Some(object(&value(&text)))
    };
    let (stack, pod) = (agent("AgentStack", "late", "{}"), pod("late", "{}"));
    let unasked = found(&asked(DEV, &stack, None), &view);
    assert_eq!((unasked.raw.len(), unasked.questions.len()), (1, 1));
    let unasked = found(&asked(DEV, &pod, None), &view);
    assert_eq!(
        (unasked.raw.len(), unasked.confirmations.len()),
        (0, 1),
        "the answer rests on the namespace"
    );
    let cases = [
        (live("{krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}"), 0, 0),
        (live("{krate.a5c.ai/org: acme}"), 1, 0),
        (live("{pinfold.dev/agents: 'true'}"), 1, 1),
        (live("{}"), 1, 0),
        (None, 1, 1),
    ];
    for (answer, of_stack, of_pod) in cases {
        for (manifest, expected) in [(&stack, of_stack), (&pod, of_pod)] {
            let mut facts = asked(DEV, manifest, None);
            facts.answers.objects.push((key.clone(), answer.clone()));
            let found = found(&facts, &view);
            assert_eq!(found.raw.len(), expected, "{manifest} {answer:?}");
            assert!(found.questions.is_empty() && found.confirmations.is_empty(), "asked again");
        }
    }
}

#[test]
fn what_was_there_can_be_reported_on_and_cleaned_up() {
    let view = cluster("");
    let (old, new) = (pod("nobody", "{}"), pod("nobody", "{nodeName: n}"));
    let mut facts = asked(DEV, &new, Some(&old));
    assert_eq!(told(&facts, &view), [NAMESPACE]);
    facts.subresource = "status".to_owned();
    assert_eq!(told(&facts, &view), NONE);
    facts.subresource = String::new();
    for change in [Change::Garbage, Change::Metadata] {
        facts.change = change;
        assert_eq!(told(&facts, &view), NONE, "{change:?}");
    }
    assert_eq!(told(&super::deletion(DEV, &old), &view), NONE);
}

#[test]
fn controllers_scale_what_was_there_before_the_dispute() {
    let view = cluster("");
    let set = |replicas: u32, account: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: r, namespace: nobody}}, spec: {{replicas: {replicas}, template: {{spec: {{serviceAccountName: {account}}}}}}}}}"
        )
    };
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    for (user, (replicas, account), denied) in [
        (deployments, (0, "x"), false),
        (deployments, (9, "x"), false),
        (DEV, (0, "x"), false),
        (DEV, (9, "x"), true),
        (deployments, (9, "y"), true),
    ] {
        let facts = asked(user, &set(replicas, account), Some(&set(3, "x")));
        assert_eq!(!told(&facts, &view).is_empty(), denied, "{user} {replicas} {account}");
    }
}
