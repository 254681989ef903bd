//! What an MCP server may say to the agent: replies that are awaited and a few notifications, each read strictly and written anew.
//!
//! Lists show only the tools that policy allows; requests of the server (sampling, elicitation, roots), results that ask for input or
//! stand for a task, unreadable and unknown messages are dropped and counted. An injected credential's value is taken out.

use pinfold_engine::tool;
use pinfold_wire::mcp::{
    DroppedTool, RequestId, Revision, ServerMessage, WhyDropped, parse_server_message,
};
use serde_json::{Map, Value, json};

use crate::credential::Secret;
use crate::gate::Gate;
use crate::redact::replace_text;
use crate::sessions::Owner;

/// Notifications that carry no request and concern what passes.
const PASSED_NOTIFICATIONS: &[&str] =
    &["notifications/message", "notifications/progress", "notifications/tools/list_changed"];
/// What a server may offer: the rest has no rules yet and would be refused when used.
const PASSED_CAPABILITIES: &[&str] = &["tools", "logging"];
/// The only type of result that is final (2026-07-28).
const COMPLETE: &str = "complete";

/// Which replies are awaited.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// The one to this request.
    Request {
        /// Its id.
        id: RequestId,
        /// Whether it came.
        answered: bool,
    },
    /// None: a stream for notifications, or the reply to one.
    Nothing,
    /// Those to requests of a session whose streams broke off.
    Resumed {
        /// Whose session.
        owner: Owner,
        /// Its id.
        session: String,
    },
}

/// What becomes of a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is passed on, as these bytes.
    Pass(Vec<u8>),
    /// It is dropped; the cause, for metrics.
    Drop(&'static str),
    /// It is the awaited reply, and can't be passed on; the cause.
    Refuse(&'static str),
}

/// Judges the messages of one reply or stream.
pub(crate) struct ReplyFilter<'g> {
    pub(crate) gate: &'g Gate,
    pub(crate) server: &'g str,
    pub(crate) secret: Option<Secret>,
    pub(crate) awaited: Awaited,
    /// An error without an id is the reply: there is no other message.
    pub(crate) adopts_errors: bool,
}

