//! Signed statements by which somebody stands behind a manifest that a deputy applies: what is signed, signing, verifying.
//!
//! The text names the person and binds the object's identity and a digest of what it says, so a signature is worth nothing on another object
//! or another content. `docs/rules/PF-RBAC-003.md` documents it; a change of it needs another [`VERSION`]. Keys are never kept or printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_model::digest::Digest;
use pinfold_model::object::ObjectKey;
use pinfold_model::snapshot::RBAC_GROUP;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Map, Value, json};

/// First line of what is signed.
pub const VERSION: &str = "pinfold.dev/vouch/v1";
/// Separates groups in their annotation.
pub const GROUP_SEPARATOR: char = ',';
/// How deep an object may be nested to be signed.
const DEPTH_MAX: usize = 64;
/// Members that are not content: they are in the text already, or the cluster's to write.
const NOT_CONTENT: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];
/// The label that the API server gives every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The prefix of labels and annotations that mean something to Pinfold.
pub(crate) const OWN_PREFIX: &str = "pinfold.dev";
/// How the text form of a key begins and ends (RFC 7468).
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why something can't be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VouchError {
    /// Not a private key.
    #[error(
        "expected an Ed25519 private key: PKCS#8, as DER or PEM (`openssl genpkey -algorithm ed25519`)"
    )]
    Key,
    /// A group whose name has a comma in it.
    #[error("group `{0}` has a comma in it, which separates groups")]
    Group(String),
    /// Not an object with name and metadata, or nested deeper than can be signed.
    #[error("{0}")]
    Object(&'static str),
}

/// Under which annotations the statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys<'k> {
    /// The user.
    pub user: &'k str,
    /// The groups.
    pub groups: Option<&'k str>,
    /// The signature.
    pub signature: &'k str,
}

impl Keys<'_> {
    fn contains(&self, key: &str) -> bool {
        key == self.user || Some(key) == self.groups || key == self.signature
    }
}

/// Who stands behind a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person<'p> {
    /// User name.
    pub user: &'p str,
    /// Groups, as the annotation says them.
    pub groups: &'p str,
}

/// What is signed.
///
/// # Errors
/// [`VouchError::Object`]: it has no name yet (`generateName`), or is nested too deep.
pub fn text(
    person: Person<'_>,
    object: &ObjectKey,
    document: &Value,
    keys: Keys<'_>,
) -> Result<Vec<u8>, VouchError> {
    if object.name.is_empty() {
        return Err(VouchError::Object("an object without a name can't be signed"));
    }
    let content = canonical(&content(object, document, keys), DEPTH_MAX)?;
    let statement = json!({
        "user": person.user,
        "groups": person.groups,
        "group": object.group,
        "kind": object.kind,
        "namespace": object.namespace,
        "name": object.name,
        "content": Digest::of(content.as_bytes()).to_string(),
    });
    Ok(format!("{VERSION}\n{}", canonical(&statement, DEPTH_MAX)?).into_bytes())
}

/// The digest of a member, over its canonical form, as approvals name it; `None` if it isn't there or is nested too deep.
#[must_use]
pub fn digest_of_member(document: &Value, member: &str) -> Option<Digest> {
    let text = canonical(document.get(member)?, DEPTH_MAX).ok()?;
    Some(Digest::of(text.as_bytes()))
}

/// Whether a signature (base64) is one of this text by this key.
#[must_use]
pub fn verify(public_key: &[u8; 32], text: &[u8], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature.trim()) else { return false };
    UnparsedPublicKey::new(&ED25519, public_key).verify(text, &signature).is_ok()
}

