//! Decisions and changes in process, at four sizes of the same cluster, in turns, so that a slow moment hits all sizes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pinfold_engine::admit::admit;
use pinfold_model::finding::Finding;
use pinfold_model::object::{Object, from_value};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::{self, SourceFile};

use crate::generated::{self, Size};
use crate::material::{self, Outcome, SITE_POLICY};
use crate::report::{self, Asked, Table};
use crate::requests::{self, Probe};

const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
/// RoleBindings and ClusterRoleBindings.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const SEED: u64 = 4;
/// Each round runs each thing so often at each size.
const ROUNDS: usize = 40;
const RUNS: usize = 50;
/// Only to show that it works.
const TRIED: (usize, usize) = (1, 2);

/// One size, with all objects that are not generated.
struct Estate {
    size: Size,
    view: Snapshot,
    /// Bindings as somebody changes them.
    changes: Vec<Object>,
}

/// Measures, and says what came out.
pub(crate) fn run(asked: Asked) -> Outcome<String> {
    let (sizes, (rounds, runs)) =
        if asked == Asked::Try { (&SIZES[..2], TRIED) } else { (&SIZES[..], (ROUNDS, RUNS)) };
    let policy = policy()?;
    let mut estates = Vec::new();
    for bindings in sizes {
        estates.push(Estate::of(*bindings)?);
    }
    let probes = requests::probes()?;
    for probe in &probes {
        for estate in &estates {
            must_allow(probe, &estate.view, &policy)?;
        }
    }
    let mut titles = vec!["p50, µs (p99)".to_owned()];
    titles.extend(sizes.iter().map(|size| format!("{size} bindings")));
    titles.push("largest / smallest".to_owned());
    let mut table = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for probe in &probes {
        let decide = |estate: &mut Estate| {
            black_box(admit(black_box(&probe.facts), &estate.view, &policy, NOW).allowed());
        };
        table.line(&line(probe.name, &mut estates, (rounds, runs), decide));
    }
    let mut at = 0_usize;
    table.line(&line("one change applied and published", &mut estates, (rounds, runs), |estate| {
        let changes = &estate.changes;
        if let Some(change) = changes.get(at.checked_rem(changes.len()).unwrap_or_default()) {
            let published = estate.view.clone();
            estate.view.apply(change.clone());
            drop(black_box(published));
        }
        at = at.wrapping_add(1);
    }));
    let often = often(&mut estates, &policy, (rounds, runs))?;
    let notes = "A fifth as many roles and a 25th as many namespaces.";
    Ok(report::machine(notes)? + &table.text() + "\n" + &often)
}

/// The role that is bound often, at the largest size alone.
fn often(
    estates: &mut Vec<Estate>,
    policy: &AdmissionPolicy,
    extent: (usize, usize),
) -> Outcome<String> {
    let mut estate = estates.pop().ok_or("no size")?;
    for object in requests::often_bound()? {
        estate.view.apply(object);
    }
    let probe = requests::often_edited()?;
    must_allow(&probe, &estate.view, policy)?;
    let size = estate.size.bindings;
    let mut alone = [estate];
    let cells = line(probe.name, &mut alone, extent, |estate| {
        black_box(admit(black_box(&probe.facts), &estate.view, policy, NOW).allowed());
    });
    Ok(format!("{}, {size} bindings: {} µs\n", probe.name, cells.get(1).map_or("", String::as_str)))
}

impl Estate {
    fn of(bindings: usize) -> Outcome<Self> {
        let size = Size::of_bindings(bindings);
        let mut view = Snapshot::of(requests::objects()?);
        for value in generated::objects(size, true, SEED) {
            view.apply(from_value(&value)?);
        }
        let mut changes = Vec::new();
        for number in (0..100).map(|number: usize| number.wrapping_mul(7_919)) {
            changes.push(from_value(&generated::changed(number, size, SEED))?);
        }
        Ok(Self { size, view, changes })
    }
}

fn policy() -> Outcome<AdmissionPolicy> {
    let mut sources = sources::read(&material::library())?;
    sources.push(SourceFile { name: "site.yaml".to_owned(), text: SITE_POLICY.to_owned() });
    let loaded = load(&sources).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    Ok(loaded.admission.ok_or("no AdmissionPolicy in the library")?)
}

fn must_allow(probe: &Probe, view: &Snapshot, policy: &AdmissionPolicy) -> Outcome<()> {
    let decision = admit(&probe.facts, view, policy, NOW);
    let said = |finding: &Finding| format!("{} {}", finding.rule.as_str(), finding.message);
    let denials: Vec<String> = decision.denials().map(said).collect();
    if decision.allowed() {
        Ok(())
    } else {
        Err(format!("{}: {}", probe.name, denials.join("\n")).into())
    }
}

/// Name, then p50 and p99 of each size, then the ratio of the outer p50s.
fn line(
    name: &str,
    estates: &mut [Estate],
    (rounds, runs): (usize, usize),
    mut run: impl FnMut(&mut Estate),
) -> Vec<String> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); estates.len()];
    for _ in 0..rounds {
        for (estate, times) in estates.iter_mut().zip(&mut times) {
            // What the last size left in the processor's caches is not this one's.
            run(estate);
            times.extend((0..runs).map(|_| {
                let began = Instant::now();
                run(estate);
                began.elapsed()
            }));
        }
    }
    let mut medians = Vec::new();
    let mut cells = vec![name.to_owned()];
    for times in &mut times {
        times.sort_unstable();
        let micros = |percent: usize| {
            let at = times.len().saturating_mul(percent) / 100;
            times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        cells.push(format!("{:.1} ({:.1})", micros(50), micros(99)));
        medians.push(micros(50));
    }
    let ratio = medians.last().zip(medians.first()).map_or(f64::NAN, |(last, first)| last / first);
    cells.push(format!("{ratio:.2}"));
    cells
}
