//! Bodies of requests and replies inside HTTP/2: passed on frame by frame with their trailers, counted, and given up when nothing comes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pinfold_model::reason::Denial;
use pinfold_wire::encode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::broken_off;
use super::http2::Open;
use super::pool::Leased;
use super::site::Site;
use crate::client::deadline;
use crate::out_body::BrokenOff;
use crate::quota::Way;
use crate::record::Case;
use crate::tunnels::Registered;

/// A body on its way, whose frames are looked at.
struct Watched {
    body: Incoming,
    idle_max: Duration,
    idle: Pin<Box<Sleep>>,
}

impl Watched {
    fn new(body: Incoming, idle_max: Duration) -> Self {
        Self { body, idle_max, idle: Box::pin(sleep(idle_max)) }
    }

    /// The next frame without what may not pass; an error if the body breaks off or stops coming.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let next: Instant = deadline(self.idle_max);
                self.idle.as_mut().reset(next);
                let frame = match frame.into_trailers() {
                    Ok(trailers) => Frame::trailers(encode::trailers(&trailers)),
                    Err(frame) => frame,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(BrokenOff))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(context));
                Poll::Ready(Some(Err(BrokenOff)))
            }
        }
    }
}

/// Counts a frame's data.
fn count(site: &Site, way: Way, frame: &Frame<Bytes>) -> Result<(), Denial> {
    let Some(data) = frame.data_ref() else { return Ok(()) };
    site.meter.count(way, data.len()).map_err(|overdrawn| overdrawn.denial)
}

/// A limit that ended a request's body: to be told and recorded, instead of what followed from it.
#[derive(Default)]
pub(super) struct Spent(Mutex<Option<Denial>>);

impl Spent {
    fn set(&self, denial: Denial) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(denial);
    }

    /// The limit, once.
    pub(super) fn take(&self) -> Option<Denial> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What belongs to one request for as long as its body or its reply is on its way: an upload may outlast its reply, and is judged again too.
pub(super) struct Held {
    pub(super) site: Arc<Site>,
    pub(super) case: Case,
    pub(super) registered: Registered,
    pub(super) spent: Spent,
    pub(super) _open: Open,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(denial) = self.spent.take() else { return };
        let (gate, case) = (Arc::clone(&self.site.gate), self.case.clone());
        tokio::spawn(async move { drop(gate.refused(&case, denial).await) });
    }
}

/// Resolves when the request must end.
type Cut = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

fn cut(held: &Arc<Held>) -> Cut {
    let held = Arc::clone(held);
    Box::pin(async move { held.registered.cut().await })
}

/// What the agent sends.
pub(crate) struct AgentBody {
    watched: Watched,
    held: Arc<Held>,
    cut: Cut,
}

impl std::fmt::Debug for AgentBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AgentBody").finish_non_exhaustive()
    }
}

impl AgentBody {
    pub(super) fn new(body: Incoming, held: &Arc<Held>) -> Self {
        let watched = Watched::new(body, held.site.gate.limits.body_idle_max);
        Self { watched, held: Arc::clone(held), cut: cut(held) }
    }
}

impl Body for AgentBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        // Nobody polls a reply that the agent doesn't read, or one that ended.
        if this.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        let Some(frame) = ready!(this.watched.poll(context)?) else { return Poll::Ready(None) };
        if let Err(denial) = count(&this.held.site, Way::Out, &frame) {
            this.held.spent.set(denial);
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.watched.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.watched.body.size_hint()
    }
}

/// What the agent gets.
pub(super) enum ReplyBody {
    /// An answer of the sidecar's own.
    Whole(Bytes),
    /// An upstream's reply.
    Passed(Box<Passed>),
}

/// An upstream's reply on its way.
pub(super) struct Passed {
    watched: Watched,
    held: Arc<Held>,
    cut: Cut,
    upstream: Option<Leased>,
}

impl Passed {
    pub(super) fn new(body: Incoming, upstream: Leased, held: Arc<Held>) -> Self {
        let watched = Watched::new(body, held.site.gate.limits.idle_max);
        Self { watched, cut: cut(&held), held, upstream: Some(upstream) }
    }

    /// The reply was read to its end.
    fn keep(&mut self) {
        self.upstream.take().into_iter().for_each(|upstream| self.held.site.pool.keep(upstream));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        let Some(frame) = ready!(self.watched.poll(context)?) else {
            self.keep();
            return Poll::Ready(None);
        };
        if frame.is_trailers() {
            // Behind them there is nothing, and nobody asks.
            self.keep();
        }
        if let Err(denial) = count(&self.held.site, Way::In, &frame) {
            self.held.spent.set(denial);
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Passed(passed) => {
                passed.poll(context).map(|frame| Some(frame?.map_err(|_| broken_off())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            // Only once its end was seen is the upstream's connection kept.
            Self::Passed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(0)),
            Self::Passed(passed) => passed.watched.body.size_hint(),
        }
    }
}
