//! Cases of `crate::head`; "row" is a row of the attack table.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Head, HeadError> {
    let (head, consumed) = parse(text.as_bytes())?.expect("complete");
    assert!(text.as_bytes()[..consumed].ends_with(b"\r\n\r\n"));
    Ok(head)
}

/// A head with these lines after the request line, and the final empty line.
fn head(request_line: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{request_line}\r\n{lines}\r\n")
}

#[test]
fn targets() {
    let raw = |path: &str| RawPath(path.to_owned());
    let cases = [
        ("GET /a?b HTTP/1.1", "a.example", Target::Origin(raw("/a?b")), "a.example"),
        ("GET /a HTTP/1.1", "A.example.:8080", Target::Origin(raw("/a")), "a.example:8080"),
        ("GET http://a.example/x HTTP/1.1", "a.example", Target::Absolute(raw("/x")), "a.example"),
        (
            "GET HTTP://A.example:80 HTTP/1.1",
            "a.example",
            Target::Absolute(raw("/")),
            "a.example:80",
        ),
        (
            "GET http://a.example?q HTTP/1.1",
            "a.example:80",
            Target::Absolute(raw("/?q")),
            "a.example",
        ),
        ("GET http://[::1]:81/ HTTP/1.1", "[::1]:81", Target::Absolute(raw("/")), "[::1]:81"),
        ("CONNECT a.example:443 HTTP/1.1", "a.example:443", Target::Authority, "a.example:443"),
        ("CONNECT a.example:443 HTTP/1.1", "a.example", Target::Authority, "a.example:443"),
        ("CONNECT 192.0.2.1:443 HTTP/1.1", "192.0.2.1", Target::Authority, "192.0.2.1:443"),
        ("OPTIONS * HTTP/1.1", "a.example", Target::Asterisk, "a.example"),
        ("OPTIONS http://a.example HTTP/1.1", "a.example", Target::Asterisk, "a.example"),
        ("get / HTTP/1.1", "a.example", Target::Origin(raw("/")), "a.example"),
    ];
    for (line, host, target, authority) in cases {
        let head = read(&head(line, &[&format!("Host: {host}")])).expect(line);
        assert_eq!(head.target, target, "{line}");
        assert_eq!(head.authority.to_string(), authority, "{line}");
        assert!(line.starts_with(head.method.as_str()), "{line}");
    }
}

#[test]
fn http_1_0_opens_tunnels_only() {
    let tunnel = read("CONNECT a.example:443 HTTP/1.0\r\n\r\n").expect("Python before 3.12");
    assert_eq!(tunnel.authority.to_string(), "a.example:443");
    assert!(!tunnel.keep_alive);
    let refused = read("GET / HTTP/1.0\r\nHost: a\r\n\r\n").map(|_| ());
    assert_eq!(refused, Err(HeadError::Version));
}

