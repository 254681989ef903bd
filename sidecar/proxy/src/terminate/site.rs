//! One connection whose TLS ended here: where it leads, and how each request inside is judged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use pinfold_engine::egress::{self, Asked, Attempt, Channel, DialPermit};
use pinfold_ledger::EventKind;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::head::{Head, Target};
use pinfold_wire::path::RequestPath;

use super::MISDIRECTED;
use super::bounds::Bounds;
use super::pool::{Leased, Pool};
use crate::forward::Inside;
use crate::gate::{Gate, Refusal};
use crate::http_upstream::HttpUpstream;
use crate::quota::Meter;
use crate::record::Case;
use crate::tunnels::{Registered, Spoken, Tunnel, judged, learned};
use crate::upstream::Offered;
use crate::websocket;

/// The port of `https`.
const HTTPS_PORT: u16 = 443;
/// Addresses found when the connection was opened are used for so long; later they are asked for again.
const ADDRESSES_AGE_MAX: Duration = Duration::from_secs(60);

/// The connection.
pub(super) struct Site {
    pub(super) gate: Arc<Gate>,
    pub(super) meter: Meter,
    pub(super) pool: Pool,
    pub(super) bounds: Bounds,
    inside: Inside,
    opened: Instant,
}

/// A request that may be forwarded.
pub(super) struct Judged {
    pub(super) path: RequestPath,
    pub(super) permit: DialPermit,
    pub(super) websocket: bool,
}

impl Site {
    pub(super) fn new(gate: &Arc<Gate>, inside: Inside) -> Self {
        // TLS ends nowhere without an authority.
        let bounds = gate.trust.as_ref().map_or_else(Bounds::default, |trust| trust.bounds.clone());
        Self {
            gate: Arc::clone(gate),
            meter: Meter::new(gate),
            pool: Pool::new(bounds.clone()),
            bounds,
            inside,
            opened: Instant::now(),
        }
    }

    /// A request's case.
    pub(super) fn case(&self, head: Option<&Head>) -> Case {
        let mut case = self.gate.case(EventKind::Egress);
        case.protocol = "https";
        case.endpoint = Some((self.inside.host.to_string(), self.inside.port));
        if let Some(head) = head {
            case.method = Some(head.method.to_string());
            if case.learns() {
                case.path = self.path(head).ok().and_then(|path| learned(&path));
            }
            case.trace(&head.headers);
        }
        case
    }

    /// Judges a request by the policy of its case.
    ///
    /// # Errors
    /// The refusal, which is an answer.
    pub(super) async fn judge(&self, head: &Head, case: &Case) -> Result<Judged, Refusal> {
        let websocket = websocket::is_asked(head)?;
        let path = self.path(head)?;
        self.check_authority(head)?;
        let Inside { host, port, .. } = &self.inside;
        let attempt = Attempt { host, port: *port, channel: Channel::Tunnel };
        let permit = egress::judge(&case.published.policy, &attempt)?;
        let found = self.addresses().await?;
        let permit = permit.addresses(&found, &self.gate.own)?;
        let asked = Asked { method: head.method.as_str(), path: judged(&path), websocket };
        let permit = permit.https(asked)?;
        Ok(Judged { path, permit, websocket })
    }

    fn path(&self, head: &Head) -> Result<RequestPath, Refusal> {
        let malformed =
            |fault: &str, text: String| Refusal::malformed(StatusCode::BAD_REQUEST, fault, text);
        match &head.target {
            Target::Origin(raw) => {
                raw.read().map_err(|error| malformed(error.reason(), error.to_string()))
            }
            Target::Absolute(_) | Target::Asterisk => {
                Err(malformed("target-invalid", "expected a path inside TLS".to_owned()))
            }
            Target::Authority => {
                let message = "a tunnel inside TLS can't be judged";
                let remedy = "open the tunnel to the destination itself";
                Err(Denial::new(Reason::Protocol, "spec.egress", message, remedy).into())
            }
        }
    }

    /// Row 41: what is asked for inside is what the handshake was for, or a name that no rule allows could be reached behind one that does.
    fn check_authority(&self, head: &Head) -> Result<(), Refusal> {
        let Inside { host, port, .. } = &self.inside;
        let asked = &head.authority;
        if asked.host == *host && asked.port_or(HTTPS_PORT) == *port {
            return Ok(());
        }
        let message =
            format!("the TLS connection is for `{host}:{port}`, the request for `{asked}`");
        let remedy = "open a connection to the host that the request is for";
        let denial = Denial::new(Reason::Name, "spec.egress", message, remedy);
        Err(Refusal { status: MISDIRECTED, denial })
    }

    /// The address of the upstream connection that is open, else what the name leads to.
    async fn addresses(&self) -> Result<Vec<IpAddr>, Denial> {
        match self.pool.address() {
            // Only the proxy of `egress.via` knows.
            Some(address) if address.is_unspecified() => Ok(Vec::new()),
            Some(address) => Ok(vec![address]),
            None if self.opened.elapsed() < ADDRESSES_AGE_MAX => Ok(self.inside.addresses.clone()),
            None => self.gate.resolver.addresses(&self.inside.host).await,
        }
    }

    /// Waits for the request's turn, records it, and gives it a connection.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(super) async fn connect(
        &self,
        judged: &Judged,
        case: &Case,
        offered: Offered,
    ) -> Result<Leased, Denial> {
        let (turn, kept) = self.pool.turn(&judged.permit, self.gate.limits.reply_max).await?;
        if kept.is_none() {
            self.gate.quota.connect(&case.published.policy)?;
        }
        self.gate.allowed(case, judged.permit.rule(), &judged.permit).await?;
        let leased = match kept {
            Some(kept) => kept,
            None => self.pool.open(&self.gate, &judged.permit, offered).await?,
        };
        Ok(leased.holding(turn))
    }

    /// Another connection instead of one whose server ended it when it was to be used again.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub(super) async fn reconnect(
        &self,
        judged: &Judged,
        case: &Case,
        (gone, offered): (Leased, Offered),
    ) -> Result<Leased, Denial> {
        let turn = gone.give_up();
        self.gate.quota.connect(&case.published.policy)?;
        Ok(self.pool.open(&self.gate, &judged.permit, offered).await?.holding(turn))
    }

    /// Enters a request in the registry, so that a reload judges it again.
    ///
    /// # Errors
    /// The denial, if the policy changed meanwhile.
    pub(super) fn enter(
        &self,
        head: &Head,
        judged: &Judged,
        upstream: &HttpUpstream,
        case: &Case,
    ) -> Result<Registered, Denial> {
        let spoken = Spoken::Https {
            method: head.method.to_string(),
            path: (&judged.path).into(),
            websocket: judged.websocket,
        };
        let Inside { host, port, .. } = &self.inside;
        let tunnel = Tunnel { host: host.clone(), port: *port, address: upstream.address, spoken };
        self.gate.enter(&tunnel, case)
    }
}
