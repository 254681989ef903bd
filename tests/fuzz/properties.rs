//! What must hold for any bytes: no panic, one reading however the bytes are cut, and never another reading than an independent parser's.
//!
//! Used by the fuzz targets, and by `tests/tests/corpora.rs`, which replays what fuzzing found worth keeping.

use std::sync::{Arc, LazyLock};

use hickory_proto::op::Message;
use pinfold_model::host::{DnsName, Host, HostPattern};
use pinfold_model::policy::agent::Injection;
use pinfold_redact::{CleaningRules, Known, Redactor, clean_message, markers, without_hidden};
use pinfold_wire::client_hello::{ClientHello, ClientHelloReader, HelloError, Peek};
use pinfold_wire::encode::ForwardHead;
use pinfold_wire::head::{self, Head, HeadReader, Target};
use pinfold_wire::{authority::Authority, dns, socks};
use serde_json::Value;

/// Header fields that the other parser of heads has room for.
const FIELDS_MAX: usize = 256;

/// Splits off the first byte, which says where the rest is cut.
fn cut(data: &[u8]) -> Option<(usize, &[u8])> {
    data.split_first().map(|(at, rest)| (usize::from(*at), rest))
}

/// The hello has one reading however it is cut into segments, and names the server that rustls names.
pub(crate) fn client_hello(data: &[u8]) {
    let Some((at, bytes)) = cut(data) else { return };
    let whole = read_hello(&[bytes]);
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    let parts = read_hello(&[first, second]);
    if let (Ok(Some(whole)), Ok(Some(parts))) = (&whole, &parts) {
        assert_eq!(whole, parts, "cut at {at}");
    }
    // Bytes after the hello make the second segment an error, never another hello.
    assert!(whole.is_ok() || parts.is_err() || matches!(parts, Ok(None)), "{whole:?} {parts:?}");
    if let Ok(Some(hello)) = whole
        && let Some(named) = rustls_server_name(bytes)
    {
        assert_eq!(
            hello.sni.as_ref().map(DnsName::as_str),
            named.as_deref(),
            "rustls reads another name"
        );
    }
}

fn read_hello(segments: &[&[u8]]) -> Result<Option<ClientHello>, HelloError> {
    let mut reader = ClientHelloReader::new();
    for segment in segments {
        if let Peek::Done(hello) = reader.feed(segment)? {
            return Ok(Some(hello));
        }
    }
    Ok(None)
}

/// What rustls reads, if it takes the hello at all.
fn rustls_server_name(mut bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = rustls::server::Acceptor::default();
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes).ok()?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return Some(name.map(|name| name.trim_end_matches('.').to_owned()));
            }
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

/// What is taken for one question is one question for hickory too, with the same name and type; and every fault has its reply or none.
pub(crate) fn dns(data: &[u8]) {
    match dns::read(data) {
        Ok(query) => {
            // Hickory reads inside EDNS options; of the client's options nothing is used or passed on.
            let Ok(message) = Message::from_vec(data) else {
                return assert!(query.edns.is_some(), "hickory can't read {query:?}");
            };
            let [question] = message.queries.as_slice() else {
                panic!("hickory reads {:?}", message.queries)
            };
            assert_eq!(
                (message.metadata.id, u16::from(question.query_type())),
                (query.id, query.kind)
            );
            if let dns::AskedName::Host(name) = &query.name {
                let other = question.name().to_ascii().to_ascii_lowercase();
                assert_eq!(other.trim_end_matches('.'), name.as_str());
            }
        }
        Err(fault) => {
            if let Some(reply) = fault.reply(data) {
                assert_eq!(reply.get(..2), data.get(..2), "the id is echoed");
                assert!(Message::from_vec(&reply).is_ok(), "{reply:?}");
            }
        }
    }
}

/// A head has one reading however it comes, httparse doesn't read it otherwise, and what is forwarded of it reads the same again.
pub(crate) fn http_head(data: &[u8]) {
    let Some((at, bytes)) = cut(data) else { return };
    let mut reader = HeadReader::new();
    let (first, _) = bytes.split_at(at.min(bytes.len()));
    let early = reader.read(first);
    let whole = head::parse(bytes);
    match (&early, &whole) {
        (Err(_), whole) => assert!(whole.is_err(), "refused early, taken later"),
        (Ok(Some((_, early))), Ok(Some((_, whole)))) => assert_eq!(early, whole),
        (Ok(Some(_)), other) => panic!("complete early, then {other:?}"),
        (Ok(None), _) => {}
    }
    if let Ok(Some((head, length))) = whole {
        agrees_with_httparse(&head, length, bytes);
        reads_again(&head);
    }
}

fn agrees_with_httparse(head: &Head, length: usize, bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(other)) => {
            assert_eq!(other, length, "httparse ends the head elsewhere");
            assert_eq!(request.method, Some(head.method.as_str()));
            assert_eq!(request.headers.len(), head.headers.len());
        }
        other => panic!("httparse can't read it: {other:?}"),
    }
}

fn reads_again(head: &Head) {
    let (Target::Origin(raw) | Target::Absolute(raw)) = &head.target else { return };
    let Ok(path) = raw.normalize() else { return };
    let bytes = ForwardHead::new(head, &path).encode();
    let Ok(Some((again, length))) = head::parse(&bytes) else {
        panic!("what is forwarded can't be read: {}", String::from_utf8_lossy(&bytes))
    };
    assert_eq!(length, bytes.len());
    assert_eq!(
        (&again.method, &again.authority, again.body),
        (&head.method, &head.authority, head.body)
    );
    let Target::Origin(raw) = &again.target else { panic!("another form of target") };
    assert_eq!(raw.normalize().as_ref(), Ok(&path), "the path is another one");
}

