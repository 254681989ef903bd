//! Cases of `crate::encode`; "row" is a row of the attack table.

use super::*;

fn forward(lines: &[&str]) -> String {
    let head = head_of("POST http://a.example:8080/x/../y?q HTTP/1.1", lines);
    let head::Target::Absolute(raw) = &head.target else { panic!("absolute") };
    let path = raw.normalize().expect("a path");
    String::from_utf8(ForwardHead::new(&head, &path).encode()).expect("ASCII")
}

fn head_of(line: &str, lines: &[&str]) -> Head {
    let text = format!("{line}\r\nHost: a.example:8080\r\n{}\r\n\r\n", lines.join("\r\n"));
    let text = text.replace("\r\n\r\n\r\n", "\r\n\r\n");
    head::parse(text.as_bytes()).expect("valid").expect("complete").0
}

#[test]
fn row_47_the_judged_path_and_authority_are_forwarded() {
    let found = forward(&["Accept: */*", "X-Two: a", "X-Two: b"]);
    let expected = "POST /y?q HTTP/1.1\r\nhost: a.example:8080\r\naccept: */*\r\n\
                    x-two: a\r\nx-two: b\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(found, expected);
}

#[test]
fn rows_60_61_102_what_never_passes() {
    // line, whether it passes
    let cases = [
        ("Authorization: Bearer t", true),
        ("Content-Type: application/json", true),
        ("X-Api_Key: k", true),
        ("Proxy-Authorization: Basic x", false),
        ("Proxy-Connection: keep-alive", false),
        ("Proxy-Anything: x", false),
        ("Connection: keep-alive", false),
        ("Keep-Alive: timeout=5", false),
        ("TE: trailers", false),
        ("Trailer: X-Sum", false),
        ("Upgrade: websocket", false),
        ("HTTP2-Settings: AAA", false),
        ("Expect: 100-continue", false),
        ("X-Pinfold-Agent: admin", false),
        ("X_Pinfold_Agent: admin", false),
        ("Transfer_Encoding: chunked", false),
        ("Content_Length: 5", false),
        ("X-Forwarded-Host: evil", false),
        ("X-HTTP-Method-Override: DELETE", false),
        ("X-Original-URL: /admin", false),
    ];
    for (line, passes) in cases {
        let found = forward(&[line]);
        let (name, value) = line.split_once(": ").expect("a field");
        let written = format!("\r\n{}: {value}\r\n", name.to_ascii_lowercase());
        assert_eq!(found.contains(&written), passes, "{line}: {found}");
    }
}

#[test]
fn row_61_connection_drops_what_it_names_but_nothing_protected() {
    let found = forward(&[
        "Connection: close, X-Gone, Authorization, Host, Content-Length, Content-Type, Cookie",
        "X-Gone: 1",
        "Authorization: Bearer t",
        "Content-Type: application/json",
        "Content-Length: 3",
        "Cookie: c",
    ]);
    assert!(!found.contains("x-gone"), "{found}");
    for kept in ["host:", "authorization:", "content-type:", "content-length: 3", "cookie:"] {
        assert_eq!(found.matches(&format!("\r\n{kept}")).count(), 1, "{kept}: {found}");
    }
}

#[test]
fn row_49_one_framing_is_written() {
    assert!(forward(&["Content-Length: 3"]).ends_with("\r\ncontent-length: 3\r\n\r\n"));
    assert!(
        forward(&["Transfer-Encoding: chunked"])
            .ends_with("\r\ntransfer-encoding: chunked\r\n\r\n")
    );
    let get = head_of("GET /x HTTP/1.1", &[]);
    let path = RequestPath::parse("/x").expect("a path");
    let bytes = ForwardHead::new(&get, &path).encode();
    assert_eq!(bytes, b"GET /x HTTP/1.1\r\nhost: a.example:8080\r\n\r\n");
}

#[test]
fn another_upstream_and_a_credential() {
    let head = head_of("GET /x HTTP/1.1", &["Authorization: the agent's", "Authorization: twice"]);
    let authority = Authority::parse("api.example").expect("an authority");
    let mut forward =
        ForwardHead::to(&head, &authority, &RequestPath::parse("/y").expect("a path"));
    forward.set(header::AUTHORIZATION, HeaderValue::from_static("Bearer s")).expect("settable");
    let expected = "GET /y HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer s\r\n\r\n";
    assert_eq!(String::from_utf8(forward.encode()).expect("ASCII"), expected);
    for name in ["host", "content-length", "transfer-encoding", "proxy-authorization", "connection"]
    {
        let name = HeaderName::from_static(name);
        let refused = forward.set(name.clone(), HeaderValue::from_static("x"));
        assert_eq!(refused, Err(EncodeError::Reserved(name)));
    }
    forward.remove(&header::AUTHORIZATION);
    forward.remove(&header::HOST);
    assert_eq!(forward.encode(), b"GET /y HTTP/1.1\r\nhost: api.example\r\n\r\n");
}

#[test]
fn responses() {
    use BodyFraming::{Chunked, Length, None as Nothing};
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-length", "99"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-gone"),
        ("x-gone", "1"),
        ("x-pinfold-decision", "allow"),
        ("proxy-authenticate", "Basic"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let cases = [
        (200, Length(5), true, "200 OK", "content-length: 5\r\n"),
        (200, Chunked, true, "200 OK", "transfer-encoding: chunked\r\n"),
        (403, Nothing, false, "403 Forbidden", "content-length: 0\r\nconnection: close\r\n"),
        (204, Nothing, true, "204 No Content", ""),
        (304, Length(7), true, "304 Not Modified", ""),
        (599, Nothing, true, "599 ", "content-length: 0\r\n"),
    ];
    for (status, body, keep_alive, line, framing) in cases {
        let status = StatusCode::from_u16(status).expect("a status");
        let bytes = response_head(status, &headers, body, keep_alive);
        let expected = format!("HTTP/1.1 {line}\r\ncontent-type: text/plain\r\n{framing}\r\n");
        assert_eq!(String::from_utf8(bytes).expect("ASCII"), expected);
    }
}

#[test]
fn chunks() {
    assert_eq!(chunk_line(26), b"1a\r\n");
    assert_eq!(chunk_line(0), b"", "an empty chunk would end the body");
}
