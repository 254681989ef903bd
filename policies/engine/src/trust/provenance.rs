//! What the object of another runner says about its work, read by the extractors of the policy.
//!
//! What can't be told from the object is held against it: an extractor never guesses that work is the repository's own.

use pinfold_model::json_path::JsonPath;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::agent::RunRecord;
use pinfold_model::policy::admission::Trust;
use pinfold_model::policy::provenance::{Capture, Field, Provenance};
use serde_json::Value;

use super::record::ref_fault;
use crate::rbac::describe::excerpt;

/// Longest text of a field, in bytes: longer than any name of a repository or ref that git takes.
const TEXT_BYTES_MAX: usize = 1_024;

/// What an extractor tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Repository, ref, head repository, event, actor and commit, as far as they are told.
    pub(crate) record: RunRecord,
    /// Why the work isn't trusted; `None` if it is.
    pub(crate) fault: Option<String>,
}

/// What every extractor of the kind that finds something tells about an object.
pub(crate) fn origins(trust: &Trust, key: &ObjectKey, document: &Value) -> Vec<Origin> {
    let fitting = trust.provenance.iter().filter(|extractor| extractor.applies.matches(key));
    fitting.filter_map(|extractor| origin(trust, extractor, document)).collect()
}

fn origin(trust: &Trust, extractor: &Provenance, document: &Value) -> Option<Origin> {
    let told = match told(extractor, document) {
        Ok(told) => told,
        Err(fault) => return Some(Origin { record: RunRecord::default(), fault: Some(fault) }),
    };
    let telling = [Field::Ref, Field::Repository, Field::HeadRepository, Field::Event];
    if !telling.iter().any(|field| told.all(*field).next().is_some()) {
        return None;
    }
    let fault = fault(trust, extractor, &told);
    Some(Origin { record: told.record(), fault })
}

/// Why work that was made for such an origin isn't trusted by the policy as it is now.
pub(crate) fn fault_now(trust: &Trust, origin: &Origin) -> Option<String> {
    let record = &origin.record;
    let told = Told(vec![(Field::Ref, &record.git_ref), (Field::Repository, &record.repository)]);
    let fault = origin.fault.clone();
    fault.or_else(|| ref_faults(trust, &told)).or_else(|| repository_fault(trust, &told))
}

/// The fields that an extractor found, one after another.
#[derive(Debug, Default)]
struct Told<'v>(Vec<(Field, &'v str)>);

impl<'v> Told<'v> {
    fn all(&self, field: Field) -> impl Iterator<Item = &'v str> {
        self.0.iter().filter(move |(known, _)| *known == field).map(|(_, text)| *text)
    }

    fn first(&self, field: Field) -> String {
        self.all(field).next().unwrap_or_default().to_owned()
    }

    fn record(&self) -> RunRecord {
        RunRecord {
            repository: self.first(Field::Repository),
            git_ref: self.first(Field::Ref),
            head_repository: self.first(Field::HeadRepository),
            trigger_source: self.first(Field::Event),
            actor: self.first(Field::Actor),
            sha: self.first(Field::Sha),
            ..RunRecord::default()
        }
    }
}

fn told<'v>(extractor: &'v Provenance, document: &'v Value) -> Result<Told<'v>, String> {
    if let Some((repository, git_ref)) = &extractor.assumed {
        return Ok(Told(vec![(Field::Repository, repository), (Field::Ref, git_ref)]));
    }
    let mut told = Told::default();
    for (field, path) in &extractor.paths {
        told.0.extend(texts(path, document)?.into_iter().map(|text| (*field, text)));
    }
    for Capture { from, pattern } in &extractor.captures {
        for text in texts(from, document)? {
            let taken = pattern
                .take(text)
                .ok_or_else(|| format!("`{}` isn't as its extractor expects it", excerpt(text)))?;
            told.0.extend(taken);
        }
    }
    let long = told.0.iter().find(|(_, text)| text.len() > TEXT_BYTES_MAX);
    match long {
        Some((field, _)) => Err(format!("its {} is over {TEXT_BYTES_MAX} bytes", field.name())),
        None => Ok(told),
    }
}

fn texts<'v>(path: &JsonPath, document: &'v Value) -> Result<Vec<&'v str>, String> {
    let found = path.select(document).map_err(|error| error.to_string())?;
    if !found.iter().all(|hit| hit.value.is_string() || hit.value.is_null()) {
        return Err(format!("`{}` selects what is no text", path.as_str()));
    }
    Ok(found.into_iter().filter_map(|hit| hit.value.as_str()).collect())
}

/// What speaks against the work.
fn fault(trust: &Trust, extractor: &Provenance, told: &Told<'_>) -> Option<String> {
    ref_faults(trust, told)
        .or_else(|| repository_fault(trust, told))
        .or_else(|| head_fault(extractor, told))
        .or_else(|| event_fault(extractor, told))
        .or_else(|| {
            let tells = extractor.looks_for(Field::HeadRepository)
                || extractor.looks_for(Field::Event)
                || extractor.forks_run_elsewhere
                || extractor.assumed.is_some();
            (!tells).then(|| {
                "its extractor doesn't tell a fork's work from the repository's own".to_owned()
            })
        })
}

fn ref_faults(trust: &Trust, told: &Told<'_>) -> Option<String> {
    let mut refs = told.all(Field::Ref).peekable();
    if refs.peek().is_none() {
        return Some("it names no ref".to_owned());
    }
    refs.find_map(|git_ref| ref_fault(trust, git_ref))
}

fn repository_fault(trust: &Trust, told: &Told<'_>) -> Option<String> {
    let mut repositories = told.all(Field::Repository);
    let Some(repository) = repositories.next().filter(|repository| !repository.is_empty()) else {
        return Some("it names no repository".to_owned());
    };
    if let Some(other) = repositories.find(|other| *other != repository) {
        let (one, other) = (excerpt(repository), excerpt(other));
        return Some(format!("it names two repositories, `{one}` and `{other}`"));
    }
    let listed = trust.trusted_repositories.iter().any(|pattern| pattern.matches(repository));
    (!listed).then(|| {
        format!("repository `{}` isn't in `trust.trustedRepositories`", excerpt(repository))
    })
}

fn head_fault(extractor: &Provenance, told: &Told<'_>) -> Option<String> {
    if !extractor.looks_for(Field::HeadRepository) {
        return None;
    }
    let repository = told.first(Field::Repository);
    let mut heads = told.all(Field::HeadRepository).peekable();
    if heads.peek().is_none_or(|head| head.is_empty()) {
        return Some("it doesn't say which repository its code comes from".to_owned());
    }
    let foreign = heads.find(|head| *head != repository)?;
    Some(format!("its code comes from `{}`, not from `{}`", excerpt(foreign), excerpt(&repository)))
}

fn event_fault(extractor: &Provenance, told: &Told<'_>) -> Option<String> {
    if !extractor.looks_for(Field::Event) {
        return None;
    }
    let mut events = told.all(Field::Event).peekable();
    if events.peek().is_none() {
        return Some("it doesn't say what set it off".to_owned());
    }
    let trusted = |event: &str| extractor.trusted_events.iter().any(|known| known == event);
    let other = events.find(|event| !trusted(event))?;
    Some(format!("event `{}` isn't in `trustedEvents` of its extractor", excerpt(other)))
}

#[cfg(test)]
mod tests;
