//! A cluster with two organizations' agents, AgentPolicies, and requests that are mutated and then judged.

use pinfold_model::finding::RuleId;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;
use serde_json::{Value, json};

use crate::admit;
use crate::decision::{Decision, Mutation};
use crate::organization::fixture::{NOW, request, view};

pub(in crate::inject) const CONTROLLER: &str = "system:serviceaccount:krate-system:controller";
pub(in crate::inject) const REPLICA_SETS: &str =
    "system:serviceaccount:kube-system:replicaset-controller";

/// `a` is acme's and guarded. Runs of two stacks, one of them with a tool profile.
pub(in crate::inject) const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: plain, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate-system}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: coder, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: coder}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: reviewer, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: reviewer}, toolProfileRef: narrow}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: narrow, namespace: a}, spec: {networkPolicy: {default: deny, allowHosts: [api.github.com]}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: run-coder, namespace: a, uid: u-coder}, spec: {repository: acme/api, ref: refs/heads/main, agentStack: coder, sourceEvent: manual}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: run-reviewer, namespace: a, uid: u-reviewer}, spec: {repository: acme/api, ref: refs/heads/main, agentStack: reviewer, sourceEvent: manual}}
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: of-coder, namespace: a, uid: u-rs, annotations: {pinfold.dev/run: run-coder/u-coder}}, spec: {template: {spec: {serviceAccountName: coder}}}}
";

pub(in crate::inject) const ADMISSION: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}, spec: {
  organizations: {platformNamespaces: [krate-system, kube-system]},
  trust: {controllers: [{serviceAccount: krate-system/controller}], trustedRefs: [refs/heads/main]}, inject: {image: 'registry.example/pinfold-sidecar:1'}}}";

pub(in crate::inject) const BASE: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: base}, spec: {appliesTo: {namespaces: ['a*']},
  egress: {default: deny, loopbackPorts: [8080, 5432, 8080], allow: [{host: '*.github.com', ports: [443], protocol: tls}, {host: pypi.org, ports: [443], protocol: tls}]}}}";

pub(in crate::inject) struct Cluster {
    pub(in crate::inject) view: Snapshot,
    pub(in crate::inject) policy: AdmissionPolicy,
}

/// The admission policy with some AgentPolicies, a document each.
pub(in crate::inject) fn policy(agents: &[&str]) -> AdmissionPolicy {
    let files: Vec<SourceFile> = std::iter::once(&ADMISSION)
        .chain(agents)
        .enumerate()
        .map(|(at, text)| SourceFile { name: format!("{at}.yaml"), text: (*text).to_owned() })
        .collect();
    let set = load(&files).unwrap_or_else(|errors| panic!("{errors:?}"));
    set.admission.expect("an AdmissionPolicy")
}

/// The cluster with further objects, one a line, and AgentPolicies.
pub(in crate::inject) fn cluster(lines: &str, agents: &[&str]) -> Cluster {
    Cluster { view: view(&format!("{CLUSTER}\n{lines}")), policy: policy(agents) }
}

/// What an agent's pod looks like when its author asks for nothing in particular.
pub(in crate::inject) fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
        "spec": {"serviceAccountName": "agent", "containers": [{"name": "agent", "image": "registry.example/agent:1", "securityContext": {"runAsUser": 1000}}]}})
}

pub(in crate::inject) fn apply(document: &Value, mutation: &Mutation) -> Value {
    let steps = serde_json::to_value(&mutation.patch).expect("steps");
    let patch: json_patch::Patch = serde_json::from_value(steps).expect("a patch");
    let mut patched = document.clone();
    json_patch::patch(&mut patched, &patch).expect("it applies");
    patched
}

/// A document after one more step.
pub(in crate::inject) fn patched(document: &Value, step: &str) -> Value {
    let patch: json_patch::Patch = serde_json::from_str(&format!("[{step}]")).expect("a step");
    let mut patched = document.clone();
    json_patch::patch(&mut patched, &patch).expect("it applies");
    patched
}

impl Cluster {
    pub(in crate::inject) fn mutation(&self, user: &str, pod: &Value) -> Mutation {
        admit::mutate(&request(user, pod, None), &self.view, &self.policy, NOW)
    }

    /// The pod as mutation leaves it, after a second pass over what the first one made, which changes nothing.
    pub(in crate::inject) fn mutated(&self, user: &str, pod: &Value) -> Value {
        let once = apply(pod, &self.mutation(user, pod));
        assert_eq!(self.mutation(user, &once).patch, [], "a second pass");
        once
    }

    pub(in crate::inject) fn decision(
        &self,
        user: &str,
        pod: &Value,
        old: Option<&Value>,
    ) -> Decision {
        admit::admit(&request(user, pod, old), &self.view, &self.policy, NOW)
    }

    /// `PATH: MESSAGE` of what PF-POD-001 says to a pod that is made.
    pub(in crate::inject) fn refused(&self, user: &str, pod: &Value) -> Vec<String> {
        self.spoken(&self.decision(user, pod, None))
    }

    pub(in crate::inject) fn spoken(&self, decision: &Decision) -> Vec<String> {
        let ours = decision.findings.iter().filter(|one| one.rule == RuleId::POD_CONFINED);
        ours.map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    /// What the pod's compiled policy says, by mutation.
    pub(in crate::inject) fn compiled(&self, user: &str, pod: &Value) -> Option<Value> {
        let mutated = self.mutated(user, pod);
        let text = mutated.pointer("/metadata/annotations/pinfold.dev~1policy")?.as_str()?;
        serde_json::from_str(text).ok()
    }
}
