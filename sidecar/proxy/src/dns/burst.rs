//! Denials that repeat: the first is recorded before it is answered, equal ones of the same second are counted, and the count is recorded
//! after it. A flood of queries is so one record a second, and no denial goes unmentioned.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pinfold_model::reason::{Denial, Reason};

use crate::record::Case;

/// Equal denials within this time are one.
const SPAN: Duration = Duration::from_secs(1);
/// Different denials that are told apart within that time.
const KINDS_MAX: usize = 512;

/// What makes two denials equal: name, record type and reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) record_type: u16,
    pub(super) reason: Reason,
}

/// Denials of the last second.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    open: Mutex<HashMap<Kind, Burst>>,
}

#[derive(Debug)]
struct Burst {
    since: Instant,
    more: u64,
    case: Case,
    denial: Denial,
}

/// A number of denials that equalled one which was recorded.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) case: Case,
    pub(super) denial: Denial,
}

impl Bursts {
    /// Whether this denial is the first of its kind, and so to be recorded now.
    pub(super) fn is_first(&self, kind: Kind, case: &Case, denial: &Denial) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Where there are too many kinds, those beyond are one for each reason.
        let kind = if open.contains_key(&kind) || open.len() < KINDS_MAX {
            kind
        } else {
            Kind { name: String::new(), record_type: 0, reason: kind.reason }
        };
        if let Some(burst) = open.get_mut(&kind) {
            burst.more = burst.more.saturating_add(1);
            return false;
        }
        let (case, denial) = (case.clone(), denial.clone());
        open.insert(kind, Burst { since: Instant::now(), more: 0, case, denial });
        true
    }

    /// Ends the spans that are over, or all; those that counted something come back.
    pub(super) fn ended(&self, all: bool) -> Vec<Summary> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let over = open.extract_if(|_, burst| all || burst.since.elapsed() >= SPAN);
        let counted = over.map(|(_, burst)| burst).filter(|burst| burst.more > 0);
        counted.map(Burst::summary).collect()
    }
}

impl Burst {
    fn summary(self) -> Summary {
        let Self { more, case, mut denial, .. } = self;
        denial.message = format!("{} ({more} more like it within a second)", denial.message);
        Summary { case, denial }
    }
}
