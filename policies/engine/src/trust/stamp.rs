//! The stamps by which Pinfold remembers what a piece of work is for: `pinfold.dev/run` and `pinfold.dev/provenance`.
//!
//! Trust rests on them, so what they say is only ever read from objects on which the webhook guards them.

use pinfold_model::object::Object;
use pinfold_model::object::agent::RunRecord;
use serde_json::{Map, Value};

use super::provenance::Origin;

/// The annotation by which Pinfold remembers the run that work belongs to: `name/uid`.
pub(crate) const STAMP: &str = "pinfold.dev/run";

/// The annotation by which Pinfold remembers what the object of another runner said when it was made: JSON.
pub(crate) const PROVENANCE: &str = "pinfold.dev/provenance";

/// The label that names a run, after the agent group and a slash.
pub(crate) const RUN_LABEL: &str = "dispatch-run";

/// Name and uid of the run that a stamp means.
pub(crate) struct Stamp<'a> {
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

impl<'a> Stamp<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (name, uid) = text.split_once('/')?;
        (!name.is_empty() && !uid.is_empty()).then_some(Self { name, uid })
    }
}

/// A stamp of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark<'o> {
    /// [`STAMP`] or [`PROVENANCE`].
    pub(crate) key: &'static str,
    /// JSON path of the metadata that it is in.
    pub(crate) metadata: &'o str,
    /// What it says.
    pub(crate) text: &'o str,
}

/// The stamps of an object, on itself and on its pods.
pub(crate) fn marks(object: &Object) -> impl Iterator<Item = Mark<'_>> {
    [STAMP, PROVENANCE].into_iter().flat_map(|key| {
        of_key(object, key).map(move |(metadata, text)| Mark { key, metadata, text })
    })
}

/// The stamps of a run, on an object itself and on its pods: metadata path and text.
pub(crate) fn stamps(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    of_key(object, STAMP)
}

/// The stamps of provenance, likewise.
pub(crate) fn provenance_stamps(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    of_key(object, PROVENANCE)
}

fn of_key<'o>(object: &'o Object, key: &'static str) -> impl Iterator<Item = (&'o str, &'o str)> {
    let own = object.meta.annotations.get(key).map(|text| ("$.metadata", text.as_str()));
    let workload = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    let of_pods = workload.and_then(|workload| {
        let stamp = workload.pod_annotations.iter().find(|(name, _)| name == key);
        stamp.map(|(_, text)| (workload.meta_path.as_str(), text.as_str()))
    });
    own.into_iter().chain(of_pods)
}

/// Names of the fields in a stamp of provenance.
const FIELDS: [&str; 6] = ["repository", "ref", "headRepository", "event", "actor", "sha"];
/// Why the work isn't trusted; absent if it is.
const FAULT: &str = "fault";

/// The text of the stamp of what extractors told: all of them must trust the work. `None` if none told anything.
pub(crate) fn provenance_text(origins: &[Origin]) -> Option<String> {
    let worst = origins.iter().find(|origin| origin.fault.is_some());
    let origin = worst.or_else(|| origins.first())?;
    let record = &origin.record;
    let values = [
        &record.repository,
        &record.git_ref,
        &record.head_repository,
        &record.trigger_source,
        &record.actor,
        &record.sha,
    ];
    let told = FIELDS.into_iter().zip(values).filter(|(_, text)| !text.is_empty());
    let told = told.map(|(name, text)| (name.to_owned(), Value::String(text.clone())));
    let fault = origin.fault.clone().map(|fault| (FAULT.to_owned(), Value::String(fault)));
    Some(Value::Object(told.chain(fault).collect::<Map<_, _>>()).to_string())
}

/// What a stamp of provenance says; `None` if it is none.
pub(crate) fn read_provenance(text: &str) -> Option<Origin> {
    let value: Value = serde_json::from_str(text).ok()?;
    let members = value.as_object()?;
    let told =
        |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = |name: &String| name == FAULT || FIELDS.contains(&name.as_str());
    if !members.keys().all(known) || !members.values().all(Value::is_string) {
        return None;
    }
    let [repository, git_ref, head_repository, trigger_source, actor, sha] = FIELDS.map(told);
    let record = RunRecord {
        repository,
        git_ref,
        head_repository,
        trigger_source,
        actor,
        sha,
        ..RunRecord::default()
    };
    Some(Origin { record, fault: members.get(FAULT).map(|_| told(FAULT)) })
}
