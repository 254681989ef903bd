//! One request and its reply between an agent and an upstream: both are streamed, framed anew, and neither waits for the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use pinfold_model::reason::{Denial, Reason};
use pinfold_redact::{REDACTED, Redactor};
use pinfold_wire::body::{BodyDecoder, BodyError, BodyEvent, BodyFraming};
use pinfold_wire::encode::{
    CHUNK_END, CONTINUE, ForwardHead, LAST_CHUNK, chunk_line, response_head,
};
use pinfold_wire::head::Head;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::{Client, ReadEnd, WriteEnd};
use crate::config::Limits;
use crate::gate::Refusal;
use crate::http_upstream::HttpUpstream;
use crate::out_body::{OutBody, Piece};
use crate::quota::{Meter, Way};

/// Bytes of a request body read at once.
const READ_BYTES: usize = 16 * 1024;

/// What an exchange needs besides its two ends.
pub(crate) struct Means<'a> {
    pub(crate) limits: &'a Limits,
    /// Counts the bodies' bytes.
    pub(crate) meter: &'a Meter,
    /// The place in the policy that allows it, for errors.
    pub(crate) rule: &'a str,
    /// Takes an injected credential out of the reply.
    pub(crate) redactor: Option<Redactor>,
    /// That of the reply, once it came.
    pub(crate) status: Option<StatusCode>,
}

/// How an exchange ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was answered yet.
    Unanswered(Refusal),
    /// The same, and the upstream ended the connection: another one may be asked, if this one was kept from before. Nothing of the agent's
    /// connection is used up.
    Gone(Refusal),
    /// The reply had begun; only closing says that it isn't whole.
    Broken,
    /// The same by a limit, to be recorded.
    Cut(Denial),
}

/// What happened so far.
#[derive(Debug, Default)]
struct Progress {
    body_done: AtomicBool,
    head_sent: AtomicBool,
}

/// Forwards a request whose head was judged, and its reply. Whether the agent's connection can be used again.
///
/// # Errors
/// [`Failure`]; the upstream connection is of no use any more.
pub(crate) async fn exchange(
    client: &mut Client,
    head: &Head,
    forward: &ForwardHead,
    upstream: &mut HttpUpstream,
    means: &mut Means<'_>,
) -> Result<bool, Failure> {
    let (body, feed) = OutBody::framed(forward.body());
    let request = request(forward, body).map_err(Failure::Unanswered)?;
    if head.expect_continue && feed.is_some() {
        client.write(CONTINUE, means.limits.write_max).await.map_err(|_| Failure::Broken)?;
    }
    let progress = Progress::default();
    let Client { stream, buffer } = client;
    let (read, write) = stream.split();
    let pump = Pump { read, buffer, idle_max: means.limits.body_idle_max, meter: means.meter };
    let pumped = pump.run(BodyDecoder::new(forward.body()), feed, &progress);
    let reply = Reply { write, to_head: head.method == Method::HEAD, keep_alive: head.keep_alive };
    let replied = reply.run(upstream, request, means, &progress);
    tokio::pin!(pumped, replied);
    let mut pumping = true;
    loop {
        tokio::select! {
            // First the body: whether all of it came decides if the connection can be kept.
            biased;
            fed = &mut pumped, if pumping => match fed {
                Ok(()) => pumping = false,
                Err(refusal) if progress.head_sent.load(Ordering::Relaxed) => {
                    return Err(late(refusal));
                }
                Err(refusal) => return Err(Failure::Unanswered(refusal)),
            },
            done = &mut replied => return done,
        }
    }
}

/// Passes on the reply to a request without a body. Whether the agent's connection can be used again.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn reply(
    client: &mut Client,
    head: &Head,
    response: Response<Incoming>,
    means: &mut Means<'_>,
) -> Result<bool, Failure> {
    let progress = Progress::default();
    progress.body_done.store(true, Ordering::Relaxed);
    let (_, write) = client.stream.split();
    let reply = Reply { write, to_head: head.method == Method::HEAD, keep_alive: head.keep_alive };
    reply.pass(response, means, &progress).await
}

