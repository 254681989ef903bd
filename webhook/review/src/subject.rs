//! What a request is about: its object before and after, and the key that names it.
//!
//! `request.kind` is the kind of the object that was sent: `Binding` for `pods/binding`, `Scale` for `*/scale`, `TokenRequest` for
//! `serviceaccounts/token`, `PodExecOptions` for `pods/exec`. The target has that kind too.

use pinfold_model::facts::Operation;
use pinfold_model::object::{self, Change, DecodeError, Facts, Kind, Meta, Object, ObjectKey};
use pinfold_model::strict_json::{self, ADMISSION_OBJECT};
use serde_json::Value;

use crate::error::Fault;
use crate::review::json_fault;

/// The parts of a request that say what it is about.
pub(crate) struct Request<'a> {
    pub(crate) kind: Kind,
    /// A Namespace is cluster-scoped, though its requests name it as their namespace.
    pub(crate) is_namespace: bool,
    pub(crate) operation: Operation,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: Option<&'a str>,
    pub(crate) old_object: Option<&'a str>,
    pub(crate) options: Option<&'a str>,
}

/// What a request is about, decoded.
pub(crate) struct Subject {
    pub(crate) target: ObjectKey,
    pub(crate) object: Option<Object>,
    pub(crate) old_object: Option<Object>,
    pub(crate) document: Option<Value>,
    pub(crate) change: Change,
}

const OBJECT: &str = "$.request.object";
const OLD_OBJECT: &str = "$.request.oldObject";

impl Request<'_> {
    /// The name that the authorizer saw: none for a POST to a collection, though the review then carries the object's.
    pub(crate) fn authorized_name(&self) -> &str {
        let collection = self.operation == Operation::Create && self.subresource.is_empty();
        if collection { "" } else { &self.name }
    }

    fn scope(&self) -> &str {
        if self.is_namespace { "" } else { &self.namespace }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.kind.group, &self.kind.kind, self.scope(), &self.name)
    }
}

pub(crate) fn read(request: &Request<'_>) -> Result<Subject, Fault> {
    check_unparsed(request)?;
    match request.operation {
        Operation::Create => {
            let (object, document) = new_object(request)?;
            let target = object.key.clone();
            let change = Change::default();
            Ok(Subject { target, object: Some(object), old_object: None, document, change })
        }
        Operation::Update => {
            let raw = request.old_object.ok_or(Fault::Missing { path: OLD_OBJECT })?;
            // Before anything else reads it: the strict reader bounds its depth.
            let old_document = document(OLD_OBJECT, raw)?;
            let old_object = old_object(request)?;
            let (object, document) = new_object(request)?;
            let target = object.key.clone();
            let change = change(&old_document, document.as_ref());
            let (object, old_object) = (Some(object), Some(old_object));
            Ok(Subject { target, object, old_object, document, change })
        }
        Operation::Delete => {
            let old_object = old_object(request)?;
            let target = old_object.key.clone();
            let (old_object, change) = (Some(old_object), Change::default());
            Ok(Subject { target, object: None, old_object, document: None, change })
        }
        Operation::Connect => connect(request),
    }
}

/// What no operation parses must be as strict: nobody else may find another object in it.
fn check_unparsed(request: &Request<'_>) -> Result<(), Fault> {
    let (object, old_object) = ((OBJECT, request.object), (OLD_OBJECT, request.old_object));
    let unparsed = match request.operation {
        Operation::Create | Operation::Connect => [Some(old_object), None],
        Operation::Update => [None, None],
        Operation::Delete => [Some(object), Some(old_object)],
    };
    for (path, raw) in unparsed.into_iter().flatten() {
        let Some(raw) = raw else { continue };
        let checked = strict_json::check(raw.as_bytes(), ADMISSION_OBJECT);
        checked.map_err(|error| json_fault(path, &error))?;
    }
    Ok(())
}

