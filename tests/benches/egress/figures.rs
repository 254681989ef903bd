//! Figures of rounds: medians, and medians of what was compared within a round, with the least and the greatest.

use std::fmt::Write as _;

use crate::Outcome;
use crate::legs::Leg;
use crate::memory::Memory;
use crate::rounds::{ECHOES_PER_SECOND, OPENED_PER_SECOND};

/// What a leg does in a round: rates and costs first, then latencies in microseconds.
const MEASURES: [&str; 9] = [
    "new tunnels/s",
    "CPU µs per tunnel",
    "GB/s, one tunnel",
    "GB/s, four tunnels",
    "CPU s per GiB",
    "round trip p50",
    "round trip p99",
    "new tunnel p50",
    "new tunnel p99",
];
/// So many of them are rates and costs.
const RATES: usize = 5;

/// One leg in one round, in the order of [`MEASURES`]; not a number where there is no proxy to measure.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    leg: Leg,
    values: [f64; 9],
}

/// Nanoseconds of what was sent, and of what was opened, at a fixed rate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    pub(crate) echo: Vec<u64>,
    pub(crate) open: Vec<u64>,
}

impl Sample {
    pub(crate) fn new(leg: Leg) -> Self {
        Self { leg, values: [f64::NAN; 9] }
    }

    pub(crate) fn new_tunnels(&mut self, rate: f64, cpu: f64) {
        let [first, second, ..] = &mut self.values;
        (*first, *second) = (rate, cpu);
    }

    pub(crate) fn bytes(&mut self, one: f64, several: f64, cpu: f64) {
        let [_, _, third, fourth, fifth, ..] = &mut self.values;
        (*third, *fourth, *fifth) = (one / 1e9, several / 1e9, cpu);
    }

    pub(crate) fn latencies(&mut self, mut found: Latencies) {
        found.echo.sort_unstable();
        found.open.sort_unstable();
        let at = |sorted: &[u64], percent: usize| {
            let at = sorted.len().saturating_mul(percent).checked_div(100).unwrap_or(0);
            sorted.get(at).map_or(f64::NAN, |nanos| number(*nanos) / 1e3)
        };
        let [.., first, second, third, fourth] = &mut self.values;
        (*first, *second) = (at(&found.echo, 50), at(&found.echo, 99));
        (*third, *fourth) = (at(&found.open, 50), at(&found.open, 99));
    }
}

/// A count; exact below 2^53.
pub(crate) fn number(count: u64) -> f64 {
    let (high, low) = (u32::try_from(count >> 32), u32::try_from(count & 0xffff_ffff));
    high.map_or(f64::NAN, f64::from) * 4_294_967_296.0 + low.map_or(f64::NAN, f64::from)
}

/// A sample as a line.
pub(crate) fn line(sample: &Sample) -> Outcome<String> {
    let mut line = format!("{}:", sample.leg.name());
    for (name, value) in MEASURES.iter().zip(&sample.values) {
        write!(line, " {name} {value:.3};")?;
    }
    Ok(line)
}

/// The tables.
pub(crate) fn report(legs: &[Leg], rounds: &[Vec<Sample>], memory: &Memory) -> Outcome<String> {
    let mut text = String::new();
    let (rates, latencies) = MEASURES.split_at(RATES);
    head(&mut text, "", rates)?;
    for leg in legs {
        let cell = |at| plain(median(&of(rounds, *leg, at)));
        row(&mut text, leg.name(), (0..RATES).map(cell))?;
    }
    for (name, other) in [("haproxy", Leg::Haproxy), ("squid", Leg::Squid)] {
        for own in [Leg::Sidecar, Leg::Transparent, Leg::Audited] {
            if legs.contains(&own) && legs.contains(&other) {
                let cell =
                    |at| spread(&compared(rounds, (own, other), at, |own, other| own / other));
                row(&mut text, &format!("{}, times {name}", own.name()), (0..RATES).map(cell))?;
            }
        }
    }
    writeln!(
        text,
        "\nLatency in µs: round trips of 32 bytes at {ECHOES_PER_SECOND} a second, new tunnels at {OPENED_PER_SECOND} a second.\n"
    )?;
    head(&mut text, "", latencies)?;
    let all = RATES..MEASURES.len();
    for leg in legs {
        let cell = |at| format!("{:.0}", median(&of(rounds, *leg, at)));
        row(&mut text, leg.name(), all.clone().map(cell))?;
    }
    for leg in legs.iter().filter(|leg| **leg != Leg::Direct && legs.contains(&Leg::Direct)) {
        let pair = (*leg, Leg::Direct);
        let cell = |at| differences(&compared(rounds, pair, at, |own, direct| own - direct));
        row(&mut text, &format!("added by {}", leg.name()), all.clone().map(cell))?;
    }
    text.push('\n');
    of_memory(&mut text, memory)?;
    Ok(text)
}

fn of_memory(text: &mut String, memory: &Memory) -> Outcome<()> {
    let [_, some, most] = memory.tunnels;
    let titles = ["idle", &format!("{some} tunnels"), &format!("{most} tunnels"), "KiB per tunnel"];
    head(text, "Resident, MiB", &titles)?;
    for (leg, found) in &memory.legs {
        let mut cells: Vec<_> =
            found.iter().map(|kib| format!("{:.1}", number(*kib) / 1024.0)).collect();
        if let [_, few, many] = found[..] {
            let tunnels = number(most.saturating_sub(some));
            cells.push(format!("{:.1}", number(many.saturating_sub(few)) / tunnels));
        }
        row(text, leg.name(), cells.into_iter())?;
    }
    Ok(())
}

fn head(text: &mut String, first: &str, titles: &[&str]) -> Outcome<()> {
    writeln!(text, "| {first} | {} |", titles.join(" | "))?;
    Ok(writeln!(text, "| --- |{}", " --- |".repeat(titles.len()))?)
}

fn row(text: &mut String, name: &str, cells: impl Iterator<Item = String>) -> Outcome<()> {
    Ok(writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))?)
}

fn value(round: &[Sample], leg: Leg, at: usize) -> f64 {
    let sample = round.iter().find(|sample| sample.leg == leg);
    sample.and_then(|sample| sample.values.get(at)).copied().unwrap_or(f64::NAN)
}

fn of(rounds: &[Vec<Sample>], leg: Leg, at: usize) -> Vec<f64> {
    rounds.iter().map(|round| value(round, leg, at)).collect()
}

fn compared(
    rounds: &[Vec<Sample>],
    (own, other): (Leg, Leg),
    at: usize,
    by: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    rounds.iter().map(|round| by(value(round, own, at), value(round, other, at))).collect()
}

fn plain(value: f64) -> String {
    if value.is_nan() {
        String::new()
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn spread(ratios: &[f64]) -> String {
    let (least, most) = ends(ratios);
    format!("{:.2} ({least:.2} to {most:.2})", median(ratios))
}

fn differences(values: &[f64]) -> String {
    let (least, most) = ends(values);
    format!("{:.0} ({least:.0} to {most:.0})", median(values))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