/// Signs.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// A signer from a private key, PKCS#8 as DER or PEM.
    ///
    /// # Errors
    /// [`VouchError::Key`], without any of the key in it.
    pub fn read(key: &[u8]) -> Result<Self, VouchError> {
        let pem = std::str::from_utf8(key).ok().and_then(|text| {
            let (_, rest) = text.split_once(PEM_BEGIN)?;
            let (body, _) = rest.split_once(PEM_END)?;
            STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
        });
        let der = pem.as_deref().unwrap_or(key);
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self).map_err(|_| VouchError::Key)
    }

    /// The public key in base64, as a policy names it.
    #[must_use]
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }

    /// Writes the annotations by which a person stands behind an object.
    ///
    /// # Errors
    /// [`VouchError`]: this can't be signed.
    pub fn vouch(
        &self,
        user: &str,
        groups: &[String],
        object: &ObjectKey,
        document: &mut Value,
    ) -> Result<(), VouchError> {
        if let Some(group) = groups.iter().find(|group| group.contains(GROUP_SEPARATOR)) {
            return Err(VouchError::Group(group.clone()));
        }
        let groups = groups.join(",");
        let person = Person { user, groups: &groups };
        let text = text(person, object, document, DEFAULT_KEYS)?;
        let signature = STANDARD.encode(self.0.sign(&text));
        let metadata = document.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or(VouchError::Object("expected an object with metadata"))?;
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if annotations.is_null() {
            *annotations = Value::Object(Map::new());
        }
        let annotations = annotations.as_object_mut();
        let annotations = annotations.ok_or(VouchError::Object("expected annotations of texts"))?;
        let written = [
            (DEFAULT_KEYS.user, user),
            (GROUPS_KEY, &groups),
            (DEFAULT_KEYS.signature, &signature),
        ];
        for (key, value) in written {
            annotations.insert(key.to_owned(), json!(value));
        }
        Ok(())
    }
}

const GROUPS_KEY: &str = "pinfold.dev/vouched-groups";
/// The annotations that [`Signer::vouch`] writes; a policy names them in `rbac.deputies[].onBehalfOf.annotation`.
pub const DEFAULT_KEYS: Keys<'static> = Keys {
    user: "pinfold.dev/vouched-user",
    groups: Some(GROUPS_KEY),
    signature: "pinfold.dev/vouched-signature",
};

/// What of an object a signature covers: all of it but identity, status, and the metadata that means nothing to a rule.
fn content(object: &ObjectKey, document: &Value, keys: Keys<'_>) -> Value {
    let none = Map::new();
    let members = document.as_object().unwrap_or(&none);
    let mut content: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| !NOT_CONTENT.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if object.group == RBAC_GROUP {
        without_defaults(&mut content);
    }
    let labelled = matches!(
        (object.group.as_str(), object.kind.as_str()),
        (RBAC_GROUP, "ClusterRole") | ("", "Namespace")
    );
    let kept = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        let found = document.get("metadata").and_then(|metadata| metadata.get(name));
        let found = found.and_then(Value::as_object).unwrap_or(&none);
        let kept = found.iter().filter(|(key, _)| wanted(key));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>()
    };
    let labels = kept("labels", &|key| (labelled && key != NAME_LABEL) || is_own(key));
    let annotations = kept("annotations", &|key| is_own(key) && !keys.contains(key));
    let metadata = json!({"labels": labels, "annotations": annotations});
    content.insert("metadata".to_owned(), metadata);
    Value::Object(content)
}

/// Whether a label or annotation means something to Pinfold.
pub(crate) fn is_own(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return false };
    prefix.strip_suffix(OWN_PREFIX).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Takes out the API groups that the API server fills in, so that what was signed reads as what arrives.
fn without_defaults(content: &mut Map<String, Value>) {
    let subjects = content.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        let account = subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount");
        without_group(subject, if account { "" } else { RBAC_GROUP });
    }
    if let Some(role) = content.get_mut("roleRef") {
        without_group(role, RBAC_GROUP);
    }
}

fn without_group(reference: &mut Value, default: &str) {
    let Some(members) = reference.as_object_mut() else { return };
    if members.get("apiGroup").and_then(Value::as_str) == Some(default) {
        members.remove("apiGroup");
    }
}

/// JSON without spaces, members sorted by name, empty members left out (the API server drops and adds them).
fn canonical(value: &Value, depth: usize) -> Result<String, VouchError> {
    let deeper = || {
        let message = "an object that is nested so deep can't be signed";
        depth.checked_sub(1).ok_or(VouchError::Object(message))
    };
    match value {
        Value::Array(items) => {
            let depth = deeper()?;
            let items: Vec<String> =
                items.iter().map(|item| canonical(item, depth)).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", items.join(",")))
        }
        Value::Object(members) => {
            let depth = deeper()?;
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let mut shown = Vec::with_capacity(sorted.len());
            for (name, value) in sorted {
                let text = canonical(value, depth)?;
                if !matches!(text.as_str(), "null" | "\"\"" | "[]" | "{}") {
                    shown.push(format!("{}:{text}", Value::String(name.clone())));
                }
            }
            Ok(format!("{{{}}}", shown.join(",")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
