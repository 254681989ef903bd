//! PersistentVolumeClaims: whose they are by their stamp, by the pods that use them, and by the pools whose caches they are.
//!
//! A claim that two pieces of work use must be of one tier, and of one run unless a pool says that its work shares it. Reading what trusted work
//! wrote is allowed where the volume is read-only as a whole: a container's own `readOnly` binds no other container.

use std::collections::BTreeSet;

use pinfold_model::facts::{Question, Requester};
use pinfold_model::object::pod::{ClaimUse, Workload};
use pinfold_model::object::{Facts, Object, ObjectKey};

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::pools::{self, Pool};
use crate::trust::stamp::{STAMP, Stamp};
use crate::trust::standing::{self, Standing};
use crate::trust::{Work, record, work_of};

/// Most pods of one claim that are looked at.
const PODS_MAX: usize = 1_024;

const REMEDY: &str = "use a claim of its own for each run, or mount the cache with `persistentVolumeClaim.readOnly: true`";

/// Which run: namespace and name; an attempt's is its run's.
type RunId = (String, String);

/// A piece of work, as far as sharing goes.
struct Party {
    trusted: bool,
    runs: BTreeSet<RunId>,
}

/// What is known of a claim.
struct Known<'c> {
    /// What it is stamped with.
    stamp: Option<&'c str>,
    /// Other pods that use it.
    pods: Vec<&'c Object>,
    /// Of a trusted pool, of an untrusted one.
    cache_of: [Option<String>; 2],
}

/// Judges a workload in a guarded namespace.
pub(super) fn judge(
    context: &Context<'_>,
    object: &Object,
    workload: &Workload,
    found: &mut Found,
) {
    let namespace = context.facts.target.namespace.as_str();
    let near = pools::near(context, namespace);
    let known = |used: &ClaimUse| known(context, (namespace, used), object, &near);
    let claims: Vec<(&ClaimUse, Known<'_>)> = workload
        .claims
        .iter()
        .map(|used| (used, known(used)))
        .filter(|(_, known)| known.matters())
        .collect();
    confirm(context, (namespace, workload), found);
    if claims.is_empty() {
        return;
    }
    let Some(requester) = context.requester(RULE, found) else { return };
    let work = work_of(context, object, requester);
    for (used, known) in &claims {
        if let Some(fault) = fault(context, &work, used, known) {
            if let Standing::Untrusted { questions, .. } = &work.standing {
                questions.iter().for_each(|question| found.ask(question.clone()));
            }
            let message = format!("claim `{}` {fault}", excerpt(&used.name));
            found.add(RULE, used.path.as_str(), message, REMEDY);
        }
    }
}

/// A claim that was made a moment ago may be stamped.
fn confirm(context: &Context<'_>, (namespace, workload): (&str, &Workload), found: &mut Found) {
    let keys = workload.claims.iter().filter(|used| !used.read_only);
    let keys = keys.map(|used| claim_key(namespace, &used.name));
    keys.filter(|key| context.lookup(key).is_none())
        .for_each(|key| found.confirm(Question::Object(key)));
}

fn claim_key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new("", "PersistentVolumeClaim", namespace, name)
}

fn known<'c>(
    context: &Context<'c>,
    (namespace, used): (&str, &ClaimUse),
    object: &Object,
    near: &[Pool<'c>],
) -> Known<'c> {
    let claim = context.lookup(&claim_key(namespace, &used.name));
    let stamp = claim.and_then(|claim| claim.meta.annotations.get(STAMP)).map(String::as_str);
    let itself = |pod: &&Object| pod.key == object.key && !object.key.name.is_empty();
    let ended = |pod: &&Object| pod.facts.workload().is_some_and(|pod| pod.finished);
    let pods = context.view.pods_using(namespace, &used.name);
    let mut pods: Vec<&Object> =
        pods.filter(|pod| !itself(pod) && !ended(pod)).take(PODS_MAX.saturating_add(1)).collect();
    pods.sort_by(|left, right| left.key.cmp(&right.key));
    let cache_of = [true, false].map(|trusted| {
        let pool = near
            .iter()
            .find(|pool| pool.is_trusted() == trusted && pool.caches(namespace, &used.name));
        pool.map(Pool::shown)
    });
    Known { stamp, pods, cache_of }
}

impl Known<'_> {
    /// Whether anything is known by which it could be somebody's.
    fn matters(&self) -> bool {
        self.stamp.is_some() || !self.pods.is_empty() || self.cache_of.iter().any(Option::is_some)
    }
}

