//! `/mcp/SERVER`: the agent's messages to an MCP server over streamable HTTP, each judged before anything is sent.
//!
//! What is forwarded is the encoding of what was judged, with headers derived from it; nothing of the agent's own headers passes.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pinfold_engine::tool;
use pinfold_ledger::EventKind;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::{Denial, Reason};
use pinfold_model::strict_json::MCP_MESSAGE;
use pinfold_wire::body::{BodyDecoder, BodyEvent, BodyFraming};
use pinfold_wire::encode::CONTINUE;
use pinfold_wire::head::Head;
use pinfold_wire::mcp::{
    ClientKind, ClientMessage, McpError, McpHeaders, Revision, denial_reply, parse_client_message,
    tool_denial,
};
use serde_json::Map;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::client::Client;
use crate::exchange::broken_body;
use crate::gate::{Gate, Refusal};
use crate::gateway::{self, PROTOCOL};
use crate::mcp_forward::{Forward, Outcome};
use crate::quota::{self, Way};
use crate::record::{Case, arguments_digest};
use crate::sessions::Owner;

/// The header of the session.
pub(crate) const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
const LAST_EVENT: &str = "last-event-id";
/// Bytes of a header value that is taken over from the agent.
const VALUE_BYTES_MAX: usize = 512;
/// Parameters that continue an earlier call or turn it into a task, which have no rules yet.
const CONTINUATIONS: &[&str] = &["inputResponses", "requestState", "task"];

/// Serves one request. Whether the connection goes on.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    client: &mut Client,
    head: &Head,
    server: &str,
) -> bool {
    let mut case = gate.case(EventKind::ToolCall);
    case.protocol = PROTOCOL;
    case.server = Some(server.to_owned());
    case.trace(&head.headers);
    case.session = single(&head.headers, SESSION).ok().flatten().map(str::to_owned);
    if head.method == Method::POST {
        return post(gate, client, head, case).await;
    }
    case.method = Some(head.method.to_string());
    match without_body(gate, head, &case) {
        Ok(forward) => {
            let outcome = forward.run(client).await;
            finish(gate, client, head, &case, outcome).await
        }
        Err(refusal) => gateway::refuse(gate, client, head, &case, refusal).await,
    }
}

/// A message that is refused before or after it was understood.
enum Refused {
    /// It can't be read.
    Unreadable {
        status: StatusCode,
        body: Vec<u8>,
        denial: Denial,
        /// Whether its body was read to the end, so that the next head follows.
        read: bool,
    },
    /// As HTTP, the connection is of no use any more.
    Http(Refusal),
}

async fn post(gate: &Arc<Gate>, client: &mut Client, head: &Head, mut case: Case) -> bool {
    let (message, headers) = match receive(gate, client, head).await {
        Ok(received) => received,
        Err(Refused::Http(refusal)) => {
            gateway::refuse(gate, client, head, &case, refusal).await;
            return false;
        }
        Err(Refused::Unreadable { status, body, denial, read }) => {
            let refusal = gate.refused(&case, Refusal { status, denial }).await;
            let answer = if refusal.denial.reason == Reason::Audit {
                refusal.answer(&case)
            } else {
                Answer::json(status, body)
            };
            return write(gate, client, &answer, head.keep_alive && read).await;
        }
    };
    describe(&mut case, &message);
    let outcome = match judge(&case, &message) {
        Ok(rule) => match session(gate, &case, &message, &headers) {
            Ok((owner, session)) => {
                let forward = Forward::message(gate, &case, &message, rule, (owner, session));
                forward.run(client).await
            }
            Err(refusal) => Outcome::Refused(refusal),
        },
        Err(denial) => Outcome::Refused(denial.into()),
    };
    if let Outcome::Refused(refusal) = outcome {
        let not_found = refusal.status == StatusCode::NOT_FOUND;
        let refusal = gate.refused(&case, refusal).await;
        let mut answer = refused(&message, &refusal.denial);
        if not_found {
            answer.status = StatusCode::NOT_FOUND;
        }
        return write(gate, client, &answer, head.keep_alive).await && head.keep_alive;
    }
    finish(gate, client, head, &case, outcome).await
}

/// Writes what is left to write. Whether the connection goes on.
async fn finish(
    gate: &Gate,
    client: &mut Client,
    head: &Head,
    case: &Case,
    outcome: Outcome,
) -> bool {
    match outcome {
        Outcome::Answer(answer) => {
            write(gate, client, &answer, head.keep_alive).await && head.keep_alive
        }
        Outcome::Streamed { keep_alive } => keep_alive && head.keep_alive,
        Outcome::Refused(refusal) => gateway::refuse(gate, client, head, case, refusal).await,
    }
}

async fn write(gate: &Gate, client: &mut Client, answer: &Answer, keep_alive: bool) -> bool {
    client.write(&answer.encode(false, keep_alive), gate.limits.write_max).await.is_ok()
        && keep_alive
}

