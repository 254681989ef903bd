//! The references that an entry finds in a document.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::members::{Member, each_member};
use super::{Beside, Fields, NameForm, ReferenceField, Unreadable};
use crate::json_path::{JsonPath, Selected, VISITS_MAX};
use crate::object::reference::{Keys, Mount, Reference, ReferenceKind};
use crate::pattern::Pattern;

/// Most bytes that the paths of what one entry finds take: a document can repeat one long member name in very many of them.
pub(super) const PATH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most references of one entry in one document.
pub(super) const REFERENCES_MAX: usize = 50_000;
/// What stands where a name is expected.
const NO_NAME: &str = "expected the name of a Secret, ConfigMap or namespace";

pub(super) fn references(
    field: &ReferenceField,
    document: &Value,
) -> Result<Vec<Reference>, Unreadable> {
    match &field.fields {
        Fields::Rooted { name, namespace } => rooted(field, name, namespace.as_ref(), document),
        Fields::Beside(beside) => {
            let mut found = Vec::new();
            let mut bytes = 0_usize;
            for place in places(beside, document)? {
                let before = found.len();
                place.read(field, beside, &mut found)?;
                let new = found.iter().skip(before).map(|reference| reference.path.len());
                bytes = bytes.saturating_add(new.sum());
                bounded(&beside.at, found.len(), bytes)?;
            }
            Ok(found)
        }
    }
}

/// Refuses what would be more than anybody writes, before it is made.
fn bounded(path: &JsonPath, references: usize, path_bytes: usize) -> Result<(), Unreadable> {
    if references <= REFERENCES_MAX && path_bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "nobody can tell what it refers to: more than {REFERENCES_MAX} references, or {PATH_BYTES_MAX} bytes of paths to them"
    );
    Err(Unreadable { path: path.as_str().to_owned(), message })
}

impl ReferenceField {
    /// The reference that a name stands for; an empty one stands for none.
    fn reference(
        &self,
        kind: ReferenceKind,
        namespace: &str,
        (path, name): (String, &str),
    ) -> Option<Reference> {
        let (namespace, name) = match (self.form, name.split_once('/')) {
            (NameForm::NamespaceName, Some((own, name))) => (own.trim(), name.trim()),
            (NameForm::NamespaceName, None) => (namespace, name.trim()),
            (NameForm::Name, _) => (namespace, name),
        };
        let (mount, keys) = (Mount::Other, Keys::All);
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let named = !name.is_empty() || !namespace.is_empty();
        named.then_some(Reference { kind, namespace, name, path, mount, keys })
    }
}

fn rooted(
    field: &ReferenceField,
    name: &JsonPath,
    namespace: Option<&JsonPath>,
    document: &Value,
) -> Result<Vec<Reference>, Unreadable> {
    let Some(kind) = field.kind else { return Ok(Vec::new()) };
    let names = texts(name, "", document)?;
    let namespaces = match namespace {
        Some(path) => texts(path, "", document)?,
        None => Vec::new(),
    };
    let siblings = Siblings::of(&names, &namespaces);
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    for (path, text) in &names {
        let namespaces = siblings.namespaces(path);
        let path_bytes = path.len().saturating_mul(namespaces.len());
        bytes = bytes.saturating_add(path_bytes);
        bounded(name, found.len().saturating_add(namespaces.len()), bytes)?;
        for namespace in namespaces {
            found.extend(field.reference(kind, namespace, (path.clone(), *text)));
        }
    }
    Ok(found)
}

type Texts<'v> = Vec<(String, &'v str)>;

/// The texts that a path selects in `value`, which is at `base` of the document.
fn texts<'v>(path: &JsonPath, base: &str, value: &'v Value) -> Result<Texts<'v>, Unreadable> {
    let unreadable = |message: String| Unreadable { path: path.as_str().to_owned(), message };
    let selected = path.select(value).map_err(|error| unreadable(error.to_string()))?;
    bounded(path, selected.len(), base.len().saturating_mul(selected.len()))?;
    let text = |Selected { path, value }: Selected<'v>| match value {
        Value::Null => None,
        Value::String(text) => Some(Ok((beneath(base, &path), text.as_str()))),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(Err(Unreadable { path: beneath(base, &path), message: NO_NAME.to_owned() }))
        }
    };
    selected.into_iter().filter_map(text).collect()
}

/// The path from the document's root of what is at `path` from `base`.
fn beneath(base: &str, path: &str) -> String {
    match base {
        "" => path.to_owned(),
        base => format!("{base}{}", path.strip_prefix('$').unwrap_or(path)),
    }
}

/// Which namespaces are beside which names.
struct Siblings<'t, 'v> {
    /// The first namespace in an object, by the object's path.
    beside: HashMap<&'t str, &'v str>,
    /// Those that are no name's siblings; the name's own if there are none.
    free: Vec<&'v str>,
}

impl<'t, 'v> Siblings<'t, 'v> {
    fn of(names: &'t Texts<'_>, namespaces: &'t Texts<'v>) -> Self {
        let mut beside = HashMap::new();
        for (path, text) in namespaces {
            beside.entry(parent(path)).or_insert(*text);
        }
        let named: HashSet<&str> = names.iter().map(|(path, _)| parent(path)).collect();
        let free = namespaces.iter().filter(|(path, _)| !named.contains(parent(path)));
        let mut free: Vec<&str> = free.map(|(_, text)| *text).collect();
        if free.is_empty() {
            free.push("");
        }
        Self { beside, free }
    }

