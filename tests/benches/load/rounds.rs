//! The measurement: rounds in which each server gets the same load in turn, so that a slow moment of the machine hits all of them.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::client::{Client, Protocol};
use crate::figures::{self, Conditions, Figures, Sample};
use crate::material::{Outcome, reviews};
use crate::peers::{KINDS, Kind, Peer, Stage};
use crate::report::Asked;
use crate::usage;

/// How much is measured.
#[derive(Clone, Copy)]
struct Extent {
    rounds: usize,
    requests: usize,
    warm_up: usize,
}

const MEASURED: Extent = Extent { rounds: 7, requests: 20_000, warm_up: 2_000 };
/// Only to show that it runs.
const TRIED: Extent = Extent { rounds: 1, requests: 100, warm_up: 10 };

/// Measures, and says what came out.
///
/// # Errors
/// Also when an answer is not an allowance, or the audited server has fewer records than answers.
pub(crate) fn run(asked: Asked) -> Outcome<String> {
    let extent = if asked == Asked::Try { TRIED } else { MEASURED };
    let stage = Stage::prepare()?;
    let mut peers = Vec::new();
    for kind in KINDS {
        peers.push(Peer::start(kind, &stage)?);
    }
    let body = reviews::pod()?;
    let bytes = body.len();
    let client = Client { authority: stage.authority.clone(), body: body.into() };
    let bench = Bench { runtime: runtime()?, client, peers, extent };
    let before = Moment::now(&bench.peers)?;
    let protocols = [
        ("HTTP/1.1, 25 connections", Protocol::Http1),
        ("HTTP/2, one connection, 25 streams", Protocol::Http2),
    ];
    let mut measured = Vec::new();
    for (name, protocol) in protocols {
        measured.push(Figures { name, rounds: bench.rounds(protocol)? });
    }
    let others = Moment::now(&bench.peers)?.others_since(&before)?;
    drop(bench);
    check_records(&stage, extent, protocols.len())?;
    let Extent { rounds, requests, .. } = extent;
    figures::report(&Conditions { rounds, requests, bytes, others }, &measured)
}

/// One thread, as the servers have threads enough to fill the rest of the machine.
fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

struct Bench {
    runtime: Runtime,
    client: Client,
    peers: Vec<Peer>,
    extent: Extent,
}

impl Bench {
    fn rounds(&self, protocol: Protocol) -> Outcome<Vec<Vec<(Kind, Sample)>>> {
        for peer in &self.peers {
            self.sample(peer, protocol, self.extent.warm_up)?;
        }
        let round = |_| {
            let sample =
                |peer: &Peer| Ok((peer.kind, self.sample(peer, protocol, self.extent.requests)?));
            self.peers.iter().map(sample).collect()
        };
        (0..self.extent.rounds).map(round).collect()
    }

    fn sample(&self, peer: &Peer, protocol: Protocol, requests: usize) -> Outcome<Sample> {
        let before = usage::of_process(peer.process())?;
        let load = self.client.load(peer.address, protocol, requests);
        let load =
            self.runtime.block_on(load).map_err(|error| format!("{}: {error}", peer.kind))?;
        let used = usage::of_process(peer.process())?.saturating_sub(before);
        Ok(Sample::of(&load, used))
    }
}

/// Every allowance of an agent's pod is recorded: had the server not done so, its figure would be of something else.
fn check_records(stage: &Stage, extent: Extent, protocols: usize) -> Outcome<()> {
    let of_protocol = extent.rounds.saturating_mul(extent.requests).saturating_add(extent.warm_up);
    let (answers, records) = (of_protocol.saturating_mul(protocols), stage.audit_records()?);
    if records < answers {
        return Err(format!("{records} audit records of {answers} answers").into());
    }
    Ok(())
}

/// What everybody has used up to now.
struct Moment {
    at: Instant,
    own: Duration,
    machine: Duration,
}

impl Moment {
    fn now(peers: &[Peer]) -> Outcome<Self> {
        let mut own = usage::of_process(std::process::id())?;
        for peer in peers {
            own = own.saturating_add(usage::of_process(peer.process())?);
        }
        Ok(Self { at: Instant::now(), own, machine: usage::of_machine()? })
    }

    /// The share of the machine that went to others, from 0 to 1.
    fn others_since(&self, before: &Self) -> Outcome<f64> {
        let own = self.own.saturating_sub(before.own);
        let others = self.machine.saturating_sub(before.machine).saturating_sub(own);
        let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
        let all = self.at.saturating_duration_since(before.at).saturating_mul(cores);
        Ok(others.as_secs_f64() / all.as_secs_f64())
    }
}