/// Reads a message to its end.
async fn receive(
    gate: &Gate,
    client: &mut Client,
    head: &Head,
) -> Result<(ClientMessage, McpHeaders), Refused> {
    let headers = McpHeaders::read(&head.headers).map_err(|error| unreadable(&error, false))?;
    let body = read_body(gate, client, head).await?;
    quota::count_message(gate, Way::Out, body.len())
        .map_err(|denial| Refused::Http(denial.into()))?;
    let message =
        parse_client_message(&body, &headers).map_err(|error| unreadable(&error, true))?;
    Ok((message, headers))
}

fn unreadable(error: &McpError, read: bool) -> Refused {
    let rule = format!("mcp.{}", error.reason());
    let denial =
        Denial::new(Reason::Malformed, rule, error.to_string(), "send one unambiguous MCP message");
    Refused::Unreadable { status: error.status(), body: error.encode(), denial, read }
}

async fn read_body(gate: &Gate, client: &mut Client, head: &Head) -> Result<Vec<u8>, Refused> {
    let too_large = || {
        let message = format!("the message is larger than {} bytes", MCP_MESSAGE.bytes_max);
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Refused::Http(Refusal::malformed(status, "body-limit", message))
    };
    let broken = |status, text: &str| {
        Refused::Http(Refusal::malformed(status, "body-framing", text.to_owned()))
    };
    let most = u64::try_from(MCP_MESSAGE.bytes_max).unwrap_or(u64::MAX);
    if matches!(head.body, BodyFraming::Length(length) if length > most) {
        return Err(too_large());
    }
    if head.expect_continue && client.write(CONTINUE, gate.limits.write_max).await.is_err() {
        return Err(broken(StatusCode::BAD_REQUEST, "the agent is gone"));
    }
    let mut decoder = BodyDecoder::new(head.body);
    let mut body = Vec::new();
    loop {
        let (used, event) =
            decoder.feed(&client.buffer).map_err(|error| Refused::Http(broken_body(error)))?;
        let ended = match event {
            BodyEvent::Data(data) => {
                body.extend_from_slice(data);
                false
            }
            BodyEvent::End => true,
            BodyEvent::NeedMore => false,
        };
        let waits = matches!(event, BodyEvent::NeedMore);
        let _ = client.buffer.split_to(used.min(client.buffer.len()));
        if body.len() > MCP_MESSAGE.bytes_max {
            return Err(too_large());
        }
        if ended {
            return Ok(body);
        }
        if waits {
            match timeout(gate.limits.body_idle_max, client.read_more()).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => {
                    return Err(broken(StatusCode::BAD_REQUEST, "the body broke off"));
                }
                Err(_) => {
                    return Err(broken(StatusCode::REQUEST_TIMEOUT, "the body stopped coming"));
                }
            }
        }
    }
}

/// Puts into the case what the message is about.
fn describe(case: &mut Case, message: &ClientMessage) {
    case.method = message.method().map(str::to_owned);
    if let Some(call) = message.tool_call() {
        case.tool = Some(call.name.to_owned());
        let arguments = call.arguments.cloned().unwrap_or_default();
        case.arguments_digest = Some(arguments_digest(&arguments));
        if case.learns() {
            case.argument_names = arguments.keys().cloned().collect();
        }
    }
}

/// The engine's decision: the place in the policy that allows the message.
fn judge(case: &Case, message: &ClientMessage) -> Result<String, Denial> {
    let policy = &case.published.policy;
    let server = case.server.as_deref().unwrap_or_default();
    let Some(method) = message.method() else {
        let text = "replies to requests of the server are not passed on";
        let remedy = "requests of the server never reach the agent, so there is nothing to answer";
        return Err(Denial::new(Reason::RpcMethod, "spec.tools", text, remedy));
    };
    let Some(call) = message.tool_call() else {
        let _permit = tool::rpc(policy, server, method)?;
        return Ok(place(policy, server));
    };
    let empty = Map::new();
    let permit = tool::call(policy, server, call.name, call.arguments.unwrap_or(&empty))?;
    let continues =
        |name: &&&str| message.params().is_some_and(|params| params.contains_key(**name));
    if let Some(name) = CONTINUATIONS.iter().find(continues) {
        let text = format!("`{name}` continues a call or makes it a task, which has no rules yet");
        return Err(Denial::new(Reason::RpcMethod, permit.rule(), text, "call the tool anew"));
    }
    Ok(permit.rule().to_owned())
}

fn place(policy: &AgentPolicy, server: &str) -> String {
    policy.server(server).map_or_else(|| "spec.tools".to_owned(), |server| server.place.clone())
}

/// The session of a message; one that the server did not issue is refused here.
fn session(
    gate: &Gate,
    case: &Case,
    message: &ClientMessage,
    headers: &McpHeaders,
) -> Result<(Owner, Option<String>), Refusal> {
    let owner = owner(case)?;
    if message.revision.is_stateless() {
        return Ok((owner, None));
    }
    check_session(gate, owner, headers.session_id())
}

