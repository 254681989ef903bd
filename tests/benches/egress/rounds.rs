//! Rounds from leg to leg. What is compared is always of the same round: the machine changes from one to the next.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use crate::client::Task;
use crate::figures::{self, Latencies, Sample};
use crate::legs::{Leg, Running, Setting};
use crate::{Outcome, memory, usage};

/// Milliseconds of one measurement of rates.
const TIME_MS: u64 = 1500;
/// Before the first that counts.
const WARM_UP_MS: u64 = 200;
/// Tunnels that bytes come through at once.
const SEVERAL: u64 = 4;
/// Latencies are measured in short turns, so that what disturbs the machine for seconds disturbs all legs.
const TURNS: usize = 6;
const TURN_MS: u64 = 250;
/// Far below what any leg can do.
pub(crate) const ECHOES_PER_SECOND: u64 = 1000;
pub(crate) const OPENED_PER_SECOND: u64 = 200;
/// A failed leg is started again so often.
const FAILURES_MAX: usize = 3;

/// All rounds, and the report. `wanted` are the names of legs as the code calls them; none means all.
pub(crate) fn run(setting: &Setting, rounds: usize, wanted: &[&str]) -> Outcome<String> {
    let asked = |leg: &Leg| wanted.is_empty() || wanted.contains(&format!("{leg:?}").as_str());
    let legs: Vec<Leg> =
        Leg::ALL.into_iter().filter(asked).filter(|leg| setting.has(*leg)).collect();
    if !setting.has(Leg::Transparent) {
        note("no namespaces: nothing is redirected, so that leg is left out")?;
    }
    let memory = memory::all(setting, &legs)?;
    let mut running =
        legs.iter().map(|leg| setting.start(*leg)).collect::<Outcome<Vec<Running>>>()?;
    let mut samples = Vec::new();
    let mut failures = 0;
    while samples.len() < rounds {
        match round(&mut running) {
            Ok(all) => {
                for sample in &all {
                    note(&format!("round {}, {}", samples.len(), figures::line(sample)?))?;
                }
                samples.push(all);
            }
            Err(error) if failures < FAILURES_MAX => {
                failures = failures.saturating_add(1);
                note(&format!("a round failed and is made again: {error}"))?;
                running = legs.iter().map(|leg| setting.start(*leg)).collect::<Outcome<_>>()?;
            }
            Err(error) => return Err(error),
        }
    }
    figures::report(&legs, &samples, &memory)
}

/// Raw figures, for whoever doubts the medians.
pub(crate) fn note(line: &str) -> Outcome<()> {
    let mut text = String::new();
    writeln!(text, "{line}")?;
    Ok(std::io::stderr().write_all(text.as_bytes())?)
}

fn round(legs: &mut [Running]) -> Outcome<Vec<Sample>> {
    let mut samples = legs.iter_mut().map(rates).collect::<Outcome<Vec<Sample>>>()?;
    let mut latencies = vec![Latencies::default(); legs.len()];
    for _ in 0..TURNS {
        for (leg, found) in legs.iter_mut().zip(&mut latencies) {
            let ms = TURN_MS;
            found.echo.extend(leg.client.ask(Task::Echo { per_second: ECHOES_PER_SECOND, ms })?);
            found.open.extend(leg.client.ask(Task::Open { per_second: OPENED_PER_SECOND, ms })?);
        }
    }
    for (sample, latencies) in samples.iter_mut().zip(latencies) {
        sample.latencies(latencies);
    }
    Ok(samples)
}

fn rates(leg: &mut Running) -> Outcome<Sample> {
    leg.client.ask(Task::New { ms: WARM_UP_MS })?;
    let before = cpu(leg)?;
    let (opened, took) = pair(&leg.client.ask(Task::New { ms: TIME_MS })?)?;
    let used = cpu(leg)? - before;
    let before = cpu(leg)?;
    let (one, one_took) = pair(&leg.client.ask(Task::Bytes { tunnels: 1, ms: TIME_MS })?)?;
    let (all, all_took) = pair(&leg.client.ask(Task::Bytes { tunnels: SEVERAL, ms: TIME_MS })?)?;
    let bulk = cpu(leg)? - before;
    let mut sample = Sample::new(leg.leg);
    sample.new_tunnels(opened / took, used * 1e6 / opened);
    sample.bytes(one / one_took, all / all_took, bulk / ((one + all) / 1_073_741_824.0));
    Ok(sample)
}

/// A count and the seconds that it took.
fn pair(answer: &[u64]) -> Outcome<(f64, f64)> {
    let [count, nanos] = answer else { return Err("expected a count and a time".into()) };
    Ok((figures::number(*count), Duration::from_nanos(*nanos).as_secs_f64()))
}

/// Seconds that the proxy used so far; not a number where there is none.
fn cpu(leg: &Running) -> Outcome<f64> {
    let Some(process) = leg.process() else { return Ok(f64::NAN) };
    Ok(usage::cpu(process)?.as_secs_f64())
}
