//! What the view knows of placement: pools by their nodes, pods by the claims that they use, runs by their workspace.

use super::Snapshot;
use crate::object::agent::RunnerPool;
use crate::object::pod::ClaimUse;
use crate::object::{Facts, Object, ObjectKey};

impl Snapshot {
    /// The Pods that use a PersistentVolumeClaim, those that have ended too; in no order.
    pub fn pods_using<'s>(
        &'s self,
        namespace: &str,
        claim: &str,
    ) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.claims.of_in(claim, namespace)
    }

    /// The AgentDispatchRuns that name an AgentWorkspace, wherever they are; in no order.
    pub fn runs_in<'s>(
        &'s self,
        namespace: &str,
        workspace: &str,
    ) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.workspaces.of(&format!("{namespace}/{workspace}"))
    }

    /// One trusted RunnerPool for every set of node labels that such pools select; pools without one have no nodes of their own.
    pub fn trusted_pools_by_nodes(&self) -> impl Iterator<Item = (&ObjectKey, &RunnerPool)> {
        self.trusted_nodes.values().filter_map(|pools| {
            let key = pools.first()?;
            let Facts::RunnerPool(pool) = &self.get(key)?.facts else { return None };
            Some((key, pool.as_ref()))
        })
    }
}

/// The claims that a Pod uses; templates use none before their pods come.
pub(super) fn used_claims(object: &Object) -> &[ClaimUse] {
    let pod = object.facts.workload().filter(|_| object.key.kind == "Pod");
    pod.map(|pod| pod.claims.as_slice()).unwrap_or_default()
}

/// The workspace that a run names, `namespace/name`; attempts have their run's.
pub(super) fn workspace_of(object: &Object) -> Option<String> {
    let Facts::Run(run) = &object.facts else { return None };
    let named = object.key.kind == "AgentDispatchRun" && !run.workspace.is_empty();
    let (namespace, name) =
        run.workspace.split_once('/').unwrap_or((&object.key.namespace, &run.workspace));
    named.then(|| format!("{namespace}/{name}"))
}

/// The sorted node labels of a trusted RunnerPool that has some.
pub(super) fn trusted_nodes(object: &Object) -> Option<Vec<(String, String)>> {
    let Facts::RunnerPool(pool) = &object.facts else { return None };
    let mut labels = pool.node_selector.clone();
    labels.sort();
    (pool.trusted && !labels.is_empty()).then_some(labels)
}