    /// The namespaces that a name may be in: its sibling's if it has one, else the free ones.
    fn namespaces(&self, path: &str) -> &[&'v str] {
        self.beside.get(parent(path)).map_or(&self.free, std::slice::from_ref)
    }
}

/// The path without its last step.
fn parent(path: &str) -> &str {
    let end = if path.ends_with("']") { path.rfind("['") } else { path.rfind(['.', '[']) };
    path.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A namespace, and a name with its path.
type Plain<'v> = (&'v str, (String, &'v str));

/// A value that says one reference, or none.
struct Found<'v> {
    path: String,
    value: &'v Value,
}

/// What `at` and `members` select.
fn places<'v>(beside: &Beside, document: &'v Value) -> Result<Vec<Found<'v>>, Unreadable> {
    let unreadable = |message: String| Unreadable { path: beside.at.as_str().to_owned(), message };
    let selected = beside.at.select(document).map_err(|error| unreadable(error.to_string()))?;
    let selected: Vec<_> =
        selected.into_iter().map(|Selected { path, value }| Found { path, value }).collect();
    if beside.members.is_empty() {
        return Ok(selected);
    }
    let found = below(&selected, &beside.members)
        .ok_or_else(|| unreadable(format!("has more than {VISITS_MAX} values below it")))?;
    bounded(&beside.at, found.values.len(), found.path_bytes)?;
    Ok(found.values)
}

/// What was met so far; of what passes a bound, the rest isn't kept.
#[derive(Default)]
struct Places<'v> {
    values: Vec<Found<'v>>,
    path_bytes: usize,
}

impl<'v> Places<'v> {
    fn is_full(&self) -> bool {
        self.values.len() > REFERENCES_MAX || self.path_bytes > PATH_BYTES_MAX
    }

    fn push(&mut self, path: String, value: &'v Value) {
        self.path_bytes = self.path_bytes.saturating_add(path.len());
        if !self.is_full() {
            self.values.push(Found { path, value });
        }
    }
}

/// The members of these names at any depth, a list's items each for itself.
fn below<'v>(roots: &[Found<'v>], names: &[Pattern]) -> Option<Places<'v>> {
    let mut found = Places::default();
    let mut whole = true;
    for Found { path, value } in roots {
        whole &= each_member(path, value, VISITS_MAX, &mut |member| {
            if !found.is_full() && names.iter().any(|glob| glob.matches(member.name)) {
                note(member, &mut found);
            }
        });
    }
    whole.then_some(found)
}

fn note<'v>(member: &Member<'_, 'v>, found: &mut Places<'v>) {
    let (path, value) = (member.path(), member.value);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if found.is_full() {
                    return;
                }
                found.push(format!("{path}[{index}]"), item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            found.push(path, value);
        }
    }
}

impl Found<'_> {
    fn read(
        &self,
        field: &ReferenceField,
        beside: &Beside,
        found: &mut Vec<Reference>,
    ) -> Result<(), Unreadable> {
        let Some(kind) = self.kind(field, beside)? else { return Ok(()) };
        let namespaces = match &beside.namespace {
            Some(path) => texts(path, &self.path, self.value)?,
            None => Vec::new(),
        };
        let Some(name) = &beside.name else {
            if beside.namespace.is_some() {
                let all = namespaces.into_iter();
                found.extend(all.filter_map(|(path, all)| field.reference(kind, all, (path, ""))));
            } else if let Some((namespace, name)) = self.plain()? {
                found.extend(field.reference(kind, namespace, name));
            }
            return Ok(());
        };
        let mut own = namespaces.iter().map(|(_, namespace)| *namespace).collect::<Vec<_>>();
        if own.is_empty() {
            own.push("");
        }
        let names = texts(name, &self.path, self.value)?;
        let bytes: usize = names.iter().map(|(path, _)| path.len()).sum();
        let count = names.len().saturating_mul(own.len());
        bounded(&beside.at, count, bytes.saturating_mul(own.len()))?;
        for name in names {
            for namespace in &own {
                found.extend(field.reference(kind, namespace, name.clone()));
            }
        }
        Ok(())
    }

    fn kind(
        &self,
        field: &ReferenceField,
        beside: &Beside,
    ) -> Result<Option<ReferenceKind>, Unreadable> {
        let Some(path) = &beside.kind_at else { return Ok(field.kind) };
        let said = texts(path, &self.path, self.value)?;
        let said = said.first().map(|(_, kind)| *kind).filter(|kind| !kind.is_empty());
        Ok(match said {
            None => field.kind,
            Some("Secret") => Some(ReferenceKind::Secret),
            Some("ConfigMap") => Some(ReferenceKind::ConfigMap),
            Some(_) => None,
        })
    }

    /// Text is the name itself; an object says `name` and `namespace`, or nothing.
    fn plain(&self) -> Result<Option<Plain<'_>>, Unreadable> {
        let unreadable = |path: String| Unreadable { path, message: NO_NAME.to_owned() };
        match self.value {
            Value::Null => Ok(None),
            Value::String(name) => Ok(Some(("", (self.path.clone(), name.as_str())))),
            Value::Object(members) => {
                let text = |name: &str| match members.get(name) {
                    None | Some(Value::Null) => Ok(""),
                    Some(Value::String(text)) => Ok(text.as_str()),
                    Some(_) => Err(unreadable(format!("{}.{name}", self.path))),
                };
                let path = format!("{}.name", self.path);
                Ok(Some((text("namespace")?, (path, text("name")?))))
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(unreadable(self.path.clone()))
            }
        }
    }
}
