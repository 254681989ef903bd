//! Samples to figures: medians over rounds, each server's against the reference of the same round.

use std::fmt::Write as _;
use std::time::Duration;

use crate::client::Load;
use crate::material::Outcome;
use crate::peers::Kind;
use crate::report::{self, Table};

/// One server in one round.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Requests per second.
    rate: f64,
    /// Milliseconds.
    p50: f64,
    /// Milliseconds.
    p99: f64,
    /// Microseconds of the server's CPU time per request.
    cpu: f64,
}

/// One of a sample's figures.
type Measure = fn(&Sample) -> f64;

const MEASURES: [Measure; 4] =
    [|sample| sample.rate, |sample| sample.p50, |sample| sample.p99, |sample| sample.cpu];
/// What design/operations.md and its decisions allow, by [`MEASURES`].
const BUDGETS: [(Kind, [&str; 4]); 2] =
    [(Kind::Webhook, ["≥ 0.7", "", "≤ 1.5", ""]), (Kind::Audited, ["≥ 0.45", "", "", ""])];

impl Sample {
    pub(crate) fn of(load: &Load, cpu: Duration) -> Self {
        let latencies = &load.latencies;
        let requests = u32::try_from(latencies.len()).map_or(f64::NAN, f64::from);
        let percentile = |percent: usize| {
            let at = latencies.len().saturating_mul(percent) / 100;
            latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        };
        Self {
            rate: requests / load.took.as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
            cpu: cpu.as_secs_f64() * 1e6 / requests,
        }
    }
}

/// One protocol.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    /// By round, in the order of the servers.
    pub(crate) rounds: Vec<Vec<(Kind, Sample)>>,
}

/// What was sent, and on what kind of machine.
pub(crate) struct Conditions {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    /// Of a body.
    pub(crate) bytes: usize,
    /// Share of the machine that others used, from 0 to 1.
    pub(crate) others: f64,
}

/// The section of the page.
pub(crate) fn report(conditions: &Conditions, measured: &[Figures]) -> Outcome<String> {
    let Conditions { rounds, requests, bytes, others } = conditions;
    let mut text = report::machine(&format!(
        "{rounds} rounds of {requests} requests to each server; bodies of {bytes} bytes. \
         Other programs had {:.0} % of the CPU time meanwhile.",
        others * 100.0
    ))?;
    for figures in measured {
        write!(text, "{}\n\n{}\n", figures.name, figures.table())?;
    }
    Ok(text)
}

impl Figures {
    fn table(&self) -> String {
        let mut table =
            Table::new(&["", "Requests/s", "p50", "p99", "Server's CPU time per request"]);
        let [rate, p50, p99, cpu] =
            MEASURES.map(|measure| median(self.of(Kind::Reference).map(|own| measure(&own))));
        table.line(&[
            format!("{}, for scale", Kind::Reference),
            format!("{rate:.0}"),
            format!("{p50:.2} ms"),
            format!("{p99:.2} ms"),
            format!("{cpu:.0} µs"),
        ]);
        for (kind, budgets) in BUDGETS {
            let mut cells = vec![format!("{kind}, times the reference")];
            cells.extend(MEASURES.map(|measure| self.ratio(kind, measure)));
            table.line(&cells);
            let mut cells = vec!["its budget"];
            cells.extend(budgets);
            table.line(&cells);
        }
        table.text()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = Sample> {
        let found = move |round: &Vec<(Kind, Sample)>| {
            round.iter().find(|(own, _)| *own == kind).map(|(_, sample)| *sample)
        };
        self.rounds.iter().filter_map(found)
    }

    /// Median, least and greatest over the rounds.
    fn ratio(&self, kind: Kind, measure: Measure) -> String {
        let pairs = self.of(kind).zip(self.of(Kind::Reference));
        let ratios: Vec<f64> =
            pairs.map(|(own, reference)| measure(&own) / measure(&reference)).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = ratios.iter().copied().fold(0.0, f64::max);
        format!("{:.2} ({least:.2} to {greatest:.2})", median(ratios.into_iter()))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