/// What stopped a request's body when its reply had begun already.
fn late(refusal: Refusal) -> Failure {
    if refusal.denial.reason == Reason::Limit {
        Failure::Cut(refusal.denial)
    } else {
        Failure::Broken
    }
}

/// The request to send, in the form of HTTP/1.1.
///
/// # Errors
/// A target that can't be sent.
pub(crate) fn request(forward: &ForwardHead, body: OutBody) -> Result<Request<OutBody>, Refusal> {
    let mut request = Request::builder().method(forward.method()).uri(forward.target());
    if let Some(headers) = request.headers_mut() {
        *headers = forward.headers().clone();
        let length = match forward.body() {
            BodyFraming::None
                if [Method::POST, Method::PUT, Method::PATCH].contains(forward.method()) =>
            {
                Some(0)
            }
            BodyFraming::Length(length) => Some(length),
            BodyFraming::None | BodyFraming::Chunked => None,
        };
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
    }
    request.body(body).map_err(|error| {
        Refusal::malformed(StatusCode::BAD_REQUEST, "target-invalid", error.to_string())
    })
}

/// The agent's request body on its way.
struct Pump<'c> {
    read: ReadEnd<'c>,
    buffer: &'c mut BytesMut,
    idle_max: Duration,
    meter: &'c Meter,
}

impl Pump<'_> {
    /// Reads until the body is complete, or the upstream wants no more of it.
    async fn run(
        mut self,
        mut decoder: BodyDecoder,
        feed: Option<mpsc::Sender<Piece>>,
        progress: &Progress,
    ) -> Result<(), Refusal> {
        if let Some(feed) = feed {
            while let Some(piece) = self.next(&mut decoder).await? {
                let ended = matches!(piece, Piece::End);
                let taken = feed.send(piece).await.is_ok();
                if ended {
                    break;
                }
                if !taken {
                    return Ok(());
                }
            }
        }
        progress.body_done.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn next(&mut self, decoder: &mut BodyDecoder) -> Result<Option<Piece>, Refusal> {
        loop {
            let (used, event) = decoder.feed(self.buffer).map_err(broken_body)?;
            let data_bytes = match event {
                BodyEvent::Data(data) => Some(data.len()),
                BodyEvent::End => {
                    let _ = self.buffer.split_to(used.min(self.buffer.len()));
                    return Ok(Some(Piece::End));
                }
                BodyEvent::NeedMore => None,
            };
            let taken = self.buffer.split_to(used.min(self.buffer.len())).freeze();
            if let Some(data_bytes) = data_bytes {
                let counted = self.meter.count(Way::Out, data_bytes);
                counted.map_err(|overdrawn| overdrawn.denial)?;
                let from = taken.len().saturating_sub(data_bytes);
                return Ok(Some(Piece::Data(taken.slice(from..))));
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), Refusal> {
        let refused = |fault, text: &str| {
            Err(Refusal::malformed(StatusCode::REQUEST_TIMEOUT, fault, text.to_owned()))
        };
        match timeout(self.idle_max, self.read.read_into(self.buffer, READ_BYTES)).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(Ok(0) | Err(_)) => refused("body-framing", "the request body broke off"),
            Err(_) => refused("body-slow", "the request body stopped coming"),
        }
    }
}

/// A body that can't be read in one way only.
pub(crate) fn broken_body(error: BodyError) -> Refusal {
    Refusal::malformed(StatusCode::BAD_REQUEST, error.reason(), error.to_string())
}

/// The reply on its way to the agent.
struct Reply<'c> {
    write: WriteEnd<'c>,
    to_head: bool,
    keep_alive: bool,
}