impl ReplyFilter<'_> {
    /// The id of a request that waits for its reply.
    pub(crate) fn unanswered(&self) -> Option<&RequestId> {
        match &self.awaited {
            Awaited::Request { id, answered: false } => Some(id),
            Awaited::Request { answered: true, .. }
            | Awaited::Nothing
            | Awaited::Resumed { .. } => None,
        }
    }

    /// Whether the one awaited reply came.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.awaited, Awaited::Request { answered: true, .. })
    }

    /// Judges one message; what doesn't pass is counted.
    pub(crate) fn judge(&mut self, bytes: &[u8]) -> Verdict {
        let verdict = self.verdict(bytes);
        if let Verdict::Drop(cause) | Verdict::Refuse(cause) = verdict {
            self.gate.metrics.reply_dropped(self.server, cause);
            tracing::info!(server = self.server, cause, "a message of the MCP server was dropped");
        }
        verdict
    }

    fn verdict(&mut self, bytes: &[u8]) -> Verdict {
        let mut message = match parse_server_message(bytes) {
            Ok(message) => message,
            Err(error) => {
                let ours = error.id.is_some() && error.id.as_ref() == self.unanswered();
                return if ours { self.refuse("unreadable") } else { Verdict::Drop("unreadable") };
            }
        };
        if let ServerMessage::Error { id: id @ None, .. } = &mut message
            && self.adopts_errors
        {
            *id = self.unanswered().cloned();
        }
        let id = match &message {
            ServerMessage::Request { .. } => return Verdict::Drop("server-request"),
            ServerMessage::Notification { method, .. }
                if !PASSED_NOTIFICATIONS.contains(&method.as_str()) =>
            {
                return Verdict::Drop("notification");
            }
            ServerMessage::Notification { .. } => None,
            ServerMessage::Result { id, .. } => Some(id.clone()),
            ServerMessage::Error { id: Some(id), .. } => Some(id.clone()),
            ServerMessage::Error { id: None, .. } => return Verdict::Drop("unknown-id"),
        };
        if let Some(id) = id
            && !self.accept(&id)
        {
            return Verdict::Drop("unknown-id");
        }
        if let Err(cause) = self.check_result(&mut message) {
            return Verdict::Refuse(cause);
        }
        self.redact(&mut message);
        Verdict::Pass(message.encode())
    }

    /// The awaited reply can't be passed on.
    fn refuse(&mut self, cause: &'static str) -> Verdict {
        if let Awaited::Request { answered, .. } = &mut self.awaited {
            *answered = true;
        }
        Verdict::Refuse(cause)
    }

    /// Takes a reply once.
    fn accept(&mut self, found: &RequestId) -> bool {
        match &mut self.awaited {
            Awaited::Request { id, answered } => {
                let fits = !*answered && id == found;
                *answered |= fits;
                fits
            }
            Awaited::Nothing => false,
            Awaited::Resumed { owner, session } => self.gate.sessions.answer(owner, session, found),
        }
    }

    fn check_result(&self, message: &mut ServerMessage) -> Result<(), &'static str> {
        if message.result_type().is_some_and(|kind| kind != COMPLETE) {
            return Err("result-type");
        }
        match message.input_requests() {
            Ok(requests) if requests.is_empty() => {}
            Ok(_) | Err(_) => return Err("input-request"),
        }
        let policy = self.gate.policy.load();
        let keep = |name: &str, definition: &Value| {
            tool::sees(&policy.policy, self.server, name)
                && self.gate.schemas.learn(self.server, name, definition)
        };
        let dropped = message.retain_tools(keep).map_err(|_| "unreadable")?;
        for DroppedTool { why, .. } in dropped {
            self.gate.metrics.reply_dropped(self.server, cause_of(why));
        }
        let ServerMessage::Result { result, .. } = message else { return Ok(()) };
        if result.contains_key("task") {
            return Err("task");
        }
        // The reply to `initialize` settles the revision that is spoken from then on.
        let settled = result.get("protocolVersion").and_then(Value::as_str);
        if settled.is_some_and(|name| Revision::named(name).is_none()) {
            return Err("revision");
        }
        if let Some(Value::Object(capabilities)) = result.get_mut("capabilities") {
            capabilities.retain(|name, _| PASSED_CAPABILITIES.contains(&name.as_str()));
        }
        // What was filtered for one agent is not for a shared cache.
        if let Some(scope) = result.get_mut("cacheScope") {
            *scope = json!("private");
        }
        Ok(())
    }

    fn redact(&self, message: &mut ServerMessage) {
        let Some(secret) = &self.secret else { return };
        let members = match message {
            ServerMessage::Result { result, .. } => Some(result),
            ServerMessage::Error { error, .. } => Some(error),
            ServerMessage::Request { params, .. } | ServerMessage::Notification { params, .. } => {
                params.as_mut()
            }
        };
        let times = members.map_or(0, |members| redact_members(members, secret));
        self.gate.metrics.redactions.inc_by(times);
    }
}

fn cause_of(why: WhyDropped) -> &'static str {
    match why {
        WhyDropped::Malformed => "tool-malformed",
        WhyDropped::CaseTwin => "tool-case-twin",
        WhyDropped::Collision => "tool-collision",
        WhyDropped::Policy => "tool-policy",
    }
}

/// Recursion is bounded by the depth limit that the text was parsed with.
fn redact_members(members: &mut Map<String, Value>, secret: &Secret) -> u64 {
    let mut times: u64 = 0;
    let mut renamed = Vec::new();
    for (name, value) in members.iter_mut() {
        times = times.saturating_add(redact_value(value, secret));
        let mut redacted = name.clone();
        if replace_text(&mut redacted, secret) > 0 {
            renamed.push((name.clone(), redacted));
        }
    }
    for (name, redacted) in renamed {
        times = times.saturating_add(1);
        if let Some(value) = members.remove(&name) {
            members.insert(redacted, value);
        }
    }
    times
}

fn redact_value(value: &mut Value, secret: &Secret) -> u64 {
    match value {
        Value::String(text) => replace_text(text, secret),
        Value::Array(items) => items
            .iter_mut()
            .fold(0, |times: u64, item| times.saturating_add(redact_value(item, secret))),
        Value::Object(members) => redact_members(members, secret),
        Value::Number(number) => {
            // A value of digits alone may come back as a number.
            let mut text = number.to_string();
            let times = replace_text(&mut text, secret);
            if times > 0 {
                *value = Value::String(text);
            }
            times
        }
        Value::Null | Value::Bool(_) => 0,
    }
}
