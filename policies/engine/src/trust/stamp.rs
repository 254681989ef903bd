//! The stamp `pinfold.dev/run`: by which Pinfold remembers what run a piece of work is for.

use pinfold_model::object::Object;

/// The annotation by which Pinfold remembers the run that work belongs to: `name/uid`.
pub(crate) const STAMP: &str = "pinfold.dev/run";

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

/// The stamps of an object, on itself and on its pods: metadata path and text.
pub(crate) fn stamps(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    let own = object.meta.annotations.get(STAMP).map(|text| ("$.metadata", text.as_str()));
    let workload = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    let of_pods = workload.and_then(|workload| {
        let stamp = workload.pod_annotations.iter().find(|(key, _)| key == STAMP);
        stamp.map(|(_, text)| (workload.meta_path.as_str(), text.as_str()))
    });
    own.into_iter().chain(of_pods)
}
