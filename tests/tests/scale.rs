//! What must not grow with the cluster, by counts instead of times: what a decision or a change allocates, and what the view keeps for an
//! object. The times are in `benches/scale`.

#[path = "scale/compiled.rs"]
mod compiled;
#[path = "../benches/material/generated.rs"]
mod generated;
#[path = "scale/hostile.rs"]
mod hostile;
#[path = "../benches/material/mod.rs"]
mod material;
#[path = "../benches/scale/requests.rs"]
mod requests;

use std::collections::BTreeMap;

use allocation_counter::measure;
use generated::{Size, changed, objects};
use jiff::Timestamp;
use material::Outcome;
use pinfold_engine::admit::admit;
use pinfold_model::object::from_value;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::{Sharing, Snapshot};
use pinfold_model::sources::{self, SourceFile};

/// When the decisions are made: 2026-11-21.
const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
const SEED: u64 = 4;
const FEW: usize = 100;
const MANY: usize = 10_000;
/// The most that the view keeps for one object on average, indexes included: 120,000 have to fit into 150 MiB with everything else.
const OBJECT_BYTES_MAX: u64 = 850;

/// A view as the webhook fills it, and how many bytes it keeps.
fn view(bindings: usize) -> Outcome<(Snapshot, u64)> {
    let mut filled = Ok(Snapshot::default());
    let counted = measure(|| filled = fill(bindings));
    Ok((filled?, u64::try_from(counted.bytes_current)?))
}

fn fill(bindings: usize) -> Outcome<Snapshot> {
    let (mut view, mut sharing) = (Snapshot::of(requests::objects()?), Sharing::default());
    // The agents are the same few: some decisions look at each of them.
    for value in objects(Size::of_bindings(bindings), false, SEED) {
        view.apply(sharing.keep(from_value(&value)?));
    }
    Ok(view)
}

fn policy() -> Outcome<AdmissionPolicy> {
    let mut sources = sources::read(&material::library())?;
    sources.push(SourceFile { name: "site.yaml".into(), text: material::SITE_POLICY.into() });
    let loaded = load(&sources).map_err(|errors| format!("{errors:?}"))?;
    Ok(loaded.admission.ok_or("no AdmissionPolicy in the library")?)
}

#[test]
fn an_object_takes_no_more_in_the_view_than_the_budget_allows() -> Outcome<()> {
    let (view, bytes) = view(MANY)?;
    let each = bytes / u64::try_from(view.len())?;
    assert!(each <= OBJECT_BYTES_MAX, "{each} bytes for each of {} objects", view.len());
    Ok(())
}

#[test]
fn decisions_allocate_as_much_in_a_big_cluster_as_in_a_small_one() -> Outcome<()> {
    let policy = policy()?;
    let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for bindings in [FEW, MANY] {
        let (view, _) = view(bindings)?;
        for probe in requests::probes()? {
            let mut allowed = false;
            let mut decide = || allowed = admit(&probe.facts, &view, &policy, NOW).allowed();
            decide();
            let counted = measure(decide);
            assert!(allowed, "{}", probe.name);
            found.entry(probe.name).or_default().push(counted.bytes_total);
        }
    }
    for (name, bytes) in found {
        let [few, many] = bytes.as_slice() else { return Err("two sizes".into()) };
        // Longer names, and a hash table that is the next size.
        assert!(*many <= few + few / 5 + 500, "{name}: {few} bytes, then {many}");
    }
    Ok(())
}

#[test]
fn an_edit_of_a_role_allocates_the_same_however_often_it_is_bound() -> Outcome<()> {
    let (mut view, _) = view(FEW)?;
    for object in requests::often_bound()? {
        view.apply(object);
    }
    let policy = policy()?;
    let mut found = Vec::new();
    for probe in requests::probes()?
        .iter()
        .filter(|probe| probe.name.starts_with("edit of"))
        .chain([&requests::often_edited()?])
    {
        let decide = || drop(admit(&probe.facts, &view, &policy, NOW));
        decide();
        found.push(measure(decide).bytes_total);
    }
    assert!(found.len() == 2 && found[1] <= 2 * found[0], "{found:?} bytes");
    Ok(())
}

#[test]
fn a_change_allocates_little_more_in_a_big_cluster_than_in_a_small_one() -> Outcome<()> {
    let mut means = Vec::new();
    for bindings in [FEW, MANY] {
        let (mut view, _) = view(bindings)?;
        let changes: Result<Vec<_>, _> = (0..200)
            .map(|at| from_value(&changed(at * 37, Size::of_bindings(bindings), SEED)))
            .collect();
        let changes = changes?;
        let count = u64::try_from(changes.len())?;
        let counted = measure(|| {
            for change in changes {
                let published = view.clone();
                view.apply(change);
                drop(published);
            }
        });
        means.push(counted.bytes_total / count);
    }
    // Paths get longer with the logarithm.
    assert!(means[1] <= 3 * means[0], "{means:?} bytes for a change");
    Ok(())
}