/// CONNECT carries options (`PodExecOptions`), which have no metadata.
fn connect(request: &Request<'_>) -> Result<Subject, Fault> {
    let document = match request.object.or(request.options) {
        Some(raw) => Some(document(OBJECT, raw)?),
        None => None,
    };
    let target = request.key();
    let object = Object { key: target.clone(), meta: Meta::default(), facts: Facts::MetaOnly };
    let change = Change::default();
    Ok(Subject { target, object: Some(object), old_object: None, document, change })
}

/// How much an update changes.
fn change(old: &Value, new: Option<&Value>) -> Change {
    new.map_or_else(Change::default, |new| object::change(old, new))
}

fn new_object(request: &Request<'_>) -> Result<(Object, Option<Value>), Fault> {
    let raw = request.object.ok_or(Fault::Missing { path: OBJECT })?;
    let document = document(OBJECT, raw)?;
    says_its_kind(request, &document)?;
    let object = object::decode(&request.kind, raw.as_bytes())
        .map_err(|error| Fault::Object { path: OBJECT, message: error.to_string() })?;
    Ok((placed(OBJECT, object, request)?, Some(document)))
}

/// The stored object. One of a shape that can't be read (it was there before Pinfold) keeps its metadata, because it must be possible
/// to repair or delete it; compared to it, everything in the new object is new.
fn old_object(request: &Request<'_>) -> Result<Object, Fault> {
    let raw = request.old_object.ok_or(Fault::Missing { path: OLD_OBJECT })?;
    let bad = |error: DecodeError| Fault::Object { path: OLD_OBJECT, message: error.to_string() };
    let object = object::decode(&request.kind, raw.as_bytes())
        .or_else(|_| metadata_only(&request.kind, raw))
        .map_err(bad)?;
    placed(OLD_OBJECT, object, request)
}

fn metadata_only(kind: &Kind, raw: &str) -> Result<Object, DecodeError> {
    let partial = Kind::new("meta.k8s.io/v1", "PartialObjectMetadata");
    let mut object = object::decode(&partial, raw.as_bytes())?;
    object.key.group.clone_from(&kind.group);
    object.key.kind.clone_from(&kind.kind);
    Ok(object)
}

fn document(path: &'static str, raw: &str) -> Result<Value, Fault> {
    strict_json::parse(raw.as_bytes(), ADMISSION_OBJECT).map_err(|error| json_fault(path, &error))
}

/// An object that says another kind than the request would be judged as one and stored as the other.
fn says_its_kind(request: &Request<'_>, document: &Value) -> Result<(), Fault> {
    let says = |name: &str| document.get(name).and_then(Value::as_str);
    let kind = says("kind").is_none_or(|kind| kind == request.kind.kind);
    let version = says("apiVersion").is_none_or(|found| {
        let found = Kind::new(found, "");
        found.group == request.kind.group && found.version == request.kind.version
    });
    if document.is_object() && kind && version {
        return Ok(());
    }
    let message = "the object is not of the kind that the request names".to_owned();
    Err(Fault::Part { path: OBJECT, message })
}

/// Fills in what the request knows of the object's place, and refuses an object that says another one.
fn placed(path: &'static str, mut object: Object, request: &Request<'_>) -> Result<Object, Fault> {
    let part = |what: &str, found: &str, asked: &str| Fault::Part {
        path,
        message: format!("the object's {what} is `{found}`, the request's `{asked}`"),
    };
    let Object { key, meta, .. } = &mut object;
    if key.namespace.is_empty() {
        request.scope().clone_into(&mut key.namespace);
    } else if key.namespace != request.scope() {
        return Err(part("namespace", &key.namespace, request.scope()));
    }
    if key.name.is_empty() && meta.generate_name.is_empty() {
        key.name.clone_from(&request.name);
    } else if !key.name.is_empty() && !request.name.is_empty() && key.name != request.name {
        return Err(part("name", &key.name, &request.name));
    }
    Ok(object)
}
