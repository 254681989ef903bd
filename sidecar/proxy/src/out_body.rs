//! The body of a request on its way to an upstream: framed as it was read, and never ended early by accident.
//!
//! A body that breaks off is an error here, so that the upstream never takes a part for the whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use pinfold_wire::body::BodyFraming;
use tokio::sync::mpsc;

use crate::terminate::AgentBody;

/// Pieces that wait for the upstream; the agent is read no faster than the upstream takes.
const PIECES_WAITING: usize = 2;

/// A piece of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Some bytes.
    Data(Bytes),
    /// The body is complete.
    End,
}

/// A request body.
#[derive(Debug)]
pub(crate) enum OutBody {
    /// All of it.
    Whole(Bytes),
    /// As it comes; with the number of bytes that are left, where it is known.
    Stream {
        /// The pieces.
        pieces: mpsc::Receiver<Piece>,
        /// Bytes left.
        left: Option<u64>,
        /// Whether the end was seen.
        ended: bool,
    },
    /// Of a request that came over HTTP/2.
    Agent(Box<AgentBody>),
}

/// The body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub(crate) struct BrokenOff;

impl From<Infallible> for BrokenOff {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl OutBody {
    /// A body of that framing, and where its pieces go.
    pub(crate) fn framed(framing: BodyFraming) -> (Self, Option<mpsc::Sender<Piece>>) {
        let left = match framing {
            BodyFraming::None => return (Self::Whole(Bytes::new()), None),
            BodyFraming::Length(length) => Some(length),
            BodyFraming::Chunked => None,
        };
        let (sender, pieces) = mpsc::channel(PIECES_WAITING);
        (Self::Stream { pieces, left, ended: false }, Some(sender))
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Agent(body) => Pin::new(body.as_mut()).poll_frame(context),
            Self::Stream { ended: true, .. } => Poll::Ready(None),
            Self::Stream { pieces, left, ended } => match pieces.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Piece::Data(bytes))) => {
                    let taken = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    *left = left.map(|left| left.saturating_sub(taken));
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(Some(Piece::End)) => {
                    *ended = true;
                    Poll::Ready(None)
                }
                Poll::Ready(None) => Poll::Ready(Some(Err(BrokenOff))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream { ended, left, .. } => *ended || *left == Some(0),
            Self::Agent(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(0)),
            Self::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Self::Stream { left: None, .. } => SizeHint::default(),
            Self::Agent(body) => body.size_hint(),
        }
    }
}
