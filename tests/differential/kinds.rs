//! The four kinds, and where they are.

use serde_json::{Value, json};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
pub(crate) const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// A kind of the RBAC API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RbacKind {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

impl RbacKind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Role, Self::ClusterRole, Self::RoleBinding, Self::ClusterRoleBinding];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::ClusterRole => "ClusterRole",
            Self::RoleBinding => "RoleBinding",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
        }
    }

    pub(crate) fn of(object: &Value) -> Option<Self> {
        let name = object.get("kind")?.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Role => "roles",
            Self::ClusterRole => "clusterroles",
            Self::RoleBinding => "rolebindings",
            Self::ClusterRoleBinding => "clusterrolebindings",
        }
    }

    pub(crate) fn is_role(self) -> bool {
        matches!(self, Self::Role | Self::ClusterRole)
    }

    pub(crate) fn is_namespaced(self) -> bool {
        matches!(self, Self::Role | Self::RoleBinding)
    }

    /// The path of the collection.
    pub(crate) fn path(self, namespace: &str) -> String {
        let resource = self.resource();
        if self.is_namespaced() && !namespace.is_empty() {
            format!("/apis/{API_VERSION}/namespaces/{namespace}/{resource}")
        } else {
            format!("/apis/{API_VERSION}/{resource}")
        }
    }

    /// An object with nothing in it but its name.
    pub(crate) fn object(self, namespace: &str, name: &str) -> Value {
        let mut object =
            json!({"apiVersion": API_VERSION, "kind": self.name(), "metadata": {"name": name}});
        if self.is_namespaced() {
            set(&mut object, "/metadata", "namespace", json!(namespace));
        }
        object
    }
}

/// Sets a member of the object at a pointer.
pub(crate) fn set(value: &mut Value, at: &str, member: &str, to: Value) {
    if let Some(members) = value.pointer_mut(at).and_then(Value::as_object_mut) {
        members.insert(member.to_owned(), to);
    }
}

/// The text at a pointer, empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// What tells an object from others of one cluster: kind, namespace, name.
pub(crate) type Identity = (String, String, String);

pub(crate) fn identity(object: &Value) -> Identity {
    let own = |at| text(object, at).to_owned();
    (own("/kind"), own("/metadata/namespace"), own("/metadata/name"))
}
