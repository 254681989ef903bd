//! Denials that repeat: the first is recorded before it is answered, equal ones of the same second are counted, and the count is recorded
//! after it. Those that all differ are listed one by one up to a rate, and counted by reason beyond it. So no denial goes unmentioned, and no
//! flood of them drives other records out of the ledger.
//!
//! What is counted and not yet recorded is in memory for a second at most; a stop records it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinfold_ledger::EventKind;
use pinfold_model::policy::values::Rate;
use pinfold_model::reason::{Denial, Reason};

use crate::quota::{Bucket, uptime};
use crate::record::Case;

/// How often ended spans are looked for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Equal denials within this time are one.
const SPAN: Duration = Duration::from_secs(1);
/// Different denials of one kind of event are listed one by one, so many at once and then 8 a second: 512 MiB of records last for hours of the
/// worst flood. Nor are there ever more spans open than these and those of a second.
const LISTED: Rate = Rate { events: 256, per: Duration::from_secs(32) };

/// Denials of the last second.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
    now: Mutex<Spans>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Spans {
    open: HashMap<Kind, Burst>,
    listings: HashMap<Discriminant<EventKind>, Listing>,
}

/// Denials of one kind of event, so that a flood of refused hosts doesn't hide which tools were refused.
#[derive(Debug, Default)]
struct Listing {
    listed: Bucket,
    rest: Option<Rest>,
}

/// What makes two denials equal: all that a record says of them but time, ids and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind(u64);

#[derive(Debug)]
struct Burst {
    since: Duration,
    more: u64,
    case: Case,
    denial: Denial,
}

/// Those that aren't listed.
#[derive(Debug)]
struct Rest {
    since: Duration,
    reasons: BTreeMap<Reason, u64>,
    /// Of the first of them.
    case: Case,
}

/// A number of denials that are recorded together.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) case: Case,
    pub(crate) denial: Denial,
}

impl Bursts {
    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a denial. What comes back is to be recorded now; the others are counted.
    pub(crate) fn first(&self, case: &Case, denial: &Denial) -> Option<Kind> {
        self.first_at(case, denial, uptime())
    }

    fn first_at(&self, case: &Case, denial: &Denial, now: Duration) -> Option<Kind> {
        let kind = self.kind(case, denial);
        let mut spans = self.lock();
        if let Some(burst) = spans.open.get_mut(&kind) {
            burst.more = burst.more.saturating_add(1);
            return None;
        }
        let listing = spans.listings.entry(discriminant(&case.kind)).or_default();
        if listing.listed.take(LISTED, now).is_err() {
            listing.count(case, denial.reason, 1, now);
            return None;
        }
        let (case, denial) = (case.clone(), denial.clone());
        spans.open.insert(kind, Burst { since: now, more: 0, case, denial });
        Some(kind)
    }

    /// The first of a kind could not be recorded: the next one is a first again, and those meanwhile are counted with the rest.
    pub(crate) fn forget(&self, kind: Kind) {
        let mut spans = self.lock();
        if let Some(Burst { since, more: more @ 1.., case, denial }) = spans.open.remove(&kind) {
            let listing = spans.listings.entry(discriminant(&case.kind)).or_default();
            listing.count(&case, denial.reason, more, since);
        }
    }

    /// Ends the spans that are over, or all; those that counted something come back.
    pub(crate) fn ended(&self, all: bool) -> Vec<Summary> {
        self.ended_at(all, uptime())
    }

    fn ended_at(&self, all: bool, now: Duration) -> Vec<Summary> {
        let over = |since: Duration| all || now.saturating_sub(since) >= SPAN;
        let mut spans = self.lock();
        let Spans { open, listings } = &mut *spans;
        let rest =
            listings.values_mut().filter_map(|one| one.rest.take_if(|rest| over(rest.since)));
        let bursts = open.extract_if(|_, burst| over(burst.since));
        let counted = bursts.map(|(_, burst)| burst).filter(|burst| burst.more > 0);
        counted.map(Burst::summary).chain(rest.filter_map(Rest::summary)).collect()
    }

    fn kind(&self, case: &Case, denial: &Denial) -> Kind {
        let mut hasher = self.hasher.build_hasher();
        let Denial { reason, rule, .. } = denial;
        (discriminant(&case.kind), case.protocol, reason, rule).hash(&mut hasher);
        // A limit is reached once, whatever was wanted.
        if ![Reason::Limit, Reason::Budget, Reason::Rate, Reason::Breaker, Reason::KillSwitch]
            .contains(reason)
        {
            let Case { endpoint, method, server, tool, arguments_digest, .. } = case;
            (&denial.message, endpoint, method).hash(&mut hasher);
            (server, tool, arguments_digest).hash(&mut hasher);
            if case.learns() {
                (&case.path, &case.argument_names).hash(&mut hasher);
            }
        }
        Kind(hasher.finish())
    }
}

impl Listing {
    /// Counts denials that aren't listed; the first of them is `case`.
    fn count(&mut self, case: &Case, reason: Reason, more: u64, now: Duration) {
        let rest = || Rest { since: now, reasons: BTreeMap::new(), case: unlisted(case) };
        let count = self.rest.get_or_insert_with(rest).reasons.entry(reason).or_default();
        *count = count.saturating_add(more);
    }
}

impl Burst {
    fn summary(self) -> Summary {
        let Self { more, mut case, mut denial, .. } = self;
        denial.message = format!("{} ({more} more like it within a second)", denial.message);
        case.count = Some(more);
        Summary { case, denial }
    }
}

impl Rest {
    fn summary(self) -> Option<Summary> {
        let Self { reasons, mut case, .. } = self;
        let (reason, _) = reasons.iter().max_by_key(|(_, count)| **count)?;
        let sum = reasons.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let each = reasons.iter().map(|(reason, count)| format!("{count} of `{reason}`"));
        let each = each.collect::<Vec<_>>().join(", ");
        let message =
            format!("{sum} further denials within a second, not listed one by one: {each}");
        case.count = Some(sum);
        let denial = Denial::new(*reason, "", message, "see `pinfold_egress_connections_total`");
        Some(Summary { case, denial })
    }
}

/// Without what only one of them has.
fn unlisted(case: &Case) -> Case {
    Case::new(case.id.clone(), case.kind, std::sync::Arc::clone(&case.published))
}

#[cfg(test)]
mod tests;
