//! TLS that the sidecar ends itself, so that the requests inside are judged, and changes to WebSocket.
//!
//! An allow list is a union: a `tls` or `tcp` rule for the same host and port lets the connection through as it is, and then nothing inside
//! is judged. Only where `https` rules alone apply is a certificate made, and only with an [`EndPermit`].

use pinfold_model::host::Host;
use pinfold_model::policy::agent::{EgressRule, HttpRule, Protocol};
use pinfold_model::reason::{Denial, Reason};

use super::{AddressPermit, DialPermit, Hello, Path, check_http, wrong_protocol};

/// The right to answer a TLS handshake in the name of one host. Made here alone:
///
/// ```compile_fail
/// let host = pinfold_model::host::Host::parse("a.example").unwrap();
/// let permit = pinfold_engine::egress::EndPermit { rule: String::new(), host };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct EndPermit {
    rule: String,
    host: Host,
}

impl EndPermit {
    /// The host that was asked for and that the hello names: the only one that a certificate may be for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The place in the policy that allows it: the first of the rules that may apply.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// One request inside TLS that the sidecar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a str,
    /// Its path.
    pub path: Path<'a>,
    /// Whether it asks to change to WebSocket (RFC 6455).
    pub websocket: bool,
}

impl AddressPermit {
    /// Judges whether the TLS of this hello may be ended here.
    ///
    /// # Errors
    /// The denial, which is an answer: another name, ECH that the policy refuses, or no `https` rule.
    pub fn end_tls(&self, hello: Hello<'_>) -> Result<EndPermit, Denial> {
        let https = |rule: &&EgressRule| matches!(rule.protocol, Protocol::Https(_));
        let rule = self.rules.iter().find(https).filter(|_| self.is_terminated());
        let rule = rule.ok_or_else(|| wrong_protocol(&self.rules, &self.host, "TLS ended here"))?;
        self.hello(hello)?;
        Ok(EndPermit { rule: rule.place.clone(), host: self.host.clone() })
    }

    /// Judges one request inside TLS that the sidecar ended.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn https(&self, asked: Asked<'_>) -> Result<DialPermit, Denial> {
        judge_https(&self.rules, &self.host, asked).map(|rule| self.permit(rule))
    }

    /// Judges a request in the clear that asks to change to WebSocket.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn websocket<'a>(
        &self,
        method: &str,
        path: impl Into<Path<'a>>,
    ) -> Result<DialPermit, Denial> {
        let asked = Asked { method, path: path.into(), websocket: true };
        judge_clear(&self.rules, &self.host, asked).map(|rule| self.permit(rule))
    }
}

/// Judges a request inside TLS.
pub(super) fn judge_https<'r>(
    rules: &'r [EgressRule],
    host: &Host,
    asked: Asked<'_>,
) -> Result<&'r EgressRule, Denial> {
    judged((rules, host), asked, "HTTPS", |protocol| match protocol {
        Protocol::Https(rule) => Applies::If(rule),
        // Wider; a reload may have made it so while the connection was open.
        Protocol::Tls | Protocol::Tcp => Applies::Always,
        Protocol::Http(_) => Applies::Never,
    })
}

/// Judges a request in the clear that asks to change to WebSocket.
pub(super) fn judge_clear<'r>(
    rules: &'r [EgressRule],
    host: &Host,
    asked: Asked<'_>,
) -> Result<&'r EgressRule, Denial> {
    judged((rules, host), asked, "HTTP in the clear", |protocol| match protocol {
        Protocol::Http(rule) => Applies::If(rule),
        Protocol::Tcp => Applies::Always,
        Protocol::Https(_) | Protocol::Tls => Applies::Never,
    })
}

fn judged<'r>(
    (rules, host): (&'r [EgressRule], &Host),
    asked: Asked<'_>,
    spoken: &str,
    applies: impl Fn(&Protocol) -> Applies<'_>,
) -> Result<&'r EgressRule, Denial> {
    let mut nearest = None;
    for rule in rules {
        let judged = match applies(&rule.protocol) {
            Applies::Always => Ok(()),
            Applies::If(http) => check(http, &rule.place, asked),
            Applies::Never => continue,
        };
        match judged {
            Ok(()) => return Ok(rule),
            Err(denial) => nearest = nearest.or(Some(denial)),
        }
    }
    Err(nearest.unwrap_or_else(|| wrong_protocol(rules, host, spoken)))
}

/// What a rule says of a request.
enum Applies<'r> {
    Always,
    If(&'r HttpRule),
    Never,
}

fn check(rule: &HttpRule, place: &str, asked: Asked<'_>) -> Result<(), Denial> {
    check_http(rule, place, asked.method, asked.path)?;
    if asked.websocket && !rule.websocket {
        let message = "a change to WebSocket is not allowed here: what comes after it isn't seen";
        let remedy =
            format!("send the request without `Upgrade`, or set `{place}.websocket` to `true`");
        return Err(Denial::new(Reason::Protocol, place, message, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
