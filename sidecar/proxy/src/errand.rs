//! What one message to an MCP server holds on its way: its charge, and its place at two breakers.
//!
//! The order is that of the design: budget, rate, breaker; then the charge is durable, and only then is anything sent.

use http::StatusCode;
use pinfold_engine::egress::DialPermit;
use pinfold_engine::switches::breaker::Breaks;
use pinfold_model::policy::agent::Upstream;
use pinfold_model::reason::Denial;

use crate::breakers::Pass;
use crate::budget::Charge;
use crate::gate::Gate;
use crate::http_upstream::SendFailed;
use crate::places;
use crate::record::Case;

/// One message on its way.
pub(crate) struct Errand<'g> {
    gate: &'g Gate,
    /// Of a tool call.
    charge: Option<Charge>,
    upstream: Pass<'g>,
    called: Pass<'g>,
}

impl<'g> Errand<'g> {
    /// Begins one, if nothing that is switched forbids it.
    ///
    /// # Errors
    /// A denial of reason `kill-switch`, `budget`, `rate` or `breaker`; then nothing was charged.
    pub(crate) fn begin(gate: &'g Gate, case: &Case, upstream: &Upstream) -> Result<Self, Denial> {
        gate.kills.holds(case)?;
        let policy = &case.published.policy;
        let server = case.server.as_deref().unwrap_or_default();
        let charge = match &case.tool {
            Some(tool) => Some(gate.budgets.charge(policy, server, tool)?),
            None => None,
        };
        let tool = case.tool.clone().unwrap_or_default();
        let called = Breaks::Tool { server: server.to_owned(), tool };
        let upstream = gate.breakers.pass(policy, Breaks::Upstream(upstream.name.clone()))?;
        let called = gate.breakers.pass(policy, called)?;
        Ok(Self { gate, charge, upstream, called })
    }

    /// Notes a tool call that is allowed, with what is left of its limits; record and charge are durable when this returns.
    ///
    /// # Errors
    /// A denial of reason `audit`, `guard`, `kill-switch` or `budget`; then nothing may be sent.
    pub(crate) async fn allowed(
        &self,
        case: &Case,
        rule: &str,
        permit: &DialPermit,
    ) -> Result<(), Denial> {
        let Some(charge) = &self.charge else { return places::decided() };
        let noted = Case { note: charge.left(), ..case.clone() };
        // Both wait for a disk: together.
        let recorded = self.gate.allowed(&noted, rule, permit);
        let durable = charge.durable(self.gate.limits.audit_max);
        let ((), ()) = tokio::try_join!(recorded, durable)?;
        Ok(())
    }

    /// Passes on whether the upstream can be reached.
    ///
    /// # Errors
    /// The same as it got.
    pub(crate) fn reachable<T>(&mut self, result: Result<T, Denial>) -> Result<T, Denial> {
        self.upstream.reachable(result)
    }

    /// Passes on whether a connection could be had.
    ///
    /// # Errors
    /// The same as it got.
    pub(crate) fn connected<T>(&mut self, result: Result<T, Denial>) -> Result<T, Denial> {
        let result = self.upstream.reachable(result);
        if result.is_ok() {
            self.upstream.worked();
        }
        result
    }

    /// From now on the call is charged, whatever becomes of it.
    pub(crate) fn sends(&mut self) {
        self.charge.iter_mut().for_each(|charge| charge.set_sent(true));
    }

    /// No reply came. If nothing of the request was sent either, nothing is charged.
    pub(crate) fn unanswered(&mut self, Unanswered { denial, unsent }: Unanswered) -> Denial {
        if unsent {
            self.charge.iter_mut().for_each(|charge| charge.set_sent(false));
        } else {
            self.called.failed();
        }
        denial
    }

    /// A reply came, with this status, and could be passed on or not. What a tool says of itself (`isError`) is a reply like any other.
    pub(crate) fn answered(&mut self, status: StatusCode, unreadable: bool) {
        if status.is_server_error() || (status.is_success() && unreadable) {
            self.called.failed();
        } else {
            self.called.worked();
        }
    }
}

/// A request without a reply.
pub(crate) struct Unanswered {
    /// Of reason `upstream`, or what kept a second connection from being opened.
    pub(crate) denial: Denial,
    /// Whether nothing of it was sent.
    pub(crate) unsent: bool,
}

impl From<SendFailed> for Unanswered {
    fn from(failed: SendFailed) -> Self {
        Self { unsent: failed.unsent.is_some(), denial: failed.denial }
    }
}
