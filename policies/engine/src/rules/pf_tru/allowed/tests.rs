//! What stacks, trigger rules, runs, attempts and pods may name, and what they may not.

use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::object::{Change, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use crate::context::Found;
use crate::organization::fixture::{self, object, request, spoken, value};

const POLICY: &str = "
trust:
  controllers: [{user: controller}]
  trustedRefs: [refs/heads/main]
  pools:
  - {name: linux, tier: trusted, nodeSelector: {pool: trusted}, taints: [{key: pool, value: trusted, effect: NoSchedule}]}
  - {name: cheap, tier: untrusted, nodeSelector: {pool: cheap}}
  - {name: writable, tier: untrusted, nodeSelector: {pool: writable}, filesystemPolicies: [repo-write]}
";

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true', krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: own, namespace: g}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: free, namespace: g}, spec: {trustTier: untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: bound, namespace: g}, spec: {namespace: g, serviceAccountName: bound-sa, allowedRunnerPools: [linux, g/free], allowedRepositories: [acme/api]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: loose, namespace: g}, spec: {namespace: g, serviceAccountName: loose-sa}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: reader, namespace: g}, spec: {filesystemPolicy: read-only}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: scratch, namespace: g}, spec: {filesystemPolicy: workspace-write}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: pusher, namespace: g}, spec: {filesystemPolicy: repo-write}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: odd, namespace: g}, spec: {filesystemPolicy: everything}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: silent, namespace: g}, spec: {}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: coder, namespace: g}, spec: {runtimeIdentity: {serviceAccountRef: bound}, toolProfileRef: reader, runnerPool: linux}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: other, namespace: g}, spec: {runtimeIdentity: {serviceAccountRef: loose}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: releaser, namespace: g}, spec: {runtimeIdentity: {serviceAccountRef: bound}, toolProfileRef: pusher}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentTriggerRule, metadata: {name: on-push, namespace: g}, spec: {agentStack: coder, runnerPool: linux}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: r, namespace: g, uid: u-r}, spec: {repository: acme/api, ref: refs/heads/main, agentStack: coder, runnerPool: linux}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: by-stack, namespace: g, uid: u-by-stack}, spec: {repository: acme/api, ref: refs/heads/main, agentStack: coder}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: by-rule, namespace: g, uid: u-by-rule}, spec: {repository: acme/api, ref: refs/heads/main, sourceRefs: {triggerRule: on-push}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork, namespace: g, uid: u-fork}, spec: {repository: acme/api, ref: refs/pull/1/head, agentStack: coder, runnerPool: linux}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: web, namespace: g, uid: u-web}, spec: {repository: acme/web, ref: refs/heads/main, agentStack: other}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: twin, namespace: g}, spec: {trustTier: trusted, nodeSelector: {pool: trusted}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: twin, namespace: g}, spec: {namespace: g, serviceAccountName: twin-sa, allowedRunnerPools: [twin]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: far, namespace: h}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: far, namespace: h}, spec: {namespace: h, serviceAccountName: far-sa, allowedRunnerPools: [far]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: far, namespace: h}, spec: {runtimeIdentity: {serviceAccountRef: far}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentTriggerRule, metadata: {name: far, namespace: h}, spec: {runnerPool: linux}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: a, namespace: g, uid: u-a}, spec: {agentDispatchRun: r}}
";

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, facts: &AdmissionFacts) -> Found {
        fixture::found(super::judge, facts, &self.view, &self.policy)
    }

    fn expect(&self, facts: &AdmissionFacts, paths: &str, row: &str) {
        let found = self.judge(facts);
        let mut expected: Vec<String> = paths
            .split_whitespace()
            .map(|path| format!("PF-TRU-005 {}", path.replacen('+', "$.spec", 1)))
            .collect();
        expected.sort();
        assert_eq!(spoken(&found), expected, "{row}\n{found:#?}");
    }
}

fn agent(kind: &str, spec: &str) -> Value {
    value(&format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: {kind}, metadata: {{name: new, namespace: g}}, spec: {{{spec}}}}}"
    ))
}

