//! PF-RBAC-007: every line of the table, its harmless twins, and what Kubernetes itself binds.

use pinfold_model::facts::Operation::Create;
use pinfold_model::finding::RuleId;
use pinfold_model::object::from_value;
use pinfold_model::pattern::Pattern;
use pinfold_model::snapshot::Snapshot;

use super::ceilings::{as_root, with_agents};
use super::{facts, judge_with, spoken};
use crate::rbac::danger::{DANGERS, Danger};
use crate::rbac::notation::{cluster, rules};

/// Rules that no agent may hold, and a part of what the finding says they lead to.
const DANGEROUS: &[(&str, &str)] = &[
    // R1, R2, T-10.
    ("verbs=escalate groups=rbac.authorization.k8s.io resources=roles", "given rights"),
    ("verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=view", "be bound"),
    ("verbs=impersonate resources=users", "somebody else"),
    ("verbs=impersonate resources=serviceaccounts names=default", "somebody else"),
    ("verbs=impersonate groups=authentication.k8s.io resources=userextras/scopes", "somebody else"),
    ("verbs=impersonate:user-info groups=authentication.k8s.io resources=users", "somebody else"),
    (
        "verbs=impersonate:arbitrary-node groups=authentication.k8s.io resources=nodes",
        "somebody else",
    ),
    ("verbs=impersonate-on:user-info:get resources=pods", "somebody else"),
    // R3, T-11.
    ("verbs=* resources=configmaps", "every verb"),
    ("groups=* resources=deployments", "every API group"),
    ("resources=*", "every resource"),
    ("verbs=get groups=rbac.authorization.k8s.io resources=*", "every resource"),
    ("verbs=get groups=source.toolkit.fluxcd.io,apps resources=*", "every resource"),
    ("verbs=get,update groups=source.toolkit.fluxcd.io resources=*", "every resource"),
    ("resources=pods/*", "every resource or subresource"),
    ("resources=*/*", "every resource or subresource"),
    ("urls=*", "every URL"),
    ("urls=/*", "every URL"),
    ("verbs=* groups=* resources=*", "every verb"),
    ("verbs=create resources=*/exec", "runs commands as other pods"),
    ("verbs=update resources=*/status", "say of themselves"),
    // R4.
    ("verbs=create resources=serviceaccounts/token", "mints tokens"),
    ("verbs=create resources=serviceaccounts/token names=default", "mints tokens"),
    ("verbs=create resources=secrets", "mints a lasting token"),
    ("verbs=list resources=secrets", "every Secret"),
    ("verbs=watch resources=secrets names=a", "every Secret"),
    ("verbs=get resources=secrets", "name those"),
    ("verbs=deletecollection resources=secrets", "every Secret"),
    // R5.
    (
        "verbs=create groups=admissionregistration.k8s.io resources=validatingwebhookconfigurations",
        "switches admission off",
    ),
    (
        "verbs=patch groups=admissionregistration.k8s.io resources=mutatingwebhookconfigurations",
        "switches admission off",
    ),
    (
        "verbs=delete groups=admissionregistration.k8s.io resources=validatingadmissionpolicies",
        "switches admission off",
    ),
    (
        "verbs=update groups=admissionregistration.k8s.io resources=validatingadmissionpolicybindings",
        "switches admission off",
    ),
    (
        "verbs=create groups=admissionregistration.k8s.io resources=mutatingadmissionpolicies",
        "switches admission off",
    ),
    (
        "verbs=create groups=admissionregistration.k8s.io resources=mutatingadmissionpolicybindings",
        "switches admission off",
    ),
    // R6.
    (
        "verbs=update groups=certificates.k8s.io resources=certificatesigningrequests/approval",
        "identity",
    ),
    (
        "verbs=patch groups=certificates.k8s.io resources=certificatesigningrequests/status",
        "identity",
    ),
    (
        "verbs=approve groups=certificates.k8s.io resources=signers names=kubernetes.io/kubelet-serving",
        "identity",
    ),
    ("verbs=sign groups=certificates.k8s.io resources=signers", "identity"),
    ("verbs=attest groups=certificates.k8s.io resources=signers", "identity"),
    ("verbs=update groups=certificates.k8s.io resources=clustertrustbundles", "authorities"),
    // R7.
    ("verbs=get resources=nodes/proxy", "every pod of a node"),
    ("verbs=create resources=nodes/proxy", "every pod of a node"),
    ("verbs=update resources=nodes", "moves work"),
    ("verbs=patch resources=nodes/status names=node-1", "moves work"),
    // R8.
    ("verbs=create resources=pods/exec", "runs commands"),
    ("verbs=get resources=pods/exec", "runs commands"),
    ("verbs=get resources=pods/attach names=a", "runs commands"),
    ("verbs=update resources=pods/ephemeralcontainers", "runs containers"),
    ("verbs=create resources=pods/portforward", "reaches"),
    ("verbs=get resources=pods/proxy", "past network policies"),
    ("verbs=get resources=services/proxy", "past network policies"),
    // R11.
    ("verbs=update resources=namespaces", "moves a namespace"),
    ("verbs=patch resources=namespaces names=acme", "moves a namespace"),
    ("verbs=update resources=namespaces/status", "moves a namespace"),
    ("verbs=update resources=namespaces/finalize", "moves a namespace"),
    // T-12: Pinfold's own.
    ("verbs=update groups=pinfold.dev resources=admissionpolicies", "rewrites the policy"),
];

