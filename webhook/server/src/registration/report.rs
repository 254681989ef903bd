//! What is told about a change of the registration: metric, log, Kubernetes Event, audit record.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kube::core::DynamicObject;
use pinfold_ledger::{Event, EventKind, Gate, Object};
use pinfold_model::finding::RuleId;

use super::compare::Difference;
use super::desired::Configuration;
use super::{FIELD_MANAGER, NAME, Registration};
use crate::audit;

/// Most differing fields that are named.
const PATHS_MAX: usize = 20;

/// What came of a change; its text is a metric's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Undone.
    Restored,
    /// Another replica was faster, or the next change.
    Outrun,
    /// Only told: the mode is `watch`.
    Reported,
    /// Left to a newer replica, by name.
    LeftToNewer(String),
    /// Not yet: this replica doesn't decide.
    Waiting(String),
    /// Not yet: restored too often.
    HeldBack,
    /// Tried, with the reason why it didn't work.
    Failed(String),
}

impl Outcome {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Outrun => "outrun",
            Self::Reported => "reported",
            Self::LeftToNewer(_) => "left-to-newer",
            Self::Waiting(_) => "waiting",
            Self::HeldBack => "held-back",
            Self::Failed(_) => "failed",
        }
    }

    fn explained(&self) -> String {
        match self {
            Self::Restored => "restored".to_owned(),
            Self::Outrun => "another replica is at it".to_owned(),
            Self::Reported => "it stands, because of `--registration watch`".to_owned(),
            Self::LeftToNewer(pod) => format!("left to `{pod}`, which replaces this replica"),
            Self::Waiting(reason) => {
                format!("not restored while this replica doesn't decide: {reason}")
            }
            Self::HeldBack => {
                "restored too often, so a little later again; end what keeps changing it".to_owned()
            }
            Self::Failed(reason) => format!("not restored: {reason}"),
        }
    }

    /// Whether it is for people and the record. The others come again, or are another replica's to tell.
    fn is_final(&self) -> bool {
        match self {
            Self::Restored | Self::Reported | Self::LeftToNewer(_) | Self::Failed(_) => true,
            Self::Outrun | Self::Waiting(_) | Self::HeldBack => false,
        }
    }
}

/// A change and what came of it.
pub(super) struct Report<'r> {
    pub(super) configuration: Configuration,
    pub(super) differences: &'r [Difference],
    pub(super) found: Option<&'r DynamicObject>,
    pub(super) outcome: &'r Outcome,
}

impl Report<'_> {
    /// Counts, logs, and tells people and the ledger.
    pub(super) async fn tell(&self, by: &Registration) {
        self.count(by);
        let message = self.message();
        tracing::warn!(
            configuration = self.configuration.kind(),
            fields = self.paths(),
            field_manager = self.found.and_then(last_writer),
            result = self.outcome.label(),
            "{message}"
        );
        if !self.outcome.is_final() {
            return;
        }
        let admission = &by.health.admission;
        if let Some(events) = &admission.events {
            events.registration(&by.plan.namespace, &by.plan.service, self.configuration, &message);
        }
        if let Some(ledger) = &admission.ledger
            && let Err(error) =
                audit::record(ledger, &self.record(message), admission.audit_max).await
        {
            tracing::error!(error, "a change of the registration is not in the audit ledger");
        }
    }

    fn count(&self, by: &Registration) {
        let changes: BTreeSet<_> = self.differences.iter().map(|found| found.change).collect();
        for change in changes {
            let labels = [self.configuration.label(), change.as_str(), self.outcome.label()];
            by.health.admission.metrics.registration.changes.with_label_values(&labels).inc();
        }
    }

    fn paths(&self) -> String {
        let mut text = String::new();
        for (at, difference) in self.differences.iter().take(PATHS_MAX).enumerate() {
            // Writing to a String doesn't fail.
            let _ = write!(text, "{}{}", if at > 0 { ", " } else { "" }, difference.path);
        }
        let more = self.differences.len().saturating_sub(PATHS_MAX);
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
        text
    }

    fn message(&self) -> String {
        let kind = self.configuration.kind();
        let Some(found) = self.found else {
            return format!(
                "{kind} `{NAME}` was deleted or never made; {}",
                self.outcome.explained()
            );
        };
        // Whoever only takes fields away is not among the field managers.
        let unknown = || "somebody who left no trace but in the API server's audit log".to_owned();
        let writer = last_writer(found).unwrap_or_else(unknown);
        let paths = self.paths();
        format!(
            "{kind} `{NAME}` is not as it should be: {paths}; last written by {writer}; {}",
            self.outcome.explained()
        )
    }

    /// Denied is a change that was undone, allowed one that stands.
    fn record(&self, message: String) -> Event {
        let decision = match self.outcome {
            Outcome::Restored => pinfold_ledger::Decision::Deny,
            Outcome::Outrun
            | Outcome::Reported
            | Outcome::LeftToNewer(_)
            | Outcome::Waiting(_)
            | Outcome::HeldBack
            | Outcome::Failed(_) => pinfold_ledger::Decision::Allow,
        };
        let object = Object {
            group: Some("admissionregistration.k8s.io".to_owned()),
            version: Some("v1".to_owned()),
            kind: Some(self.configuration.kind().to_owned()),
            name: Some(NAME.to_owned()),
            ..Object::default()
        };
        Event {
            rules: vec![RuleId::RBAC_OWN.to_string()],
            message: Some(message),
            object: Some(object),
            ..Event::new(Gate::Webhook, EventKind::Guard, decision)
        }
    }
}

/// The field manager that wrote last, and when; not if that is Pinfold itself.
fn last_writer(found: &DynamicObject) -> Option<String> {
    let writers = found.metadata.managed_fields.as_ref()?.iter();
    let last = writers.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    let manager = last.manager.as_deref().filter(|manager| *manager != FIELD_MANAGER)?;
    let time = last.time.as_ref().map(|time| format!(" at {}", time.0)).unwrap_or_default();
    Some(format!("`{manager}`{time}"))
}