/// Why work may not use a claim so, after "claim `x`".
fn fault(
    context: &Context<'_>,
    work: &Work<'_>,
    used: &ClaimUse,
    known: &Known<'_>,
) -> Option<String> {
    let own = Party {
        trusted: work.standing == Standing::Trusted,
        runs: work.runs.iter().filter_map(|run| run_id(run)).collect(),
    };
    let writes = !used.read_only;
    let cache = match (&known.cache_of, own.trusted) {
        ([Some(pool), _], false) if writes => Some(format!(
            "is a cache of trusted pool `{}`, and untrusted work could write it",
            excerpt(pool)
        )),
        ([None, Some(pool)], true) => Some(format!(
            "is a cache of untrusted pool `{}`, and trusted work would build from it",
            excerpt(pool)
        )),
        _ => None,
    };
    let stamped = || stamp_fault(context, (work, &own), writes, known.stamp?);
    let is_cache = known.cache_of.iter().any(Option::is_some);
    let pods = || {
        known
            .pods
            .iter()
            .take(PODS_MAX)
            .find_map(|pod| pod_fault(context, (&own, writes, is_cache), pod, &used.name))
    };
    let too_many = || {
        (known.pods.len() > PODS_MAX).then(|| {
            format!("is used by more than {PODS_MAX} pods, and whose they are can't be told")
        })
    };
    cache.or_else(stamped).or_else(pods).or_else(too_many)
}

/// A claim that was made for a run is that run's.
fn stamp_fault(
    context: &Context<'_>,
    (work, own): (&Work<'_>, &Party),
    writes: bool,
    text: &str,
) -> Option<String> {
    let shown = excerpt(text);
    let Some(stamp) = Stamp::parse(text) else {
        return Some(format!("is stamped `{shown}`, which names no run"));
    };
    let fits = |run: &&Object| run.meta.uid == stamp.uid && run.key.name == stamp.name;
    if work.runs.iter().copied().any(|run| fits(&run)) {
        return None;
    }
    let run = context.view.by_uid(stamp.uid).filter(fits);
    let id = run.and_then(run_id);
    if id.is_some_and(|id| own.runs.contains(&id)) {
        return None;
    }
    let trusted = run.is_some_and(|run| record::judge(context, run) == Standing::Trusted);
    if writes {
        Some(format!(
            "belongs to another run, `{}`, and this work could write it",
            excerpt(stamp.name)
        ))
    } else if own.trusted && !trusted {
        Some(format!(
            "belongs to run `{}`, which isn't trusted, and trusted work would read it",
            excerpt(stamp.name)
        ))
    } else {
        None
    }
}

/// Another pod that uses the claim.
fn pod_fault(
    context: &Context<'_>,
    (own, writes, is_cache): (&Party, bool, bool),
    pod: &Object,
    claim: &str,
) -> Option<String> {
    let theirs = Party {
        trusted: standing::of_stored(context, pod) == Standing::Trusted,
        // Nobody in particular: what counts is what the pod is stamped with.
        runs: standing::runs_of(context, pod, &Requester::default())
            .into_iter()
            .filter_map(run_id)
            .collect(),
    };
    let uses = pod.facts.workload().into_iter().flat_map(|workload| &workload.claims);
    let they_write = uses.filter(|used| used.name == claim).any(|used| !used.read_only);
    let name = excerpt(&pod.key.name);
    match (own.trusted, theirs.trusted) {
        (false, true) if writes => Some(format!(
            "is used by pod `{name}`, whose work is trusted, and untrusted work could write it"
        )),
        (true, false) if they_write => {
            Some(format!("is used by pod `{name}`, whose work isn't trusted and can write it"))
        }
        (true, true) | (false, false)
            if writes && !is_cache && !same_run(&own.runs, &theirs.runs) =>
        {
            Some(format!("is used by pod `{name}`, which is of another run"))
        }
        _ => None,
    }
}

/// Whether two pieces of work are for one run, or both for none.
fn same_run(own: &BTreeSet<RunId>, theirs: &BTreeSet<RunId>) -> bool {
    own == theirs || !own.is_disjoint(theirs)
}

fn run_id(run: &Object) -> Option<RunId> {
    let Facts::Run(record) = &run.facts else { return None };
    let attempt = run.key.kind == record::ATTEMPT;
    let name = if attempt { &record.run } else { &run.key.name };
    let (namespace, name) = name.split_once('/').unwrap_or((&run.key.namespace, name));
    Some((namespace.to_owned(), name.to_owned()))
}
