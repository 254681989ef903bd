//! The cluster as the rules see it: an immutable snapshot with indexes, so that a decision costs the same in a cluster of any size.
//!
//! Snapshots share structure: applying one change copies a path, not the view, and readers keep the one that they began with.
//! A snapshot never reads anything itself. It holds no value of a Secret.

mod index;
mod keys;
mod placement;
mod sharing;
mod trie;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use rpds::{HashTrieMapSync, RedBlackTreeSetSync};

use self::index::{ByKey, ByUid, Index};
use self::keys::{
    agent_of, aggregates, binding, cluster_role_labels, granted, organization, subject_keys,
    trusted_account_elsewhere,
};
use self::placement::{trusted_nodes, used_claims, workspace_of};
use self::trie::Trie;
use crate::object::agent::{Approval, Grant, OrganizationRecord};
use crate::object::rbac::{AgentRoleBinding, Binding, LabelSelector, Role, RoleRef};
use crate::object::reference::ReferenceKind;
use crate::object::{Facts, Object, ObjectKey};
use crate::policy::inject::POLICY;
pub use keys::{names_agent, role_key, selects, subject_key};
pub use sharing::Sharing;

/// The RBAC API group.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Who a binding can be found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectKey {
    /// A user name.
    User(String),
    /// A group.
    Group(String),
    /// A ServiceAccount by namespace and name.
    ServiceAccount(String, String),
}

/// What stands for a subject in the index, because its text would be most of a row there. Two hashes under keys of this process: nobody finds two
/// subjects that share both.
type SubjectDigest = [u64; 2];

fn digest(subject: &SubjectKey) -> SubjectDigest {
    static HASHERS: LazyLock<[RandomState; 2]> =
        LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    HASHERS.each_ref().map(|hasher| hasher.hash_one(subject))
}

/// How a binding names a role: whether it is a ClusterRole, and its name.
type RoleName = (bool, String);

/// An immutable view of a cluster.
#[derive(Debug, Clone)]
pub struct Snapshot {
    objects: Trie<ByKey>,
    by_uid: Trie<ByUid>,
    bindings_by_subject: Index<SubjectDigest>,
    /// RoleBindings and ClusterRoleBindings by the role that they name.
    bindings_by_role: Index<RoleName>,
    /// AgentRoleBindings by the role that they name.
    agent_bindings_by_role: Index<RoleName>,
    /// What names a ServiceAccount an agent identity, by its namespace, then by its name.
    agents: Index<String>,
    /// Trusted RunnerPools by the namespace of the ServiceAccount that they name in another namespace than their own.
    pool_accounts: Index<String>,
    /// ClusterRoles that aggregate others.
    aggregating: Trie<ByKey>,
    /// ClusterRoles by the keys of their labels, then by the values: what selectors of aggregation ask for.
    labelled: Index<String>,
    by_kind: Index<String>,
    repositories: Index<String>,
    /// Organization and OrgNamespaceBinding objects by the namespace that they name.
    owners: Index<String>,
    /// OrgSharingPolicies by the organization that shares.
    sharings: Index<String>,
    /// AgentSecretGrants and AgentConfigGrants by what they grant: `Secret/namespace/name`.
    grants: Index<String>,
    /// Pods by the PersistentVolumeClaims that they use.
    claims: Index<String>,
    /// AgentDispatchRuns by the workspace that they name: `namespace/name`.
    workspaces: Index<String>,
    /// AgentApprovals by the target of their action.
    approvals: Index<String>,
    /// Trusted RunnerPools by the labels of their nodes: many pools share few sets of nodes.
    trusted_nodes: HashTrieMapSync<Vec<(String, String)>, RedBlackTreeSetSync<ObjectKey>>,
    /// Pods with a compiled policy.
    confined: Index<()>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            objects: Trie::default(),
            by_uid: Trie::default(),
            bindings_by_subject: Index::by_namespace(),
            bindings_by_role: Index::by_namespace(),
            agent_bindings_by_role: Index::by_namespace(),
            agents: Index::by(|_, object| Some(agent_of(object)?.1)),
            pool_accounts: Index::by_namespace(),
            aggregating: Trie::default(),
            labelled: Index::by(|label, object| object.meta.labels.get(label).map(String::as_str)),
            by_kind: Index::by_namespace(),
            repositories: Index::by_namespace(),
            owners: Index::by_namespace(),
            sharings: Index::by_namespace(),
            grants: Index::by_namespace(),
            approvals: Index::by_namespace(),
            claims: Index::by_namespace(),
            workspaces: Index::by_namespace(),
            trusted_nodes: HashTrieMapSync::new_sync(),
            confined: Index::by_namespace(),
        }
    }
}