/// The twins: what an agent may hold.
const HARMLESS: &[&str] = &[
    "",
    "verbs=get,list,watch resources=pods,pods/log,pods/status",
    "verbs=get,list,watch groups=source.toolkit.fluxcd.io,helm.toolkit.fluxcd.io resources=*",
    "verbs=get resources=secrets names=model-key",
    "verbs=update,patch,delete resources=secrets names=model-key",
    "verbs=get,list,watch resources=namespaces,nodes,serviceaccounts",
    "verbs=get groups=rbac.authorization.k8s.io resources=roles,rolebindings",
    "verbs=get groups=admissionregistration.k8s.io resources=validatingwebhookconfigurations",
    "verbs=create,get groups=certificates.k8s.io resources=certificatesigningrequests",
    "verbs=get groups=certificates.k8s.io resources=clustertrustbundles",
    "verbs=create,update,patch,delete groups=apps resources=deployments,deployments/scale",
    "verbs=create,update resources=configmaps,pods",
    "verbs=update resources=pods/status,*/scale",
    "verbs=get groups=pinfold.dev resources=admissionpolicies",
    "verbs=create resources=events",
    "urls=/healthz,/metrics,/api/*",
    "verbs=exec resources=pods",
    "verbs=update groups=custom.io resources=nodes,namespaces,secrets",
];

/// The findings on a RoleBinding in acme of an agent to a role with these rules: ids with paths, and the messages.
fn bound(rules: &str, place: &str) -> (Vec<String>, String) {
    let text = format!("AgentServiceAccount acme/coder : acme coder\nClusterRole given : {rules}");
    let binding = match place {
        "" => "ClusterRoleBinding x".to_owned(),
        place => format!("RoleBinding {place}/x"),
    };
    let line = format!("{binding} : ClusterRole/given to ServiceAccount/acme/coder");
    let mut policy = with_agents();
    policy.organizations.platform_namespaces.insert("kube-system".to_owned());
    let request = facts("root system:masters", Create, &line, "");
    let found = judge_with(&request, &cluster(&text), &policy);
    let messages = found.raw.iter().filter(|raw| raw.rule == RuleId::RBAC_DANGER);
    let messages: Vec<&str> = messages.map(|raw| raw.message.as_str()).collect();
    let mut spoken = spoken(&found);
    spoken.retain(|line| line.starts_with("PF-RBAC-004") || line.starts_with("PF-RBAC-007"));
    (spoken, messages.join("\n"))
}

#[test]
fn dangerous() {
    for (line, leads_to) in DANGEROUS {
        let (found, messages) = bound(line, "acme");
        assert_eq!(found, ["PF-RBAC-004 $.subjects[0]", "PF-RBAC-007 $.roleRef"], "{line}");
        assert!(messages.contains(leads_to), "{line}: {messages}");
    }
}

#[test]
fn harmless() {
    for line in HARMLESS {
        assert_eq!(bound(line, "acme").0, Vec::<String>::new(), "{line}");
    }
}

/// In a namespace of the platform, and cluster-wide because that reaches there, workloads and configuration are dangerous too.
#[test]
fn in_the_platform() {
    let lines = [
        "verbs=create resources=pods",
        "verbs=patch groups=apps resources=daemonsets",
        "verbs=create groups=batch resources=cronjobs",
        "verbs=update resources=configmaps names=coredns",
    ];
    for line in lines {
        for (place, expected) in [("kube-system", false), ("", false), ("acme", true)] {
            assert_eq!(bound(line, place).0.is_empty(), expected, "{line} in `{place}`");
        }
    }
}

