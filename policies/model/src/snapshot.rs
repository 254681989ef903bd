//! The cluster as the rules see it: an immutable snapshot with indexes, so that a decision costs the same in a cluster of any size.
//!
//! Snapshots share structure: applying one change copies a path, not the view, and readers keep the one that they began with.
//! A snapshot never reads anything itself. It holds no value of a Secret.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use rpds::{HashTrieMapSync, HashTrieSetSync, RedBlackTreeSetSync};

use crate::object::agent::{AgentServiceAccount, AgentStack, OrganizationRecord, RunnerPool};
use crate::object::rbac::{AgentRoleBinding, Binding, LabelSelector, Role, RoleRef, Subject};
use crate::object::{Facts, Object, ObjectKey};

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

/// How a binding names a role: whether it is a ClusterRole, and its name.
type RoleName = (bool, String);

/// An immutable view of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    objects: HashTrieMapSync<ObjectKey, Arc<Object>>,
    by_uid: HashTrieMapSync<String, ObjectKey>,
    bindings_by_subject: Index<SubjectKey>,
    /// RoleBindings and ClusterRoleBindings by the role that they name.
    bindings_by_role: Index<RoleName>,
    /// AgentRoleBindings by the role that they name.
    agent_bindings_by_role: Index<RoleName>,
    /// What names a ServiceAccount an agent identity, by its name, then by its namespace.
    agents: Index<String>,
    /// ClusterRoles that aggregate others.
    aggregating: HashTrieSetSync<ObjectKey>,
    by_kind: Index<String>,
    repositories: Index<String>,
    /// Organization and OrgNamespaceBinding objects by the namespace that they name.
    owners: Index<String>,
    /// OrgSharingPolicies by the organization that shares.
    sharings: Index<String>,
    /// Trusted RunnerPools by the labels of their nodes: many pools share few sets of nodes.
    trusted_nodes: HashTrieMapSync<Vec<(String, String)>, RedBlackTreeSetSync<ObjectKey>>,
}

