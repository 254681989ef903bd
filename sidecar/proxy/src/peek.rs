//! What the first bytes of a connection are: TLS, HTTP/1.1 or neither. They stay where they are, to be passed on or judged.
//!
//! Nothing here answers or dials. Time and bytes are bounded.

use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::client_hello::{ClientHello, ClientHelloReader, HelloError, Peek};
use pinfold_wire::head::REQUEST_LINE_BYTES_MAX;
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::places;

/// TLS alerts (RFC 8446 section 6).
const ALERT_ACCESS_DENIED: u8 = 49;
const ALERT_DECODE_ERROR: u8 = 50;
const ALERT_PROTOCOL_VERSION: u8 = 70;
const ALERT_INTERNAL_ERROR: u8 = 80;
const ALERT_UNRECOGNIZED_NAME: u8 = 112;

/// What the first bytes are.
#[derive(Debug)]
pub(crate) enum First {
    /// A whole hello of a version that is served.
    Tls(ClientHello),
    /// The first line of an HTTP/1.x request.
    Http,
    /// The client ended the connection.
    Gone,
    /// Nothing that can be judged. With an alert if it is TLS.
    Refused { denial: Denial, alert: Option<u8> },
}

/// Looks at the first bytes without using them up.
pub(crate) async fn look(client: &mut Client, until: Instant) -> First {
    places::waits();
    let first = first_of(client, until).await;
    places::heard();
    first
}

async fn first_of(client: &mut Client, until: Instant) -> First {
    if client.buffer.is_empty() {
        match timeout_at(until, client.read_more()).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return First::Gone,
            Err(_) => return silent(),
        }
    }
    let mut reader = ClientHelloReader::new();
    let mut fed = 0;
    loop {
        let news = client.buffer.get(fed..).unwrap_or_default();
        fed = client.buffer.len();
        match reader.feed(news) {
            Ok(Peek::Done(hello)) if hello.offers_modern_version() => return First::Tls(hello),
            Ok(Peek::Done(_)) => {
                return refused_hello("expected TLS 1.2 or 1.3", ALERT_PROTOCOL_VERSION);
            }
            Ok(Peek::NeedMore) => {
                if !more(client, until).await {
                    return refused_hello("the hello didn't end in time", ALERT_DECODE_ERROR);
                }
            }
            Err(HelloError::NotTls) => return look_for_http(client, until).await,
            Err(error @ HelloError::Sslv2) => {
                return refused_hello(&error.to_string(), ALERT_PROTOCOL_VERSION);
            }
            Err(
                error @ (HelloError::TooLarge
                | HelloError::Malformed(_)
                | HelloError::TwoServerNames
                | HelloError::EmptyName
                | HelloError::NulInName
                | HelloError::AddressInName
                | HelloError::Name(_)),
            ) => return refused_hello(&error.to_string(), ALERT_DECODE_ERROR),
        }
    }
}

/// The first line tells HTTP from other protocols of text.
async fn look_for_http(client: &mut Client, until: Instant) -> First {
    loop {
        let bytes: &[u8] = &client.buffer;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let ended = line.len() < bytes.len();
        let text = line.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\r');
        let http = line.windows(8).any(|window| window == b" HTTP/1.");
        if !text || (ended && !http) || line.len() > REQUEST_LINE_BYTES_MAX {
            return other_protocol();
        }
        if ended {
            return First::Http;
        }
        if !more(client, until).await {
            return other_protocol();
        }
    }
}

async fn more(client: &mut Client, until: Instant) -> bool {
    matches!(timeout_at(until, client.read_more()).await, Ok(Ok(1..)))
}

/// Row 44: a server that speaks first can't be judged by what the client says.
fn silent() -> First {
    refused_protocol("nothing was said that could be judged")
}

fn other_protocol() -> First {
    refused_protocol("what is spoken is neither TLS nor HTTP/1.1")
}

fn refused_protocol(message: &str) -> First {
    let remedy = "speak TLS or HTTP, or ask for a rule with `protocol: tcp`";
    let denial = Denial::new(Reason::Protocol, "spec.egress.allow", message, remedy);
    First::Refused { denial, alert: None }
}

fn refused_hello(found: &str, alert: u8) -> First {
    First::Refused { denial: unreadable(found), alert: Some(alert) }
}

/// The denial of a hello that can't be judged.
pub(crate) fn unreadable(found: &str) -> Denial {
    let message = format!("the TLS hello can't be judged: {found}");
    Denial::new(Reason::Malformed, "tls.hello", message, "send one TLS 1.2 or 1.3 hello")
}

/// The alert that says a denial to a TLS client: whether another name, another policy or another time would help.
pub(crate) fn alert_for(reason: Reason) -> u8 {
    let later = [
        Reason::Upstream,
        Reason::Audit,
        Reason::Resolve,
        Reason::Limit,
        Reason::Guard,
        Reason::Breaker,
        Reason::KillSwitch,
        Reason::NoPolicy,
    ];
    if reason == Reason::Name {
        ALERT_UNRECOGNIZED_NAME
    } else if reason == Reason::Malformed {
        ALERT_DECODE_ERROR
    } else if later.contains(&reason) {
        ALERT_INTERNAL_ERROR
    } else {
        ALERT_ACCESS_DENIED
    }
}
