//! The DNS gate: answers the pod's queries over UDP and TCP (RFC 7766), each judged before any packet goes upstream.
//!
//! A query is answered in any case, and soon: with records, with nothing, or with why not (RFC 8914). What an agent sends is never passed
//! on, and what an upstream sends is passed on only as far as it was judged.

mod answer;
mod budget;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use pinfold_wire::dns::QUERY_BYTES_MAX;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::bursts::Bursts;
use crate::client::{Client, deadline};
use crate::drain::{DrainWatch, Phase};
use crate::gate::Gate;
use crate::places;

use answer::{Transport, answer, overloaded};
use budget::Budgets;

/// Queries worked on at once, over all listeners.
const QUERIES_MAX: usize = 512;
/// Queries worked on at once for one connection; more are not read until one is done.
const PIPELINED_MAX: usize = 16;
/// A connection that asks nothing is closed after this (RFC 7766 section 6.2.3 asks for a few seconds).
const TCP_IDLE_MAX: Duration = Duration::from_secs(10);
/// From the first byte of a query over TCP to its last.
const TCP_QUERY_MAX: Duration = Duration::from_secs(2);
/// A connection is closed after this, or after so many queries.
const TCP_LIFE_MAX: Duration = Duration::from_secs(120);
const TCP_QUERIES_MAX: usize = 10_000;
/// A client that takes no reply for so long is given up.
const TCP_WRITE_MAX: Duration = Duration::from_secs(5);
/// Pause after the socket failed to receive.
const RECEIVE_PAUSE: Duration = Duration::from_millis(5);

/// What all listeners share.
#[derive(Debug)]
pub(crate) struct State {
    slots: Arc<Semaphore>,
    budgets: Budgets,
    pub(crate) denials: Bursts,
}

impl Default for State {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(QUERIES_MAX)),
            budgets: Budgets::default(),
            denials: Bursts::default(),
        }
    }
}

impl State {
    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }
}

/// Serves a UDP socket until the sidecar stops.
pub(crate) async fn serve_udp(gate: Arc<Gate>, socket: UdpSocket, mut drain: DrainWatch) {
    let socket = Arc::new(socket);
    let mut tasks = JoinSet::new();
    // One more than a query may have, so that a larger one is seen to be.
    let mut buffer = vec![0; QUERY_BYTES_MAX.saturating_add(1)];
    loop {
        tokio::select! {
            () = drain.reached(Phase::Draining) => break,
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, peer)) => {
                    let message = buffer.get(..length).unwrap_or_default();
                    received_udp(&gate, &socket, message, peer, &mut tasks).await;
                }
                // A reply to a client that is gone comes back as an error here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    tracing::warn!(%error, "can't receive DNS queries");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
    tokio::select! {
        () = drain.reached(Phase::Cut) => {}
        () = async { while tasks.join_next().await.is_some() {} } => {}
    }
}

async fn received_udp(
    gate: &Arc<Gate>,
    socket: &Arc<UdpSocket>,
    message: &[u8],
    peer: SocketAddr,
    tasks: &mut JoinSet<()>,
) {
    let Some(slot) = gate.dns.slot() else {
        if let Some(reply) = overloaded(gate, message, Transport::Udp) {
            // A client that is gone needs no reply.
            let _ = socket.try_send_to(&reply, peer);
        }
        return;
    };
    let (gate, socket, message) = (Arc::clone(gate), Arc::clone(socket), message.to_vec());
    tasks.spawn(async move {
        let _slot = slot;
        if let Some(reply) = answer(&gate, &message, Transport::Udp).await {
            let _ = socket.send_to(&reply, peer).await;
        }
    });
}

/// Serves one connection of DNS over TCP: queries may come before the replies to earlier ones, which come as they are ready.
pub(crate) async fn serve(gate: &Arc<Gate>, client: Client, mut drain: DrainWatch) {
    let mut connection = Connection { client, tasks: JoinSet::new(), asked: 0, since: None };
    tokio::select! {
        () = connection.run(gate) => {}
        () = tokio::time::sleep(TCP_LIFE_MAX) => {}
        () = drain.reached(Phase::Draining) => {}
    }
    connection.client.close().await;
}

