//! One connection to an upstream, of HTTP/1.1 or HTTP/2, over TCP or TLS. It ends with its owner, or with the last of those that share it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use pinfold_model::reason::Denial;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::dial::unreachable;
use crate::out_body::OutBody;
use crate::terminate::Tasks;
use crate::upstream::Trusted;

/// Bytes of a reply's head, and of what is read ahead of its body.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a kept connection may take to be ready again; one that still sends is no use.
const READY_MAX: Duration = Duration::from_millis(100);
/// Fields of a reply's head.
const HEADERS_MAX: usize = 128;
/// Bytes of a reply's header list over HTTP/2.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Bytes that an upstream may send ahead, of one reply and of all.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// An HTTP/2 upstream that doesn't answer a ping while a reply is due is dead.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_MAX: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub(crate) struct HttpUpstream {
    sender: Sender,
    /// Where it was dialled.
    pub(crate) address: SocketAddr,
    /// Which authorities of the policy it was verified with.
    pub(crate) trusted: Trusted,
    driver: Arc<Driver>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<OutBody>),
    Http2(http2::SendRequest<OutBody>),
}

/// What moves the bytes.
#[derive(Debug)]
struct Driver {
    task: JoinHandle<()>,
    /// Further tasks of the connection, which end with it.
    _tasks: Tasks,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Driver {
    fn start(
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            // The request that uses it gets the same error.
            let _ = connection.await;
        })
    }
}

impl HttpUpstream {
    /// Speaks HTTP/1.1 over a connection.
    ///
    /// # Errors
    /// A denial of reason `upstream`.
    pub(crate) async fn over<S>(stream: S, address: SocketAddr, rule: &str) -> Result<Self, Denial>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER_BYTES_MAX).max_headers(HEADERS_MAX);
        let handshake = builder.handshake::<_, OutBody>(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|error| unreachable(rule, &error.to_string()))?;
        // A change of protocol happens only where one was asked for.
        let task = Driver::start(connection.with_upgrades());
        let driver = Arc::new(Driver { task, _tasks: Tasks::default() });
        Ok(Self { sender: Sender::Http1(sender), address, trusted: Trusted::default(), driver })
    }

    /// Speaks HTTP/2 over a connection.
    ///
    /// # Errors
    /// A denial of reason `upstream`.
    pub(crate) async fn over_http2<S>(
        stream: S,
        address: SocketAddr,
        rule: &str,
    ) -> Result<Self, Denial>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tasks = Tasks::default();
        let mut builder = http2::Builder::new(tasks.clone());
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(BUFFER_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_MAX);
        let handshake = builder.handshake::<_, OutBody>(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|error| unreachable(rule, &error.to_string()))?;
        let driver = Arc::new(Driver { task: Driver::start(connection), _tasks: tasks });
        Ok(Self { sender: Sender::Http2(sender), address, trusted: Trusted::default(), driver })
    }

    /// Whether requests go in the form of HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The same connection for another request, if it takes several at once.
    pub(crate) fn shared(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                address: self.address,
                trusted: self.trusted.clone(),
                driver: Arc::clone(&self.driver),
            }),
        }
    }

    /// Whether both are the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }

    /// Whether it is known to have ended.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether another request can be sent.
    pub(crate) async fn is_usable(&mut self) -> bool {
        let ready = async {
            match &mut self.sender {
                Sender::Http1(sender) => sender.ready().await,
                Sender::Http2(sender) => sender.ready().await,
            }
        };
        matches!(tokio::time::timeout(READY_MAX, ready).await, Ok(Ok(())))
    }

    /// Sends a request and waits for the head of the reply.
    ///
    /// # Errors
    /// [`SendFailed`]; the connection is of no use any more.
    pub(crate) async fn send(
        &mut self,
        request: Request<OutBody>,
        rule: &str,
        reply_max: Duration,
    ) -> Result<Response<Incoming>, SendFailed> {
        match tokio::time::timeout(reply_max, self.try_send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                let gone = has_gone(error.error());
                let denial = unreachable(rule, &with_cause(error.error()));
                Err(SendFailed { denial, unsent, gone })
            }
            Err(_) => {
                let denial = unreachable(rule, &format!("no reply within {reply_max:?}"));
                Err(SendFailed { denial, unsent: None, gone: false })
            }
        }
    }

    async fn try_send(
        &mut self,
        request: Request<OutBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<OutBody>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// A request without a reply.
#[derive(Debug)]
pub(crate) struct SendFailed {
    /// Of reason `upstream`.
    pub(crate) denial: Denial,
    /// The request, if nothing of it was sent.
    pub(crate) unsent: Option<Box<Request<OutBody>>>,
    /// The connection ended instead of a reply, as a kept one does whose server had enough of waiting.
    gone: bool,
}

impl SendFailed {
    /// Whether a request without a body may be sent again over a new connection, if this one was used before: RFC 9110 section 9.2.2.
    pub(crate) fn may_be_repeated(&self, method: &Method) -> bool {
        self.unsent.is_some() || (self.gone && method.is_idempotent())
    }
}

/// Whether the connection ended before the head of a reply, and not because of what was in it.
fn has_gone(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let broken = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || cause.is_some_and(|cause| broken.contains(&cause.kind()))
}

fn with_cause(error: &hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
