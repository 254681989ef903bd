//! What all connections of a sidecar share: the policy in force, the resolver, the records, what is open.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use http::StatusCode;
use pinfold_engine::egress::{AddressPermit, DialPermit, NamePermit};
use pinfold_ledger::EventKind;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::head::HeadError;

use crate::answer::{Answer, status_of};
use crate::bindings::Bindings;
use crate::breakers::Breakers;
use crate::budget::Budgets;
use crate::bursts::{Bursts, LOOK_EVERY, Summary};
use crate::config::{Limits, Original};
use crate::dns;
use crate::drain::{DrainWatch, Phase};
use crate::guard::Guard;
use crate::kill::Kills;
use crate::learn::Sinkhole;
use crate::metrics::Metrics;
use crate::places;
use crate::policy_watch::Published;
use crate::quota::Quota;
use crate::record::{Case, CaseIds, Recorder};
use crate::relay::Pipes;
use crate::resolve::Resolver;
use crate::schemas::Schemas;
use crate::sessions::Sessions;
use crate::terminate::Trust;
use crate::tunnels::{Registered, Tunnel, Tunnels};
use crate::upstream::Upstreams;

/// Records of cut tunnels that wait for the ledger together, so that one flush serves many.
const RECORDS_AT_ONCE: usize = 256;

/// The shared state.
pub(crate) struct Gate {
    pub(crate) policy: Arc<ArcSwap<Published>>,
    pub(crate) resolver: Resolver,
    /// The sidecar's own listeners, which nothing may dial.
    pub(crate) own: Vec<SocketAddr>,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    /// Those of connections and requests that are recorded together.
    pub(crate) denials: Bursts,
    pub(crate) tunnels: Arc<Tunnels>,
    pub(crate) limits: Limits,
    pub(crate) ids: CaseIds,
    pub(crate) upstreams: Upstreams,
    pub(crate) sessions: Sessions,
    pub(crate) schemas: Schemas,
    pub(crate) bindings: Bindings,
    pub(crate) dns: dns::State,
    /// Where names lead that a policy in learn mode refuses; none without redirected connections, which alone come back from there.
    pub(crate) sinkhole: Option<Sinkhole>,
    pub(crate) quota: Quota,
    /// What calls were charged.
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) breakers: Breakers,
    pub(crate) kills: Kills,
    pub(crate) pipes: Pipes,
    pub(crate) drain: DrainWatch,
    /// The pod's own authority, where the agent can trust one.
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) guard: Guard,
    pub(crate) original: Original,
}

/// A denial with the status to answer with.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) denial: Denial,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self { status: status_of(denial.reason), denial }
    }
}

impl Refusal {
    /// A request that can't be read in one way only; `fault` is the reader's name for it.
    pub(crate) fn malformed(status: StatusCode, fault: &str, message: String) -> Self {
        let rule = format!("http.{fault}");
        let remedy = "send one unambiguous HTTP/1.1 request";
        Self { status, denial: Denial::new(Reason::Malformed, rule, message, remedy) }
    }

    /// A head that can't be read in one way only.
    pub(crate) fn head(error: HeadError) -> Self {
        Self::malformed(error.status(), error.reason(), error.to_string())
    }

    /// The answer that says so.
    pub(crate) fn answer(&self, case: &Case) -> Answer {
        let policy = &case.published.policy.name;
        Answer::refusal(self.status, &self.denial, policy, &case.id)
    }
}

impl Gate {
    /// A new case under the policy in force.
    pub(crate) fn case(&self, kind: EventKind) -> Case {
        Case::new(self.ids.next(), kind, self.policy.load_full())
    }

