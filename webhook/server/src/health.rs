//! Whether the webhook decides, and the metrics that are read off when somebody looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use pinfold_certs::ServingCertificate;

use crate::admission::Admission;
use crate::drain::DrainWatch;

/// What readiness and metrics are made from.
pub(crate) struct Health {
    pub(crate) admission: Arc<Admission>,
    pub(crate) serving: Arc<ServingCertificate>,
    pub(crate) drain: DrainWatch,
    /// Whether a self-managed certificate is one that the cluster trusts.
    pub(crate) certificate_in_place: Option<Arc<AtomicBool>>,
}

impl Health {
    /// Why the webhook doesn't decide; `None` if it does.
    pub(crate) fn not_ready(&self) -> Option<String> {
        if !self.drain.is_serving() {
            return Some("shutting down\n".to_owned());
        }
        let ledger_broken =
            self.admission.ledger.as_ref().is_some_and(|ledger| !ledger.stats().healthy);
        if ledger_broken {
            return Some("audit records can't be written\n".to_owned());
        }
        let certificate = self.certificate_in_place.as_ref();
        if certificate.is_some_and(|in_place| !in_place.load(Ordering::Acquire)) {
            return Some("the certificate is not published yet\n".to_owned());
        }
        let published = self.admission.policy.load();
        match self.admission.ready(&published) {
            Ok(_) => None,
            Err(reason) => Some(format!("{}\n", reason.message)),
        }
    }

    /// The text exposition, with everything that is read off brought up to date.
    pub(crate) fn metrics_text(&self) -> Vec<u8> {
        let Admission { metrics, view, ledger, .. } = self.admission.as_ref();
        metrics.ready.set(i64::from(self.not_ready().is_none()));
        metrics.cache.lag.set(view.lag().as_secs_f64());
        let expiry = self.serving.not_after().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics.certificate_expiry.with_label_values(&["serving"]).set(expiry.as_secs_f64());
        if let Some(ledger) = ledger {
            let stats = ledger.stats();
            // Counters only grow, and both sides do.
            let grow = |counter: &prometheus::IntCounter, to: u64| {
                counter.inc_by(to.saturating_sub(counter.get()));
            };
            grow(&metrics.audit_records, stats.records);
            grow(&metrics.audit_failures, stats.refused.saturating_add(stats.mirror_dropped));
        }
        metrics.text()
    }
}