/// Keys of objects by something, then by their namespace, so that what is asked of one namespace costs nothing for the others.
type Index<K> = HashTrieMapSync<K, HashTrieMapSync<String, HashTrieSetSync<ObjectKey>>>;

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
        let key = object.key.clone();
        if !object.meta.uid.is_empty() {
            self.by_uid.insert_mut(object.meta.uid.clone(), key.clone());
        }
        for subject in subject_keys(&object) {
            insert_into(&mut self.bindings_by_subject, subject, &key);
        }
        if let Some((index, role)) = self.role_index(&object) {
            insert_into(index, role, &key);
        }
        if let Some((namespace, name)) = names_agent(&object) {
            insert_at(&mut self.agents, (name, namespace), &key);
        }
        if aggregates(&object) {
            self.aggregating.insert_mut(key.clone());
        }
        if LISTED_KINDS.contains(&key.kind.as_str()) {
            insert_into(&mut self.by_kind, key.kind.clone(), &key);
        }
        if key.kind == REPOSITORY {
            insert_into(&mut self.repositories, key.name.clone(), &key);
        }
        if let Some((index, at)) = self.organization_index(&object) {
            insert_into(index, at, &key);
        }
        if let Some(nodes) = trusted_nodes(&object) {
            let pools = self.trusted_nodes.get(&nodes).cloned();
            let pools = pools.unwrap_or_else(RedBlackTreeSetSync::new_sync);
            self.trusted_nodes.insert_mut(nodes, pools.insert(key.clone()));
        }
        self.objects.insert_mut(key, Arc::new(object));
    }

    /// Takes an object out; nothing happens if it isn't there.
    pub fn remove(&mut self, key: &ObjectKey) {
        let Some(object) = self.objects.get(key).cloned() else { return };
        self.by_uid.remove_mut(&object.meta.uid);
        for subject in subject_keys(&object) {
            remove_from(&mut self.bindings_by_subject, &subject, key);
        }
        if let Some((index, role)) = self.role_index(&object) {
            remove_from(index, &role, key);
        }
        if let Some((namespace, name)) = names_agent(&object) {
            remove_at(&mut self.agents, (&name, &namespace), key);
        }
        self.aggregating.remove_mut(key);
        remove_from(&mut self.by_kind, &key.kind, key);
        remove_from(&mut self.repositories, &key.name, key);
        if let Some((index, at)) = self.organization_index(&object) {
            remove_from(index, &at, key);
        }
        if let Some(nodes) = trusted_nodes(&object) {
            let pools = self.trusted_nodes.get(&nodes).map(|pools| pools.remove(key));
            match pools.filter(|pools| !pools.is_empty()) {
                Some(pools) => self.trusted_nodes.insert_mut(nodes, pools),
                None => _ = self.trusted_nodes.remove_mut(&nodes),
            }
        }
        self.objects.remove_mut(key);
    }

    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key).map(AsRef::as_ref)
    }

    /// The object of that uid.
    #[must_use]
    pub fn by_uid(&self, uid: &str) -> Option<&Object> {
        self.get(self.by_uid.get(uid)?)
    }

    /// All objects of a listed kind, whatever their group.
    pub fn of_kind<'s>(&'s self, kind: &str) -> impl Iterator<Item = &'s Object> + use<'s> {
        keys_of(&self.by_kind, kind).filter_map(|key| self.get(key))
    }

    /// The objects of a listed kind in one namespace.
    pub fn of_kind_in<'s>(
        &'s self,
        kind: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &'s Object> + use<'s> {
        keys_in(&self.by_kind, kind, namespace).filter_map(|key| self.get(key))
    }

    /// The Repositories of that name, in all namespaces and groups.
    pub fn repositories<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Object> + use<'s> {
        keys_of(&self.repositories, name).filter_map(|key| self.get(key))
    }

    /// The Organization and OrgNamespaceBinding objects that name a namespace.
    pub fn owners_of<'s>(
        &'s self,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s OrganizationRecord)> + use<'s> {
        keys_of(&self.owners, namespace).filter_map(|key| self.organization(key))
    }

    /// The OrgSharingPolicies by which an organization shares.
    pub fn sharings_of<'s>(
        &'s self,
        source: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s OrganizationRecord)> + use<'s> {
        keys_of(&self.sharings, source).filter_map(|key| self.organization(key))
    }

    /// One trusted RunnerPool for every set of node labels that such pools select; pools without one have no nodes of their own.
    pub fn trusted_pools_by_nodes(&self) -> impl Iterator<Item = (&ObjectKey, &RunnerPool)> {
        self.trusted_nodes.values().filter_map(|pools| {
            let key = pools.first()?;
            let Facts::RunnerPool(pool) = &self.get(key)?.facts else { return None };
            Some((key, pool))
        })
    }

    fn organization<'s>(
        &'s self,
        key: &'s ObjectKey,
    ) -> Option<(&'s ObjectKey, &'s OrganizationRecord)> {
        let Facts::Organization(record) = &self.get(key)?.facts else { return None };
        Some((key, record))
    }

    /// Which organization index an object is in, and under what.
    fn organization_index(&mut self, object: &Object) -> Option<(&mut Index<String>, String)> {
        let Facts::Organization(record) = &object.facts else { return None };
        match record {
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
        keys_of(&self.bindings_by_subject, subject).filter_map(|key| self.binding(key))
    }

    /// The RoleBindings of one namespace that name a subject; for the empty namespace, the ClusterRoleBindings.
    pub fn bindings_in<'s>(
        &'s self,
        subject: &SubjectKey,
        namespace: &str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        keys_in(&self.bindings_by_subject, subject, namespace).filter_map(|key| self.binding(key))
    }

    /// The RoleBindings and ClusterRoleBindings that name a role: those of one namespace for a Role, all for a ClusterRole.
    pub fn bindings_to<'s>(
        &'s self,
        role: &ObjectKey,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Binding)> + use<'s> {
        let name = (role.kind == "ClusterRole", role.name.clone());
        let place = (!name.0).then_some(role.namespace.as_str());
        let places = self.bindings_by_role.get(&name).into_iter().flat_map(|places| places.iter());
        let place = place.map(str::to_owned);
        places
            .filter(move |(namespace, _)| place.as_ref().is_none_or(|place| *namespace == place))
            .flat_map(|(_, keys)| keys.iter())
            .filter_map(|key| self.binding(key))
    }

    /// The AgentRoleBindings that name a role of that kind and name; where a Role is meant, their scope says.
    pub fn agent_bindings_to<'s>(
        &'s self,
        role: &ObjectKey,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s AgentRoleBinding)> + use<'s> {
        let name = (role.kind == "ClusterRole", role.name.clone());
        keys_of(&self.agent_bindings_by_role, &name).filter_map(|key| {
            let Facts::AgentRoleBinding(binding) = &self.get(key)?.facts else { return None };
            Some((key, binding))
        })
    }

    /// The objects that name a ServiceAccount an agent identity: AgentServiceAccounts, AgentStacks, untrusted RunnerPools.
    pub fn agent_records<'s>(
        &'s self,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        keys_in(&self.agents, name, namespace)
    }

    /// Namespace and name of every ServiceAccount that some object names an agent identity.
    pub fn agents(&self) -> impl Iterator<Item = (&str, &str)> {
        let places = |(name, places)| (name, places);
        self.agents.iter().map(places).flat_map(|(name, places)| {
            places.keys().map(move |namespace| (namespace.as_str(), name.as_str()))
        })
    }

    /// The ClusterRoles that aggregate others.
    pub fn aggregating(&self) -> impl Iterator<Item = &Object> {
        self.aggregating.iter().filter_map(|key| self.get(key))
    }

    /// Which index by role an object is in, and under what.
    fn role_index(&mut self, object: &Object) -> Option<(&mut Index<RoleName>, RoleName)> {
        let (index, role) = if let Facts::Binding(binding) = &object.facts {
            (&mut self.bindings_by_role, &binding.role_ref)
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

    fn binding<'s>(&'s self, key: &'s ObjectKey) -> Option<(&'s ObjectKey, &'s Binding)> {
        let Facts::Binding(binding) = &self.get(key)?.facts else { return None };
        Some((key, binding))
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
        self.objects.size()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// All objects, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().map(AsRef::as_ref)
    }
}

