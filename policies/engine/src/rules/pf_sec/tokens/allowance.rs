//! What the AgentServiceAccounts of an identity allow of its tokens. All of them count, so that a second one can't loosen the first.

use pinfold_model::object::agent::AgentServiceAccount;
use pinfold_model::object::{Facts, ObjectKey};

use crate::context::Context;
use crate::rbac::describe::excerpt;

/// Audiences of the API server begin so, unless it is told otherwise (KEP-1205, `--api-audiences`); an empty one is its own too.
const API_AUDIENCE: &str = "https://kubernetes.default";

/// How long tokens of an AgentServiceAccount that says nothing may live, in seconds: what the API server gives who asks for nothing, and mounts (KEP-1205:
/// an hour and seven seconds).
const EXPIRATION_SECONDS_DEFAULT: i64 = 3_607;

/// The records of one ServiceAccount.
pub(super) struct Allowance<'c> {
    records: Vec<(&'c ObjectKey, &'c AgentServiceAccount)>,
}

impl<'c> Allowance<'c> {
    /// Those that name it.
    pub(super) fn of(context: &Context<'c>, namespace: &str, name: &str) -> Self {
        let keys = context.view.agent_records(namespace, name);
        let record = |key: &'c ObjectKey| {
            let object = context.lookup(key)?;
            let Facts::AgentServiceAccount(record) = &object.facts else { return None };
            Some((&object.key, record.as_ref()))
        };
        let mut records: Vec<_> = keys.filter_map(record).collect();
        records.sort_by_key(|(key, _)| *key);
        Self { records }
    }

    /// Whether there is none, and so nothing that limits tokens.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record that says that no token is mounted.
    pub(super) fn refuses_automount(&self) -> Option<String> {
        let (key, _) = self.records.iter().find(|(_, record)| !record.automount)?;
        Some(shown(key))
    }

    /// Why a token for an audience (empty for the API server) isn't allowed, and what would be; `None` if it is.
    pub(super) fn refuses_audience(&self, audience: &str) -> Option<(String, String)> {
        let refuses = |record: &AgentServiceAccount| match record.token_audience.as_str() {
            "" => !is_api(audience),
            allowed => allowed != audience && !(is_api(allowed) && is_api(audience)),
        };
        let (key, record) = self.records.iter().find(|(_, record)| refuses(record))?;
        let asked = match audience {
            "" => "the API server".to_owned(),
            audience => format!("`{}`", excerpt(audience)),
        };
        let allowed = match record.token_audience.as_str() {
            "" => "the API server alone".to_owned(),
            allowed => format!("`{}` alone", excerpt(allowed)),
        };
        let message = format!("the token is for {asked}; {} allows {allowed}", shown(key));
        let remedy = match record.token_audience.as_str() {
            "" => "leave the audience out, or set `tokenAudience` in the AgentServiceAccount"
                .to_owned(),
            allowed => format!("ask for audience `{}`", excerpt(allowed)),
        };
        Some((message, remedy))
    }

    /// Why a token may not live for so long, in seconds, and what would be accepted; `None` if it may.
    pub(super) fn refuses_expiration(&self, seconds: i64) -> Option<(String, String)> {
        let limit = |record: &AgentServiceAccount| {
            record.token_expiration_seconds.unwrap_or(EXPIRATION_SECONDS_DEFAULT)
        };
        let (key, record) = self.records.iter().find(|(_, record)| seconds > limit(record))?;
        let most = limit(record);
        let said = match record.token_expiration_seconds {
            Some(_) => format!("{} allows {most}", shown(key)),
            None => format!("{} has no `tokenExpirationSeconds`, which allows {most}", shown(key)),
        };
        let message = format!("the token lives for {seconds} seconds; {said}");
        Some((message, format!("set `expirationSeconds` to {most} or less")))
    }
}

/// Whether an audience is the API server's.
fn is_api(audience: &str) -> bool {
    audience.is_empty() || audience.starts_with(API_AUDIENCE)
}

fn shown(key: &ObjectKey) -> String {
    format!("AgentServiceAccount `{}/{}`", excerpt(&key.namespace), excerpt(&key.name))
}
