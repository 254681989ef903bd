//! One connection: its protocol, its clocks, and how it ends.
//!
//! hyper's own head timeout also counts the time between requests, and a server that closes idle connections first loses the request
//! that is just being sent; so the clock here starts with the first byte of a head.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;
use crate::drain::{DrainWatch, Phase};
use crate::route::Route;

/// Headers of one request; the API server sends about ten.
const HEADERS_MAX: usize = 64;
/// Bytes of one request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes that HTTP/1 buffers for one connection.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Streams of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 128;
/// Bytes that an HTTP/2 client may send ahead on one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes that an HTTP/2 client may send ahead on all streams.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Streams that a client may reset before they were looked at (CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 32;
/// Streams reset by us for the client's errors before the connection ends.
const RESETS_LOCAL_MAX: usize = 64;
/// Bytes waiting to be sent on one stream.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// How often an HTTP/2 client is asked whether it is there, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long an idle HTTP/2 client has to take leave.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// How often the clocks of a connection are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Which protocol was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What a connection is doing, in milliseconds since it began.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    running: AtomicUsize,
    served: AtomicU64,
    last: AtomicU64,
    /// When the first byte of the head that is being read came, plus 1; 0 if none is.
    head: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            last: AtomicU64::new(0),
            head: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_came(&self) {
        if self.running.load(Ordering::Relaxed) == 0 {
            let now = self.now().saturating_add(1);
            let _ = self.head.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn request_began(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Whether the connection has been doing nothing, or been reading one head, for too long.
    fn overdue(&self, limits: &Limits, protocol: Protocol) -> Option<Overdue> {
        if self.running.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let now = self.now();
        let head = self.head.load(Ordering::Relaxed);
        let passed = |since: u64| Duration::from_millis(now.saturating_sub(since));
        if protocol == Protocol::Http1 && head > 0 && passed(head) > limits.head_max {
            return Some(Overdue::Head);
        }
        let unused = self.served.load(Ordering::Relaxed) == 0;
        let most = if unused { limits.unused_max } else { limits.idle_max };
        (passed(self.last.load(Ordering::Relaxed)) > most).then_some(Overdue::Idle)
    }
}

enum Overdue {
    Head,
    Idle,
}

/// A request that is being answered.
struct Running(Arc<Pulse>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.last.store(self.0.now(), Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells the pulse when bytes come.
struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.bytes_came();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A connection of either protocol.
trait Served: Future {
    fn wind_down(self: Pin<&mut Self>);
}

impl<I, R> Served for http1::Connection<I, R>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    R: hyper::service::HttpService<Incoming, ResBody = http_body_util::Full<bytes::Bytes>>,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, R> Served for http2::Connection<I, R, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    R: hyper::service::HttpService<Incoming, ResBody = http_body_util::Full<bytes::Bytes>>,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    TokioExecutor:
        hyper::rt::bounds::Http2ServerConnExec<R::Future, http_body_util::Full<bytes::Bytes>>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, R>(
    stream: S,
    protocol: Protocol,
    route: Arc<R>,
    limits: Limits,
    drain: DrainWatch,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Route,
{
    let pulse = Arc::new(Pulse::new());
    let io = TokioIo::new(Felt { stream, pulse: Arc::clone(&pulse) });
    let felt = Arc::clone(&pulse);
    let service = service_fn(move |request: Request<Incoming>| {
        let running = felt.request_began();
        let route = Arc::clone(&route);
        async move {
            let reply = route.reply(request).await;
            drop(running);
            Ok::<_, std::convert::Infallible>(reply)
        }
    });
    let clocks = Clocks { pulse, protocol, limits, drain };
    match protocol {
        Protocol::Http1 => clocks.run(http1_builder().serve_connection(io, service)).await,
        Protocol::Http2 => clocks.run(http2_builder().serve_connection(io, service)).await,
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_LOCAL_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER_MAX);
    builder
}

struct Clocks {
    pulse: Arc<Pulse>,
    protocol: Protocol,
    limits: Limits,
    drain: DrainWatch,
}

impl Clocks {
    /// Drives a connection until it ends by itself, is overdue, or the server goes.
    async fn run<C: Served>(self, connection: C) {
        let mut connection = pin!(connection);
        let leave_at = match self.protocol {
            // Closing an idle HTTP/1 connection may cross a request on its way; GOAWAY can't.
            Protocol::Http1 => Phase::Closing,
            Protocol::Http2 => Phase::Draining,
        };
        let mut drain = self.drain.clone();
        let mut ticks = tokio::time::interval(TICK);
        let overdue = loop {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = drain.reached(leave_at) => break None,
                _ = ticks.tick() => match self.pulse.overdue(&self.limits, self.protocol) {
                    None => {}
                    Some(Overdue::Head) => return,
                    Some(Overdue::Idle) => break Some(Overdue::Idle),
                },
            }
        };
        connection.as_mut().wind_down();
        // What still runs gets its time; a client that doesn't read its answer doesn't get more.
        let last_moment = async {
            if overdue.is_some() {
                tokio::time::sleep(GOODBYE_MAX).await;
            } else {
                drain.reached(Phase::Closing).await;
                tokio::time::sleep(self.limits.finish_max).await;
            }
        };
        tokio::select! {
            _ = connection => {}
            () = last_moment => {}
        }
    }
}
