//! One case as a request to the API server, by impersonation, as a dry run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use crate::Outcome;
use crate::cases::Known;
use crate::denial::findings;
use crate::gate::{Gate, store};
use crate::object::{merge, merge_patch, text};
use crate::rbac_client::{Answer, Person};

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) allowed: bool,
    /// Whether it was Pinfold that denied.
    pub(crate) by_pinfold: bool,
    pub(crate) rules: BTreeSet<String>,
    message: String,
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        write!(formatter, "{verdict} {:?} {}", self.rules, self.message)
    }
}

/// Uids of the cluster file and what the server made of them.
pub(crate) struct Uids(BTreeMap<String, String>);

impl Uids {
    /// Of the objects that the cluster file gives a uid, as far as they are there.
    pub(crate) fn of(gate: &Gate, objects: &[Value]) -> Outcome<Self> {
        let mut uids = BTreeMap::new();
        for object in objects {
            let written = text(object, "/metadata/uid");
            let stored = if written.is_empty() { None } else { stored(gate, object)? };
            if let Some(stored) = stored {
                uids.insert(written.to_owned(), text(&stored, "/metadata/uid").to_owned());
            }
        }
        Ok(Self(uids))
    }

    /// An object with the server's uids instead of the file's.
    pub(crate) fn real(&self, object: &Value) -> Outcome<Value> {
        let mut written = object.to_string();
        for (file, server) in &self.0 {
            // Alone, or behind the name of a run.
            written = written.replace(&format!("\"{file}\""), &format!("\"{server}\""));
            written = written.replace(&format!("/{file}\""), &format!("/{server}\""));
        }
        Ok(serde_json::from_str(&written)?)
    }
}

/// The object as it is on the server.
pub(crate) fn stored(gate: &Gate, object: &Value) -> Outcome<Option<Value>> {
    let path = gate.resources.path(object)?;
    let answer = gate.send(&Person::unasked(), ("GET", &path, ""))?;
    Ok(answer.is_success().then_some(answer.body))
}

/// Puts a case to the server. What it doesn't serve it refuses.
pub(crate) fn ask(gate: &Gate, uids: &Uids, known: &Known) -> Outcome<Told> {
    let object = uids.real(known.object())?;
    if let Err(unserved) = gate.resources.collection(&object) {
        let (rules, message) = (BTreeSet::new(), unserved.to_string());
        // A TokenRequest is only ever posted to a ServiceAccount.
        if known.subresource().is_empty() {
            return Ok(Told { allowed: false, by_pinfold: false, rules, message });
        }
    }
    let user = known.case.user.clone().unwrap_or_default();
    let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
    let who = Person::new(&user.name, &groups);
    let answer = match known.operation() {
        "DELETE" => gate.send(&who, ("DELETE", &dry(&gate.resources.path(&object)?), ""))?,
        _ if known.case.old_object.is_some() => update(gate, uids, (known, &who, &object))?,
        _ => create(gate, &who, (known, &object))?,
    };
    told(&answer)
}

fn dry(path: &str) -> String {
    format!("{path}?dryRun=All")
}

fn create(gate: &Gate, who: &Person, (known, object): (&Known, &Value)) -> Outcome<Answer> {
    let path = match known.subresource() {
        "" => gate.resources.collection(object)?,
        // What is posted is of another kind than what it is posted to.
        sub => {
            let plural = if sub == "token" { "serviceaccounts" } else { "pods" };
            let (namespace, name) =
                (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
            format!("/api/v1/namespaces/{namespace}/{plural}/{name}/{sub}")
        }
    };
    gate.send(who, ("POST", &dry(&path), &object.to_string()))
}

/// The old object is there, or is made for the time being; the difference is sent.
fn update(
    gate: &Gate,
    uids: &Uids,
    (known, who, new): (&Known, &Person, &Value),
) -> Outcome<Answer> {
    let old = uids.real(known.case.old_object.as_ref().unwrap_or(&Value::Null))?;
    let path = gate.resources.path(&old)?;
    let before = stored(gate, &old)?;
    let is_new = before.is_none();
    let mut live = match before {
        Some(live) => live,
        None => store(&gate.client, &gate.resources, &old)?,
    };
    let patch = merge_patch(&old, new);
    let sub = match known.subresource() {
        "" => String::new(),
        sub => format!("/{sub}"),
    };
    let target = dry(&format!("{path}{sub}"));
    let answer = if known.subresource() == "finalize" {
        merge(&mut live, &patch);
        gate.send(who, ("PUT", &target, &live.to_string()))?
    } else {
        gate.send(who, ("PATCH", &target, &patch.to_string()))?
    };
    if is_new {
        let now = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
        gate.send(&Person::unasked(), ("DELETE", &path, &now.to_string()))?;
    }
    Ok(answer)
}

fn told(answer: &Answer) -> Outcome<Told> {
    let message = answer.message().to_owned();
    let by_pinfold = message.contains(".pinfold.dev\" denied the request");
    let rules = if by_pinfold { findings(&message)? } else { BTreeSet::new() };
    let rules = rules.into_iter().map(|(rule, _)| rule).collect();
    Ok(Told { allowed: answer.is_success(), by_pinfold, rules, message })
}