#[test]
fn row_49_framing() {
    use BodyFraming::{Chunked, Length, None as Nothing};
    let bad = Err(HeadError::Framing);
    let cases: &[(&[&str], Result<BodyFraming, HeadError>)] = &[
        (&[], Ok(Nothing)),
        (&["Content-Length: 0"], Ok(Nothing)),
        (&["Content-Length: 17"], Ok(Length(17))),
        (&["Content-Length: 18446744073709551615"], Ok(Length(u64::MAX))),
        (&["Transfer-Encoding: chunked"], Ok(Chunked)),
        (&["transfer-encoding: chunked"], Ok(Chunked)),
        (&["Content-Length: 5", "Transfer-Encoding: chunked"], bad),
        (&["Transfer-Encoding: chunked", "Content-Length: 5"], bad),
        (&["Content-Length: 5", "Content-Length: 5"], bad),
        (&["Content-Length: 5", "Content-Length: 6"], bad),
        (&["Content-Length: 5, 5"], bad),
        (&["Content-Length: +5"], bad),
        (&["Content-Length: -5"], bad),
        (&["Content-Length: 05"], bad),
        (&["Content-Length: 0x5"], bad),
        (&["Content-Length: 5 5"], bad),
        (&["Content-Length:"], bad),
        (&["Content-Length: 18446744073709551616"], bad),
        (&["Transfer-Encoding: Chunked"], bad),
        (&["Transfer-Encoding: chunked, chunked"], bad),
        (&["Transfer-Encoding: gzip, chunked"], bad),
        (&["Transfer-Encoding: identity"], bad),
        (&["Transfer-Encoding: xchunked"], bad),
        (&["Transfer-Encoding: \"chunked\""], bad),
        (&["Transfer-Encoding: chunked;q=1"], bad),
        (&["Transfer-Encoding:"], bad),
        (&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], bad),
        (&["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], bad),
        (&["Transfer-Encoding: \x0bchunked"], Err(HeadError::ControlCharacter)),
        (&["Transfer-Encoding : chunked"], Err(HeadError::Field(FieldError::Name))),
        (&[" Transfer-Encoding: chunked"], Err(HeadError::Field(FieldError::Folded))),
        (&["X: a", " Content-Length: 5"], Err(HeadError::Field(FieldError::Folded))),
        (&["X: a\nContent-Length: 5"], Err(HeadError::LineEnding)),
        (&["X: a\rContent-Length: 5"], Err(HeadError::LineEnding)),
        (&["X: a\0"], Err(HeadError::ControlCharacter)),
    ];
    for (lines, expected) in cases {
        let lines = [&["Host: a.example"], *lines].concat();
        let found = read(&head("POST / HTTP/1.1", &lines)).map(|head| head.body);
        assert_eq!(found, *expected, "{lines:?}");
    }
    let tunnel = head("CONNECT a:1 HTTP/1.1", &["Host: a:1", "Content-Length: 5"]);
    assert_eq!(read(&tunnel).map(|_| ()), Err(HeadError::Framing));
}

#[test]
fn rows_18_23_46_47_48_53_what_is_refused() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("GET / HTTP/1.1", &[], "host-header"),
        ("GET / HTTP/1.1", &["Host: a", "Host: a"], "host-header"),
        ("GET / HTTP/1.1", &["Host: a", "host: b"], "host-header"),
        ("GET / HTTP/1.1", &["Host:"], "host-invalid"),
        ("GET / HTTP/1.1", &["Host: a, b"], "host-invalid"),
        ("GET / HTTP/1.1", &["Host: a b"], "host-invalid"),
        ("GET / HTTP/1.1", &["Host: a/b"], "host-invalid"),
        ("GET / HTTP/1.1", &["Host: user@a"], "userinfo"),
        ("GET / HTTP/1.1", &["Host: 127.1"], "host-numeric"),
        ("GET / HTTP/1.1", &["Host: a:0"], "port-invalid"),
        ("GET / HTTP/1.1", &["Host: b\u{fc}cher.example"], "host-not-ascii"),
        ("GET http://a/ HTTP/1.1", &["Host: b"], "host-mismatch"),
        ("GET http://a/ HTTP/1.1", &["Host: a:81"], "host-mismatch"),
        ("GET http://a:81/ HTTP/1.1", &["Host: a"], "host-mismatch"),
        ("GET http://a/ HTTP/1.1", &[], "host-header"),
        ("GET http://u:p@a/ HTTP/1.1", &["Host: a"], "userinfo"),
        ("GET http://a@b/ HTTP/1.1", &["Host: b"], "userinfo"),
        ("GET http://a\\@b/ HTTP/1.1", &["Host: b"], "host-mismatch"),
        ("GET http://0x7f.1/ HTTP/1.1", &["Host: 0x7f.1"], "host-numeric"),
        ("GET http:///x HTTP/1.1", &["Host: a"], "host-invalid"),
        ("GET https://a/ HTTP/1.1", &["Host: a"], "target-scheme"),
        ("GET ftp://a/ HTTP/1.1", &["Host: a"], "target-scheme"),
        ("GET a/b HTTP/1.1", &["Host: a"], "target-invalid"),
        ("GET a:80 HTTP/1.1", &["Host: a"], "target-invalid"),
        ("GET * HTTP/1.1", &["Host: a"], "target-invalid"),
        ("GET /\u{e9} HTTP/1.1", &["Host: a"], "target-invalid"),
        ("CONNECT a HTTP/1.1", &["Host: a"], "target-invalid"),
        ("CONNECT / HTTP/1.1", &["Host: a"], "host-invalid"),
        ("CONNECT http://a:80 HTTP/1.1", &["Host: a"], "port-invalid"),
        ("CONNECT a:443 HTTP/1.1", &["Host: b:443"], "host-mismatch"),
        ("CONNECT a:443 HTTP/1.1", &["Host: a:80"], "host-mismatch"),
        ("CONNECT a:443 HTTP/1.0", &["Host: b:443"], "host-mismatch"),
        ("CONNECT a:443 HTTP/1.1", &[], "host-header"),
        ("CONNECT 2130706433:443 HTTP/1.1", &["Host: a"], "host-numeric"),
        ("CONNECT 0177.0.0.1:443 HTTP/1.1", &["Host: a"], "host-numeric"),
        ("CONNECT ::1:443 HTTP/1.1", &["Host: a"], "port-invalid"),
        ("CONNECT [fe80::1%25lo]:443 HTTP/1.1", &["Host: a"], "host-zone"),
        ("GET / HTTP/2.0", &["Host: a"], "http-version"),
        ("PRI * HTTP/2.0", &[], "http-version"),
        ("GET / HTTP/1.2", &["Host: a"], "http-version"),
        ("GET / http/1.1", &["Host: a"], "head-malformed"),
        ("GET / HTTP/1.1 ", &["Host: a"], "head-malformed"),
        ("GET  / HTTP/1.1", &["Host: a"], "head-malformed"),
        ("GET\t/\tHTTP/1.1", &["Host: a"], "head-malformed"),
        ("GET /", &["Host: a"], "head-malformed"),
        ("GET / a HTTP/1.1", &["Host: a"], "head-malformed"),
        ("G(T / HTTP/1.1", &["Host: a"], "head-malformed"),
        ("GET / HTTP/1.1", &["Host: a", "Connection: \u{e9}"], "head-malformed"),
        ("GET / HTTP/1.1", &["Host: a", "no colon"], "head-malformed"),
        ("GET / HTTP/1.1", &["Host: a", "Expect: the-impossible"], "expectation"),
    ];
    for (line, lines, reason) in cases {
        let error = read(&head(line, lines)).expect_err(line);
        assert_eq!(error.reason(), *reason, "{line} {lines:?}: {error}");
    }
}

