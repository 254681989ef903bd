//! Cases of what is an agent workload, with the reason.

use crate::agent_workload::{Membership, Why, membership};
use crate::context::Context;
use crate::organization::fixture::{NOW, policy, request, value, view};
use crate::rbac::agents::Naming;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: guarded, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: plain}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: bot, namespace: plain}, spec: {serviceAccountName: bot}}
{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: plain, uid: u-j, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: c, uid: u-c, controller: true}]}}
{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: plain, uid: u-c, ownerReferences: [{apiVersion: kradle.a5c.ai/v1beta1, kind: AgentTriggerRule, name: t, uid: u-t}]}}
";

#[test]
fn reasons() {
    let cases = [
        ("namespace: guarded", "", "namespace"),
        ("namespace: plain", "", "none"),
        ("namespace: unseen", "", "unknown"),
        ("namespace: plain", "serviceAccountName: bot", "record"),
        ("namespace: plain", "serviceAccount: bot", "record"),
        ("namespace: plain", "serviceAccountName: agent-1", "pattern"),
        (
            "namespace: plain, labels: {krate.a5c.ai/trigger-rule: t}",
            "",
            "label krate.a5c.ai/trigger-rule",
        ),
        (
            "namespace: plain, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: j, uid: u-j, controller: true}]",
            "",
            "owner t",
        ),
        (
            "namespace: plain, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: j, uid: u-j}]",
            "",
            "none",
        ),
        (
            "namespace: plain, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: new, uid: u-new, controller: true}]",
            "",
            "unknown",
        ),
        // To opt out is no choice.
        ("namespace: guarded, labels: {pinfold.dev/agents: 'false'}", "", "namespace"),
    ];
    let view = view(CLUSTER);
    let policy = policy("agents: {serviceAccounts: ['plain/agent-*']}");
    for (metadata, spec, expected) in cases {
        let pod = value(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, {metadata}}}, spec: {{{spec}}}}}"
        ));
        let facts = request("dev", &pod, None);
        let context = Context { facts: &facts, view: &view, policy: &policy, now: NOW };
        let object = facts.object.as_ref().expect("a pod");
        let workload = object.facts.workload().expect("a workload");
        let reason = match membership(&context, object, workload) {
            Membership::Agent(Why::Namespace) => "namespace".to_owned(),
            Membership::Agent(Why::Account(Naming::Record(_))) => "record".to_owned(),
            Membership::Agent(Why::Account(Naming::Pattern)) => "pattern".to_owned(),
            Membership::Agent(Why::Account(Naming::Guarded)) => "default".to_owned(),
            Membership::Agent(Why::Owner(key)) => format!("owner {}", key.name),
            Membership::Agent(Why::Label(label)) => format!("label {label}"),
            Membership::Other(unknown) if unknown.is_empty() => "none".to_owned(),
            Membership::Other(_) => "unknown".to_owned(),
        };
        assert_eq!(reason, expected, "{metadata} {spec}");
    }
}
