//! Watches what agent identities have come to hold: after each change of the view, those that it may concern are looked at again, and
//! what is beyond the ceiling is counted and told once.
//!
//! Admission refuses what it sees; this finds what it couldn't see. It changes nothing in the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use pinfold_engine::rbac::agents::Account;
use pinfold_engine::rules::pf_rbac::{Overstep, affected, identities, oversteps};
use pinfold_ledger::{Event, EventKind, Gate, Ledger, Object};
use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::admission::{Admission, now};
use crate::audit;
use crate::drain::{DrainWatch, Phase};
use crate::touched::Keys;

/// How long changes gather before they are looked at, so that a burst of them costs one look.
const GATHER: Duration = Duration::from_millis(100);
/// How often the policy and the day are compared with those of the last look.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Oversteps that are told in one look; the others are in the metric.
const TOLD_MAX: usize = 20;

/// Keeps what agent identities hold beyond their ceiling.
pub(crate) struct Standing {
    admission: Arc<Admission>,
    oversteps: BTreeMap<Account, Vec<Overstep>>,
    /// The policy and the day of the last look: another one changes everything.
    looked: Option<(u64, jiff::civil::Date)>,
}

impl Standing {
    pub(crate) fn new(admission: Arc<Admission>) -> Self {
        Self { admission, oversteps: BTreeMap::new(), looked: None }
    }

    /// Looks after each change until the server closes.
    pub(crate) async fn run(mut self, mut drain: DrainWatch) {
        loop {
            tokio::select! {
                () = drain.reached(Phase::Closing) => return,
                () = self.admission.view.touched.changed() => if !drain.pause(GATHER).await { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.admission.view.is_synced() {
                self = match tokio::task::spawn_blocking(move || self.look()).await {
                    Ok((standing, news)) => {
                        standing.tell(news).await;
                        standing
                    }
                    Err(error) => {
                        tracing::error!(%error, "what agent identities hold is not watched any more");
                        return;
                    }
                };
            }
        }
    }

    /// Looks at what may have changed, and returns what is beyond a ceiling and wasn't before.
    fn look(mut self) -> (Self, Vec<Overstep>) {
        let published = self.admission.policy.load_full();
        let Some(policy) = &published.policy.admission else { return (self, Vec::new()) };
        let now = now();
        let seen = (published.generation, now.to_zoned(TimeZone::UTC).date());
        let same = self.looked.replace(seen) == Some(seen);
        let touched = self.admission.view.touched.take();
        let view = self.admission.view.snapshot();
        let concerned = match &touched {
            Keys::Some(keys) if same && keys.is_empty() => return (self, Vec::new()),
            Keys::Some(keys) if same => self.concerned(&view, policy, keys),
            Keys::Some(_) | Keys::Many => None,
        };
        let all = || identities(&view, policy);
        let of = |account: Account| {
            let oversteps = oversteps(&view, policy, now, &account);
            (!oversteps.is_empty()).then_some((account, oversteps))
        };
        let concerned = concerned.unwrap_or_else(all);
        let oversteps: BTreeMap<_, _> = concerned.into_iter().filter_map(of).collect();
        let known: BTreeSet<_> = told(&self.oversteps).collect();
        let news = told(&oversteps).filter(|one| !known.contains(one)).cloned().collect();
        self.oversteps = oversteps;
        (self, news)
    }

    /// The identities that a change of these objects may concern, with those that were beyond the ceiling; `None` is all.
    fn concerned(
        &self,
        view: &Snapshot,
        policy: &AdmissionPolicy,
        keys: &BTreeSet<ObjectKey>,
    ) -> Option<BTreeSet<Account>> {
        let mut concerned: BTreeSet<Account> = self.oversteps.keys().cloned().collect();
        for key in keys {
            concerned.extend(affected(view, policy, key)?);
        }
        Some(concerned)
    }

    async fn tell(&self, news: Vec<Overstep>) {
        let Admission { metrics, events, ledger, .. } = self.admission.as_ref();
        let identities = i64::try_from(self.oversteps.len()).unwrap_or(i64::MAX);
        metrics.ceiling.identities_over.set(identities);
        metrics.ceiling.oversteps.inc_by(u64::try_from(news.len()).unwrap_or(u64::MAX));
        for Overstep { binding, message } in news.iter().take(TOLD_MAX) {
            tracing::warn!(rule = RuleId::RBAC_CEILING.as_str(), object = %binding, "{message}");
            if let Some(events) = events {
                events.overstepped(binding, message);
            }
            if let Some(ledger) = ledger {
                self.record(ledger, binding, message.clone()).await;
            }
        }
    }

    /// Allowed, because it stands.
    async fn record(&self, ledger: &Ledger, binding: &ObjectKey, message: String) {
        let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let object = Object {
            group: own(&binding.group),
            version: own("v1"),
            kind: own(&binding.kind),
            namespace: own(&binding.namespace),
            name: own(&binding.name),
            ..Object::default()
        };
        let event = Event {
            rules: vec![RuleId::RBAC_CEILING.to_string()],
            message: Some(message),
            object: Some(object),
            ..Event::new(Gate::Webhook, EventKind::Guard, pinfold_ledger::Decision::Allow)
        };
        if let Err(error) = audit::record(ledger, &event, self.admission.audit_max).await {
            tracing::error!(error, "rights beyond a ceiling are not in the audit ledger");
        }
    }
}

fn told(all: &BTreeMap<Account, Vec<Overstep>>) -> impl Iterator<Item = &Overstep> {
    all.values().flatten()
}
