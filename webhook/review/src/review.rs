//! Bytes of an AdmissionReview to the facts of one request.

use std::collections::BTreeMap;

use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::json_error;
use pinfold_model::object::Kind;
use pinfold_model::strict_json::{self, ADMISSION_OBJECT, StrictJsonError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::envelope::Members;
use crate::error::{Fault, ReviewError};
use crate::subject::{self, Request};

/// The only version that is spoken.
pub(crate) const API_VERSION: &str = "admission.k8s.io/v1";
/// The only kind.
pub(crate) const KIND: &str = "AdmissionReview";
/// Longest uid; the API server's have 36 bytes.
const UID_BYTES_MAX: usize = 256;

/// One readable request.
#[derive(Debug, Clone)]
pub struct Review {
    /// What the engine judges.
    pub facts: AdmissionFacts,
    /// `request.kind.version`: the version of the object, for records.
    pub version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UserInfo {
    username: Option<String>,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GroupVersionResource {
    group: String,
    resource: String,
}

/// Reads an AdmissionReview request.
///
/// # Errors
/// [`ReviewError`] with the uid where it could be found. The request must then be denied.
pub fn parse(body: &[u8]) -> Result<Review, ReviewError> {
    let (text, cut) = match std::str::from_utf8(body) {
        Ok(text) => (text, None),
        Err(error) => (readable_part(body, error.valid_up_to()), Some(Fault::Encoding)),
    };
    let (outer, outer_read) = Members::split(text);
    let (request, request_read) = match outer.get("request") {
        Some(request) => Members::split(request),
        None => Members::split(torn_request(text)),
    };
    let uid = uid_of(&request);
    let fail = |fault| ReviewError { uid: uid.clone(), fault };
    if let Some(fault) = cut {
        return Err(fail(fault));
    }
    if text.trim_ascii().is_empty() {
        return Err(fail(Fault::Empty));
    }
    outer_read.map_err(|error| fail(split_fault("$", &outer, &error)))?;
    once("$", &outer).map_err(fail)?;
    is_review(&outer).map_err(fail)?;
    outer.get("request").ok_or_else(|| fail(Fault::Missing { path: "$.request" }))?;
    request_read.map_err(|error| fail(split_fault("$.request", &request, &error)))?;
    once("$.request", &request).map_err(fail)?;
    let uid_text = uid.clone().ok_or_else(|| fail(Fault::Missing { path: "$.request.uid" }))?;
    read(&request, uid_text).map_err(fail)
}

fn readable_part(body: &[u8], length: usize) -> &str {
    body.get(..length).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
}

/// The text of a request that is cut off, from its opening brace: only to find its uid.
fn torn_request(text: &str) -> &str {
    const NAME: &str = "\"request\"";
    let after = text.find(NAME).and_then(|at| text.get(at.saturating_add(NAME.len())..));
    after.and_then(|rest| rest.trim_start().strip_prefix(':')).unwrap_or_default()
}

fn uid_of(request: &Members<'_>) -> Option<String> {
    let uid: String = serde_json::from_str(request.get("uid")?).ok()?;
    (!uid.is_empty() && uid.len() <= UID_BYTES_MAX && !uid.contains(char::is_control))
        .then_some(uid)
}

fn split_fault(path: &'static str, members: &Members<'_>, error: &serde_json::Error) -> Fault {
    if members.too_many {
        return Fault::Limit { path, message: "too many members".to_owned() };
    }
    if error.is_data() {
        return Fault::Part { path, message: json_error::reason(error) };
    }
    Fault::Syntax(json_error::reason(error))
}

fn once(path: &'static str, members: &Members<'_>) -> Result<(), Fault> {
    match &members.twice {
        Some(member) => Err(Fault::Twice { path, member: member.chars().take(64).collect() }),
        None => Ok(()),
    }
}

fn is_review(outer: &Members<'_>) -> Result<(), Fault> {
    let text = |name: &str| -> String {
        let raw = outer.get(name).unwrap_or_default();
        let found: String = serde_json::from_str(raw).unwrap_or_default();
        found.chars().take(128).collect()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version == API_VERSION && kind == KIND {
        return Ok(());
    }
    Err(Fault::NotAReview { api_version, kind })
}

fn read(members: &Members<'_>, uid: String) -> Result<Review, Fault> {
    // The objects are big, and mostly read as strictly when they are parsed: once is enough.
    let is_object = |name: &str| matches!(name, "object" | "oldObject");
    for (name, raw) in members.iter().filter(|(name, _)| !is_object(name)) {
        let path = path_of(name);
        strict_json::check(raw.as_bytes(), ADMISSION_OBJECT)
            .map_err(|error| json_fault(path, &error))?;
    }
    let kind: GroupVersionKind = record(members, "kind")?.ok_or(missing("kind"))?;
    let resource: GroupVersionResource = record(members, "resource")?.ok_or(missing("resource"))?;
    let operation: String = optional(members, "operation")?.ok_or(missing("operation"))?;
    let operation = Operation::parse(&operation).ok_or_else(|| Fault::Part {
        path: "$.request.operation",
        message: "expected CREATE, UPDATE, DELETE or CONNECT, found another word".to_owned(),
    })?;
    if kind.kind.is_empty() {
        return Err(Fault::Missing { path: "$.request.kind.kind" });
    }
    if resource.resource.is_empty() {
        return Err(Fault::Missing { path: "$.request.resource.resource" });
    }
    let GroupVersionKind { group, version, kind } = kind;
    let request = Request {
        kind: Kind { group, version, kind },
        is_namespace: resource.group.is_empty() && resource.resource == "namespaces",
        operation,
        subresource: optional(members, "subResource")?.unwrap_or_default(),
        namespace: optional(members, "namespace")?.unwrap_or_default(),
        name: optional(members, "name")?.unwrap_or_default(),
        object: members.get("object"),
        old_object: members.get("oldObject"),
        options: members.get("options"),
    };
    let dry_run = optional(members, "dryRun")?.unwrap_or(false);
    let user: UserInfo = record(members, "userInfo")?.unwrap_or_default();
    assemble(uid, user, request, dry_run)
}

fn assemble(
    uid: String,
    user: UserInfo,
    request: Request<'_>,
    dry_run: bool,
) -> Result<Review, Fault> {
    let name = user.username.filter(|name| !name.is_empty()).ok_or(Fault::NoUser)?;
    let requester = Requester {
        name,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    };
    let subject = subject::read(&request)?;
    let facts = AdmissionFacts {
        uid,
        requester: Some(requester),
        operation: request.operation,
        request_name: request.authorized_name().to_owned(),
        subresource: request.subresource,
        target: subject.target,
        dry_run,
        object: subject.object,
        old_object: subject.old_object,
        document: subject.document,
        change: subject.change,
        answers: Answers::default(),
    };
    Ok(Review { facts, version: request.kind.version })
}

fn optional<T: DeserializeOwned>(
    members: &Members<'_>,
    name: &'static str,
) -> Result<Option<T>, Fault> {
    let Some(raw) = members.get(name) else { return Ok(None) };
    let bad = |error: serde_json::Error| Fault::Part {
        path: path_of(name),
        message: json_error::reason(&error),
    };
    serde_json::from_str(raw).map(Some).map_err(bad)
}

/// A part that must be an object: serde would also take a list of the fields' values.
fn record<T: DeserializeOwned>(
    members: &Members<'_>,
    name: &'static str,
) -> Result<Option<T>, Fault> {
    if members.get(name).is_some_and(|raw| !raw.starts_with('{')) {
        let message = "expected an object".to_owned();
        return Err(Fault::Part { path: path_of(name), message });
    }
    optional(members, name)
}

fn missing(name: &'static str) -> Fault {
    Fault::Missing { path: path_of(name) }
}

pub(crate) fn json_fault(path: &'static str, error: &StrictJsonError) -> Fault {
    let message = error.to_string();
    if error.is_limit() { Fault::Limit { path, message } } else { Fault::Part { path, message } }
}

fn path_of(member: &str) -> &'static str {
    match member {
        "uid" => "$.request.uid",
        "kind" => "$.request.kind",
        "resource" => "$.request.resource",
        "subResource" => "$.request.subResource",
        "operation" => "$.request.operation",
        "namespace" => "$.request.namespace",
        "name" => "$.request.name",
        "userInfo" => "$.request.userInfo",
        "dryRun" => "$.request.dryRun",
        "object" => "$.request.object",
        "oldObject" => "$.request.oldObject",
        "options" => "$.request.options",
        _ => "$.request",
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