fn check_session(
    gate: &Gate,
    owner: Owner,
    id: Option<&str>,
) -> Result<(Owner, Option<String>), Refusal> {
    match id {
        Some(id) if !gate.sessions.knows(&owner, id) => {
            let text = "the session is not one of this server";
            let remedy = "begin a new session with `initialize`";
            let denial = Denial::new(Reason::Server, "mcp.session", text, remedy);
            Err(Refusal { status: StatusCode::NOT_FOUND, denial })
        }
        id => Ok((owner, id.map(str::to_owned))),
    }
}

fn owner(case: &Case) -> Result<Owner, Denial> {
    let policy = &case.published.policy;
    let name = case.server.as_deref().unwrap_or_default();
    // The permit of an unknown server is refused; this one only asks for the name.
    let _permit = tool::rpc(policy, name, "ping")?;
    let upstream = policy.server(name).and_then(|server| policy.upstream(&server.upstream));
    let upstream = upstream.ok_or_else(|| {
        Denial::new(Reason::Server, "spec.tools.servers", "the server has no upstream", "add it")
    })?;
    Ok(Owner::new(&policy.name, name, upstream))
}

/// GET and DELETE of the revisions with sessions.
fn without_body<'g>(
    gate: &'g Arc<Gate>,
    head: &Head,
    case: &'g Case,
) -> Result<Forward<'g>, Refusal> {
    let wrong_method = |text: &str| {
        let denial = Denial::new(Reason::Method, "mcp.method", text, "use POST");
        Refusal { status: StatusCode::METHOD_NOT_ALLOWED, denial }
    };
    let malformed =
        |text: &str| Refusal::malformed(StatusCode::BAD_REQUEST, "mcp-header", text.to_owned());
    let get = head.method == Method::GET;
    if !get && head.method != Method::DELETE {
        return Err(wrong_method("MCP has no such method"));
    }
    let version = single(&head.headers, VERSION)
        .map_err(|()| malformed("expected one `MCP-Protocol-Version`"))?;
    let revision = match version.map(Revision::named) {
        None => Revision::V2025_03_26,
        Some(None) => return Err(malformed("unsupported protocol version")),
        Some(Some(revision)) => revision,
    };
    if revision.is_stateless() {
        return Err(wrong_method("this revision has POST only"));
    }
    if head.body != BodyFraming::None {
        return Err(malformed("expected no body"));
    }
    let id = single(&head.headers, SESSION).map_err(|()| malformed("expected one session id"))?;
    let named = owner(case)?;
    if get && id.is_none() && version.is_none() {
        // How clients of HTTP+SSE (2024-11-05) begin; to others the stream is an offer that may be declined.
        let text = "HTTP+SSE of revision 2024-11-05 is not spoken";
        let remedy = "use streamable HTTP: POST each message to this URL";
        let denial = Denial::new(Reason::Method, "mcp.method", text, remedy);
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, denial });
    }
    let (owner, session) = check_session(gate, named, id)?;
    let mut headers = HeaderMap::new();
    if let Some(version) = version {
        headers.insert(VERSION, text_value(version));
    }
    if !get {
        if session.is_none() {
            return Err(malformed("expected a session id"));
        }
        return Ok(Forward::end_session(gate, case, headers, (owner, session)));
    }
    let last = single(&head.headers, LAST_EVENT)
        .map_err(|()| malformed("expected one `Last-Event-ID` of visible ASCII"))?;
    if let Some(last) = last {
        headers.insert(LAST_EVENT, text_value(last));
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    Ok(Forward::listen(gate, case, headers, (owner, session)))
}

/// A header's only value, of visible ASCII.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if value.len() <= VALUE_BYTES_MAX => {
            value.to_str().map(Some).map_err(|_| ())
        }
        (Some(_), _) => Err(()),
    }
}

fn text_value(text: &str) -> HeaderValue {
    // It was a header's value when it came.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A denial in the words of the protocol.
pub(crate) fn refused(message: &ClientMessage, denial: &Denial) -> Answer {
    let told = pinfold_wire::mcp::Denial {
        rule: &denial.rule,
        reason: denial.reason.as_str(),
        message: &denial.message,
        remedy: &denial.remedy,
    };
    match &message.kind {
        ClientKind::Request { id, .. } if message.tool_call().is_some() => {
            Answer::json(StatusCode::OK, tool_denial(id, &told, message.revision))
        }
        ClientKind::Request { id, .. } => {
            Answer::json(StatusCode::OK, denial_reply(Some(id), &told))
        }
        ClientKind::Notification { .. } | ClientKind::Response { .. } => {
            Answer::json(StatusCode::FORBIDDEN, denial_reply(None, &told))
        }
    }
}

/// Notes how long a forwarded call took, whatever became of it.
pub(crate) struct Stopwatch<'g> {
    gate: &'g Gate,
    started: Option<Instant>,
}

impl<'g> Stopwatch<'g> {
    /// Runs for a call.
    pub(crate) fn start(gate: &'g Gate, is_call: bool) -> Self {
        Self { gate, started: is_call.then(Instant::now) }
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        if let Some(started) = self.started {
            self.gate.metrics.tool_took(started.elapsed());
        }
    }
}
