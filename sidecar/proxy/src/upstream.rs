//! Connections to the named upstreams of a policy: judged, checked, dialled, and over TLS where the policy says `https`.
//!
//! A connection that served a request may serve another one to the same upstream, if its address is still permitted.

mod connectors;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pinfold_engine::egress::{self, DialPermit};
use pinfold_model::host::Host;
use pinfold_model::policy::agent::Upstream;
use pinfold_model::reason::Denial;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::dial::{dial, unreachable};
use crate::error::StartError;
use crate::gate::Gate;
use crate::http_upstream::HttpUpstream;
use crate::known::KnownSecrets;

use connectors::Connectors;
pub(crate) use connectors::Trusted;

/// Idle connections kept, over all upstreams.
const IDLE_MAX: usize = 16;
/// How long one is kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(20);

/// Which versions of HTTP an upstream may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 as well.
    Both,
}

/// What is needed to reach upstreams.
pub(crate) struct Upstreams {
    connectors: Connectors,
    idle: Mutex<Vec<Idle>>,
    /// Their credentials, to be found in what they answer.
    pub(crate) known: KnownSecrets,
}

struct Idle {
    target: Target,
    connection: HttpUpstream,
    since: Instant,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    host: Host,
    port: u16,
    tls: bool,
}

impl Target {
    fn of(upstream: &Upstream) -> Self {
        Self { host: upstream.host.clone(), port: upstream.port, tls: upstream.tls }
    }
}

/// A connection that a request may use.
pub(crate) struct Connected {
    pub(crate) connection: HttpUpstream,
    pub(crate) permit: DialPermit,
    /// Whether it served a request before, so that it may be closed already.
    pub(crate) reused: bool,
}

impl Upstreams {
    /// Trusts the authorities of the web, and those of `extra`.
    ///
    /// # Errors
    /// Certificates of `extra` that can't be used.
    pub(crate) fn new(extra: Option<&Path>) -> Result<Self, StartError> {
        Ok(Self {
            connectors: Connectors::new(extra)?,
            idle: Mutex::default(),
            known: KnownSecrets::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection whose reply was read to its end.
    pub(crate) fn keep(&self, upstream: &Upstream, connection: HttpUpstream) {
        let mut idle = self.lock();
        idle.retain(|kept| kept.since.elapsed() < IDLE_TIME_MAX);
        if idle.len() < IDLE_MAX {
            idle.push(Idle { target: Target::of(upstream), connection, since: Instant::now() });
        }
    }

    /// A connection to a permitted address that was verified by what counts now.
    fn take(
        &self,
        target: &Target,
        permit: &DialPermit,
        trusted: &Trusted,
    ) -> Option<HttpUpstream> {
        let mut idle = self.lock();
        idle.retain(|kept| kept.since.elapsed() < IDLE_TIME_MAX);
        let fits = |kept: &Idle| {
            kept.target == *target
                && kept.connection.trusted == *trusted
                && permit.addresses().contains(&kept.connection.address)
        };
        let at = idle.iter().rposition(fits)?;
        Some(idle.swap_remove(at).connection)
    }
}

/// Connects, by a kept connection if there is one.
///
/// # Errors
/// A denial of reason `upstream`.
pub(crate) async fn connect(
    gate: &Gate,
    upstream: &Upstream,
    permit: DialPermit,
) -> Result<Connected, Denial> {
    let target = Target::of(upstream);
    let trusted = trusted(gate, upstream);
    while let Some(mut connection) = gate.upstreams.take(&target, &permit, &trusted) {
        if connection.is_usable().await {
            return Ok(Connected { connection, permit, reused: true });
        }
    }
    let connection = open(gate, upstream, &permit).await?;
    Ok(Connected { connection, permit, reused: false })
}

fn trusted(gate: &Gate, upstream: &Upstream) -> Trusted {
    if !upstream.tls {
        return Trusted::default();
    }
    Trusted::by(&gate.policy.load().policy, &upstream.host)
}

/// Judges a request to an upstream, and its addresses.
///
/// # Errors
/// The denial, which is an answer.
pub(crate) async fn permit(
    gate: &Gate,
    upstream: &Upstream,
    method: &str,
    path: &str,
) -> Result<DialPermit, Denial> {
    let permit = egress::judge_upstream(upstream, method, path)?;
    let permit = permit.through(&gate.policy.load().policy);
    gate.addresses(permit).await?.opaque()
}

/// Opens a new connection.
///
/// # Errors
/// A denial of reason `upstream`.
pub(crate) async fn open(
    gate: &Gate,
    upstream: &Upstream,
    permit: &DialPermit,
) -> Result<HttpUpstream, Denial> {
    gate.quota.connect(&gate.policy.load().policy)?;
    if upstream.tls {
        return open_tls(gate, permit, Offered::Http1).await;
    }
    let dialled = dial(gate, permit).await?;
    HttpUpstream::over(dialled.stream, dialled.address, permit.rule()).await
}

/// Opens a connection over TLS, verified for the host that was judged.
///
/// # Errors
/// A denial of reason `upstream`.
pub(crate) async fn open_tls(
    gate: &Gate,
    permit: &DialPermit,
    offered: Offered,
) -> Result<HttpUpstream, Denial> {
    let dialled = dial(gate, permit).await?;
    let failed = |cause: &str| unreachable(permit.rule(), cause);
    let name = server_name(permit.host()).ok_or_else(|| failed("its name isn't one of TLS"))?;
    let found = gate.upstreams.connectors.of(&gate.policy.load().policy, permit.host());
    let (trusted, connector) = found.map_err(|error| failed(&error))?;
    let handshake = connector.offering(offered).connect(name, dialled.stream);
    let stream = match tokio::time::timeout(gate.limits.handshake_max, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(&format!("TLS: {error}"))),
        Err(_) => return Err(failed("the TLS handshake took too long")),
    };
    let mut connection = if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        HttpUpstream::over_http2(stream, dialled.address, permit.rule()).await?
    } else {
        HttpUpstream::over(stream, dialled.address, permit.rule()).await?
    };
    connection.trusted = trusted;
    Ok(connection)
}

fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Address(address) => Some(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).ok(),
    }
}

/// The certificates of a file of PEM; at least one.
///
/// # Errors
/// A file that can't be read, or holds none.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let failed = |message: String| StartError::Certificates { path: path.to_owned(), message };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = certificates.collect();
    let found = found.map_err(|error| failed(error.to_string()))?;
    if found.is_empty() {
        return Err(failed("expected certificates in PEM, found none".to_owned()));
    }
    Ok(found)
}
