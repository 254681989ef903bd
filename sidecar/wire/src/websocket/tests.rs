//! Handshakes as they may be, and as they may not.

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Of RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn parse(text: &str) -> Head {
    let text = format!("{text}Host: a.example\r\n\r\n");
    let parsed = head::parse(text.as_bytes()).expect("a head");
    parsed.expect("a whole head").0
}

fn asking(line: &str, more: &str) -> Head {
    parse(&format!("{line}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n{more}"))
}

#[test]
fn row_51_requests() {
    let get = "GET /socket HTTP/1.1";
    let good = format!("Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n");
    let cases = [
        (asking(get, &good), None),
        (asking("POST /socket HTTP/1.1", &good), Some(WebSocketError::Method)),
        (asking(get, &format!("{good}Content-Length: 1\r\n")), Some(WebSocketError::Method)),
        (asking(get, &format!("{good}Expect: 100-continue\r\n")), Some(WebSocketError::Method)),
        (asking(get, &good.replace("13", "8")), Some(WebSocketError::Version)),
        (asking(get, &good.replace("==", "")), Some(WebSocketError::Key)),
        (asking(get, &good.replace("dGhl", "dG.l")), Some(WebSocketError::Key)),
        (asking(get, "Sec-WebSocket-Version: 13\r\n"), Some(WebSocketError::Key)),
        (asking(get, &format!("{good}{good}")), Some(WebSocketError::Repeated)),
        (asking(get, &format!("{good}Upgrade: h2c\r\n")), Some(WebSocketError::Upgrade)),
        (parse(&format!("{get}\r\nUpgrade: websocket\r\n{good}")), Some(WebSocketError::Upgrade)),
        (parse(&format!("{get}\r\n{good}")), Some(WebSocketError::Upgrade)),
    ];
    for (head, expected) in cases {
        assert_eq!(key(&head).err(), expected, "{head:?}");
    }
}

#[test]
fn what_is_forwarded_asks_for_websocket_and_nothing_else() {
    let more = format!(
        "Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nProxy-Authorization: x\r\n"
    );
    let head = asking("GET /socket HTTP/1.1", &more);
    let path = RequestPath::parse("/socket").expect("a path");
    let forward = forward(&head, &path).expect("a head");
    assert!(forward.is_websocket());
    assert!(!ForwardHead::new(&head, &path).is_websocket());
    let text = String::from_utf8(forward.encode()).expect("text");
    for line in [
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
        "sec-websocket-protocol: chat\r\n",
        KEY,
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line} in {text}");
    }
    assert!(!text.contains("proxy-authorization") && !text.contains("keep-alive"), "{text}");
}

#[test]
fn replies() {
    let reply = |fields: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    };
    let good = [("upgrade", "WebSocket"), ("connection", "Upgrade")];
    let accept = ("sec-websocket-accept", ACCEPT);
    let cases = [
        (vec![good[0], good[1], accept], Ok(())),
        (vec![good[0], accept], Err(WebSocketError::Upgrade)),
        (vec![good[1], accept], Err(WebSocketError::Upgrade)),
        (vec![("upgrade", "h2c"), good[1], accept], Err(WebSocketError::Upgrade)),
        (vec![good[0], good[0], good[1], accept], Err(WebSocketError::Upgrade)),
        (vec![good[0], good[1]], Err(WebSocketError::Accept)),
        (vec![good[0], good[1], accept, accept], Err(WebSocketError::Accept)),
        (vec![good[0], good[1], ("sec-websocket-accept", KEY)], Err(WebSocketError::Accept)),
    ];
    for (fields, expected) in cases {
        assert_eq!(check_reply(&reply(&fields), ACCEPT), expected, "{fields:?}");
    }
    let head = switching_head(&reply(&[good[0], good[1], accept, ("x-pinfold-a", "1")]));
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains(ACCEPT) && !head.contains("x-pinfold"), "{head}");
    assert_eq!(head.matches("pgrade").count(), 2, "{head}");
}
