//! A judged MCP message on its way to the server, and what comes back: JSON as a whole, events one by one.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use pinfold_model::policy::agent::Upstream;
use pinfold_model::reason::{Denial, Reason};
use pinfold_model::strict_json::MCP_MESSAGE;
use pinfold_redact::{CREDENTIAL, Findings, Known};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::encode::response_head;
use pinfold_wire::field::is_stripped;
use pinfold_wire::mcp::{ClientKind, ClientMessage};
use pinfold_wire::path::RequestPath;
use serde_json::Map;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::client::Client;
use crate::credential::{self, Injected};
use crate::dial::unreachable;
use crate::errand::{Errand, Unanswered};
use crate::gate::{Gate, Refusal};
use crate::http_upstream::HttpUpstream;
use crate::mcp_gate::{SESSION, Stopwatch, refused};
use crate::mcp_reply::{Awaited, ReplyFilter, Verdict};
use crate::mcp_stream::{EventStream, gone};
use crate::named::authority;
use crate::out_body::OutBody;
use crate::quota::{self, Way};
use crate::record::Case;
use crate::sessions::Owner;
use crate::tunnels::{Registered, Spoken, Tunnel};
use crate::upstream::{Connected, connect, open, permit};

const USER_AGENT: &str = concat!("pinfold-sidecar/", env!("CARGO_PKG_VERSION"));

/// What is forwarded.
pub(crate) struct Forward<'g> {
    gate: &'g Arc<Gate>,
    case: &'g Case,
    purpose: Purpose<'g>,
    /// Derived from the message, or checked one by one.
    headers: HeaderMap,
    /// The place in the policy that allows it.
    rule: String,
    owner: Owner,
    session: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose<'g> {
    Message(&'g ClientMessage),
    Listen,
    EndSession,
}

/// What becomes of the agent's request.
pub(crate) enum Outcome {
    /// This is to be answered.
    Answer(Answer),
    /// The reply was passed on as it came.
    Streamed {
        /// The agent's connection can be used again.
        keep_alive: bool,
    },
    /// It is refused.
    Refused(Refusal),
}

/// A reply whose head came.
struct Reply<'r> {
    response: Response<Incoming>,
    connection: HttpUpstream,
    known: Option<Arc<Known>>,
    upstream: &'r Upstream,
}

/// How a reply is encoded.
#[derive(PartialEq)]
enum Form {
    Json,
    Events,
    Other,
}

