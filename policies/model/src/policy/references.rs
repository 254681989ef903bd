//! `references` of an AdmissionPolicy: where further kinds name Secrets and ConfigMaps, found by group and kind, and read out of a document.
//!
//! What can't be read is an error and never "no reference"; what to make of it is the engine's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::admission::ObjectMatch;
use super::place::Place;
use super::raw::{RawMatch, RawReferenceKind};
use super::values::{JsonPathText, NameGlob};
use crate::document::DocumentError;
use crate::json_path::JsonPath;
use crate::object::ObjectKey;
use crate::object::reference::{Reference, ReferenceKind};
use crate::pattern::Pattern;

pub mod members;
mod read;

/// Most globs in `members` of one entry: each member of a document is matched with all of them.
pub const MEMBERS_MAX: usize = 32;

/// Where a kind names a Secret or ConfigMap.
///
/// Either `name` (and `namespace`) from the document's root, or objects that `at` and `members` select, with `name`, `namespace` and
/// `kindAt` from each of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawReference {
    /// Kinds.
    #[serde(rename = "match")]
    pub applies: RawMatch,
    /// `Secret` or `ConfigMap`; with `kindAt` what is meant where that field is left out.
    pub kind: Option<RawReferenceKind>,
    /// Selects the field that says the kind, from the object that `at` or `members` selects; other kinds than Secret and ConfigMap are no reference.
    pub kind_at: Option<JsonPathText>,
    /// Selects objects (or names) that `name`, `namespace` and `kindAt` start from.
    pub at: Option<JsonPathText>,
    /// Globs of member names: every member of that name at any depth below `at` (`$.spec` if left out), and each item if it is a list.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub members: Vec<NameGlob>,
    /// Selects the names. With `at` or `members` it may be left out: then text is the name itself, and an object says it in `name` and `namespace`.
    pub name: Option<JsonPathText>,
    /// Selects the namespace; without it, the object's own. With `at` and without `name`: all of that namespace are meant.
    pub namespace: Option<JsonPathText>,
    /// `name` (default), or `namespace/name` where the text may say the namespace too.
    #[serde(default)]
    pub name_form: NameForm,
}

/// How a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum NameForm {
    /// A plain name.
    #[default]
    #[serde(rename = "name")]
    Name,
    /// `namespace/name`, or a plain name.
    #[serde(rename = "namespace/name")]
    NamespaceName,
}

/// Where a kind names a Secret or ConfigMap.
#[derive(Debug, Clone)]
pub struct ReferenceField {
    /// Kinds.
    pub applies: ObjectMatch,
    /// What is named, where no field says it.
    pub kind: Option<ReferenceKind>,
    /// How names are written.
    pub form: NameForm,
    /// Where they are.
    pub fields: Fields,
}

/// Where the names are.
#[derive(Debug, Clone)]
pub enum Fields {
    /// Selected from the document's root. A namespace belongs to the name beside it; one that is beside none belongs to all.
    Rooted {
        /// Selects the names.
        name: JsonPath,
        /// Selects the namespaces.
        namespace: Option<JsonPath>,
    },
    /// Selected from objects.
    Beside(Beside),
}

/// Names in objects that are selected first.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Selects the objects, or what `members` are looked for in.
    pub at: JsonPath,
    /// Member names at any depth; none means what `at` selects itself.
    pub members: Vec<Pattern>,
    /// Selects the name in such an object; `None`: text is the name, an object says `name` and `namespace`.
    pub name: Option<JsonPath>,
    /// Selects the namespace in such an object; without `name` all that are in it.
    pub namespace: Option<JsonPath>,
    /// Selects the kind in such an object.
    pub kind_at: Option<JsonPath>,
}

