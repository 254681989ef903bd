//! Counts as a file.
//!
//! Buckets are kept by the time of the machine's running, which goes on over a restart of the process. After a restart of the machine the wall
//! clock says how much time has passed; one that went back says that none has (row 120 of the attack table).

use std::io;
use std::path::Path;
use std::time::Duration;

use pinfold_engine::switches::budget::{Bucket, Counts, Used};
use pinfold_model::policy::values::Rate;
use serde::{Deserialize, Serialize};

use crate::quota::{boot, uptime, wall};
use crate::sealed;

const KIND: &str = "budget";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Saved {
    /// Which run of the machine it was written in.
    pub(super) boot: String,
    /// When: nanoseconds since the machine started, and seconds since 1970.
    pub(super) running: u64,
    pub(super) wall: u64,
    agent: SavedUsed,
    servers: Vec<(String, SavedUsed)>,
    tools: Vec<(String, String, SavedUsed)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedUsed {
    calls: u64,
    buckets: Vec<SavedBucket>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedBucket {
    events: u32,
    per_seconds: u64,
    /// Nanoseconds from the writing until it is full.
    lacks: u64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl SavedUsed {
    fn of(used: &Used, now: Duration) -> Self {
        let buckets = used.buckets.iter().map(|Bucket { rate, full_at }| SavedBucket {
            events: rate.events,
            per_seconds: rate.per.as_secs(),
            lacks: nanos(full_at.saturating_sub(now)),
        });
        Self { calls: used.calls, buckets: buckets.collect() }
    }

    fn used(self, now: Duration, passed: Duration) -> Used {
        let bucket = |SavedBucket { events, per_seconds, lacks }| Bucket {
            rate: Rate { events, per: Duration::from_secs(per_seconds) },
            full_at: now.saturating_add(Duration::from_nanos(lacks).saturating_sub(passed)),
        };
        Used { calls: self.calls, buckets: self.buckets.into_iter().map(bucket).collect() }
    }
}

impl Saved {
    /// What a file says at a time.
    pub(super) fn of(counts: &Counts, now: Duration) -> Self {
        let used = |used: &Used| SavedUsed::of(used, now);
        Self {
            boot: boot(),
            running: nanos(now),
            wall: wall(),
            agent: used(&counts.agent),
            servers: counts.servers.iter().map(|(name, of)| (name.clone(), used(of))).collect(),
            tools: counts
                .tools
                .iter()
                .map(|((server, tool), of)| (server.clone(), tool.clone(), used(of)))
                .collect(),
        }
    }

    /// The counts at a later time.
    pub(super) fn counts(self, now: Duration, wall: u64, boot: &str) -> Counts {
        let passed = if self.boot == boot && !boot.is_empty() {
            now.saturating_sub(Duration::from_nanos(self.running))
        } else {
            // Whole seconds of both: up to one more than passed.
            Duration::from_secs(wall.saturating_sub(self.wall).saturating_sub(1))
        };
        let used = |saved: SavedUsed| saved.used(now, passed);
        let tools = self.tools.into_iter().map(|(server, tool, of)| ((server, tool), used(of)));
        Counts {
            known: true,
            agent: used(self.agent),
            servers: self.servers.into_iter().map(|(name, of)| (name, used(of))).collect(),
            tools: tools.collect(),
        }
    }
}

/// What a former process left.
///
/// # Errors
/// Why nobody can tell.
pub(super) fn read(path: &Path) -> Result<Counts, String> {
    let saved: Option<Saved> = sealed::read(path, KIND)?;
    Ok(saved.map_or_else(Counts::default, |saved| saved.counts(uptime(), wall(), &boot())))
}

/// Writes the counts: durable when this returns.
///
/// # Errors
/// The system's; then the file is as it was.
pub(super) fn write(path: &Path, counts: &Counts) -> io::Result<()> {
    sealed::write(path, KIND, &Saved::of(counts, uptime()))
}