impl<'g> Forward<'g> {
    /// A message.
    pub(crate) fn message(
        gate: &'g Arc<Gate>,
        case: &'g Case,
        message: &'g ClientMessage,
        rule: String,
        (owner, session): (Owner, Option<String>),
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, both);
        headers.extend(message.headers());
        if let Some(call) = message.tool_call().filter(|_| message.revision.is_stateless()) {
            let server = case.server.as_deref().unwrap_or_default();
            let empty = Map::new();
            let arguments = call.arguments.unwrap_or(&empty);
            headers.extend(gate.schemas.headers(server, call.name, arguments));
        }
        Self { gate, case, purpose: Purpose::Message(message), headers, rule, owner, session }
    }

    /// The stream of a session's notifications.
    pub(crate) fn listen(
        gate: &'g Arc<Gate>,
        case: &'g Case,
        headers: HeaderMap,
        (owner, session): (Owner, Option<String>),
    ) -> Self {
        let rule = "spec.tools".to_owned();
        Self { gate, case, purpose: Purpose::Listen, headers, rule, owner, session }
    }

    /// The end of a session.
    pub(crate) fn end_session(
        gate: &'g Arc<Gate>,
        case: &'g Case,
        headers: HeaderMap,
        (owner, session): (Owner, Option<String>),
    ) -> Self {
        let rule = "spec.tools".to_owned();
        Self { gate, case, purpose: Purpose::EndSession, headers, rule, owner, session }
    }

    /// Forwards and passes the reply on.
    pub(crate) async fn run(self, client: &mut Client) -> Outcome {
        self.attempt(client).await.unwrap_or_else(Outcome::Refused)
    }

    async fn attempt(&self, client: &mut Client) -> Result<Outcome, Refusal> {
        let policy = &self.case.published.policy;
        let server = self.server();
        let upstream = policy.server(server).and_then(|server| policy.upstream(&server.upstream));
        let upstream = upstream.ok_or_else(|| unreachable(&self.rule, "it isn't in the policy"))?;
        let mut errand = Errand::begin(self.gate, self.case, upstream)?;
        // The transport's other methods are part of the same service.
        let permit = errand.reachable(permit(self.gate, upstream, "POST", "/").await)?;
        let injected = credential::read(upstream)?;
        let known = self.gate.upstreams.known.of(injected.as_ref(), &upstream.place)?;
        errand.allowed(self.case, &self.rule, &permit).await?;
        let connected = errand.connected(connect(self.gate, upstream, permit).await)?;
        let address = connected.connection.address;
        let spoken = Spoken::Mcp { server: server.to_owned(), tool: self.case.tool.clone() };
        let (host, port) = (upstream.host.clone(), upstream.port);
        let registered = self.gate.enter(&Tunnel { host, port, address, spoken }, self.case)?;
        let _stopwatch = Stopwatch::start(self.gate, self.case.tool.is_some());
        let request = self.request(upstream, injected.as_ref())?;
        let pipelined = !client.buffer.is_empty();
        let (mut read, _) = client.stream.split();
        errand.sends();
        let (response, connection) = tokio::select! {
            sent = self.send(upstream, connected, request) => {
                sent.map_err(|unanswered| errand.unanswered(unanswered))?
            }
            () = gone(&mut read, pipelined) => return Ok(Outcome::Streamed { keep_alive: false }),
            () = registered.cut() => return Ok(Outcome::Streamed { keep_alive: false }),
        };
        let reply = Reply { response, connection, known, upstream };
        self.answer(client, (reply, errand), &registered).await
    }

    fn server(&self) -> &str {
        self.case.server.as_deref().unwrap_or_default()
    }

    fn request(
        &self,
        upstream: &Upstream,
        injected: Option<&Injected>,
    ) -> Result<Request<OutBody>, Denial> {
        let failed = |cause: String| unreachable(&upstream.place, &cause);
        let (method, body) = match self.purpose {
            Purpose::Message(message) => (Method::POST, Bytes::from(message.encode())),
            Purpose::Listen => (Method::GET, Bytes::new()),
            Purpose::EndSession => (Method::DELETE, Bytes::new()),
        };
        let base = if upstream.base_path.is_empty() { "/" } else { &upstream.base_path };
        let path = RequestPath::parse(base).map_err(|error| failed(error.to_string()))?;
        let mut headers = self.headers.clone();
        let mut set = |name: HeaderName, value: &str| {
            HeaderValue::from_str(value).map(|value| drop(headers.insert(name, value)))
        };
        let known = set(header::HOST, &authority(upstream).to_string())
            .and_then(|()| set(header::USER_AGENT, USER_AGENT))
            .and_then(|()| set(header::ACCEPT_ENCODING, "identity"))
            .and_then(|()| match &self.session {
                Some(session) => set(HeaderName::from_static(SESSION), session),
                None => Ok(()),
            })
            .and_then(|()| match &self.case.traceparent {
                Some(trace) => set(HeaderName::from_static("traceparent"), trace),
                None => Ok(()),
            });
        known.map_err(|error| failed(error.to_string()))?;
        if let Some(Injected { name, value, .. }) = injected {
            if is_stripped(name) {
                return Err(failed(format!("header `{name}` can't carry a credential")));
            }
            headers.insert(name.clone(), value.clone());
        }
        let request = Request::builder().method(method).uri(path.to_wire());
        let mut request =
            request.body(OutBody::Whole(body)).map_err(|error| failed(error.to_string()))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Sends; once more on a new connection if a kept one turns out to be closed before anything was sent.
    async fn send(
        &self,
        upstream: &Upstream,
        connected: Connected,
        request: Request<OutBody>,
    ) -> Result<(Response<Incoming>, HttpUpstream), Unanswered> {
        let Connected { mut connection, permit, reused } = connected;
        let reply_max = self.gate.limits.reply_max;
        let failed = match connection.send(request, &self.rule, reply_max).await {
            Ok(response) => return Ok((response, connection)),
            Err(failed) => failed,
        };
        match failed.unsent {
            Some(request) if reused => {
                let opened = open(self.gate, upstream, &permit).await;
                let mut connection =
                    opened.map_err(|denial| Unanswered { denial, unsent: true })?;
                let sent = connection.send(*request, &self.rule, reply_max).await;
                let response = sent.map_err(Unanswered::from)?;
                Ok((response, connection))
            }
            unsent => Err(Unanswered { denial: failed.denial, unsent: unsent.is_some() }),
        }
    }

    async fn answer(
        &self,
        client: &mut Client,
        (mut reply, mut errand): (Reply<'_>, Errand<'_>),
        registered: &Registered,
    ) -> Result<Outcome, Refusal> {
        let status = reply.response.status();
        let form = form(reply.response.headers());
        // A session id is passed on as it is, so it must not be a place to echo the credential in.
        let tells = |value: &HeaderValue| {
            reply.known.as_ref().is_some_and(|known| known.is_in(value.as_bytes()))
        };
        if reply.response.headers().get_all(SESSION).iter().any(tells) {
            reply.response.headers_mut().remove(SESSION);
            self.gate.metrics.redacted(CREDENTIAL, 1);
        }
        if status == StatusCode::NOT_FOUND {
            self.forget_session();
        }
        if !(status.is_success() && form == Form::Json) {
            errand.answered(status, false);
        }
        match self.purpose {
            Purpose::EndSession => {
                self.forget_session();
                Ok(Outcome::Answer(Answer::empty(told_status(status))))
            }
            Purpose::Listen if status == StatusCode::METHOD_NOT_ALLOWED => {
                Ok(Outcome::Answer(Answer::empty(status)))
            }
            Purpose::Message(message) if message.request_id().is_none() && status.is_success() => {
                Ok(Outcome::Answer(Answer::empty(StatusCode::ACCEPTED)))
            }
            Purpose::Message(_) | Purpose::Listen
                if status.is_success() && form == Form::Events =>
            {
                tokio::select! {
                    outcome = self.stream(client, reply) => Ok(outcome),
                    () = registered.cut() => Ok(Outcome::Streamed { keep_alive: false }),
                }
            }
            Purpose::Message(message) if form == Form::Json && message.request_id().is_some() => {
                tokio::select! {
                    answer = self.whole(reply) => {
                        let bad = |refusal: &Refusal| refusal.denial.reason == Reason::Reply;
                        errand.answered(status, answer.as_ref().is_err_and(bad));
                        answer.map(Outcome::Answer)
                    }
                    () = registered.cut() => Ok(Outcome::Streamed { keep_alive: false }),
                }
            }
            Purpose::Message(_) | Purpose::Listen => Err(self.odd(status)),
        }
    }

    /// A reply that isn't one of MCP.
    fn odd(&self, status: StatusCode) -> Refusal {
        let text = format!("the MCP server answered {status} with no MCP message");
        let denial =
            Denial::new(Reason::Reply, &self.rule, text, "check the server, then try again");
        Refusal { status: told_status(status).max(StatusCode::BAD_REQUEST), denial }
    }

    /// A JSON reply.
    async fn whole(&self, reply: Reply<'_>) -> Result<Answer, Refusal> {
        let Reply { response, connection, known, upstream } = reply;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, self.reply_bytes_max()).collect();
        let body = match timeout(self.gate.limits.reply_max, collected).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err(self.refusal(&error.to_string()).into()),
            Err(_) => return Err(self.refusal("it did not end in time").into()),
        };
        self.gate.upstreams.keep(upstream, connection);
        quota::count_message(self.gate, Way::In, body.len())?;
        let mut filter = self.filter(known);
        filter.adopts_errors = true;
        match filter.judge(&body) {
            Verdict::Pass(passed) => {
                self.gate.found(self.case, &self.rule, &filter.findings).await?;
                let mut answer = Answer::json(told_status(parts.status), passed);
                self.issue_session(&parts.headers, &mut answer.headers);
                Ok(answer)
            }
            Verdict::Drop(cause) | Verdict::Refuse(cause) => {
                let mut refusal = Refusal::from(self.refusal(cause));
                if parts.status == StatusCode::NOT_FOUND {
                    refusal.status = parts.status;
                }
                Err(refusal)
            }
        }
    }

    /// A reply that can't be passed on.
    fn refusal(&self, cause: &str) -> Denial {
        let text = format!("the reply of the MCP server can't be passed on: {cause}");
        Denial::new(Reason::Reply, &self.rule, text, "ask for less, or have the server checked")
    }

    fn reply_bytes_max(&self) -> usize {
        let most = self.case.published.policy.result_bytes_max;
        usize::try_from(most).unwrap_or(usize::MAX).min(MCP_MESSAGE.bytes_max)
    }

    fn filter(&self, known: Option<Arc<Known>>) -> ReplyFilter<'_> {
        let awaited = match (self.purpose, &self.session) {
            (Purpose::Message(message), _) => match message.request_id() {
                Some(id) => Awaited::Request { id: id.clone(), answered: false },
                None => Awaited::Nothing,
            },
            (Purpose::Listen, Some(session)) if self.headers.contains_key("last-event-id") => {
                Awaited::Resumed { owner: self.owner.clone(), session: session.clone() }
            }
            (Purpose::Listen | Purpose::EndSession, _) => Awaited::Nothing,
        };
        ReplyFilter {
            gate: self.gate,
            server: self.server(),
            tool: self.case.tool.as_deref(),
            known,
            findings: Findings::default(),
            refused: None,
            awaited,
            adopts_errors: false,
        }
    }

    /// A reply of events.
    async fn stream(&self, client: &mut Client, reply: Reply<'_>) -> Outcome {
        let Reply { response, connection, known, upstream } = reply;
        let (parts, body) = response.into_parts();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        self.issue_session(&parts.headers, &mut headers);
        let head = response_head(StatusCode::OK, &headers, BodyFraming::Chunked, true);
        if client.write(&head, self.gate.limits.write_max).await.is_err() {
            return Outcome::Streamed { keep_alive: false };
        }
        let mut filter = self.filter(known);
        let refusal = |cause: &'static str| match self.purpose {
            Purpose::Message(message) => refused(message, &self.refusal(cause)).body,
            Purpose::Listen | Purpose::EndSession => Vec::new(),
        };
        let stream = EventStream {
            filter: &mut filter,
            gate: self.gate,
            event_bytes_max: self.reply_bytes_max(),
            refusal: &refusal,
        };
        let ended = stream.run(client, body).await;
        // What was found is gone from what was sent; that it can't be recorded is logged and shows in readiness.
        let _ = self.gate.found(self.case, &self.rule, &filter.findings).await;
        if let Some(cause) = filter.refused {
            self.gate.refused(self.case, self.refusal(cause)).await;
        }
        if ended.upstream_usable {
            self.gate.upstreams.keep(upstream, connection);
        }
        if let (true, Some(id), Some(session)) =
            (ended.resumable, filter.unanswered(), &self.session)
        {
            self.gate.sessions.left_unanswered(&self.owner, session, id.clone());
        }
        Outcome::Streamed { keep_alive: ended.client_usable }
    }

    /// Remembers the session that a reply to `initialize` begins, and tells the agent.
    fn issue_session(&self, from: &HeaderMap, to: &mut HeaderMap) {
        let Purpose::Message(ClientMessage {
            kind: ClientKind::Request { method, .. },
            revision,
            ..
        }) = self.purpose
        else {
            return;
        };
        let Some(value) = from.get(SESSION).filter(|_| method == "initialize") else { return };
        let issued = |id: &str| self.gate.sessions.issue(&self.owner, id);
        if !revision.is_stateless() && value.to_str().is_ok_and(issued) {
            to.insert(SESSION, value.clone());
        }
    }

    fn forget_session(&self) {
        if let Some(session) = &self.session {
            self.gate.sessions.forget(&self.owner, session);
        }
    }
}

/// What an agent is told of an upstream's status: not to follow, not to log in, only that it isn't to be had.
fn told_status(status: StatusCode) -> StatusCode {
    let of_the_sidecar = status.is_redirection()
        || status.is_informational()
        || status == StatusCode::UNAUTHORIZED
        || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    if of_the_sidecar { StatusCode::BAD_GATEWAY } else { status }
}

fn form(headers: &HeaderMap) -> Form {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let encoded = text(header::CONTENT_ENCODING).is_some_and(|text| text != "identity");
    let essence = text(header::CONTENT_TYPE).and_then(|text| text.split(';').next());
    match essence.map(|essence| essence.trim().to_ascii_lowercase()).as_deref() {
        Some("application/json") if !encoded => Form::Json,
        Some("text/event-stream") if !encoded => Form::Events,
        Some(_) | None => Form::Other,
    }
}
