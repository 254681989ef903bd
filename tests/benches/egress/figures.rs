//! Rounds from leg to leg, and figures from them: medians over rounds of the ratio to haproxy in the same round.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::legs::{Leg, Running, start};
use crate::{Outcome, client, server, usage};

/// Of one measurement.
const TIME: Duration = Duration::from_millis(1500);
/// Before one that counts.
const WARM_UP: Duration = Duration::from_millis(200);
/// Tunnels that are opened at the same time.
const WORKERS: usize = 16;
/// Tunnels that bytes come through.
const SEVERAL: usize = 4;
/// Threads of the latency measurement, and how often each sends: 2,000 requests a second together.
const THREADS: u32 = 8;
const EVERY: Duration = Duration::from_millis(4);
/// Idle tunnels whose memory is measured.
const IDLE: [usize; 3] = [0, 1_000, 9_500];

/// What is measured in a round.
const MEASURES: [&str; 7] = [
    "new tunnels/s",
    "CPU µs per tunnel",
    "GB/s, one tunnel",
    "GB/s, four tunnels",
    "CPU s per GiB",
    "p50 µs at 2,000/s",
    "p99 µs at 2,000/s",
];

/// One leg in one round, in the order of [`MEASURES`]; not a number where there is no proxy to measure.
type Sample = [f64; 7];

/// All rounds, and the report.
pub(crate) fn run(sidecar: &Path, rounds: usize) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = runtime.block_on(server::start())?;
    let begin = |leg| start(leg, (sidecar, folder.path()), server);
    let memory = memories(&runtime, &begin)?;
    let legs = Leg::ALL.into_iter().map(begin).collect::<Outcome<Vec<_>>>()?;
    let mut samples = Vec::new();
    for round in 0..rounds {
        for running in &legs {
            let sample = measure(&runtime, running)?;
            note(round, running.leg, &sample)?;
            samples.push((round, running.leg, sample));
        }
    }
    report(rounds, &samples, &memory)
}

/// Raw figures, for whoever doubts the medians.
fn note(round: usize, leg: Leg, sample: &Sample) -> Outcome<()> {
    let mut line = format!("round {round}, {}:", leg.name());
    for (name, value) in MEASURES.iter().zip(sample) {
        write!(line, " {name} {value:.3};")?;
    }
    line.push('\n');
    Ok(std::io::stderr().write_all(line.as_bytes())?)
}

fn cpu(running: &Running) -> Outcome<f64> {
    let Some(process) = running.process() else { return Ok(f64::NAN) };
    Ok(usage::cpu(process)?.as_secs_f64())
}

fn measure(runtime: &tokio::runtime::Runtime, running: &Running) -> Outcome<Sample> {
    let way = running.way;
    runtime.block_on(client::new_tunnels(way, WORKERS, WARM_UP))?;
    let (before, started) = (cpu(running)?, Instant::now());
    let opened = number(runtime.block_on(client::new_tunnels(way, WORKERS, TIME))?);
    let (took, used) = (started.elapsed().as_secs_f64(), cpu(running)? - before);
    let before = cpu(running)?;
    let one = number(runtime.block_on(client::bytes(way, 1, TIME))?);
    let several = number(runtime.block_on(client::bytes(way, SEVERAL, TIME))?);
    let bulk = cpu(running)? - before;
    let latencies = client::latencies(way, THREADS, EVERY, TIME)?;
    let percentile = |percent: usize| {
        let at = latencies.len().saturating_mul(percent).checked_div(100).unwrap_or(0);
        latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    };
    Ok([
        opened / took,
        used * 1e6 / opened,
        one / TIME.as_secs_f64() / 1e9,
        several / TIME.as_secs_f64() / 1e9,
        bulk / ((one + several) / 1_073_741_824.0),
        percentile(50),
        percentile(99),
    ])
}

/// A count; exact below 2^53.
fn number(count: u64) -> f64 {
    let (high, low) = (u32::try_from(count >> 32), u32::try_from(count & 0xffff_ffff));
    high.map_or(f64::NAN, f64::from) * 4_294_967_296.0 + low.map_or(f64::NAN, f64::from)
}