impl Reply<'_> {
    async fn run(
        self,
        upstream: &mut HttpUpstream,
        request: Request<OutBody>,
        means: &mut Means<'_>,
        progress: &Progress,
    ) -> Result<bool, Failure> {
        let (method, bodiless) = (request.method().clone(), request.body().is_end_stream());
        let response =
            upstream.send(request, means.rule, means.limits.reply_max).await.map_err(|failed| {
                let again = bodiless && failed.may_be_repeated(&method);
                let made = if again { Failure::Gone } else { Failure::Unanswered };
                made(failed.denial.into())
            })?;
        self.pass(response, means, progress).await
    }

    /// Passes on what the upstream answered.
    async fn pass(
        mut self,
        response: Response<Incoming>,
        means: &mut Means<'_>,
        progress: &Progress,
    ) -> Result<bool, Failure> {
        let (parts, body) = response.into_parts();
        means.status = Some(parts.status);
        if parts.status.is_informational() {
            let message = format!("the upstream answered {}, which wasn't asked for", parts.status);
            let denial = Denial::new(Reason::Reply, means.rule, message, "use plain HTTP/1.1");
            return Err(Failure::Unanswered(denial.into()));
        }
        if means.redactor.is_some() && is_encoded(&parts.headers) {
            let message = "the reply is encoded, so the credential could not be found in it";
            let denial = Denial::new(Reason::Reply, means.rule, message, "ask for it unencoded");
            return Err(Failure::Unanswered(denial.into()));
        }
        let whole = progress.body_done.load(Ordering::Relaxed);
        let keep_alive = self.keep_alive && whole && means.meter.may_go_on();
        let mut headers = parts.headers;
        let redacts = means.redactor.is_some();
        if let Some(redactor) = &mut means.redactor {
            redact_headers(&mut headers, redactor);
        }
        let framing = framing(&headers, &body, self.to_head, redacts);
        let head = response_head(parts.status, &headers, framing, keep_alive);
        progress.head_sent.store(true, Ordering::Relaxed);
        self.send(&head, means.limits.write_max).await?;
        if !self.to_head {
            self.body(body, framing, means).await?;
        }
        Ok(keep_alive)
    }

    async fn body(
        &mut self,
        mut body: Incoming,
        framing: BodyFraming,
        means: &mut Means<'_>,
    ) -> Result<(), Failure> {
        let chunked = framing == BodyFraming::Chunked;
        while let Ok(frame) = timeout(means.limits.idle_max, body.frame()).await {
            let Some(frame) = frame else {
                let rest = means.redactor.as_mut().map(Redactor::finish).unwrap_or_default();
                self.data(&rest, chunked, means).await?;
                let last = if chunked { LAST_CHUNK } else { &[] };
                return self.send(last, means.limits.write_max).await;
            };
            // Trailers are dropped.
            let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
            match means.redactor.as_mut() {
                Some(redactor) => {
                    let data = redactor.feed(&data);
                    self.data(&data, chunked, means).await?;
                }
                None => self.data(&data, chunked, means).await?,
            }
        }
        Err(Failure::Broken)
    }

    async fn data(&mut self, data: &[u8], chunked: bool, means: &Means<'_>) -> Result<(), Failure> {
        if data.is_empty() {
            return Ok(());
        }
        let counted = means.meter.count(Way::In, data.len());
        counted.map_err(|overdrawn| Failure::Cut(overdrawn.denial))?;
        if !chunked {
            return self.send(data, means.limits.write_max).await;
        }
        let mut chunk = chunk_line(data.len());
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(CHUNK_END);
        self.send(&chunk, means.limits.write_max).await
    }

    async fn send(&mut self, bytes: &[u8], write_max: Duration) -> Result<(), Failure> {
        let written = async {
            self.write.write_all(bytes).await?;
            // Under TLS, what is written may wait for more.
            self.write.flush().await
        };
        match timeout(write_max, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Failure::Broken),
        }
    }
}

fn redact_headers(headers: &mut HeaderMap, redactor: &mut Redactor) {
    for value in headers.values_mut() {
        if let Some(cleaned) = redactor.clean(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&cleaned)
                .unwrap_or(const { HeaderValue::from_static(REDACTED) });
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| value != "identity")
}

/// How the reply is framed for the agent. A redacted one has another length.
fn framing(headers: &HeaderMap, body: &Incoming, to_head: bool, redacts: bool) -> BodyFraming {
    let length = if to_head {
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
    } else {
        body.size_hint().exact()
    };
    match length {
        Some(length) if !redacts => BodyFraming::Length(length),
        Some(_) | None => BodyFraming::Chunked,
    }
}