#[test]
fn rows_46_49_58_what_is_refused_before_the_head_is_complete() {
    let long_line = format!("GET /{}", "a".repeat(REQUEST_LINE_BYTES_MAX));
    let long_head = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(HEAD_BYTES_MAX));
    let cases: &[(&[u8], HeadError)] = &[
        (&[5, 1, 0], HeadError::RequestLine),
        (&[22, 3, 1], HeadError::RequestLine),
        (b"\r\nGET", HeadError::RequestLine),
        (b"\nGET", HeadError::RequestLine),
        (b" GET", HeadError::RequestLine),
        (b"GET / HTTP/1.1\n", HeadError::LineEnding),
        (b"GET / HTTP/1.1\rX", HeadError::LineEnding),
        (b"GET / HTTP/1.1\r\nHost: a\n", HeadError::LineEnding),
        (b"GET /\0", HeadError::ControlCharacter),
        (b"GET /\x7f", HeadError::ControlCharacter),
        (long_line.as_bytes(), HeadError::RequestLineTooLarge),
        (long_head.as_bytes(), HeadError::TooLarge),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes).map(|_| ()), Err(*expected), "{}", bytes[..3].escape_ascii());
    }
}

#[test]
fn row_58_limits() {
    let fields = |count: usize| {
        let lines = vec!["X: y"; count];
        head("GET / HTTP/1.1", &[&["Host: a"], lines.as_slice()].concat())
    };
    assert!(read(&fields(HEADERS_MAX - 1)).is_ok());
    assert_eq!(read(&fields(HEADERS_MAX)).map(|_| ()), Err(HeadError::TooManyHeaders));
    let statuses = [
        (HeadError::TooManyHeaders, 431),
        (HeadError::TooLarge, 431),
        (HeadError::RequestLineTooLarge, 414),
        (HeadError::Version, 505),
        (HeadError::Expectation, 417),
        (HeadError::Framing, 400),
    ];
    for (error, status) in statuses {
        assert_eq!(error.status().as_u16(), status);
    }
    let exact = |size: usize| {
        let bare = head("GET / HTTP/1.1", &["Host: a", "X: "]);
        bare.replace("X: ", &format!("X: {}", "a".repeat(size - bare.len())))
    };
    assert!(read(&exact(HEAD_BYTES_MAX)).is_ok());
    assert_eq!(read(&exact(HEAD_BYTES_MAX + 1)).map(|_| ()), Err(HeadError::TooLarge));
}