/// Resident KiB of each leg, by [`IDLE`].
type Memory = Vec<(Leg, Vec<u64>)>;

fn memories(
    runtime: &tokio::runtime::Runtime,
    begin: &dyn Fn(Leg) -> Outcome<Running>,
) -> Outcome<Memory> {
    let mut all = Vec::new();
    for leg in Leg::ALL.into_iter().filter(|leg| *leg != Leg::Direct) {
        let running = begin(leg)?;
        let process = running.process().ok_or("no process")?;
        let mut open = Vec::new();
        let mut found = Vec::new();
        for wanted in IDLE {
            let more = wanted.saturating_sub(open.len());
            open.extend(runtime.block_on(client::idle(running.way, more))?);
            std::thread::sleep(WARM_UP);
            found.push(usage::memory(process)?);
        }
        let mut line = format!("memory, {}:", leg.name());
        for (count, kib) in IDLE.iter().zip(&found) {
            write!(line, " {count} tunnels {kib} KiB;")?;
        }
        line.push('\n');
        std::io::stderr().write_all(line.as_bytes())?;
        all.push((leg, found));
    }
    Ok(all)
}

fn report(rounds: usize, samples: &[(usize, Leg, Sample)], memory: &Memory) -> Outcome<String> {
    let mut text = format!("{rounds} rounds of {TIME:?} for each figure.\n\n");
    let row = |text: &mut String, cells: &[String]| writeln!(text, "| {} |", cells.join(" | "));
    let titles: Vec<String> = std::iter::once("").chain(MEASURES).map(str::to_owned).collect();
    row(&mut text, &titles)?;
    row(&mut text, &vec!["---".to_owned(); titles.len()])?;
    for leg in Leg::ALL {
        let cells = (0..MEASURES.len()).map(|at| {
            let value = median(of(samples, leg, at).map(|(_, value)| value).collect());
            if value.is_nan() { String::new() } else { format!("{value:.2}") }
        });
        let cells: Vec<String> = std::iter::once(leg.name().to_owned()).chain(cells).collect();
        row(&mut text, &cells)?;
    }
    for (name, of_leg) in [("haproxy", Leg::Haproxy), ("squid", Leg::Squid)] {
        for own in [Leg::Sidecar, Leg::Audited] {
            let mut cells = vec![format!("{}, times {name}", own.name())];
            cells.extend((0..MEASURES.len()).map(|at| ratio(samples, (own, of_leg), at)));
            row(&mut text, &cells)?;
        }
    }
    text.push('\n');
    let titles = ["Resident, MiB", "idle", "1,000 tunnels", "9,500 tunnels"];
    row(&mut text, &titles.map(str::to_owned))?;
    row(&mut text, &titles.map(|_| "---".to_owned()))?;
    for (leg, found) in memory {
        let mut cells = vec![leg.name().to_owned()];
        cells.extend(found.iter().map(|kib| format!("{:.1}", number(*kib) / 1024.0)));
        row(&mut text, &cells)?;
    }
    Ok(text)
}

fn of<'s>(
    samples: &'s [(usize, Leg, Sample)],
    leg: Leg,
    at: usize,
) -> impl Iterator<Item = (usize, f64)> + 's {
    let own = samples.iter().filter(move |(_, of, _)| *of == leg);
    own.map(move |(round, _, sample)| (*round, sample.get(at).copied().unwrap_or(f64::NAN)))
}

/// The median of the rounds' ratios, with the least and the greatest.
fn ratio(samples: &[(usize, Leg, Sample)], (own, other): (Leg, Leg), at: usize) -> String {
    let mut ratios: Vec<f64> =
        of(samples, own, at).zip(of(samples, other, at)).map(|((_, a), (_, b))| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios.first().copied(), ratios.last().copied());
    let ends = least.zip(most).unwrap_or((f64::NAN, f64::NAN));
    format!("{:.2} ({:.2} to {:.2})", median(ratios), ends.0, ends.1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
