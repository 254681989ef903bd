//! A tunnel after its decision: bytes both ways, counted, until a side ends, nothing comes for too long, or a limit or the policy cuts it.
//!
//! Nothing is decided here and nothing is read ahead of what the other side takes. A tunnel that waits holds no buffer and no pipe, only its
//! two sockets. A half-close is passed on as one. What doesn't end by itself ends with a reset on both sides, so that nobody takes a
//! beginning for the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use pinfold_model::reason::{Denial, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::Client;
use crate::gate::Gate;
use crate::passage::{Farewell, let_go};
use crate::peek::alert_for;
use crate::quota::{Meter, Way};
use crate::tunnels::{Registered, Told};

mod hello;
mod pipe;
mod sockets;
mod streams;

pub(crate) use pipe::Pipes;

const CONNECTION_LIFE: &str = "spec.egress.limits.connectionLife";

/// A tunnel that is judged, recorded, dialled and registered.
pub(crate) struct Established {
    pub(crate) agent: TcpStream,
    /// What came from the agent already.
    pub(crate) early: BytesMut,
    /// Bytes of the ClientHello that let it through; none where nothing had to be seen.
    pub(crate) hello: Option<usize>,
    pub(crate) upstream: TcpStream,
    pub(crate) registered: Registered,
}

/// Why a direction can't go on.
#[derive(Debug)]
enum Broken {
    /// A side failed or reset the connection.
    Failed,
    /// A limit of the policy.
    Limit(Denial),
    /// What was said after a HelloRetryRequest.
    Refused(Denial),
}

impl From<std::io::Error> for Broken {
    fn from(_error: std::io::Error) -> Self {
        Self::Failed
    }
}

/// How a tunnel ended.
#[derive(Debug)]
enum End {
    /// Both sides ended, or nothing came for too long.
    Quiet,
    /// Reset: a side failed, or the policy no longer allows it.
    Reset,
    /// Reset, and recorded.
    Limit(Denial),
    /// Told to the client, and recorded.
    Refused(Denial),
}

impl From<Result<(), Broken>> for End {
    fn from(both: Result<(), Broken>) -> Self {
        match both {
            Ok(()) => Self::Quiet,
            Err(Broken::Failed) => Self::Reset,
            Err(Broken::Limit(denial)) => Self::Limit(denial),
            Err(Broken::Refused(denial)) => Self::Refused(denial),
        }
    }
}

/// What both directions share.
struct Flow<'g> {
    gate: &'g Gate,
    meter: Meter,
    pulse: Pulse,
    /// Whether one direction has ended.
    one_ended: AtomicBool,
}

impl<'g> Flow<'g> {
    fn new(gate: &'g Arc<Gate>) -> Self {
        Self {
            gate,
            meter: Meter::new(gate),
            pulse: Pulse::new(),
            one_ended: AtomicBool::new(false),
        }
    }

    /// Counts bytes that were read. Of them so many may pass, and if that isn't all, nothing more may.
    fn count(&self, way: Way, bytes: usize) -> (usize, Option<Denial>) {
        self.pulse.beat();
        match self.meter.count(way, bytes) {
            Ok(()) => (bytes, None),
            Err(overdrawn) => (overdrawn.granted, Some(overdrawn.denial)),
        }
    }

    /// Resolves when time or the policy ends the tunnel. A changed policy's times count at once.
    async fn ended(&self, registered: &Registered) -> End {
        loop {
            let limits = self.gate.policy.load().policy.limits;
            let age = self.pulse.started.elapsed();
            let life = limits.life_max.map(|most| (most, most.saturating_sub(age)));
            if let Some((most, Duration::ZERO)) = life {
                return End::Limit(outlived(most));
            }
            let idle_max = limits.idle_max.min(self.gate.limits.idle_max);
            let idle = idle_max.saturating_sub(age.saturating_sub(self.pulse.last()));
            if idle.is_zero() {
                return End::Quiet;
            }
            let wait = life.map_or(idle, |(_, left)| left.min(idle));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                told = registered.told() => match told {
                    Told::Cut => return End::Reset,
                    Told::Look => {}
                },
            }
        }
    }
}

/// The denial of a connection that is older than the policy's `connectionLife`.
pub(crate) fn outlived(most: Duration) -> Denial {
    let message = format!("the connection is older than {most:?}");
    let remedy = format!("open another one, or ask for more in `{CONNECTION_LIFE}`");
    Denial::new(Reason::Limit, CONNECTION_LIFE, message, remedy)
}

/// Relays a tunnel between two sockets to its end, and records a limit that ends it.
pub(crate) async fn run(gate: &Arc<Gate>, established: Established) {
    let Established { agent, early, hello, upstream, registered } = established;
    let end = {
        let flow = Flow::new(gate);
        let both = async {
            let early = match hello {
                Some(length) => {
                    let passed =
                        hello::pass(&flow, (&agent, early), &upstream, length, &registered);
                    // What its beginning needs isn't held for the tunnel's life.
                    Box::pin(passed).await?
                }
                None => early,
            };
            sockets::both(&flow, (&agent, early), &upstream).await
        };
        tokio::select! {
            both = both => both.into(),
            end = flow.ended(&registered) => end,
        }
    };
    if matches!(end, End::Reset | End::Limit(_) | End::Refused(_)) {
        // Only a socket that is closed already refuses this.
        let _ = upstream.set_zero_linger();
    }
    drop(upstream);
    match end {
        End::Refused(denial) => return refused(gate, agent, denial, registered).await,
        // Nor this.
        End::Reset | End::Limit(_) => drop(agent.set_zero_linger()),
        End::Quiet => {}
    }
    drop(agent);
    record(gate, end, registered).await;
}

/// Relays between ends that aren't both sockets, such as TLS that the sidecar ended. They are closed when this returns.
pub(crate) async fn streams<A, U>(gate: &Arc<Gate>, agent: A, upstream: U, registered: Registered)
where
    A: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let end = {
        let flow = Flow::new(gate);
        tokio::select! {
            both = streams::both(&flow, agent, upstream) => both.into(),
            end = flow.ended(&registered) => end,
        }
    };
    record(gate, end, registered).await;
}

async fn record(gate: &Arc<Gate>, end: End, registered: Registered) {
    match end {
        End::Quiet | End::Reset => {}
        End::Limit(denial) | End::Refused(denial) => {
            let case = registered.case().clone();
            drop(registered);
            gate.refused(&case, denial).await;
        }
    }
}

/// Tells a client that speaks TLS why it is refused, as before a tunnel is open.
async fn refused(gate: &Arc<Gate>, agent: TcpStream, denial: Denial, registered: Registered) {
    let alert = Farewell::Alert(alert_for(denial.reason));
    record(gate, End::Refused(denial), registered).await;
    let_go(gate, Client::new(agent), alert).await;
}

/// When something last came.
struct Pulse {
    started: Instant,
    last_ms: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Since the start.
    fn last(&self) -> Duration {
        Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}
