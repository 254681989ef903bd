//! Whether a change of a grant gives anything that it didn't give before.

use std::collections::HashSet;
use std::hash::Hash;

use jiff::Timestamp;
use pinfold_model::object::agent::{Grant, GrantPattern, RequiredApproval};
use pinfold_model::object::reference::ReferenceKind;

/// Whether `new` gives what `old` didn't, or denies less. What isn't surely narrower is wider. A controller may note that the object was rotated.
pub(super) fn widens(old: &Grant, new: &Grant, by_controller: bool) -> bool {
    match (old.denies, new.denies) {
        (true, true) => !is_same_denial(old, new),
        (true, false) => true,
        (false, true) => false,
        (false, false) => !new.revoked && !is_within(old, new, by_controller),
    }
}

fn is_same_denial(old: &Grant, new: &Grant) -> bool {
    let revoked = new.revoked && !old.revoked;
    let keys = new.object.keys.is_empty() || covers(&new.object.keys, &old.object.keys);
    let object = |grant: &Grant| {
        let of = &grant.object;
        (of.kind, of.namespace.clone(), of.name.clone())
    };
    !revoked
        && object(old) == object(new)
        && old.subject == new.subject
        && keys
        && (new.object.keys.is_empty() || !old.object.keys.is_empty())
        && ends_within(new.expires_at, old.expires_at)
        && begins_within(new.not_before, old.not_before)
}

/// Most entries of one list of a grant: beyond, every decision about its object would cost as much as its writer likes.
pub(super) const LIST_MAX: usize = 1_024;

/// The lists of a grant that are too long.
pub(super) fn too_long(grant: &Grant) -> impl Iterator<Item = &'static str> {
    let object = match grant.object.kind {
        ReferenceKind::Secret => "secretRef.keys",
        ReferenceKind::ConfigMap => "configMapRef.keys",
    };
    let lists = [
        (object, grant.object.keys.len()),
        ("allowedRepositories", grant.repositories.len()),
        ("allowedRefs.include", grant.refs_included.len()),
        ("allowedRefs.exclude", grant.refs_excluded.len()),
        ("allowedTriggerSources", grant.trigger_sources.len()),
        ("mountPolicy", grant.mounts.len()),
    ];
    lists.into_iter().filter(|(_, length)| *length > LIST_MAX).map(|(field, _)| field)
}

/// Whether all that `new` gives `old` gave.
fn is_within(old: &Grant, new: &Grant, by_controller: bool) -> bool {
    let object = (old.object.kind, &old.object.namespace, &old.object.name)
        == (new.object.kind, &new.object.namespace, &new.object.name);
    let readable = old.faults.is_empty() || !new.faults.is_empty();
    object
        && readable
        && !old.revoked
        && old.subject == new.subject
        && old.ties.organization == new.ties.organization
        && (old.purpose.is_empty() || old.purpose == new.purpose)
        && narrows(&old.object.keys, &new.object.keys)
        && narrows(&old.repositories, &new.repositories)
        && narrows(&texts(&old.refs_included), &texts(&new.refs_included))
        && covers(&texts(&new.refs_excluded), &texts(&old.refs_excluded))
        && narrows(&old.trigger_sources, &new.trigger_sources)
        && narrows(&old.mounts, &new.mounts)
        && strictness(old.approval) <= strictness(new.approval)
        && (old.untrusted || !new.untrusted)
        && begins_within(old.not_before, new.not_before)
        && ends_within(old.expires_at, new.expires_at)
        && is_rotated_within(old, new, by_controller)
}

/// Whether a list that means anything when it is empty allows no more than another.
fn narrows<T: Eq + Hash>(old: &[T], new: &[T]) -> bool {
    old.is_empty() || (!new.is_empty() && covers(old, new))
}

fn covers<T: Eq + Hash>(all: &[T], some: &[T]) -> bool {
    let all: HashSet<&T> = all.iter().collect();
    some.iter().all(|one| all.contains(one))
}

fn texts(patterns: &[GrantPattern]) -> Vec<&str> {
    patterns.iter().map(|pattern| pattern.text.as_str()).collect()
}

fn strictness(approval: RequiredApproval) -> u8 {
    match approval {
        RequiredApproval::Never => 0,
        RequiredApproval::OnUntrustedRef => 1,
        RequiredApproval::Always => 2,
    }
}

/// Whether what begins at `inner` begins no earlier than what begins at `outer`.
fn begins_within(outer: Option<Timestamp>, inner: Option<Timestamp>) -> bool {
    outer.is_none_or(|outer| inner.is_some_and(|inner| inner >= outer))
}

/// Whether what ends at `inner` ends no later than what ends at `outer`.
fn ends_within(outer: Option<Timestamp>, inner: Option<Timestamp>) -> bool {
    outer.is_none_or(|outer| inner.is_some_and(|inner| inner <= outer))
}

fn is_rotated_within(old: &Grant, new: &Grant, by_controller: bool) -> bool {
    let age = old.max_age_days.is_none_or(|old| new.max_age_days.is_some_and(|new| new <= old));
    let noted = old.rotated_at == new.rotated_at || by_controller || new.max_age_days.is_none();
    age && noted
}