    /// Has what works by the policy work by the one in force.
    pub(crate) async fn follow_policy(self: &Arc<Self>) {
        let gate = Arc::clone(self);
        let follow = move || {
            let published = gate.policy.load_full();
            gate.resolver.follow(&published.policy.dns.resolvers);
            if let Some(trust) = &gate.trust {
                trust.follow(&published.policy.roots);
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(follow).await {
            tracing::error!(%error, "a changed policy isn't followed everywhere");
        }
    }

    /// Resolves a permitted name and has every address judged.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(crate) async fn addresses(&self, permit: NamePermit) -> Result<AddressPermit, Denial> {
        self.guard.holds()?;
        self.kills.holds_for(&self.policy.load().policy.name)?;
        let found = self.resolver.addresses(permit.host()).await?;
        permit.addresses(&found, &self.own)
    }

    /// Notes an allowed connection or request, before anything is dialled: durable when this returns.
    ///
    /// # Errors
    /// A denial of reason `audit`, `guard` or `kill-switch`; then nothing may be dialled or passed on.
    pub(crate) async fn allowed(
        &self,
        case: &Case,
        rule: &str,
        permit: &DialPermit,
    ) -> Result<(), Denial> {
        self.guard.holds()?;
        self.kills.holds(case)?;
        places::decided()?;
        let addresses: Vec<String> = permit.addresses().iter().map(ToString::to_string).collect();
        self.recorder.write(case, Ok(rule), Some(addresses.join(" "))).await?;
        self.count(case, None);
        Ok(())
    }

    /// Notes a refused connection or request: durable when this returns, unless it equals one of this second, which are recorded together. What
    /// comes back is to be answered.
    pub(crate) async fn refused(&self, case: &Case, refusal: impl Into<Refusal>) -> Refusal {
        let mut refusal = refusal.into();
        if !case.published.in_force && refusal.denial.reason != Reason::Malformed {
            refusal = no_policy().into();
        }
        // Before anything is waited for: the connection may have to go meanwhile, and its record is under way then.
        self.count(case, Some(&refusal.denial));
        let first = if case.opened { None } else { self.denials.first(case, &refusal.denial) };
        if !case.opened && first.is_none() {
            return refusal;
        }
        let written = self.recorder.write(case, Err(&refusal.denial), None).await;
        log_denial(case, &refusal.denial);
        match written {
            Ok(()) => refusal,
            Err(unrecorded) => {
                first.into_iter().for_each(|kind| self.denials.forget(kind));
                unrecorded.into()
            }
        }
    }

    /// Records what was counted, again and again, until the sidecar is cut off; the rest comes with [`Gate::summarize`] after that.
    pub(crate) async fn keep_denials(self: Arc<Self>, mut drain: DrainWatch) {
        loop {
            tokio::select! {
                () = drain.reached(Phase::Cut) => return,
                () = tokio::time::sleep(LOOK_EVERY) => self.summarize(false).await,
            }
        }
    }

    /// Records the denials that are recorded together: of the spans that are over, or all.
    pub(crate) async fn summarize(&self, all: bool) {
        let of = [self.denials.ended(all), self.dns.denials.ended(all)];
        let recorded = of.into_iter().flatten().map(|Summary { case, denial }| async move {
            // What can't be recorded is logged there and shows in readiness; it was denied all the same.
            let _ = self.recorder.write(&case, Err(&denial), None).await;
            log_denial(&case, &denial);
        });
        futures_util::stream::iter(recorded).for_each_concurrent(RECORDS_AT_ONCE, |one| one).await;
    }

    fn count(&self, case: &Case, denied: Option<&Denial>) {
        match &case.server {
            Some(server) => {
                let tool = case.tool.as_deref().unwrap_or_default();
                self.metrics.tool_call(&case.published.policy, server, tool, denied);
            }
            None => self.metrics.egress(denied, case.protocol),
        }
    }

    /// Notes that the sidecar started, stops, or has another policy.
    pub(crate) async fn note(&self, kind: EventKind) {
        // That it can't be written is logged there, and shows in readiness.
        let _ = self.recorder.write(&self.case(kind), Ok(""), None).await;
    }

    /// Enters a connection in the registry.
    ///
    /// # Errors
    /// The denial, if the policy changed since the connection was judged and no longer allows it, or somebody pulled the kill switch.
    pub(crate) fn enter(&self, tunnel: &Tunnel, case: &Case) -> Result<Registered, Denial> {
        let opened = Case { opened: true, ..case.clone() };
        let registered = self.tunnels.enter(tunnel.clone(), opened);
        // A reload, or the kill switch, between judging and entering would have missed it.
        self.kills.holds(case)?;
        let now = self.policy.load();
        if now.generation != case.published.generation {
            tunnel.judge_again(case, &now.policy, &self.own)?;
        }
        Ok(registered)
    }

    /// After a reload: cuts what the new policy refuses.
    pub(crate) async fn judge_tunnels_again(&self) {
        let published = self.policy.load_full();
        self.record_cut(self.tunnels.judge(&published.policy, &self.own)).await;
    }

    /// Records what was cut, under the policy in force.
    pub(crate) async fn record_cut(&self, cut: Vec<(Case, Denial)>) {
        let published = self.policy.load_full();
        let recorded = cut.into_iter().map(|(mut case, denial)| {
            case.published = Arc::clone(&published);
            async move { drop(self.refused(&case, denial).await) }
        });
        futures_util::stream::iter(recorded).for_each_concurrent(RECORDS_AT_ONCE, |one| one).await;
    }
}

fn no_policy() -> Denial {
    let message = "there is no policy: its files are gone, or no longer hold this agent's";
    Denial::new(Reason::NoPolicy, "spec", message, "put the policy back")
}

pub(crate) fn log_denial(case: &Case, denial: &Denial) {
    let (host, port) = case.endpoint.clone().unwrap_or_default();
    // That of DNS is the record type.
    let named = case.learns() || case.kind == EventKind::Dns;
    let learned = |text: &Option<String>| text.clone().filter(|_| named);
    tracing::info!(
        id = case.id,
        agent = case.published.policy.name,
        method = learned(&case.method),
        path = learned(&case.path),
        reason = denial.reason.as_str(),
        rule = denial.rule,
        protocol = case.protocol,
        host,
        port,
        count = case.count,
        "denied"
    );
}