/// Refuses the first query of a connection for which there is no place, in the words of DNS.
pub(crate) async fn over_limit(gate: &Gate, client: Client) {
    let mut connection = Connection { client, tasks: JoinSet::new(), asked: 0, since: None };
    let until = deadline(TCP_QUERY_MAX);
    loop {
        match connection.take_query() {
            Ok(Some(message)) => {
                if let Some(reply) = overloaded(gate, &message, Transport::Tcp)
                    && connection.reply(&reply).await
                {
                    connection.client.close().await;
                }
                return;
            }
            Ok(None) => {}
            Err(()) => return connection.client.reset(),
        }
        if !matches!(timeout_at(until, connection.client.read_more()).await, Ok(Ok(1..))) {
            return connection.client.reset();
        }
    }
}

/// One connection, and what is being answered on it.
struct Connection {
    client: Client,
    tasks: JoinSet<Option<Vec<u8>>>,
    asked: usize,
    /// When the first byte of the query in the buffer came.
    since: Option<Instant>,
}

/// What happened next on a connection.
enum News {
    Replied(Option<Vec<u8>>),
    Read,
    Ended,
}

impl Connection {
    async fn run(&mut self, gate: &Arc<Gate>) {
        loop {
            while self.tasks.len() < PIPELINED_MAX {
                match self.take_query() {
                    // What it asks is answered in tasks of its own.
                    Ok(Some(_)) if places::decided().is_err() => return,
                    Ok(Some(message)) => self.start(gate, message),
                    Ok(None) => break,
                    Err(()) => return,
                }
            }
            match self.news().await {
                News::Replied(Some(reply)) if !self.reply(&reply).await => return,
                News::Replied(_) | News::Read => {}
                News::Ended if self.tasks.is_empty() => return,
                News::Ended => return self.finish().await,
            }
        }
    }

    async fn news(&mut self) -> News {
        let wait = if self.since.is_some() { TCP_QUERY_MAX } else { TCP_IDLE_MAX };
        let until = self.since.and_then(|since| since.checked_add(wait));
        let until = until.unwrap_or_else(|| deadline(wait));
        let reads = self.tasks.len() < PIPELINED_MAX && self.asked < TCP_QUERIES_MAX;
        tokio::select! {
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                News::Replied(done.ok().flatten())
            }
            read = timeout_at(until, self.client.read_more()), if reads => match read {
                Ok(Ok(1..)) => {
                    self.since.get_or_insert_with(Instant::now);
                    News::Read
                }
                Ok(Ok(0) | Err(_)) | Err(_) => News::Ended,
            },
            else => News::Ended,
        }
    }

    /// The next whole query of the buffer; an error for one that is larger than any.
    fn take_query(&mut self) -> Result<Option<Vec<u8>>, ()> {
        let buffer = &mut self.client.buffer;
        let Some(length) = buffer.first_chunk().map(|length| u16::from_be_bytes(*length)) else {
            return Ok(None);
        };
        let length = usize::from(length);
        if length > QUERY_BYTES_MAX {
            return Err(());
        }
        let end = length.saturating_add(2);
        let Some(message) = buffer.get(2..end).map(<[u8]>::to_vec) else { return Ok(None) };
        buffer.advance(end);
        self.since = (!buffer.is_empty()).then(Instant::now);
        Ok(Some(message))
    }

    fn start(&mut self, gate: &Arc<Gate>, message: Vec<u8>) {
        self.asked = self.asked.saturating_add(1);
        let slot = gate.dns.slot();
        let gate = Arc::clone(gate);
        self.tasks.spawn(async move {
            match slot {
                Some(_slot) => answer(&gate, &message, Transport::Tcp).await,
                None => overloaded(&gate, &message, Transport::Tcp),
            }
        });
    }

    async fn reply(&mut self, reply: &[u8]) -> bool {
        let Ok(length) = u16::try_from(reply.len()) else { return false };
        let bytes = [&length.to_be_bytes(), reply].concat();
        self.client.write(&bytes, TCP_WRITE_MAX).await.is_ok()
    }

    /// The client said all it wanted to: it still gets what it asked for.
    async fn finish(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            if let Ok(Some(reply)) = done
                && !self.reply(&reply).await
            {
                return;
            }
        }
    }
}