/// A value that can't be read as a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// Where.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl ReferenceField {
    /// The references of a document.
    ///
    /// # Errors
    /// [`Unreadable`] if a path can't be evaluated or a selected value is no name.
    pub fn read(&self, document: &Value) -> Result<Vec<Reference>, Unreadable> {
        read::references(self, document)
    }

    /// The path from the document's root below which the names are.
    #[must_use]
    pub fn root(&self) -> &JsonPath {
        match &self.fields {
            Fields::Rooted { name, .. } => name,
            Fields::Beside(beside) => &beside.at,
        }
    }
}

/// Stands for any group or kind in the index; no group or kind is called so.
const ANY: &str = "*";

/// All entries of the merged policy, found by group and kind, so that a request costs what its own kind has.
#[derive(Debug, Clone, Default)]
pub struct References {
    fields: Vec<ReferenceField>,
    /// Group, then kind, to places in `fields`.
    index: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
}

impl References {
    /// Adds an entry.
    pub fn add(&mut self, field: ReferenceField) {
        let any = || vec![ANY.to_owned()];
        let or_any = |list: &[String]| if list.is_empty() { any() } else { list.to_vec() };
        let place = self.fields.len();
        for group in or_any(&field.applies.api_groups) {
            let kinds = self.index.entry(group).or_default();
            for kind in or_any(&field.applies.kinds) {
                kinds.entry(kind).or_default().push(place);
            }
        }
        self.fields.push(field);
    }

    /// All entries, in the order of the documents.
    pub fn iter(&self) -> impl Iterator<Item = &ReferenceField> {
        self.fields.iter()
    }

    /// The entries that apply to an object.
    pub fn of<'r>(&'r self, key: &ObjectKey) -> impl Iterator<Item = &'r ReferenceField> {
        let groups = [key.group.as_str(), ANY].map(|group| self.index.get(group));
        let kinds = groups.into_iter().flatten();
        let places = kinds.flat_map(|kinds| [key.kind.as_str(), ANY].map(|kind| kinds.get(kind)));
        let mut places: Vec<usize> = places.flatten().flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        let fields = places.into_iter().filter_map(|place| self.fields.get(place));
        fields.filter(|field| field.applies.matches(key)).collect::<Vec<_>>().into_iter()
    }
}

/// Checks an entry and makes it ready.
pub(super) fn reference(
    raw: &RawReference,
    applies: ObjectMatch,
    place: &Place<'_>,
) -> Result<ReferenceField, DocumentError> {
    if raw.members.len() > MEMBERS_MAX {
        let message = format!("expected at most {MEMBERS_MAX} globs, found {}", raw.members.len());
        return Err(place.field("members").error(message));
    }
    if raw.kind.is_none() && raw.kind_at.is_none() {
        return Err(place.error("missing field `kind`: `Secret` or `ConfigMap`"));
    }
    let path = |text: &Option<JsonPathText>| text.as_ref().map(|path| path.0.clone());
    let beside = raw.at.is_some() || !raw.members.is_empty();
    let fields = match (beside, path(&raw.name)) {
        (false, None) => {
            let message = "missing field `name`: a JSONPath, or `at` or `members`";
            return Err(place.error(message));
        }
        (false, Some(_)) if raw.kind_at.is_some() => {
            return Err(place.field("kindAt").error("needs `at` or `members` to start from"));
        }
        (false, Some(name)) => Fields::Rooted { name, namespace: path(&raw.namespace) },
        (true, name) => Fields::Beside(Beside {
            at: path(&raw.at).map_or_else(|| specification(place), Ok)?,
            members: raw.members.iter().map(|glob| glob.0.clone()).collect(),
            name,
            namespace: path(&raw.namespace),
            kind_at: path(&raw.kind_at),
        }),
    };
    let kind = raw.kind.map(RawReferenceKind::ready);
    Ok(ReferenceField { applies, kind, form: raw.name_form, fields })
}

/// Where `members` are looked for if nothing else is said: not in metadata, and not in a status.
fn specification(place: &Place<'_>) -> Result<JsonPath, DocumentError> {
    JsonPath::parse("$.spec").map_err(|error| place.error(error.to_string()))
}

#[cfg(test)]
mod tests;
