//! Cases of the headers that MCP gives a meaning to; "row" is a row of the attack table.

use serde_json::json;

use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    map
}

const JSON: (&str, &str) = ("content-type", "application/json");
const BOTH: (&str, &str) = ("accept", "application/json, text/event-stream");

#[test]
fn rows_85b_116_content_types() {
    type Case = (&'static [(&'static str, &'static str)], Option<u16>);
    let cases: &[Case] = &[
        (&[JSON, BOTH], None),
        (&[("content-type", "Application/JSON; charset=UTF-8"), BOTH], None),
        (&[JSON, BOTH, ("content-encoding", "identity")], None),
        (&[BOTH], Some(415)),
        (&[("content-type", "text/plain"), BOTH], Some(415)),
        (&[("content-type", "application/json5"), BOTH], Some(415)),
        (&[("content-type", "text/plain, application/json"), BOTH], Some(415)),
        (&[("content-type", "application/json; charset=utf-16"), BOTH], Some(415)),
        (&[("content-type", "application/json; charset=utf-8; charset=utf-7"), BOTH], Some(415)),
        (&[JSON, ("content-type", "text/plain"), BOTH], Some(415)),
        (&[JSON, BOTH, ("content-encoding", "gzip")], Some(415)),
        (&[JSON, BOTH, ("content-encoding", "identity"), ("content-encoding", "gzip")], Some(415)),
        (&[JSON], Some(406)),
        (&[JSON, ("accept", "*/*")], None),
        (&[JSON, ("accept", "application/json"), ("accept", "text/*;q=0.5")], None),
        (&[JSON, ("accept", "application/json")], Some(406)),
        (&[JSON, ("accept", "text/event-stream")], Some(406)),
        (&[JSON, ("accept", "application/json, text/event-stream;q=0")], Some(406)),
        (&[JSON, ("accept", "application/jsonx, text/event-streams")], Some(406)),
        (&[JSON, BOTH, ("mcp-method", "a"), ("mcp-method", "b")], Some(400)),
        (&[JSON, BOTH, ("mcp-name", "caf\u{e9}")], Some(400)),
        (&[JSON, BOTH, ("mcp-name", "=?base64?!!?=")], Some(400)),
        (&[JSON, BOTH, ("mcp-name", "=?base64?/w==?=")], Some(400)),
        (&[JSON, BOTH, ("mcp-session-id", "a b")], Some(400)),
        (&[JSON, BOTH, ("mcp-session-id", "")], Some(400)),
        (&[JSON, BOTH, ("mcp-session-id", "a"), ("mcp-session-id", "b")], Some(400)),
        (&[JSON, BOTH, ("mcp-protocol-version", "a"), ("mcp-protocol-version", "a")], Some(400)),
    ];
    for (lines, expected) in cases {
        let found = McpHeaders::read(&headers(lines)).err();
        assert_eq!(found.map(|error| error.status().as_u16()), *expected, "{lines:?}");
    }
}

#[test]
fn sessions_are_read_and_hidden() {
    let found =
        McpHeaders::read(&headers(&[JSON, BOTH, ("mcp-session-id", "s-1")])).expect("valid");
    assert_eq!(found.session_id(), Some("s-1"));
    assert!(!format!("{found:?}").contains("s-1"));
}

#[test]
fn mirrored_values() {
    // value, header: the table of the specification and its edges
    let cases = [
        ("us-west1", "us-west1"),
        ("Hello, \u{4e16}\u{754c}", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", "=?base64??="),
        ("a\r\nX-Injected: 1", "=?base64?YQ0KWC1JbmplY3RlZDogMQ==?="),
    ];
    for (value, header) in cases {
        assert_eq!(encode(value).expect("a value"), header, "{value:?}");
        assert_eq!(decode(header).as_deref(), Some(value), "{header}");
    }
}

#[test]
fn mirrored_arguments_come_from_schema_and_body() {
    let text = |header: &str| json!({"type": "string", "x-mcp-header": header});
    let nested = json!({"type": "object", "properties": {"zone": text("Zone")}});
    let schema = json!({"type": "object", "properties": {
        "region": text("Region"), "count": {"type": "integer", "x-mcp-header": "Count"},
        "flag": {"type": "boolean", "x-mcp-header": "Flag"}, "place": nested, "query": {"type": "string"},
    }});
    let arguments = json!({"region": "us", "count": 7, "flag": true, "place": {"zone": "\u{e9}"}, "query": "q"});
    let show = |schema: &Value, arguments: &Value| -> Option<Vec<String>> {
        let found = mirrored_arguments(schema, arguments.as_object().expect("an object"))?;
        let mut found: Vec<_> = found
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect();
        found.sort();
        Some(found)
    };
    let expected = [
        "mcp-param-count: 7",
        "mcp-param-flag: true",
        "mcp-param-region: us",
        "mcp-param-zone: =?base64?w6k=?=",
    ];
    assert_eq!(show(&schema, &arguments).expect("valid"), expected);
    assert_eq!(show(&schema, &json!({"region": null, "place": 1})), Some(Vec::new()));
    assert_eq!(show(&json!({}), &arguments), Some(Vec::new()));
    let properties = |properties: Value| json!({"properties": properties});
    let invalid = [
        properties(json!({"a": text("")})),
        properties(json!({"a": text("a b")})),
        properties(json!({"a": text("a\r\nb")})),
        properties(json!({"a": text("X"), "b": text("x")})),
        properties(json!({"a": {"type": "number", "x-mcp-header": "A"}})),
        properties(json!({"a": {"x-mcp-header": "A"}})),
        properties(json!({"a": {"type": "string", "x-mcp-header": 1}})),
        properties(json!({"a": {"type": "array", "items": text("A")}})),
        json!({"anyOf": [{"properties": {"a": text("A")}}]}),
        json!({"$defs": {"a": text("A")}}),
    ];
    for schema in invalid {
        assert_eq!(show(&schema, &json!({"a": "x"})), None, "{schema}");
    }
}