/// The key of the role that a reference means; `None` if its kind isn't a role's.
#[must_use]
pub fn role_key(reference: &RoleRef, namespace: &str) -> Option<ObjectKey> {
    match reference.kind.as_str() {
        "Role" if !namespace.is_empty() => {
            Some(ObjectKey::new(RBAC_GROUP, "Role", namespace, &reference.name))
        }
        "ClusterRole" => Some(ObjectKey::new(RBAC_GROUP, "ClusterRole", "", &reference.name)),
        _ => None,
    }
}

fn keys_of<'i, K, Q>(
    index: &'i Index<K>,
    at: &Q,
) -> impl Iterator<Item = &'i ObjectKey> + use<'i, K, Q>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    index.get(at).into_iter().flat_map(|places| places.values()).flat_map(|keys| keys.iter())
}

fn keys_in<'i, K, Q>(
    index: &'i Index<K>,
    at: &Q,
    namespace: &str,
) -> impl Iterator<Item = &'i ObjectKey> + use<'i, K, Q>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    let keys = index.get(at).and_then(|places| places.get(namespace));
    keys.into_iter().flat_map(|keys| keys.iter())
}

fn insert_into<K: Hash + Eq + Clone>(index: &mut Index<K>, at: K, key: &ObjectKey) {
    insert_at(index, (at, key.namespace.clone()), key);
}

fn insert_at<K: Hash + Eq>(index: &mut Index<K>, (at, place): (K, String), key: &ObjectKey) {
    let mut places = index.get(&at).cloned().unwrap_or_else(HashTrieMapSync::new_sync);
    let mut keys = places.get(&place).cloned().unwrap_or_else(HashTrieSetSync::new_sync);
    keys.insert_mut(key.clone());
    places.insert_mut(place, keys);
    index.insert_mut(at, places);
}

