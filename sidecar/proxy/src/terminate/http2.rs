//! HTTP/2 inside TLS that ended here: each stream is one request, judged like any other. Extended CONNECT (RFC 8441) isn't offered, so
//! WebSocket takes HTTP/1.1.
//!
//! The protocol's own attacks are bounded here: streams, header lists, frames, buffers, resets (CVE-2023-44487) and dead peers; endless
//! CONTINUATION is refused by h2 itself (RUSTSEC-2024-0332, since 0.4.4).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::encode::{ForwardHead, reply_headers};
use pinfold_wire::head::Head;
use pinfold_wire::http2;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use super::body::{AgentBody, Held, Passed, ReplyBody, Spent};
use super::pool::Leased;
use super::site::{Judged, Site};
use super::tasks::Tasks;
use crate::client::Replayed;
use crate::drain::{DrainWatch, Phase};
use crate::exchange;
use crate::gate::Refusal;
use crate::http_upstream::{HttpUpstream, SendFailed};
use crate::out_body::OutBody;
use crate::record::Case;
use crate::upstream::Offered;

/// Requests at once on one connection: RFC 9113 recommends a hundred, 256 connections of which wouldn't fit into the sidecar's memory.
const STREAMS_MAX: u32 = 32;
/// Streams that the agent reset and that weren't looked at yet; one more ends the connection.
const RESETS_MAX: usize = 20;
/// Streams that were reset for the agent's errors; one more ends the connection.
const ERRORS_MAX: usize = 100;
/// Bytes of a header list, as [`pinfold_wire::head::HEAD_BYTES_MAX`].
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Bytes that the agent may send ahead, of one request and of all: requests that wait never take the room of those that go on.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX * STREAM_WINDOW_BYTES;
/// Bytes of a reply that wait for the agent.
const SEND_BYTES_MAX: usize = 16 * 1024;
/// A peer that doesn't answer a ping is dead.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_MAX: Duration = Duration::from_secs(20);
/// How long a connection that was told to go may stay without an open request.
const GOING_MAX: Duration = Duration::from_secs(1);

/// An open request: a connection without any ends after some time.
pub(super) struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count = count.saturating_add(1));
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Serves the requests of one connection.
pub(super) async fn serve(site: Arc<Site>, stream: TlsStream<Replayed>, mut drain: DrainWatch) {
    let (count, mut counted) = watch::channel(0);
    let count = Arc::new(count);
    let unused_max = site.gate.limits.unused_max;
    let service = service_fn(move |request| {
        let (site, open) = (Arc::clone(&site), Open::new(&count));
        // A request's future is large; a connection holds many.
        Box::pin(async move { Ok::<_, Infallible>(answer(&site, request, open).await) })
    });
    let connection = builder().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // An error is the agent's, and it knows.
        _ = &mut connection => return,
        () = drain.reached(Phase::Draining) => {}
        () = unused(&mut counted, unused_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = unused(&mut counted, GOING_MAX) => {}
    }
}

fn builder() -> Builder<Tasks> {
    let mut builder = Builder::new(Tasks::default());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_MAX);
    builder
}

/// Resolves when no request was open for so long.
async fn unused(count: &mut watch::Receiver<usize>, most: Duration) {
    loop {
        if count.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(most) => return,
            changed = count.changed() => if changed.is_err() { return },
        }
    }
}

async fn answer(site: &Arc<Site>, request: Request<Incoming>, open: Open) -> Response<ReplyBody> {
    let (parts, body) = request.into_parts();
    let to_head = parts.method == Method::HEAD;
    let head = http2::head(&parts, framing(&body));
    // What was read isn't held twice while the request waits.
    drop(parts);
    let head = match head {
        Ok(head) => head,
        Err(error) => {
            let case = site.case(None);
            return refused(site, &case, Refusal::head(error), to_head).await;
        }
    };
    let case = site.case(Some(&head));
    match pass(site, &head, body, &case, open).await {
        Ok(response) => response,
        Err(refusal) => refused(site, &case, refusal, to_head).await,
    }
}

fn framing(body: &Incoming) -> BodyFraming {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => BodyFraming::None,
        Some(0) => BodyFraming::None,
        Some(length) => BodyFraming::Length(length),
        None => BodyFraming::Chunked,
    }
}