/// The kind that agent scopes name without saying where it is.
const REPOSITORY: &str = "Repository";

/// Kinds that are listed whole by some rule; the others are only looked up.
const LISTED_KINDS: &[&str] = &[
    "Namespace",
    "Organization",
    "OrgNamespaceBinding",
    "OrgSharingPolicy",
    "RunnerPool",
    "AgentServiceAccount",
    "AgentRoleBinding",
    "AgentApproval",
    "AgentCapabilityRequirement",
    "AgentStack",
    "AgentTriggerRule",
    "ClusterRole",
];

impl Snapshot {
    /// A snapshot of some objects; of two with one key the later wins.
    #[must_use]
    pub fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut snapshot = Self::default();
        for object in objects {
            snapshot.apply(object);
        }
        snapshot
    }

    /// Adds or replaces an object.
    pub fn apply(&mut self, object: Object) {
        self.remove(&object.key);
        let object = Arc::new(object);
        if !object.meta.uid.is_empty() {
            self.by_uid.insert(ByUid(Arc::clone(&object)));
        }
        for subject in subject_keys(&object) {
            self.bindings_by_subject.insert(digest(&subject), &object);
        }
        if let Some((index, role)) = self.role_index(&object) {
            index.insert(role, &object);
        }
        if let Some((namespace, _)) = agent_of(&object) {
            self.agents.insert(namespace.to_owned(), &object);
        }
        if let Some(place) = trusted_account_elsewhere(&object) {
            self.pool_accounts.insert(place.to_owned(), &object);
        }
        if aggregates(&object) {
            self.aggregating.insert(ByKey(Arc::clone(&object)));
        }
        for label in cluster_role_labels(&object) {
            self.labelled.insert(label.clone(), &object);
        }
        if LISTED_KINDS.contains(&object.key.kind.as_str()) {
            self.by_kind.insert(object.key.kind.clone(), &object);
        }
        if object.key.kind == REPOSITORY {
            self.repositories.insert(object.key.name.clone(), &object);
        }
        if let Some((index, at)) = self.organization_index(&object) {
            index.insert(at, &object);
        }
        if let Some(granted) = granted(&object) {
            self.grants.insert(granted, &object);
        }
        if let Facts::Approval(approval) = &object.facts {
            self.approvals.insert(approval.target.clone(), &object);
        }
        for claim in used_claims(&object) {
            self.claims.insert(claim.name.clone(), &object);
        }
        if let Some(workspace) = workspace_of(&object) {
            self.workspaces.insert(workspace, &object);
        }
        if is_confined(&object) {
            self.confined.insert((), &object);
        }
        if let Some(nodes) = trusted_nodes(&object) {
            let pools = self.trusted_nodes.get(&nodes).cloned();
            let pools = pools.unwrap_or_else(RedBlackTreeSetSync::new_sync);
            self.trusted_nodes.insert_mut(nodes, pools.insert(object.key.clone()));
        }
        self.objects.insert(ByKey(object));
    }

    /// Takes an object out; nothing happens if it isn't there.
    pub fn remove(&mut self, key: &ObjectKey) {
        let Some(ByKey(object)) = self.objects.get(key).cloned() else { return };
        if self.by_uid.get(&object.meta.uid).is_some_and(|ByUid(known)| known.key == *key) {
            self.by_uid.remove(&object.meta.uid);
        }
        for subject in subject_keys(&object) {
            self.bindings_by_subject.remove(&digest(&subject), &object);
        }
        if let Some((index, role)) = self.role_index(&object) {
            index.remove(&role, &object);
        }
        if let Some((namespace, _)) = agent_of(&object) {
            self.agents.remove(&namespace.to_owned(), &object);
        }
        if let Some(place) = trusted_account_elsewhere(&object) {
            self.pool_accounts.remove(&place.to_owned(), &object);
        }
        self.aggregating.remove(key);
        for label in cluster_role_labels(&object) {
            self.labelled.remove(label, &object);
        }
        self.by_kind.remove(&key.kind, &object);
        self.repositories.remove(&key.name, &object);
        if let Some((index, at)) = self.organization_index(&object) {
            index.remove(&at, &object);
        }
        if let Some(granted) = granted(&object) {
            self.grants.remove(&granted, &object);
        }
        if let Facts::Approval(approval) = &object.facts {
            self.approvals.remove(&approval.target, &object);
        }
        for claim in used_claims(&object) {
            self.claims.remove(&claim.name, &object);
        }
        if let Some(workspace) = workspace_of(&object) {
            self.workspaces.remove(&workspace, &object);
        }
        if is_confined(&object) {
            self.confined.remove(&(), &object);
        }
        if let Some(nodes) = trusted_nodes(&object) {
            let pools = self.trusted_nodes.get(&nodes).map(|pools| pools.remove(key));
            match pools.filter(|pools| !pools.is_empty()) {
                Some(pools) => self.trusted_nodes.insert_mut(nodes, pools),
                None => _ = self.trusted_nodes.remove_mut(&nodes),
            }
        }
        self.objects.remove(key);
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key).map(|ByKey(object)| object.as_ref())
    }

    /// The object of that uid.
    #[must_use]
    pub fn by_uid(&self, uid: &str) -> Option<&Object> {
        self.by_uid.get(uid).map(|ByUid(object)| object.as_ref())
    }

    /// All objects of a listed kind, whatever their group.
    pub fn of_kind<'s>(&'s self, kind: &str) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.by_kind.of(kind)
    }

    /// The objects of a listed kind in one namespace.
    pub fn of_kind_in<'s>(
        &'s self,
        kind: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.by_kind.of_in(kind, namespace)
    }

    /// The pods with a compiled policy: of one namespace, or all.
    pub fn confined<'s>(&'s self, namespace: Option<&str>) -> impl Iterator<Item = &'s Object> {
        let here = namespace.map(|namespace| self.confined.of_in(&(), namespace));
        let all = namespace.is_none().then(|| self.confined.of(&()));
        here.into_iter().flatten().chain(all.into_iter().flatten())
    }

    /// The Repositories of that name, in all namespaces and groups.
    pub fn repositories<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.repositories.of(name)
    }

    /// The Organization and OrgNamespaceBinding objects that name a namespace.
    pub fn owners_of<'s>(
        &'s self,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s OrganizationRecord)> + use<'s> {
        self.owners.of(namespace).filter_map(organization)
    }

    /// The OrgSharingPolicies by which an organization shares.
    pub fn sharings_of<'s>(
        &'s self,
        source: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s OrganizationRecord)> + use<'s> {
        self.sharings.of(source).filter_map(organization)
    }

    /// The AgentApprovals in a namespace whose action has this target, as written.
    pub fn approvals_of<'s>(
        &'s self,
        target: &str,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Approval)> + use<'s> {
        self.approvals.of_in(target, namespace).filter_map(|object| {
            let Facts::Approval(approval) = &object.facts else { return None };
            Some((&object.key, approval.as_ref()))
        })
    }

    /// The grants, and explicit denials, of a Secret or ConfigMap, wherever they are; in no order.
    pub fn grants_of<'s>(
        &'s self,
        kind: ReferenceKind,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Grant)> + use<'s> {
        self.grants.of(&format!("{kind}/{namespace}/{name}")).filter_map(|object| {
            let Facts::Grant(grant) = &object.facts else { return None };
            Some((&object.key, grant.as_ref()))
        })
    }

    /// The trusted RunnerPools of other namespaces whose ServiceAccount is in this one.
    pub fn pools_with_account_in<'s>(
        &'s self,
        namespace: &str,
    ) -> impl Iterator<Item = &'s Object> + use<'s> {
        self.pool_accounts.of(namespace)
    }

    /// Which organization index an object is in, and under what.
    fn organization_index(&mut self, object: &Object) -> Option<(&mut Index<String>, String)> {
        let Facts::Organization(record) = &object.facts else { return None };
        match record.as_ref() {
            OrganizationRecord::Organization { namespace }
            | OrganizationRecord::NamespaceBinding { namespace, .. } => {
                (!namespace.is_empty()).then(|| (&mut self.owners, namespace.clone()))
            }
            OrganizationRecord::Sharing { source, .. } => {
                Some((&mut self.sharings, source.clone()))
            }
        }
    }

    /// The RoleBindings and ClusterRoleBindings that name a subject.
    pub fn bindings_of<'s>(
        &'s self,
        subject: &SubjectKey,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        self.bindings_by_subject.of(&digest(subject)).filter_map(binding)
    }

    /// The RoleBindings of one namespace that name a subject; for the empty namespace, the ClusterRoleBindings.
    pub fn bindings_in<'s>(
        &'s self,
        subject: &SubjectKey,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        self.bindings_by_subject.of_in(&digest(subject), namespace).filter_map(binding)
    }

    /// The ClusterRoleBindings, and the RoleBindings of one namespace, that name a subject.
    pub fn bindings_reaching<'s>(
        &'s self,
        subject: &SubjectKey,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        let places = ["", namespace];
        self.bindings_by_subject.of_in_either(&digest(subject), places).filter_map(binding)
    }

    /// The RoleBindings and ClusterRoleBindings that name a role: those of one namespace for a Role, all for a ClusterRole.
    pub fn bindings_to<'s>(
        &'s self,
        role: &ObjectKey,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        let cluster = role.kind == "ClusterRole";
        let name = (cluster, role.name.clone());
        let (all, here) = if cluster {
            (Some(self.bindings_by_role.of(&name)), None)
        } else {
            (None, Some(self.bindings_by_role.of_in(&name, &role.namespace)))
        };
        all.into_iter().flatten().chain(here.into_iter().flatten()).filter_map(binding)
    }

    /// The AgentRoleBindings that name a role of that kind and name; where a Role is meant, their scope says.
    pub fn agent_bindings_to<'s>(
        &'s self,
        role: &ObjectKey,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s AgentRoleBinding)> + use<'s> {
        let name = (role.kind == "ClusterRole", role.name.clone());
        self.agent_bindings_by_role.of(&name).filter_map(|object| {
            let Facts::AgentRoleBinding(binding) = &object.facts else { return None };
            Some((&object.key, binding.as_ref()))
        })
    }

    /// The objects that name a ServiceAccount an agent identity: AgentServiceAccounts, AgentStacks, untrusted RunnerPools.
    pub fn agent_records<'s>(
        &'s self,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.agents.of_in(namespace, name).map(|object| &object.key)
    }

    /// Namespace and name of every ServiceAccount that some object names an agent identity, once, in order.
    pub fn agents(&self) -> impl Iterator<Item = (&str, &str)> {
        let objects = self.agents.keys().flat_map(|namespace| self.agents.of(namespace));
        let agents: BTreeSet<(&str, &str)> = objects.filter_map(agent_of).collect();
        agents.into_iter()
    }

    /// The least agent identity that some object names, in one namespace or in all, so that an answer doesn't hang on the order of a hash.
    #[must_use]
    pub fn first_agent(&self, namespace: Option<&str>) -> Option<(&str, &str)> {
        let namespace = match namespace {
            Some(namespace) => namespace,
            None => self.agents.keys().min()?.as_str(),
        };
        self.agents.of(namespace).filter_map(agent_of).min()
    }

    /// The ClusterRoles that aggregate others.
    pub fn aggregating(&self) -> impl Iterator<Item = &Object> {
        self.aggregating.iter().map(|ByKey(object)| object.as_ref())
    }

    /// The ClusterRoles that a selector selects.
    #[must_use]
    pub fn cluster_roles(&self, selector: &LabelSelector) -> Vec<&Object> {
        let ours =
            self.likely_roles(selector).into_iter().filter(|object| object.key.group == RBAC_GROUP);
        let labels =
            |object: &&Object| selects(selector, |label| object.meta.labels.get(label).cloned());
        ours.filter(labels).collect()
    }

    /// Those that one of a selector's requirements leaves; all, if each of them holds for roles without the label too.
    fn likely_roles(&self, selector: &LabelSelector) -> Vec<&Object> {
        if let Some((label, value)) = selector.match_labels.first() {
            return self.labelled.of_in(label, value).collect();
        }
        let positive = |operator: &str| operator == "In" || operator == "Exists";
        let requirement = selector.match_expressions.iter().find(|one| positive(&one.operator));
        match requirement {
            None => self.by_kind.of("ClusterRole").collect(),
            Some(one) if one.operator == "Exists" => self.labelled.of(&one.key).collect(),
            Some(one) => {
                let values: BTreeSet<&String> = one.values.iter().collect();
                values.into_iter().flat_map(|value| self.labelled.of_in(&one.key, value)).collect()
            }
        }
    }

    /// Which index by role an object is in, and under what.
    fn role_index(&mut self, object: &Object) -> Option<(&mut Index<RoleName>, RoleName)> {
        let (index, role) = if let Facts::Binding(binding) = &object.facts {
            (&mut self.bindings_by_role, binding.role_ref.as_ref())
        } else if let Facts::AgentRoleBinding(binding) = &object.facts {
            (&mut self.agent_bindings_by_role, binding.role_ref.as_ref()?)
        } else {
            return None;
        };
        let cluster = match role.kind.as_str() {
            "ClusterRole" => true,
            "Role" => false,
            _ => return None,
        };
        Some((index, (cluster, role.name.clone())))
    }

    /// The role that a reference means for a binding in `namespace` (empty for a ClusterRoleBinding).
    #[must_use]
    pub fn role(&self, reference: &RoleRef, namespace: &str) -> Option<&Role> {
        let Facts::Role(role) = &self.get(&role_key(reference, namespace)?)?.facts else {
            return None;
        };
        Some(role)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// All objects, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().map(|ByKey(object)| object.as_ref())
    }
}

/// Whether an object is a pod with a compiled policy.
fn is_confined(object: &Object) -> bool {
    let pod = object.key.group.is_empty() && object.key.kind == "Pod";
    pod && object.meta.annotations.contains_key(POLICY)
}

#[cfg(test)]
mod tests;