/// `KIND | SPEC => PATH...`; `+` is `$.spec`.
const RECORDS: &str = "
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, runnerPool: linux =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, runnerPool: free =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, runnerPool: g/free =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, runnerPool: own => +.runnerPool
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, runnerPool: not-there => +.runnerPool
AgentStack | runtimeIdentity: {serviceAccountRef: bound-sa}, runnerPool: own => +.runnerPool
AgentStack | runtimeIdentity: {serviceAccountRef: g/bound}, runnerPool: own => +.runnerPool
AgentStack | runtimeIdentity: {serviceAccountRef: loose}, runnerPool: free =>
AgentStack | runtimeIdentity: {serviceAccountRef: loose}, runnerPool: cheap =>
AgentStack | runtimeIdentity: {serviceAccountRef: loose}, runnerPool: linux => +.runnerPool
AgentStack | runtimeIdentity: {serviceAccountRef: loose}, runnerPool: not-there =>
AgentStack | runtimeIdentity: {serviceAccountRef: nobody}, runnerPool: linux =>
AgentStack | runnerPool: linux =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound} =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, repositories: [acme/api] =>
AgentStack | runtimeIdentity: {serviceAccountRef: bound}, repositories: [acme/api, acme/web] => +.repositories
AgentStack | toolProfileRef: pusher, runnerPool: linux =>
AgentStack | toolProfileRef: pusher, runnerPool: cheap => +.runnerPool
AgentStack | toolProfileRef: pusher, runnerPool: free => +.runnerPool
AgentStack | toolProfileRef: odd, runnerPool: cheap => +.runnerPool
AgentStack | toolProfileRef: scratch, runnerPool: cheap =>
AgentStack | toolProfileRef: reader, runnerPool: cheap =>
AgentStack | toolProfileRef: silent, runnerPool: cheap =>
AgentStack | toolProfileRef: not-there, runnerPool: cheap =>
AgentStack | toolProfileRef: pusher, runnerPool: writable =>
AgentStack | toolProfileRef: reader, runnerPool: writable => +.runnerPool
AgentStack | toolProfileRef: pusher =>
AgentTriggerRule | agentStack: coder, runnerPool: linux =>
AgentTriggerRule | agentStack: coder, runnerPool: own => +.runnerPool
AgentTriggerRule | agentStack: releaser, runnerPool: free => +.runnerPool
AgentTriggerRule | agentStack: coder =>
AgentTriggerRule | agentStack: not-there, runnerPool: own =>
AgentDispatchRun | repository: acme/api, agentStack: coder, runnerPool: linux =>
AgentDispatchRun | repository: acme/api, agentStack: coder =>
AgentDispatchRun | repository: acme/web, agentStack: coder => +.repository
AgentDispatchRun | repository: ACME/api, agentStack: coder => +.repository
AgentDispatchRun | agentStack: coder => +.repository
AgentDispatchRun | repository: acme/web, agentStack: other =>
AgentDispatchRun | repository: acme/api, agentStack: coder, runnerPool: own => +.runnerPool
AgentDispatchRun | repository: acme/api, agentStack: coder, runnerPool: free, sourceRefs: {triggerRule: on-push} => +.runnerPool
AgentDispatchRun | repository: acme/api, agentStack: other, sourceRefs: {triggerRule: on-push} => +.agentStack +.runnerPool
AgentDispatchRun | repository: acme/api, agentStack: coder, runnerPool: linux, sourceRefs: {triggerRule: on-push} =>
AgentDispatchRun | repository: acme/web, sourceRefs: {triggerRule: on-push} => +.repository
AgentDispatchRun | repository: acme/api, agentStack: releaser, runnerPool: free => +.runnerPool
AgentDispatchRun | repository: acme/api, runnerPool: own =>
AgentDispatchRun | repository: acme/api, agentStack: {name: coder, namespace: g}, runnerPool: {name: own, namespace: g} => +.runnerPool
AgentDispatchRun | repository: acme/api, agentStack: {name: far, namespace: h}, runnerPool: linux => +.runnerPool
AgentDispatchRun | repository: acme/api, agentStack: coder, runnerPool: {name: far, namespace: h} => +.runnerPool
AgentDispatchRun | repository: acme/api, sourceRefs: {triggerRule: {name: far, namespace: h}}, runnerPool: linux =>
AgentDispatchAttempt | agentDispatchRun: r =>
AgentDispatchAttempt | agentDispatchRun: r, runnerPool: linux =>
AgentDispatchAttempt | agentDispatchRun: r, runnerPool: free => +.runnerPool
AgentDispatchAttempt | agentDispatchRun: r, runnerPool: own => +.runnerPool +.runnerPool
AgentDispatchAttempt | agentDispatchRun: r, agentStackSnapshot: {name: other} => +.agentStackSnapshot
AgentDispatchAttempt | agentDispatchRun: by-rule, runnerPool: free => +.runnerPool
Pipeline | repository: acme/web, agentStack: coder =>
";