#[test]
fn rows_51_52_upgrades_methods_and_connection() {
    let cases: &[(&[&str], Option<Upgrade>, bool)] = &[
        (&[], None, true),
        (&["Connection: close"], None, false),
        (&["Connection: x", "Connection: keep-alive, Close"], None, false),
        (&["Connection: Upgrade", "Upgrade: websocket"], Some(Upgrade::WebSocket), true),
        (&["Upgrade: WebSocket"], Some(Upgrade::WebSocket), true),
        (&["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"], Some(Upgrade::H2c), true),
        (&["Upgrade: h2c, h2", "Upgrade: HTTP/2.0"], Some(Upgrade::H2c), true),
        (&["Upgrade: websocket, h2c"], Some(Upgrade::Other), true),
        (&["Upgrade: websocket", "Upgrade: h2c"], Some(Upgrade::Other), true),
        (&["HTTP2-Settings: AAMAAABkAAQAAP__"], None, true),
        (&["Upgrade: HTTP/2.0"], Some(Upgrade::H2c), true),
        (&["Upgrade: TLS/1.0"], Some(Upgrade::Other), true),
        (&["Upgrade: \u{e9}"], Some(Upgrade::Other), true),
        (&["Connection: upgrade"], Some(Upgrade::Other), true),
    ];
    for (lines, upgrade, keep_alive) in cases {
        let lines = [&["Host: a"], *lines].concat();
        let head = read(&head("GET / HTTP/1.1", &lines)).expect("a head");
        assert_eq!((head.upgrade, head.keep_alive), (*upgrade, *keep_alive), "{lines:?}");
    }
    for method in ["TRACE", "TRACK", "PROPFIND", "trace"] {
        let head = read(&head(&format!("{method} / HTTP/1.1"), &["Host: a"])).expect("a fact");
        assert_eq!(head.method.as_str(), method);
    }
    let waiting = head("PUT / HTTP/1.1", &["Host: a", "Expect: 100-Continue"]);
    assert!(read(&waiting).expect("a head").expect_continue);
}

#[test]
fn rows_45_50_pipelined_requests_are_read_one_by_one() {
    let first = head("GET / HTTP/1.1", &["Host: a"]);
    let both = format!("{first}{}", head("GET / HTTP/1.1", &["Host: b"]));
    let (_, consumed) = parse(both.as_bytes()).expect("valid").expect("complete");
    assert_eq!(consumed, first.len());
    let (second, _) = parse(&both.as_bytes()[consumed..]).expect("valid").expect("complete");
    assert_eq!(second.authority.to_string(), "b");
}

proptest! {
    /// Whatever the segmentation, the answer is the one for the whole.
    #[test]
    fn segmentation_never_matters(
        tail in "[a-zA-Z: \t\r\n\u{0}]{0,30}",
        end in "(\r\n){0,2}",
        step in 1_usize..20,
    ) {
        let text = format!("POST /x HTTP/1.1\r\nHost: a.example\r\n{tail}{end}");
        let bytes = text.as_bytes();
        let mut reader = HeadReader::new();
        let mut found = Ok(None);
        let mut seen = 0_usize;
        while seen < bytes.len() && matches!(found, Ok(None)) {
            seen = seen.saturating_add(step).min(bytes.len());
            found = reader.read(&bytes[..seen]);
        }
        let show = |result: Result<Option<(Head, usize)>, HeadError>| {
            result.map(|head| head.map(|(head, consumed)| (format!("{head:?}"), consumed)))
        };
        prop_assert_eq!(show(found), show(parse(bytes)));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes));
        let framed = [b"GET / HTTP/1.1\r\nHost: a\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
        drop(parse(&framed));
    }
}