/// A host has one spelling, and nothing that the URL standard reads as an address is ever taken for a name.
pub(crate) fn host(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(host) = Host::parse(text) {
        let shown = host.to_string();
        assert_eq!(Host::parse(&shown).as_ref(), Ok(&host), "{shown}");
        match (&host, url::Host::parse(text)) {
            (Host::Name(name), Ok(url::Host::Ipv4(address))) => {
                panic!("{name} is {address} elsewhere")
            }
            (Host::Name(name), Ok(url::Host::Ipv6(address))) => {
                panic!("{name} is {address} elsewhere")
            }
            (Host::Name(name), Ok(url::Host::Domain(other))) => {
                assert_eq!(name.as_str(), other.trim_end_matches('.'));
            }
            (Host::Address(address), Ok(url::Host::Ipv4(other))) => {
                assert_eq!(*address, std::net::IpAddr::V4(other));
            }
            (Host::Address(address), Ok(url::Host::Ipv6(other))) => {
                assert_eq!(*address, std::net::IpAddr::V6(other));
            }
            (Host::Address(address), Ok(url::Host::Domain(other))) => {
                panic!("{address} is the name {other} elsewhere")
            }
            (_, Err(_)) => {}
        }
    }
    if let Ok(authority) = Authority::parse(text) {
        assert_eq!(Authority::parse(&authority.to_string()).as_ref(), Ok(&authority));
    }
    pattern(text);
}

/// A pattern covers only names that end as it does.
fn pattern(text: &str) {
    let Some((pattern, name)) = text.split_once(' ') else { return };
    let (Ok(parsed), Ok(name)) = (HostPattern::parse(pattern), DnsName::parse(name)) else {
        return;
    };
    if parsed.covers(&name) {
        let suffix = pattern.trim_start_matches('*').trim_end_matches('.').to_ascii_lowercase();
        assert!(name.as_str().ends_with(&suffix), "{pattern} covers {name}");
    }
}

/// A greeting and a request have one reading however they come, and take no more bytes than there are.
pub(crate) fn socks(data: &[u8]) {
    let Some((at, bytes)) = cut(data) else { return };
    let (first, _) = bytes.split_at(at.min(bytes.len()));
    match (socks::greeting(first), socks::greeting(bytes)) {
        (Ok(Some(early)), whole) => assert_eq!(whole, Ok(Some(early))),
        (Err(early), whole) => assert_eq!(whole, Err(early)),
        (Ok(None), Ok(Some((_, length)))) => assert!(length <= bytes.len() && length > first.len()),
        (Ok(None), Ok(None) | Err(_)) => {}
    }
    match (socks::request(first), socks::request(bytes)) {
        (Ok(Some(early)), whole) => assert_eq!(whole, Ok(Some(early))),
        (Err(early), whole) => assert_eq!(whole, Err(early)),
        (Ok(None), Ok(Some((request, length)))) => {
            assert!(length <= bytes.len() && length > first.len());
            assert!(
                matches!(request.host, Host::Address(_))
                    || Host::parse(&request.host.to_string()) == Ok(request.host)
            );
        }
        (Ok(None), Ok(None) | Err(_)) => {}
    }
}

/// What the redactor is to find; with characters that every encoding changes.
const CREDENTIAL: &[u8] = b"s3cr\"et/t0ken+42";

/// A stream loses the same credentials whatever its pieces, and all of them; a message keeps its shape.
pub(crate) fn redactor(data: &[u8]) {
    static KNOWN: LazyLock<Option<Arc<Known>>> =
        LazyLock::new(|| Known::new(&[CREDENTIAL]).map(Arc::new));
    let (Some((at, bytes)), Some(known)) = (cut(data), KNOWN.as_ref()) else { return };
    let whole = known.clean_bytes(bytes).map_or_else(|| bytes.to_vec(), |(cleaned, _)| cleaned);
    assert!(!known.is_in(&whole), "found again: {}", whole.escape_ascii());
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    let mut redactor = Redactor::new(Arc::clone(known));
    let parts = [redactor.feed(first), redactor.feed(second), redactor.finish()].concat();
    assert_eq!(parts, whole, "cut at {at}");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(seen) = without_hidden(text) {
        assert!(!markers(text).is_empty() && without_hidden(&seen).is_none(), "{seen:?}");
    }
    if let Ok(Value::Object(members)) = serde_json::from_str(text) {
        let rules = CleaningRules { known: Some(known), by_form: true, injection: Injection::Off };
        let mut cleaned = members.clone();
        if clean_message(&mut cleaned, rules, None).is_ok() {
            let (before, after) = (Value::Object(members), Value::Object(cleaned));
            assert_eq!(shape(&before), shape(&after));
            assert!(!after.to_string().contains("s3cr\\\"et/t0ken+42"), "{after}");
        }
    }
}

/// The types of a value's parts; which member has which is left out, because names may change and with them the order.
fn shape(value: &Value) -> String {
    let mut parts: Vec<String> = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(value) => return value.to_string(),
        Value::Number(number) => return number.to_string(),
        Value::String(_) => return "text".to_owned(),
        Value::Array(items) => return format!("{:?}", items.iter().map(shape).collect::<Vec<_>>()),
        Value::Object(members) => members.values().map(shape).collect(),
    };
    parts.sort();
    format!("{{{parts:?}}}")
}
