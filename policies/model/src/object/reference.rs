//! A reference from an object to a Secret or ConfigMap: what, where, and by which field.

use std::fmt;

/// What is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl ReferenceKind {
    /// The Kubernetes kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

impl fmt::Display for ReferenceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The JSON path of a member below `path`: in brackets unless it is a plain word.
#[must_use]
pub fn member_path(path: &str, key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let plain = plain && key.starts_with(|first: char| !first.is_ascii_digit());
    if plain { format!("{path}.{key}") } else { format!("{path}['{key}']") }
}

/// Stands in [`Reference::namespace`] for namespaces that a selector picks, or all.
pub const ANY_NAMESPACE: &str = "*";

/// Whether text can be the name of a namespace (RFC 1123 label); what can't is a pattern of some controller's, or a mistake.
#[must_use]
pub fn is_namespace(text: &str) -> bool {
    const LABEL_BYTES_MAX: usize = 63;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = |edge: Option<u8>| edge.is_some_and(|byte| byte != b'-');
    let bytes = text.bytes();
    bytes.len() <= LABEL_BYTES_MAX
        && edge(bytes.clone().next())
        && edge(bytes.clone().last())
        && bytes.into_iter().all(plain)
}

/// One reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What.
    pub kind: ReferenceKind,
    /// Namespace as written; empty means the referring object's own (or, for a PersistentVolume, its claim's). May be a template or a pattern, which
    /// is no namespace's name ([`is_namespace`]).
    pub namespace: String,
    /// Name as written; may be a template in a StorageClass.
    pub name: String,
    /// JSON path of the field.
    pub path: String,
    /// How it gets to whoever uses it.
    pub mount: Mount,
    /// Which of its keys are used.
    pub keys: Keys,
}

/// How a Secret or ConfigMap gets to whoever uses it; the grants' `mountPolicy` is about this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mount {
    /// In the environment of a container: `env`, `envFrom`.
    Env,
    /// As files of a `secret` or `configMap` volume.
    File,
    /// As files of a `projected` volume.
    Projected,
    /// As files in the sidecar that injection put there, which uses it for an agent that never sees it.
    ByReference,
    /// Used by the kubelet to pull images; no container sees it.
    ImagePull,
    /// Used by a volume driver; no container sees it.
    Driver,
    /// By a field of another kind, whose controller uses it.
    #[default]
    Other,
}

/// Which keys of a Secret or ConfigMap are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keys {
    /// All that it has, now or later; also what can't be told.
    #[default]
    All,
    /// These, by their names in the Secret (`items[].key`, not the file that it becomes).
    Named(Vec<String>),
}
