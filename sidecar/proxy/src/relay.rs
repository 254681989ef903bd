//! Copies a tunnel both ways once it is decided: half-closes are passed on, an idle tunnel ends, bytes are counted.
//!
//! A direction that waits holds no buffer, so that a thousand idle tunnels cost next to nothing.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use prometheus::IntCounter;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where bytes are counted, and how long nothing may come.
#[derive(Debug)]
pub(crate) struct RelayMeans {
    pub(crate) bytes_out: IntCounter,
    pub(crate) bytes_in: IntCounter,
    pub(crate) idle_max: Duration,
}

/// Copies until both directions have ended, one fails, or nothing came for too long.
pub(crate) async fn relay(agent: &mut TcpStream, upstream: &mut TcpStream, means: &RelayMeans) {
    let pulse = Pulse::new();
    let (agent_read, agent_write) = agent.split();
    let (upstream_read, upstream_write) = upstream.split();
    let both = async {
        tokio::try_join!(
            copy(agent_read, upstream_write, &pulse, &means.bytes_out),
            copy(upstream_read, agent_write, &pulse, &means.bytes_in),
        )
    };
    tokio::select! {
        // An error of either side ends both; there is nobody to tell.
        _ = both => {}
        () = pulse.stopped(means.idle_max) => {}
    }
}

async fn copy(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    pulse: &Pulse,
    bytes: &IntCounter,
) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        loop {
            match from.try_read_buf(&mut buffer) {
                Ok(0) => return to.shutdown().await,
                Ok(read) => {
                    pulse.beat();
                    to.write_all(&buffer).await?;
                    pulse.beat();
                    buffer.clear();
                    bytes.inc_by(u64::try_from(read).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
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

    /// Resolves once nothing came for `idle_max`.
    async fn stopped(&self, idle_max: Duration) {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let idle = self.started.elapsed().saturating_sub(last);
            match idle_max.checked_sub(idle) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                Some(_) | None => return,
            }
        }
    }
}