#[test]
fn what_agent_resources_name_is_what_the_others_allow() {
    let cluster = cluster();
    let mut rows = 0;
    for row in RECORDS.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (manifest, paths) = row.split_once("=>").expect("an arrow");
        let (kind, spec) = manifest.split_once('|').expect("a bar");
        let manifest = agent(kind.trim(), spec.trim());
        cluster.expect(&request("controller", &manifest, None), paths, row);
        // Who asks doesn't matter, and what was allowed when it was said may go on.
        cluster.expect(&request("", &manifest, None), paths, row);
        let mut facts = request("controller", &manifest, Some(&agent(kind.trim(), "")));
        facts.change = Change::Content;
        cluster.expect(&facts, paths, row);
        facts.change = Change::Metadata;
        cluster.expect(&facts, "", row);
        facts.change = Change::Content;
        facts.subresource = "status".to_owned();
        cluster.expect(&facts, "", row);
        rows += 1;
    }
    assert!(rows >= 50);
}

#[test]
fn what_no_watch_has_seen_yet_is_confirmed() {
    let cluster = cluster();
    let run = agent("AgentDispatchRun", "repository: acme/web, agentStack: fresh, runnerPool: own");
    let mut facts = request("controller", &run, None);
    let key = ObjectKey::new("krate.a5c.ai", "AgentStack", "g", "fresh");
    assert_eq!(cluster.judge(&facts).confirmations, [Question::Object(key.clone())]);
    let stack = value(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: fresh, namespace: g}, spec: {runtimeIdentity: {serviceAccountRef: bound}}}",
    );
    facts.answers.objects = vec![(key, Some(object(&stack)))];
    cluster.expect(&facts, "+.repository +.runnerPool", "read live");
}

fn pod(namespace: &str, meta: &str, spec: &str) -> Value {
    value(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}, {meta}}}, spec: {{{spec}}}}}"
    ))
}

/// `RUN | LABELS | SPEC => PATH...` of a pod that the controller makes for a run; `@` is the pod's labels of krate.
const PODS: &str = "
r | | serviceAccountName: bound-sa, nodeSelector: {pool: trusted} =>
r | krate.a5c.ai/runner-pool: linux | serviceAccountName: bound-sa =>
r | krate.a5c.ai/runner-pool: free | serviceAccountName: bound-sa => @/runner-pool
r | krate.a5c.ai/runner-pool: own | serviceAccountName: bound-sa => @/runner-pool @/runner-pool
r | | serviceAccountName: bound-sa, nodeSelector: {pool: trusted, size: big} =>
none | | serviceAccountName: twin-sa, nodeSelector: {pool: trusted} =>
none | | serviceAccountName: twin-sa, nodeSelector: {pool: cheap} => +.nodeSelector.pool
r | | serviceAccountName: bound-sa, nodeSelector: {pool: cheap} => +.nodeSelector.pool +.nodeSelector.pool
r | | nodeSelector: {pool: cheap} => +.nodeSelector.pool
r | | serviceAccountName: bound-sa, nodeSelector: {kubernetes.io/os: linux} =>
r | krate.a5c.ai/agent-stack: coder | serviceAccountName: bound-sa =>
r | krate.a5c.ai/agent-stack: other | serviceAccountName: bound-sa => @/agent-stack
a | krate.a5c.ai/runner-pool: own | => @/runner-pool
by-stack | krate.a5c.ai/runner-pool: free | => @/runner-pool
by-rule | krate.a5c.ai/runner-pool: free | => @/runner-pool
by-rule | krate.a5c.ai/agent-stack: other | => @/agent-stack
by-rule | krate.a5c.ai/agent-stack: coder | =>
web | krate.a5c.ai/runner-pool: own | =>
web | | serviceAccountName: bound-sa => +.serviceAccountName
web | | serviceAccountName: loose-sa =>
web | krate.a5c.ai/runner-pool: own | serviceAccountName: loose-sa => @/runner-pool
fork | krate.a5c.ai/runner-pool: cheap | nodeSelector: {pool: cheap} =>
fork | krate.a5c.ai/runner-pool: own | => @/runner-pool
none | krate.a5c.ai/runner-pool: own | serviceAccountName: bound-sa => @/runner-pool
none | krate.a5c.ai/runner-pool: own | serviceAccountName: loose-sa => @/runner-pool
none | krate.a5c.ai/runner-pool: own | serviceAccountName: nobodys =>
none | | serviceAccountName: bound-sa =>
";

