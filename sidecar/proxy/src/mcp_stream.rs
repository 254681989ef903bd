//! Server-sent events from an MCP server to the agent: each message is judged by itself and written anew.
//!
//! The stream ends when the awaited reply was passed on, when either side ends, or when nothing comes for too long. An agent that goes
//! away ends the upstream's stream at once, which in MCP 2026-07-28 is how a request is cancelled.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinfold_redact::{CREDENTIAL, REDACTED};
use pinfold_wire::encode::{CHUNK_END, LAST_CHUNK, chunk_line};
use pinfold_wire::sse::{KEEP_ALIVE, SseEvent, SseItem, SseReader};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use crate::client::{Client, ReadEnd, WriteEnd, deadline};
use crate::gate::Gate;
use crate::mcp_reply::{ReplyFilter, Verdict};
use crate::quota::{self, Way};

/// A comment is sent when nothing else was for so long, so that proxies on the way keep the stream open and a dead agent is noticed.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(25);
/// How long a stream may go on after the reply that it is for.
const AFTER_REPLY_MAX: Duration = Duration::from_secs(1);

/// One stream on its way.
pub(crate) struct EventStream<'s, 'g> {
    pub(crate) filter: &'s mut ReplyFilter<'g>,
    pub(crate) gate: &'s Gate,
    /// Bytes of one event.
    pub(crate) event_bytes_max: usize,
    /// Encodes what the agent is told when its reply can't be passed on.
    pub(crate) refusal: &'s (dyn Fn(&'static str) -> Vec<u8> + Send + Sync),
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The agent's connection can be used again.
    pub(crate) client_usable: bool,
    /// The upstream ended the stream itself.
    pub(crate) upstream_usable: bool,
    /// The stream may be resumed: it had event ids, and its reply did not come.
    pub(crate) resumable: bool,
}

/// Why the loop stops.
enum Stop {
    UpstreamEnded,
    UpstreamFailed,
    ClientGone,
    Done,
}

impl EventStream<'_, '_> {
    /// Passes the stream on; the head was sent.
    pub(crate) async fn run(mut self, client: &mut Client, body: Incoming) -> Ended {
        let pipelined = !client.buffer.is_empty();
        let (mut read, mut write) = client.stream.split();
        let mut events = SseReader::new(self.event_bytes_max);
        let mut had_ids = false;
        let stop = tokio::select! {
            stop = self.events(body, &mut events, &mut write, &mut had_ids) => stop,
            () = gone(&mut read, pipelined) => Stop::ClientGone,
        };
        let resumable = had_ids && self.filter.unanswered().is_some();
        let client_usable = match stop {
            Stop::ClientGone => false,
            Stop::UpstreamEnded | Stop::UpstreamFailed | Stop::Done => {
                self.finish(&mut write, resumable).await
            }
        };
        Ended { client_usable, upstream_usable: matches!(stop, Stop::UpstreamEnded), resumable }
    }

    async fn events(
        &mut self,
        mut body: Incoming,
        events: &mut SseReader,
        write: &mut WriteEnd<'_>,
        had_ids: &mut bool,
    ) -> Stop {
        let mut quiet_until = deadline(self.gate.limits.idle_max);
        let mut last = deadline(self.gate.limits.idle_max);
        loop {
            let patience = if self.filter.is_answered() { last } else { quiet_until };
            let next_comment = deadline(KEEP_ALIVE_EVERY);
            let frame = tokio::time::timeout_at(patience.min(next_comment), body.frame()).await;
            let frame = match frame {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Stop::UpstreamEnded,
                Ok(Some(Err(_))) => return Stop::UpstreamFailed,
                Err(_) if Instant::now() >= patience => return Stop::Done,
                Err(_) => match self.send(KEEP_ALIVE, write).await {
                    true => continue,
                    false => return Stop::ClientGone,
                },
            };
            quiet_until = deadline(self.gate.limits.idle_max);
            let Ok(data) = frame.into_data() else { continue };
            let before = self.filter.is_answered();
            match self.feed(&data, events, write, had_ids).await {
                Ok(()) if !before && self.filter.is_answered() => last = deadline(AFTER_REPLY_MAX),
                Ok(()) => {}
                Err(stop) => return stop,
            }
        }
    }

    async fn feed(
        &mut self,
        data: &Bytes,
        events: &mut SseReader,
        write: &mut WriteEnd<'_>,
        had_ids: &mut bool,
    ) -> Result<(), Stop> {
        let Ok(items) = events.feed(data) else {
            self.filter.gate.metrics.reply_dropped(self.filter.server, "unreadable");
            return Err(Stop::UpstreamFailed);
        };
        for item in items {
            let bytes = match item {
                SseItem::Comment => Some(KEEP_ALIVE.to_vec()),
                SseItem::Event(event) => {
                    *had_ids |= event.id().is_some();
                    self.judge(event)
                }
            };
            if let Some(bytes) = bytes
                && !self.send(&bytes, write).await
            {
                return Err(Stop::ClientGone);
            }
        }
        Ok(())
    }

    fn judge(&mut self, event: SseEvent) -> Option<Vec<u8>> {
        if self.tells_secret(&event) {
            self.filter.gate.metrics.redacted(CREDENTIAL, 1);
            return None;
        }
        // An event without data primes the id for a resumed stream; there is nothing to judge.
        let data = event.data().filter(|data| !data.is_empty()).map(str::to_owned);
        let Some(data) = data else { return Some(event.encode()) };
        let passed = match self.filter.judge(data.as_bytes()) {
            Verdict::Pass(passed) => passed,
            Verdict::Refuse(cause) => (self.refusal)(cause),
            Verdict::Drop(_) => return None,
        };
        let passed = String::from_utf8(passed).unwrap_or_else(|_| REDACTED.to_owned());
        Some(event.with_data(passed).encode())
    }

    /// Whether id or type of an event hold the credential.
    fn tells_secret(&self, event: &SseEvent) -> bool {
        let Some(known) = &self.filter.known else { return false };
        let tells = |text: &str| known.is_in(text.as_bytes());
        event.id().is_some_and(tells) || event.name().is_some_and(tells)
    }

    /// Ends the stream so that no request waits for ever; whether the agent's connection can be used again.
    async fn finish(&mut self, write: &mut WriteEnd<'_>, resumable: bool) -> bool {
        if self.filter.unanswered().is_some() && !resumable {
            let refusal = String::from_utf8((self.refusal)("no-reply")).unwrap_or_default();
            let event = SseEvent::message(refusal).encode();
            if !self.send(&event, write).await {
                return false;
            }
        }
        matches!(timeout(self.gate.limits.write_max, write.write_all(LAST_CHUNK)).await, Ok(Ok(())))
    }

    async fn send(&self, bytes: &[u8], write: &mut WriteEnd<'_>) -> bool {
        let mut chunk = chunk_line(bytes.len());
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(CHUNK_END);
        if let Err(denial) = quota::count_message(self.gate, Way::In, bytes.len()) {
            tracing::info!(rule = denial.rule, "a stream of events was cut");
            return false;
        }
        matches!(timeout(self.gate.limits.write_max, write.write_all(&chunk)).await, Ok(Ok(())))
    }
}

/// Resolves when the agent ends its side; never if it sent its next request instead.
pub(crate) async fn gone(read: &mut ReadEnd<'_>, pipelined: bool) {
    if pipelined {
        std::future::pending::<()>().await;
    }
    read.ended().await;
}
