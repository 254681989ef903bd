//! Cases of PF-SEC-002 to 005 through whole requests: who is judged, for what, and whose work it is. The dimensions of a grant are cases of
//! [`crate::grants`].

mod scope;
mod ways;
mod work;

use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::Found;
use crate::organization::fixture::{self, request, spoken};

/// `a` is acme's and guarded; `plain` is acme's and isn't. Runs of main and of a fork; one stack a ServiceAccount.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: plain, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate-system}}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: puller, namespace: a}, secrets: [{name: token}], imagePullSecrets: [{name: pull}]}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: kept, namespace: a}, imagePullSecrets: [{name: pull}]}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: kept, namespace: a}, spec: {serviceAccountName: kept, imagePullSecretRefs: [pull]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: coder, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: coder}, team: core, mcpServerRefs: [github], secretPolicy: {allowOnForks: true}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: reviewer, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: reviewer}, secretPolicy: {allowOnForks: true}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: run-main, namespace: a, uid: u-main}, spec: {repository: acme/api, ref: refs/heads/main, agentStack: coder, sourceEvent: manual, runnerPool: fast}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: run-fork, namespace: a, uid: u-fork}, spec: {repository: acme/api, ref: refs/pull/7/merge, fork: true, agentStack: coder, sourceEvent: pull-request}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt-main, namespace: a, uid: u-attempt}, spec: {agentDispatchRun: run-main, agentStackSnapshot: {name: coder}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: attempt-odd, namespace: a, uid: u-odd}, spec: {agentDispatchRun: run-main, agentStackSnapshot: {name: reviewer}}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: of-main, namespace: a, uid: u-rs, annotations: {pinfold.dev/run: run-main/u-main}}, spec: {template: {spec: {serviceAccountName: coder}}}}
";

const POLICY: &str = "
organizations: {platformNamespaces: [krate-system, kube-system]}
trust: {controllers: [{serviceAccount: krate-system/controller}], trustedRefs: [refs/heads/main]}
agents: {serviceAccounts: ['plain/agent-*']}
";

const CONTROLLER: &str = "system:serviceaccount:krate-system:controller";
const REPLICA_SETS: &str = "system:serviceaccount:kube-system:replicaset-controller";

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

/// The cluster with further objects, one a line.
fn cluster(lines: &str) -> Cluster {
    Cluster { view: fixture::view(&format!("{CLUSTER}\n{lines}")), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, user: &str, new: &Value, old: Option<&Value>) -> Found {
        fixture::found(super::judge, &request(user, new, old), &self.view, &self.policy)
    }

    /// `RULE PATH` of every finding, sorted.
    fn found(&self, user: &str, new: &Value) -> Vec<String> {
        spoken(&self.judge(user, new, None))
    }

    fn allows(&self, user: &str, new: &Value) -> bool {
        self.judge(user, new, None).raw.is_empty()
    }
}

/// A pod of namespace `a` for a run (none if it is empty), with this spec.
fn pod(run: &str, spec: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "a", "labels": {}}, "spec": spec});
    if !run.is_empty() {
        pod["metadata"]["labels"]["krate.a5c.ai/dispatch-run"] = run.into();
    }
    pod
}

/// A pod spec of ServiceAccount `coder` with Secret `s` as files.
fn mounting() -> Value {
    json!({"serviceAccountName": "coder", "containers": [], "volumes": [{"name": "v", "secret": {"secretName": "s"}}]})
}

/// A grant of Secret `a/s` with these fields.
fn grant(fields: &str) -> String {
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentSecretGrant, metadata: {{name: g, namespace: a}}, spec: {{secretRef: {{name: s}}, {fields}}}}}"
    )
}

const TO_CODER: &str = "subject: {kind: service-account, name: coder}";