#[test]
fn pods_are_on_the_pool_of_their_run_and_of_their_account() {
    let cluster = cluster();
    let mut rows = 0;
    for row in PODS.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (manifest, paths) = row.split_once("=>").expect("an arrow");
        let [run, labels, spec] = manifest.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let comma = if labels.is_empty() { "" } else { ", " };
        let labels = match run {
            "none" => format!("labels: {{{labels}}}"),
            run => format!("labels: {{krate.a5c.ai/dispatch-run: {run}{comma}{labels}}}"),
        };
        let label = |path: &str| match path.strip_prefix('@') {
            Some(label) => format!("$.metadata.labels['krate.a5c.ai{label}']"),
            None => path.to_owned(),
        };
        let paths: Vec<String> = paths.split_whitespace().map(label).collect();
        let manifest = pod("g", &labels, spec);
        cluster.expect(&request("controller", &manifest, None), &paths.join(" "), row);
        cluster.expect(&request("controller", &pod("u", &labels, spec), None), "", "unguarded");
        rows += 1;
    }
    assert!(rows >= 20);
}

#[test]
fn a_pods_claims_count_from_controllers_alone_and_nobody_known_is_undecided() {
    let cluster = cluster();
    let labels = "labels: {krate.a5c.ai/dispatch-run: r, krate.a5c.ai/runner-pool: free}";
    let manifest = pod("g", labels, "");
    let path = "$.metadata.labels['krate.a5c.ai/runner-pool']";
    cluster.expect(&request("controller", &manifest, None), path, "controller");
    cluster.expect(&request("dev", &manifest, None), "", "no run of his");
    assert_eq!(cluster.judge(&request("", &manifest, None)).undecided, [super::RULE]);
    let plain = pod("g", "labels: {}", "nodeSelector: {pool: cheap}");
    assert!(cluster.judge(&request("", &plain, None)).undecided.is_empty());
}

#[test]
fn a_template_is_judged_at_its_labels() {
    let template = value(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: g}, spec: {template: {metadata: {labels: {krate.a5c.ai/runner-pool: own}}, spec: {serviceAccountName: bound-sa}}}}",
    );
    let path = "$.spec.template.metadata.labels['krate.a5c.ai/runner-pool']";
    cluster().expect(&request("dev", &template, None), path, "template");
}

#[test]
fn messages_say_which_list_and_what_the_rule_names() {
    let cluster = cluster();
    let message = |kind: &str, spec: &str| {
        let found = cluster.judge(&request("dev", &agent(kind, spec), None));
        found.raw.first().map(|raw| raw.message.clone()).unwrap_or_default()
    };
    assert_eq!(
        message("AgentStack", "runtimeIdentity: {serviceAccountRef: bound}, runnerPool: own"),
        "AgentServiceAccount `bound` doesn't list runner pool `own` in `allowedRunnerPools`"
    );
    assert_eq!(
        message("AgentStack", "toolProfileRef: pusher, runnerPool: cheap"),
        "untrusted runner pool `cheap` doesn't allow filesystem policy `repo-write` of AgentToolProfile `pusher`"
    );
    assert_eq!(
        message("AgentDispatchRun", "runnerPool: free, sourceRefs: {triggerRule: on-push}"),
        "runner pool `free` is named, and trigger rule `on-push` names `linux`"
    );
}
