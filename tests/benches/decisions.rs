//! How long decisions take, by criterion, and the stages and the parsing that they are made of.

mod cases;
mod material;
mod report;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use cases::{Case, Input};
use criterion::Criterion;
use material::Outcome;
use report::{Asked, Table};
use serde_json::Value;

/// How often a case is timed singly, after some times that don't count.
const SINGLE_RUNS: usize = 10_000;
const SINGLE_WARM_UPS: usize = 1_000;
const NANOS_PER_MICRO: f64 = 1e3;
const MICROS_PER_SECOND: f64 = 1e6;
/// What the design allows.
const BUDGETS: &[(&str, &str)] = &[
    ("pod facts to decision", "≤ 30 µs"),
    ("pod facts to decision, 100,000 RoleBindings", "≤ 1.5 times the line above"),
    ("pod facts to injection", "≤ 100 µs"),
    ("injected pod facts to decision", "≤ 30 µs"),
    ("role binding facts to decision", "≤ 50 µs, p99 ≤ 500 µs"),
    ("role binding facts to decision, 100,000 RoleBindings", "≤ 1.5 times the line above"),
    ("admin covers admin", "≤ 100 µs"),
    ("DNS query to permit and reply", "≤ 20 µs"),
    ("DNS query to denial and reply", "≤ 20 µs"),
    ("tool call from 1 KB", "≤ 100 µs"),
];

fn main() -> Outcome<()> {
    let (asked, began) = (Asked::of_arguments(), SystemTime::now());
    let input = Input::prepare()?;
    let cases = cases::cases(&input)?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let criterion =
        Criterion::default().output_directory(&folder).measurement_time(Duration::from_secs(3));
    // Criterion knows no `--write`.
    let mut criterion = match asked {
        Asked::Write => criterion,
        Asked::Measure | Asked::Try => criterion.configure_from_args(),
    };
    for case in &cases {
        criterion.bench_function(case.name, |bencher| bencher.iter(&case.run));
    }
    if asked == Asked::Try {
        return Ok(());
    }
    report::publish(asked, "decisions", &figures(&cases, &folder, began)?)
}

/// Every case with criterion's median, and the p99 of single runs.
fn figures(cases: &[Case<'_>], folder: &Path, began: SystemTime) -> Outcome<String> {
    let mut table = Table::new(&["Case", "Least, µs", "Median, µs", "p99, µs", "Budget"]);
    for case in cases {
        let path = folder.join(case.name).join("new/estimates.json");
        // What a filter left out has no figure, or an old one.
        if fs::metadata(&path).and_then(|found| found.modified()).is_ok_and(|at| at >= began) {
            let (median, [least, p99]) = (median_micros(&path)?, single_micros(case));
            table.line(&[case.name, &least, &median, &p99, budget(case.name)]);
        }
    }
    let few = "100 RoleBindings in the cluster if nothing else is said.";
    Ok(report::machine(few)? + &table.text())
}

fn budget(case: &str) -> &'static str {
    BUDGETS.iter().find(|(name, _)| *name == case).map_or("", |(_, budget)| budget)
}

fn median_micros(path: &Path) -> Outcome<String> {
    let estimates: Value = serde_json::from_slice(&fs::read(path)?)?;
    let nanos = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    let nanos = nanos.ok_or_else(|| format!("`{}` has no median", path.display()))?;
    Ok(format!("{:.2}", nanos / NANOS_PER_MICRO))
}

/// The least and the p99 of single runs: what it costs undisturbed, and what the machine adds.
fn single_micros(case: &Case<'_>) -> [String; 2] {
    let run = || {
        let began = Instant::now();
        black_box((case.run)());
        began.elapsed()
    };
    for _ in 0..SINGLE_WARM_UPS {
        run();
    }
    let mut times: Vec<Duration> = (0..SINGLE_RUNS).map(|_| run()).collect();
    times.sort_unstable();
    [0, SINGLE_RUNS.saturating_mul(99) / 100].map(|at| {
        let time = times.get(at).copied().unwrap_or_default();
        format!("{:.2}", time.as_secs_f64() * MICROS_PER_SECOND)
    })
}