fn remove_from<K: Hash + Eq + Clone>(index: &mut Index<K>, at: &K, key: &ObjectKey) {
    remove_at(index, (at, &key.namespace), key);
}

fn remove_at<K: Hash + Eq + Clone>(
    index: &mut Index<K>,
    (at, place): (&K, &String),
    key: &ObjectKey,
) {
    let Some(mut places) = index.get(at).cloned() else { return };
    let Some(mut keys) = places.get(place).cloned() else { return };
    keys.remove_mut(key);
    if keys.is_empty() {
        places.remove_mut(place);
    } else {
        places.insert_mut(place.clone(), keys);
    }
    if places.is_empty() {
        index.remove_mut(at);
    } else {
        index.insert_mut(at.clone(), places);
    }
}

/// Namespace and name of the ServiceAccount that an object names an agent identity.
#[must_use]
pub fn names_agent(object: &Object) -> Option<(String, String)> {
    let own = object.key.namespace.as_str();
    let facts = &object.facts;
    let (namespace, name) = if let Facts::AgentServiceAccount(account) = facts {
        let AgentServiceAccount { namespace, service_account } = account;
        (namespace.as_str(), service_account.as_str())
    } else if let Facts::AgentStack(AgentStack { service_account, .. }) = facts {
        (own, service_account.as_str())
    } else if let Facts::RunnerPool(RunnerPool { trusted: false, service_account, .. }) = facts {
        service_account.split_once('/').unwrap_or((own, service_account))
    } else {
        return None;
    };
    let named = !namespace.is_empty() && !name.is_empty();
    named.then(|| (namespace.to_owned(), name.to_owned()))
}

/// Whether a ClusterRole takes in others.
fn aggregates(object: &Object) -> bool {
    let Facts::Role(role) = &object.facts else { return false };
    role.aggregation.as_ref().is_some_and(|selectors| !selectors.is_empty())
}

/// The sorted node labels of a trusted RunnerPool that has some.
fn trusted_nodes(object: &Object) -> Option<Vec<(String, String)>> {
    let Facts::RunnerPool(pool) = &object.facts else { return None };
    let mut labels = pool.node_selector.clone();
    labels.sort();
    (pool.trusted && !labels.is_empty()).then_some(labels)
}

fn subject_keys(object: &Object) -> Vec<SubjectKey> {
    let Facts::Binding(binding) = &object.facts else { return Vec::new() };
    let key = |subject: &Subject| subject_key(subject, &object.key.namespace);
    binding.subjects.iter().filter_map(key).collect()
}

/// The index key of a subject of a binding in `namespace`; `None` for kinds that RBAC ignores and for a ServiceAccount without a
/// namespace in a ClusterRoleBinding (it matches nobody).
#[must_use]
pub fn subject_key(subject: &Subject, namespace: &str) -> Option<SubjectKey> {
    match subject.kind.as_str() {
        "User" => Some(SubjectKey::User(subject.name.clone())),
        "Group" => Some(SubjectKey::Group(subject.name.clone())),
        "ServiceAccount" => {
            let own = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            (!own.is_empty())
                .then(|| SubjectKey::ServiceAccount(own.to_owned(), subject.name.clone()))
        }
        _ => None,
    }
}

/// Whether a selector selects some labels (meta/v1 `LabelSelectorAsSelector`; an unknown operator selects nothing).
#[must_use]
pub fn selects(selector: &LabelSelector, label: impl Fn(&str) -> Option<String>) -> bool {
    let labels_hold =
        selector.match_labels.iter().all(|(key, value)| label(key).as_ref() == Some(value));
    labels_hold
        && selector.match_expressions.iter().all(|requirement| {
            let found = label(&requirement.key);
            let listed = found.as_ref().is_some_and(|value| requirement.values.contains(value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests;