async fn refused(site: &Site, case: &Case, refusal: Refusal, to_head: bool) -> Response<ReplyBody> {
    let refusal = site.gate.refused(case, refusal).await;
    let answer = refusal.answer(case);
    let body = if to_head { Bytes::new() } else { Bytes::from(answer.body) };
    respond(answer.status, answer.headers, ReplyBody::Whole(body))
}

fn respond(status: StatusCode, headers: HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Judges one request and forwards it.
async fn pass(
    site: &Arc<Site>,
    head: &Head,
    body: Incoming,
    case: &Case,
    open: Open,
) -> Result<Response<ReplyBody>, Refusal> {
    let place = site.bounds.request()?;
    let judged = site.judge(head, case).await?;
    let mut upstream = site.connect(&judged, case, Offered::Both).await?;
    let registered = site.enter(head, &judged, &upstream, case)?;
    let site = Arc::clone(site);
    let held = Held {
        site,
        case: case.clone(),
        registered,
        spent: Spent::default(),
        _open: open,
        _place: place,
    };
    let held = Arc::new(held);
    let body = AgentBody::new(body, &held);
    let first = request(head, &judged, Some(body), &upstream)?;
    let mut sent = send(&held, &mut upstream, first, judged.permit.rule()).await?;
    if let Err(failed) = &sent
        && upstream.is_reused()
        && head.body == BodyFraming::None
        && failed.may_be_repeated(&head.method)
    {
        upstream = held.site.reconnect(&judged, case, (upstream, Offered::Both)).await?;
        let again = request(head, &judged, None, &upstream)?;
        sent = send(&held, &mut upstream, again, judged.permit.rule()).await?;
    }
    let rule = judged.permit.rule();
    let (parts, body) = match sent {
        Ok(response) => response.into_parts(),
        Err(failed) => return Err(held.spent.take().unwrap_or(failed.denial).into()),
    };
    if parts.status.is_informational() {
        let message = format!("the upstream answered {}, which wasn't asked for", parts.status);
        return Err(Denial::new(Reason::Reply, rule, message, "send no `Upgrade`").into());
    }
    let mut headers = reply_headers(&parts.headers);
    if head.method == Method::HEAD
        && let Some(length) = parts.headers.get(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    if body.is_end_stream() {
        held.site.pool.keep(upstream);
        return Ok(respond(parts.status, headers, ReplyBody::Whole(Bytes::new())));
    }
    let passed = Passed::new(body, upstream, held);
    Ok(respond(parts.status, headers, ReplyBody::Passed(Box::new(passed))))
}

/// Sends a request, unless the policy changes meanwhile.
async fn send(
    held: &Held,
    upstream: &mut Leased,
    request: Request<OutBody>,
    rule: &str,
) -> Result<Result<Response<Incoming>, SendFailed>, Refusal> {
    tokio::select! {
        // A cut ends the request's body too, which isn't what to tell.
        biased;
        () = held.registered.cut() => Err(no_longer(rule).into()),
        sent = upstream.send(request, rule, held.site.gate.limits.reply_max) => Ok(sent),
    }
}

fn no_longer(rule: &str) -> Denial {
    Denial::new(
        Reason::Protocol,
        rule,
        "the policy no longer allows the request",
        "ask for it there",
    )
}

/// The request in the upstream's version of HTTP.
fn request(
    head: &Head,
    judged: &Judged,
    body: Option<AgentBody>,
    upstream: &HttpUpstream,
) -> Result<Request<OutBody>, Refusal> {
    let forward = ForwardHead::new(head, &judged.path);
    let body = body.filter(|_| forward.body() != BodyFraming::None);
    let body = body.map_or(OutBody::Whole(Bytes::new()), |body| OutBody::Agent(Box::new(body)));
    let mut request = exchange::request(&forward, body)?;
    if upstream.speaks_http2() {
        // gRPC needs it to be said; of all members only this one may pass (RFC 9113 section 8.2.2).
        let trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
        if head.headers.get(header::TE).is_some_and(trailers) {
            request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        }
        to_http2(&mut request).map_err(|error| {
            Refusal::malformed(StatusCode::BAD_REQUEST, "target-invalid", error.to_string())
        })?;
    }
    Ok(request)
}

/// `Host` becomes `:authority`.
fn to_http2(request: &mut Request<OutBody>) -> Result<(), http::Error> {
    let authority = request.headers_mut().remove(header::HOST);
    let authority = authority.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTPS);
    parts.authority = Some(http::uri::Authority::try_from(authority)?);
    *request.uri_mut() = http::Uri::from_parts(parts)?;
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}
