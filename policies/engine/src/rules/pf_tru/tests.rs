//! Cases of PF-TRU-001: every way onto a trusted pool with the path that is refused, every source of trust, and their honest twins.

mod mutation;
mod placement;
mod records;
mod ways;
mod writes;

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::Found;
use crate::organization::fixture::{self, spoken, value};

/// `g` is guarded, `u` isn't; the pool `linux` is tainted, `gold` isn't; `sandbox` is for everybody.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true', krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {pinfold.dev/agents: 'true', krate.a5c.ai/org: beta}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
{apiVersion: v1, kind: Node, metadata: {name: t1, labels: {pool: trusted, kubernetes.io/os: linux}}}
{apiVersion: v1, kind: Node, metadata: {name: s1, labels: {pool: untrusted, tier: free}}}
{apiVersion: v1, kind: Node, metadata: {name: gold1, labels: {tier: gold}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: own, namespace: g}, spec: {trustTier: trusted, serviceAccountRef: pool-account}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: shared-name, namespace: g}, spec: {trustTier: untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: shared-name, namespace: other}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: misspelt, namespace: g}, spec: {trustTier: Untrusted}}
{apiVersion: kradle.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: nodes, namespace: other}, spec: {trustTier: trusted, nodeSelector: {runner: special, tier: special}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: far, namespace: krate-system}, spec: {trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: far-free, namespace: krate-system}, spec: {trustTier: untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: wide}, spec: {organizationRef: acme, trustTier: trusted, serviceAccountRef: wide-account}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main, namespace: krate-system, uid: u-main}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: release, namespace: g, uid: u-release}, spec: {repository: r, ref: refs/heads/release/1.2, headRepository: r, trustTier: trusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: pull, namespace: g, uid: u-pull}, spec: {repository: r, ref: refs/pull/7/head}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: short, namespace: g, uid: u-short}, spec: {repository: r, ref: main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: tag, namespace: g, uid: u-tag}, spec: {repository: r, ref: refs/tags/refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: listed-twice, namespace: g, uid: u-twice}, spec: {repository: r, ref: refs/heads/release/untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: no-ref, namespace: g, uid: u-no-ref}, spec: {repository: r}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork, namespace: g, uid: u-fork}, spec: {repository: r, ref: refs/heads/main, fork: true}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: head, namespace: g, uid: u-head}, spec: {repository: r, ref: refs/heads/main, headRepository: evil/r}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: tier, namespace: g, uid: u-tier}, spec: {repository: r, ref: refs/heads/main, trustTier: untrusted}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: tier-case, namespace: g, uid: u-tier-case}, spec: {repository: r, ref: refs/heads/main, trustTier: TRUSTED}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: tier-space, namespace: g, uid: u-tier-space}, spec: {repository: r, ref: refs/heads/main, trustTier: 'trusted '}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: tier-other, namespace: g, uid: u-tier-other}, spec: {repository: r, ref: refs/heads/main, trustTier: semi}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: ref-case, namespace: g, uid: u-ref-case}, spec: {repository: r, ref: refs/heads/Main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: head-case, namespace: g, uid: u-head-case}, spec: {repository: acme/r, ref: refs/heads/main, headRepository: Acme/r}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: merge, namespace: g, uid: u-merge}, spec: {repository: r, ref: refs/pull/7/merge, headRepository: r}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: like-a-tag, namespace: g, uid: u-like}, spec: {repository: r, ref: refs/heads/refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: chained, namespace: g, uid: u-chained}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pipeline: after-fork}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Pipeline, metadata: {name: after-fork, namespace: g}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {job: of-fork}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Job, metadata: {name: of-fork, namespace: g}, spec: {sourceRefs: {pullRequest: from-fork}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: PullRequest, metadata: {name: from-fork, namespace: g}, spec: {repository: r, ref: refs/heads/main, fork: true}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: piped, namespace: g, uid: u-piped}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pipeline: good, job: step, triggerRule: t}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: piped-fork, namespace: g, uid: u-piped-fork}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pipeline: forked}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: proposed, namespace: g, uid: u-proposed}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pullRequest: pr}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: sourceless, namespace: g, uid: u-sourceless}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pipeline: not-there}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: twice, namespace: krate-system, uid: u-twice-1}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: twice, namespace: g, uid: u-twice-2}, spec: {repository: r, ref: refs/pull/1/head}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt, namespace: g, uid: u-attempt}, spec: {agentDispatchRun: release}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt-pull, namespace: g, uid: u-attempt-pull}, spec: {agentDispatchRun: pull}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt-lost, namespace: g, uid: u-attempt-lost}, spec: {agentDispatchRun: not-there}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt-empty, namespace: g, uid: u-attempt-empty}, spec: {}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Pipeline, metadata: {name: good, namespace: g}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Pipeline, metadata: {name: forked, namespace: g}, spec: {repository: r, fork: true}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Job, metadata: {name: step, namespace: g}, spec: {pipeline: good}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: PullRequest, metadata: {name: pr, namespace: g}, spec: {repository: r, head: feature}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: circle, namespace: g, uid: u-circle}, spec: {repository: r, ref: refs/heads/main, sourceRefs: {pipeline: round}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Pipeline, metadata: {name: round, namespace: g}, spec: {repository: r, job: round}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: Job, metadata: {name: round, namespace: g}, spec: {pipeline: round}}
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: g, uid: d, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: d-1, namespace: g, uid: d-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d, uid: d, controller: true}]}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: in-template, namespace: g, uid: in-template}, spec: {template: {metadata: {annotations: {pinfold.dev/run: main/u-main}}}}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: of-pull, namespace: g, uid: of-pull, annotations: {pinfold.dev/run: pull/u-pull}}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: bare, namespace: g, uid: bare}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: remade, namespace: g, uid: remade, annotations: {pinfold.dev/run: main/u-older}}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: uncontrolled, namespace: g, uid: uncontrolled, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d, uid: d}]}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: unguarded, namespace: u, uid: unguarded, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: v1, kind: Pod, metadata: {name: stamped, namespace: g, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: v1, kind: Pod, metadata: {name: of-d-1, namespace: g, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: d-1, uid: d-1, controller: true}]}}
{apiVersion: v1, kind: Pod, metadata: {name: plain, namespace: g}}
{apiVersion: v1, kind: Pod, metadata: {name: stamped, namespace: u, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: v1, kind: Pod, metadata: {name: proxy, namespace: kube-system}}
";

const POLICY: &str = "
trust:
  controllers:
  - {serviceAccount: krate-system/krate-controller}
  - {serviceAccount: krate-system/pinned, uid: right}
  - {user: tekton}
  trustedRefs: [refs/heads/main, refs/heads/release/*]
  untrustedRefs: [refs/pull/**, refs/heads/release/untrusted]
  trustedRepositories: [r]
  pools:
  - name: linux
    tier: trusted
    nodeSelector: {pool: trusted, kubernetes.io/os: linux}
    taints: [{key: pool, value: trusted, effect: NoSchedule}]
    serviceAccounts: [g/runner-trusted, u/default]
    runtimeClasses: [kata]
    priorityClasses: [urgent]
  - {name: gold, tier: trusted, nodeSelector: {tier: gold}}
  - name: numbered
    tier: trusted
    nodeSelector: {cores: '64', tier: many}
    taints: [{key: cores, value: '64', effect: NoExecute}]
  - name: sandbox
    tier: untrusted
    nodeSelector: {pool: untrusted, tier: free}
    taints: [{key: pool, value: untrusted, effect: NoSchedule}]
    serviceAccounts: [g/runner-untrusted]
  provenance:
  - match: {apiGroups: [tekton.dev], kinds: [PipelineRun]}
    ref: $.metadata.annotations.ref
  - match: {apiGroups: [''], kinds: [Pod]}
    ref: $.metadata.annotations['ci/ref']
    repository: $.metadata.annotations['ci/repository']
    headRepository: $.metadata.annotations['ci/head']
";

const CONTROLLER: &str = "system:serviceaccount:krate-system:krate-controller";
const REPLICA_SETS: &str = "system:serviceaccount:kube-system:replicaset-controller";

/// Keeps a pod off every trusted pool.
const KEPT_OFF: &str = "nodeSelector: {pool: untrusted, tier: free}";

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, facts: &AdmissionFacts) -> Found {
        fixture::found(super::judge_placement, facts, &self.view, &self.policy)
    }

    /// The same for claims of trust, PF-TRU-003.
    pub(super) fn expect_claims(&self, facts: &AdmissionFacts, paths: &str, row: &str) {
        let found = fixture::found(super::claims::judge, facts, &self.view, &self.policy);
        let mut expected: Vec<String> =
            paths.split_whitespace().map(|path| format!("PF-TRU-003 {path}")).collect();
        expected.sort();
        assert_eq!(spoken(&found), expected, "{row}\n{found:#?}");
    }

    /// Judges a request and compares `PATH...`, where `+` stands for the pod spec's path.
    fn expect(&self, facts: &AdmissionFacts, paths: &str, row: &str) {
        let found = self.judge(facts);
        let mut expected: Vec<String> = paths
            .split_whitespace()
            .map(|path| format!("PF-TRU-001 {}", path.replacen('+', "$.spec", 1)))
            .collect();
        expected.sort();
        assert_eq!(spoken(&found), expected, "{row}\n{found:#?}");
    }
}

/// A user by its short name.
fn user(name: &str) -> &str {
    match name {
        "controller" => CONTROLLER,
        "replicasets" => REPLICA_SETS,
        other => other,
    }
}

/// A pod in a namespace, from the flow of its spec.
fn pod(namespace: &str, spec: &str) -> Value {
    value(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}}}, spec: {{{spec}}}}}"
    ))
}

fn create(name: &str, manifest: &Value) -> AdmissionFacts {
    fixture::request(user(name), manifest, None)
}

fn update(name: &str, old: &Value, new: &Value) -> AdmissionFacts {
    fixture::request(user(name), new, Some(old))
}

fn rows(table: &str) -> Vec<&str> {
    table.lines().map(str::trim).filter(|row| !row.is_empty()).collect()
}

/// Sets a member by JSON pointer, making the objects on the way.
pub(in crate::rules::pf_tru) fn with(mut manifest: Value, pointer: &[&str], leaf: Value) -> Value {
    let mut at = &mut manifest;
    for step in pointer {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[*step];
    }
    *at = leaf;
    manifest
}