/// Every line of the table is shown by some case, which would fail without it.
#[test]
fn every_line_has_a_case() {
    let platform = [
        ("verbs=create resources=pods", "beside the platform's own"),
        ("verbs=update resources=configmaps", "configured by"),
    ];
    for danger in DANGERS.iter() {
        let alone = DANGEROUS.iter().chain(&platform).any(|(line, text)| {
            let rules = rules(line);
            let says = |other: &&Danger| {
                other.leads_to.contains(text)
                    && rules.iter().any(|rule| other.part_of(rule, true).is_some())
            };
            let mut others = DANGERS.iter().filter(says);
            others.next().is_some_and(|first| std::ptr::eq(first, danger))
                && others.next().is_none()
        });
        assert!(alone, "{}", danger.leads_to);
    }
}

/// The ClusterRoles and ClusterRoleBindings of a kube-apiserver v1.35.4 that has just started; no controller has aggregated anything.
const BOOTSTRAP: &str = include_str!("bootstrap-v1.35.4.jsonl");

fn bootstrap() -> Snapshot {
    let read = |line| {
        let value = serde_json::from_str(line).expect("JSON");
        from_value(&value).expect("an object")
    };
    Snapshot::of(BOOTSTRAP.lines().map(read))
}

/// What Kubernetes gives everybody stays allowed, though agents are everybody; `view` passes, `edit` and `admin` don't.
#[test]
fn what_kubernetes_binds() {
    let mut view = bootstrap();
    view.apply(crate::rbac::notation::object("AgentServiceAccount acme/coder : acme coder"));
    let mut policy = with_agents();
    policy.agents.service_accounts = vec![Pattern::name_glob("*/agent-*").expect("a glob")];
    let mut judged: usize = 0;
    for line in BOOTSTRAP.lines() {
        let value = serde_json::from_str(line).expect("JSON");
        let object = from_value(&value).expect("an object");
        let mut request = facts("root system:masters", Create, "ClusterRole x :", "");
        (request.target, request.object) = (object.key.clone(), Some(object));
        let found = spoken(&judge_with(&request, &view, &policy));
        assert_eq!(found, Vec::<String>::new(), "{line}");
        judged = judged.saturating_add(1);
    }
    assert_eq!(judged, 117);
    for (role, expected) in [
        ("view", true),
        ("edit", false),
        ("admin", false),
        ("cluster-admin", false),
        ("system:node", false),
    ] {
        let line = format!("RoleBinding acme/x : ClusterRole/{role} to ServiceAccount/acme/coder");
        let request = facts("root system:masters", Create, &line, "");
        let found = judge_with(&request, &view, &policy);
        assert_eq!(found.raw.is_empty(), expected, "{role}: {:?}", found.raw);
    }
}

/// Other ways than a binding: AgentRoleBindings and their rules, and a role that grows.
#[test]
fn everywhere_that_rights_come_from() {
    let rows: String = "
    rules of its own / AgentRoleBinding acme/x : subject=agent-stack/s | resources=pods; verbs=create resources=pods/exec; verbs=list resources=secrets / $.spec.resourceRules[1].resources $.spec.resourceRules[2].verbs
    a role / AgentRoleBinding acme/x : subject=runner-pool/p role=ClusterRole/secrets / $.spec.roleRef
    people / AgentRoleBinding acme/x : subject=user/alice role=ClusterRole/secrets / ok
    people / RoleBinding acme/x : ClusterRole/secrets to User/a / ok
    a role that grows / ClusterRole view : verbs=bind groups=rbac.authorization.k8s.io resources=roles <- ClusterRole view : resources=pods / $.rules[0].verbs
    a role that no agent has / ClusterRole secrets : verbs=bind groups=rbac.authorization.k8s.io resources=roles <- ClusterRole secrets : resources=pods / ok
    "
    .lines()
    .map(as_root)
    .collect();
    let view = "
        AgentServiceAccount acme/coder : acme coder
        ClusterRole view : resources=pods
        ClusterRole secrets : verbs=list resources=secrets
        RoleBinding acme/agent : ClusterRole/view to ServiceAccount/coder
        RoleBinding acme/people : ClusterRole/secrets to User/a";
    super::check_with(&RuleId::RBAC_DANGER, &rows, &cluster(view), &with_agents());
}
