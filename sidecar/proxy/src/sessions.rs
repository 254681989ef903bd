//! MCP session ids and what belongs to them: an id counts only for the server that issued it, under the policy's agent.
//!
//! An id that isn't here is unknown, and what names it never reaches an upstream (agentgateway GHSA-mvgg-jvj2-4frq).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinfold_model::policy::agent::Upstream;
use pinfold_wire::mcp::RequestId;

/// Sessions remembered, over all servers; the oldest goes.
pub(crate) const SESSIONS_MAX: usize = 512;
/// Requests of one session whose streams broke off before the reply; the oldest goes.
const UNANSWERED_MAX: usize = 32;
/// Bytes of a session id.
const ID_BYTES_MAX: usize = 512;

/// Whom a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    agent: String,
    server: String,
    url: String,
}

impl Owner {
    /// The server of a policy with what it is reached by.
    pub(crate) fn new(agent: &str, server: &str, upstream: &Upstream) -> Self {
        let Upstream { tls, host, port, base_path, .. } = upstream;
        let url = format!("{tls} {host}:{port}{base_path}");
        Self { agent: agent.to_owned(), server: server.to_owned(), url }
    }
}

struct Session {
    owner: Owner,
    id: String,
    unanswered: VecDeque<RequestId>,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<VecDeque<Session>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an id that a server issued; whether it is one.
    pub(crate) fn issue(&self, owner: &Owner, id: &str) -> bool {
        let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
        if id.is_empty() || id.len() > ID_BYTES_MAX || !plain {
            return false;
        }
        let mut sessions = self.lock();
        sessions.retain(|session| !(session.owner == *owner && session.id == id));
        while sessions.len() >= SESSIONS_MAX {
            sessions.pop_front();
        }
        let (owner, id) = (owner.clone(), id.to_owned());
        sessions.push_back(Session { owner, id, unanswered: VecDeque::new() });
        true
    }

    /// Whether the server issued this id.
    pub(crate) fn knows(&self, owner: &Owner, id: &str) -> bool {
        self.lock().iter().any(|session| session.owner == *owner && session.id == id)
    }

    /// Forgets a session.
    pub(crate) fn forget(&self, owner: &Owner, id: &str) {
        self.lock().retain(|session| !(session.owner == *owner && session.id == id));
    }

    /// A request's stream ended before its reply, which may come when the stream is resumed.
    pub(crate) fn left_unanswered(&self, owner: &Owner, id: &str, request: RequestId) {
        let mut sessions = self.lock();
        let found = sessions.iter_mut().find(|session| session.owner == *owner && session.id == id);
        if let Some(session) = found {
            while session.unanswered.len() >= UNANSWERED_MAX {
                session.unanswered.pop_front();
            }
            session.unanswered.push_back(request);
        }
    }

    /// Takes a reply that a resumed stream brings; whether one was awaited.
    pub(crate) fn answer(&self, owner: &Owner, id: &str, request: &RequestId) -> bool {
        let mut sessions = self.lock();
        let found = sessions.iter_mut().find(|session| session.owner == *owner && session.id == id);
        let Some(session) = found else { return false };
        let before = session.unanswered.len();
        session.unanswered.retain(|awaited| awaited != request);
        session.unanswered.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(server: &str) -> Owner {
        Owner { agent: "a".to_owned(), server: server.to_owned(), url: "u".to_owned() }
    }

    #[test]
    fn ids_are_checked_bounded_and_belong_to_their_server() {
        let sessions = Sessions::default();
        let mine = owner("s");
        for bad in ["", "a b", "a\n", "\u{e9}", &"a".repeat(513)] {
            assert!(!sessions.issue(&mine, bad), "{bad:?}");
        }
        assert!(sessions.issue(&mine, "first"));
        assert!(!sessions.knows(&owner("t"), "first"));
        assert!(!sessions.knows(&Owner { url: "v".to_owned(), ..owner("s") }, "first"));
        assert!(!sessions.knows(&Owner { agent: "b".to_owned(), ..owner("s") }, "first"));
        for count in 1..SESSIONS_MAX {
            assert!(sessions.issue(&mine, &count.to_string()));
        }
        assert!(sessions.knows(&mine, "first"));
        assert!(sessions.issue(&mine, "last"));
        assert!(!sessions.knows(&mine, "first") && sessions.knows(&mine, "last"));
        sessions.forget(&mine, "last");
        assert!(!sessions.knows(&mine, "last"));
    }

    #[test]
    fn awaited_replies_are_bounded_and_taken_once() {
        let sessions = Sessions::default();
        let mine = owner("s");
        sessions.issue(&mine, "i");
        let request = |number: usize| RequestId::Text(number.to_string());
        for number in 0..=UNANSWERED_MAX {
            sessions.left_unanswered(&mine, "i", request(number));
        }
        assert!(!sessions.answer(&mine, "i", &request(0)));
        assert!(!sessions.answer(&owner("t"), "i", &request(1)));
        assert!(sessions.answer(&mine, "i", &request(1)));
        assert!(!sessions.answer(&mine, "i", &request(1)));
    }
}
