//! What an MCP server may say to the agent: replies that are awaited and a few notifications, each read strictly and written anew.
//!
//! Lists show only the tools that policy allows; requests of the server (sampling, elicitation, roots), results that ask for input or
//! stand for a task, unreadable and unknown messages are dropped and counted. What passes is cleaned (`pinfold-redact`).

use std::sync::Arc;

use pinfold_engine::tool;
use pinfold_model::policy::agent::Injection;
use pinfold_redact::{CleaningRules, Findings, Known, Marker, Uncleanable, clean_message};
use pinfold_wire::mcp::{
    DroppedTool, RequestId, Revision, ServerMessage, WhyDropped, parse_server_message,
};
use serde_json::{Value, json};

use crate::gate::Gate;
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
    /// The tool that was called, if one was.
    pub(crate) tool: Option<&'g str>,
    /// The credential that was sent.
    pub(crate) known: Option<Arc<Known>>,
    /// What was found in the messages that passed.
    pub(crate) findings: Findings,
    /// Why the awaited reply was refused, if it was.
    pub(crate) refused: Option<&'static str>,
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
        if let Verdict::Refuse(cause) = verdict {
            self.refused = Some(cause);
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
        match self.clean(&mut message) {
            Ok(()) => Verdict::Pass(message.encode()),
            Err(cause) if matches!(message, ServerMessage::Notification { .. }) => {
                Verdict::Drop(cause)
            }
            Err(cause) => Verdict::Refuse(cause),
        }
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

    /// Takes out what an agent must not see, or says why the message can't be passed on.
    fn clean(&mut self, message: &mut ServerMessage) -> Result<(), &'static str> {
        let members = match message {
            ServerMessage::Result { result, .. } => Some(result),
            ServerMessage::Error { error, .. } => Some(error),
            ServerMessage::Request { params, .. } | ServerMessage::Notification { params, .. } => {
                params.as_mut()
            }
        };
        let Some(members) = members else { return Ok(()) };
        let policy = self.gate.policy.load();
        let (by_form, injection) = (policy.policy.redacts_secrets, policy.policy.injection);
        let rules = CleaningRules { known: self.known.as_deref(), by_form, injection };
        let tool = self.tool.filter(|_| members.contains_key("structuredContent"));
        let output = tool.and_then(|tool| self.gate.schemas.output(self.server, tool));
        match clean_message(members, rules, output.as_ref()) {
            Ok(found) => {
                self.note(&found, injection);
                self.findings.add(&found);
                Ok(())
            }
            Err(Uncleanable::Injection(found)) => {
                found.iter().for_each(|marker| self.count_marker(marker, injection));
                self.findings.markers = self.findings.markers.with(found);
                Err("injection")
            }
            Err(Uncleanable::TooMuch) => Err("redaction-limit"),
            Err(Uncleanable::Constrained | Uncleanable::Number) => Err("redaction-schema"),
        }
    }

    fn note(&self, found: &Findings, injection: Injection) {
        let metrics = &self.gate.metrics;
        found.redacted.iter().for_each(|(kind, times)| metrics.redacted(kind, *times));
        found.markers.iter().for_each(|marker| self.count_marker(marker, injection));
        for _ in 0..found.tools_dropped {
            metrics.reply_dropped(self.server, "tool-injection");
        }
        if found.tools_stripped > 0 {
            self.count_marker(Marker::Tags, injection);
        }
    }

    fn count_marker(&self, marker: Marker, injection: Injection) {
        let action = match injection {
            Injection::Off => "off",
            Injection::Flag => "flag",
            Injection::Block => "block",
        };
        self.gate.metrics.injection(marker.as_str(), action);
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
