//! The agent's side of a connection: the socket or TLS over it, and the bytes that were read and not yet judged.
//!
//! An idle connection holds no buffer. Every wait has a bound.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use pinfold_wire::head::{Head, HeadError, HeadReader};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

use crate::config::Limits;
use crate::drain::{DrainWatch, Phase};
use crate::places;

mod stream;

pub(crate) use stream::{ReadEnd, Replayed, Stream, WriteEnd, read_socket};

/// Bytes read at once while a head or a hello is collected.
const READ_BYTES: usize = 4096;
/// The first byte of a TLS client, which no head begins with.
const TLS_HANDSHAKE: u8 = 22;
/// How long a closed connection is read on, so that the answer isn't lost to a reset.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Bytes that are read and thrown away meanwhile.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// The agent's side of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Stream,
    /// Read, and not yet used.
    pub(crate) buffer: BytesMut,
}

/// What came instead of a head.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// The connection ended, is idle for too long, or the sidecar stops.
    Gone,
    /// The head didn't end in time.
    Slow,
    /// TLS, where only HTTP is spoken.
    Tls,
    /// The head can't be read in one way only.
    Malformed(HeadError),
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Only a socket that is closed already refuses this.
        let _ = stream.set_nodelay(true);
        Self { stream: Stream::Tcp(stream), buffer: BytesMut::new() }
    }

    /// What is said inside TLS that the sidecar ended.
    pub(crate) fn inside(stream: TlsStream<Replayed>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), buffer: BytesMut::new() }
    }

    /// The next head; what follows it stays in the buffer.
    pub(crate) async fn read_head(
        &mut self,
        limits: &Limits,
        drain: &mut DrainWatch,
    ) -> Result<Head, NoHead> {
        if self.buffer.is_empty() {
            self.wait_for_request(limits, drain).await?;
        }
        let deadline = deadline(limits.head_max);
        let mut reader = HeadReader::new();
        loop {
            if self.buffer.first() == Some(&TLS_HANDSHAKE) {
                return Err(NoHead::Tls);
            }
            if let Some((head, length)) = reader.read(&self.buffer).map_err(NoHead::Malformed)? {
                let _ = self.buffer.split_to(length.min(self.buffer.len()));
                places::heard();
                return Ok(head);
            }
            match timeout_at(deadline, self.read_more()).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Err(NoHead::Gone),
                Err(_) => return Err(NoHead::Slow),
            }
        }
    }

    /// The first byte of a connection, which stays in the buffer; none if nothing comes.
    pub(crate) async fn first_byte(
        &mut self,
        limits: &Limits,
        drain: &mut DrainWatch,
    ) -> Option<u8> {
        self.wait_for_request(limits, drain).await.ok()?;
        if self.buffer.is_empty() {
            self.read_more().await.ok()?;
        }
        self.buffer.first().copied()
    }

    /// The socket with what was read of it; none for what comes out of TLS.
    pub(crate) fn into_socket(self) -> Option<(TcpStream, BytesMut)> {
        match self.stream {
            Stream::Tcp(stream) => Some((stream, self.buffer)),
            Stream::Tls(_) => None,
        }
    }

    /// Ends the connection with a reset, as a closed port would.
    pub(crate) fn reset(mut self) {
        if let Some(stream) = self.stream.tcp() {
            // Only a socket that is closed already refuses this.
            let _ = stream.set_zero_linger();
        }
    }

    /// Waits for the first byte of a request, without a buffer.
    async fn wait_for_request(
        &mut self,
        limits: &Limits,
        drain: &mut DrainWatch,
    ) -> Result<(), NoHead> {
        self.buffer = BytesMut::new();
        places::waits();
        tokio::select! {
            ready = timeout(limits.unused_max, self.something()) => match ready {
                Ok(Ok(1..)) => Ok(()),
                Ok(Ok(0) | Err(_)) | Err(_) => Err(NoHead::Gone),
            },
            () = drain.reached(Phase::Draining) => Err(NoHead::Gone),
        }
    }

    /// Waits until there is something to read; 0 at the end.
    async fn something(&mut self) -> io::Result<usize> {
        match &mut self.stream {
            // Not `readable`, which may say so when there is nothing.
            Stream::Tcp(stream) => stream.peek(&mut [0]).await,
            Stream::Tls(_) => self.read_more().await,
        }
    }

    /// Reads what there is into the buffer; 0 at the end.
    pub(crate) async fn read_more(&mut self) -> io::Result<usize> {
        self.stream.read_into(&mut self.buffer, READ_BYTES).await
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The system's, or that the client takes nothing.
    pub(crate) async fn write(&mut self, bytes: &[u8], write_max: Duration) -> io::Result<()> {
        match timeout(write_max, self.write_all(bytes)).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the connection so that the client gets what was written: a socket with unread bytes would be reset.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let ended = timeout(LINGER_MAX, async {
            let mut left = LINGER_BYTES_MAX;
            loop {
                self.buffer.clear();
                match self.read_more().await {
                    Ok(read @ 1..) if read < left => left = left.saturating_sub(read),
                    Ok(_) | Err(_) => return,
                }
            }
        })
        .await;
        if ended.is_err() && places::is_undecided() {
            // It has its refusal; connection tracking would remember for a minute that it doesn't end.
            self.reset();
        }
    }
}

/// The moment after some time; far in the future if it can't be said.
pub(crate) fn deadline(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400);
    let now = Instant::now();
    now.checked_add(time).or_else(|| now.checked_add(FAR)).unwrap_or(now)
}
