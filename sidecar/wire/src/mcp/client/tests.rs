//! Cases of messages from the agent; "row" is a row of the attack table.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Headers of a client of a revision with sessions.
fn plain() -> McpHeaders {
    McpHeaders { protocol_version: Some("2025-11-25".to_owned()), ..McpHeaders::default() }
}

/// Headers of a stateless request.
fn mirrored(method: &str, name: Option<&str>) -> McpHeaders {
    McpHeaders {
        protocol_version: Some("2026-07-28".to_owned()),
        method: Some(method.to_owned()),
        name: name.map(str::to_owned),
        ..McpHeaders::default()
    }
}

fn parse(text: &str) -> Result<ClientMessage, McpError> {
    parse_client_message(text.as_bytes(), &plain())
}

fn encoded(message: &ClientMessage) -> String {
    String::from_utf8(message.encode()).expect("UTF-8")
}

#[test]
fn rows_85c_86_what_is_judged_is_what_is_forwarded() {
    // received, forwarded
    let cases = [
        (
            r#" { "method":"ping" , "id":1,"jsonrpc":"2.0" } "#,
            r#"{"id":1,"jsonrpc":"2.0","method":"ping"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","\u006dethod":"p\u0069ng","id":"\u0061"}"#,
            r#"{"id":"a","jsonrpc":"2.0","method":"ping"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"m","params":{"n":-0,"f":1.0,"e":1e2,"x":-5.9042220136021706e-145,"big":18446744073709551615}}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":{"big":18446744073709551615,"e":100.0,"f":1.0,"n":-0.0,"x":-5.9042220136021706e-145}}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, r#"{"id":7,"jsonrpc":"2.0","result":{}}"#),
        (
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"m"}}"#,
            r#"{"error":{"code":-1,"message":"m"},"id":7,"jsonrpc":"2.0"}"#,
        ),
    ];
    for (received, forwarded) in cases {
        assert_eq!(encoded(&parse(received).expect(received)), forwarded);
    }
}

#[test]
fn row_85c_ids_are_kept_to_the_digit() {
    for id in [
        "0",
        "-1",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        r#""""#,
        r#""é""#,
    ] {
        let message = parse(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert!(encoded(&message.expect(id)).contains(&format!(r#""id":{id},"#)), "{id}");
    }
    let long = format!("\"{}\"", "x".repeat(257));
    for id in ["null", "true", "1.0", "-0", "1e3", "18446744073709551616", "[1]", "{}", &long] {
        let error = parse(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(error.expect_err(id).reason(), "mcp-message", "{id}");
    }
}

/// Checks that each text is refused for its reason, with the status and code that go with it.
fn check_refused(cases: &[(&str, &str)]) {
    for (text, reason) in cases {
        let error = parse(text).expect_err(text);
        let expected = match *reason {
            "mcp-json" => (400, -32700),
            "mcp-limit" => (413, -32700),
            "mcp-params" => (400, -32602),
            _ => (400, -32600),
        };
        assert_eq!(error.reason(), *reason, "{error}: {:.80}", text.escape_debug());
        assert_eq!((error.status().as_u16(), error.code()), expected, "{error}");
    }
}

#[test]
fn rows_85_85a_members_that_another_parser_reads_differently() {
    check_refused(&[
        (r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"a","\u006dethod":"b"}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"a":{"k":1,"k":1}}}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"ping","Method":"tools/call"}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","METHOD":"tools/call"}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","method":"m","para\u006d\u017f":{}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"Name":"x"}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"a":[{"k":1,"K":2}]}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"k":1,"\u212a":2}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"name\u0000":1}}"#, "mcp-member-name"),
        (
            r#"{"jsonrpc":"2.0","method":"m","params":{"_meta":{"ProgressToken":1}}}"#,
            "mcp-member-name",
        ),
        (r#"{"jsonrpc":"2.0","method\u0000":"ping"}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","method":"m","extra":1}"#, "mcp-message"),
    ]);
}

#[test]
fn rows_86_87_88_encodings_batches_and_sizes() {
    let nested = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let deep = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"a":{nested}}}}}"#);
    let large = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(4 << 20));
    check_refused(&[
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"\ud800"}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"m"}{}"#, "mcp-json"),
        ("{\0\"", "mcp-json"),
        (r#"[{"jsonrpc":"2.0","method":"m"}]"#, "mcp-batch"),
        (" \n[]", "mcp-batch"),
        (&deep, "mcp-json"),
        (&large, "mcp-limit"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"a":1e999}}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"a":NaN}}"#, "mcp-json"),
    ]);
    let utf_16 = parse_client_message(b"\xff\xfe{\0", &plain());
    assert_eq!(utf_16.expect_err("UTF-16").reason(), "mcp-json");
}

#[test]
fn shapes_that_are_no_message() {
    check_refused(&[
        ("", "mcp-json"),
        ("null", "mcp-message"),
        ("\"x\"", "mcp-message"),
        ("{}", "mcp-message"),
        (r#"{"method":"m"}"#, "mcp-message"),
        (r#"{"jsonrpc":"1.0","method":"m"}"#, "mcp-message"),
        (r#"{"jsonrpc":2.0,"method":"m"}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0"}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"params":{}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":["m"]}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, "mcp-params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, "mcp-params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":1}}"#, "mcp-params"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "mcp-message"),
    ]);
}

fn call(params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

#[test]
fn tool_calls() {
    let text = call(&json!({"name": "get_file", "arguments": {"path": "a"}, "requestState": "s"}));
    let message = parse(&text).expect("a call");
    let found = message.tool_call().expect("a call");
    assert_eq!((found.name, found.request_state), ("get_file", Some("s")));
    assert_eq!(found.arguments.map(|arguments| json!(arguments)), Some(json!({"path": "a"})));
    let bare = parse(&call(&json!({"name": "x"}))).expect("a call");
    assert_eq!(bare.tool_call().expect("a call").arguments, None);
    let other = parse(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}"#);
    assert_eq!(other.expect("a request").tool_call(), None);
}

#[test]
fn row_89_tool_names_and_shapes_of_calls() {
    let long = "a".repeat(129);
    let names = [
        "",
        "get file",
        "get_file ",
        "get_file\u{200b}",
        "g\u{435}t",
        "get/file",
        "a\n",
        "\u{ff41}",
        &long,
    ];
    for name in names {
        let error = parse(&call(&json!({"name": name}))).expect_err(name);
        assert_eq!(
            (error.reason(), error.id),
            ("mcp-tool-name", Some(RequestId::Integer(1.into()))),
            "{name:?}"
        );
    }
    for name in ["a", "A.b_c-9", &"a".repeat(128)] {
        assert!(parse(&call(&json!({"name": name}))).is_ok(), "{name}");
    }
    let cases = [
        (call(&json!({})), "mcp-tool-name"),
        (call(&json!({"name": 1})), "mcp-tool-name"),
        (call(&json!({"name": ["x"]})), "mcp-tool-name"),
        (call(&json!({"name": "x", "arguments": null})), "mcp-params"),
        (call(&json!({"name": "x", "arguments": "{}"})), "mcp-params"),
        (call(&json!({"name": "x", "arguments": []})), "mcp-params"),
        (call(&json!({"name": "x", "requestState": {}})), "mcp-params"),
        (call(&json!({"name": "x", "ARGUMENTS": {}})), "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_owned(), "mcp-tool-name"),
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#.to_owned(),
            "mcp-message",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read"}"#.to_owned(), "mcp-params"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":1}}"#.to_owned(),
            "mcp-params",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{}}"#.to_owned(), "mcp-params"),
    ];
    for (text, reason) in cases {
        assert_eq!(parse(&text).expect_err(&text).reason(), reason, "{text}");
    }
}

/// A stateless request with that version in its body.
fn stateless(method: &str, version: Option<&str>, params: &Value) -> String {
    let mut params = params.clone();
    if let Some(version) = version {
        params["_meta"] = json!({META_VERSION: version});
    }
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

#[test]
fn revisions() {
    let new = Some("2026-07-28");
    let list = |version| stateless("tools/list", version, &json!({}));
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#.to_owned();
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned();
    let initialize = |version: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
        )
    };
    // body, header, revision or code
    let cases: &[(String, Option<&str>, Result<Revision, i64>)] = &[
        (list(None), None, Ok(Revision::V2025_03_26)),
        (list(None), Some("2025-03-26"), Ok(Revision::V2025_03_26)),
        (list(None), Some("2025-06-18"), Ok(Revision::V2025_06_18)),
        (list(None), Some("2025-11-25"), Ok(Revision::V2025_11_25)),
        (list(new), new, Ok(Revision::V2026_07_28)),
        (list(None), new, Err(-32602)),
        (list(new), None, Err(-32020)),
        (list(new), Some("2025-11-25"), Err(-32020)),
        (list(Some("2025-11-25")), new, Err(-32020)),
        (list(Some("2099-01-01")), Some("2099-01-01"), Err(-32022)),
        (list(None), Some("2024-11-05"), Err(-32022)),
        (initialize("2024-11-05"), None, Err(-32022)),
        (initialize("2025-06-18"), None, Ok(Revision::V2025_03_26)),
        (initialize("2099-01-01"), None, Ok(Revision::V2025_03_26)),
        (list(None), Some("2026-07-28 "), Err(-32022)),
        (list(None), Some(""), Err(-32022)),
        (notification.clone(), new, Ok(Revision::V2026_07_28)),
        (notification, None, Ok(Revision::V2025_03_26)),
        (response.clone(), Some("2025-11-25"), Ok(Revision::V2025_11_25)),
        (response, new, Err(-32600)),
    ];
    for (body, header, expected) in cases {
        let method = body.contains("tools/list").then(|| "tools/list".to_owned());
        let headers = McpHeaders {
            protocol_version: header.map(str::to_owned),
            method,
            ..McpHeaders::default()
        };
        let found = parse_client_message(body.as_bytes(), &headers);
        let found = found.map(|message| message.revision).map_err(|error| error.code());
        assert_eq!(found, *expected, "{header:?} {body}");
    }
    let meta = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}"#;
    assert_eq!(parse(meta).expect_err("a number").code(), -32602);
}

#[test]
fn an_unknown_revision_is_answered_with_the_known_ones() {
    let headers =
        McpHeaders { protocol_version: Some("1900-01-01".to_owned()), ..McpHeaders::default() };
    let body = br#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#;
    let error = parse_client_message(body, &headers).expect_err("unknown");
    let reply: Value = serde_json::from_slice(&error.encode()).expect("JSON");
    assert_eq!((error.status().as_u16(), &reply["id"]), (400, &json!("a")));
    assert_eq!(reply["error"]["data"]["requested"], "1900-01-01");
    assert_eq!(reply["error"]["data"]["supported"].as_array().map(Vec::len), Some(4));
}

#[test]
fn row_84_headers_agree_with_the_body() {
    let new = Some("2026-07-28");
    let call = stateless("tools/call", new, &json!({"name": "b", "arguments": {}}));
    let list = stateless("tools/list", new, &json!({}));
    let read = stateless("resources/read", new, &json!({"uri": "file:///a"}));
    let task = stateless("tasks/get", new, &json!({"taskId": "t"}));
    // body, method header, name header, accepted
    let cases: &[(&str, Option<&str>, Option<&str>, bool)] = &[
        (&call, Some("tools/call"), Some("b"), true),
        (&call, Some("tools/call"), Some("a"), false),
        (&call, Some("tools/call"), Some("B"), false),
        (&call, Some("tools/call"), None, false),
        (&call, Some("tools/list"), Some("b"), false),
        (&call, Some("Tools/Call"), Some("b"), false),
        (&call, None, Some("b"), false),
        (&list, Some("tools/list"), None, true),
        (&list, Some("tools/list"), Some("ignored"), true),
        (&list, Some("prompts/list"), None, false),
        (&read, Some("resources/read"), Some("file:///a"), true),
        (&read, Some("resources/read"), Some("file:///b"), false),
        (&task, Some("tasks/get"), None, true),
        (&task, Some("tasks/get"), Some("t"), true),
        (&task, Some("tasks/get"), Some("u"), false),
    ];
    for (body, method, name, accepted) in cases {
        let mut headers = mirrored("", *name);
        headers.method = method.map(str::to_owned);
        let found = parse_client_message(body.as_bytes(), &headers);
        let code = found.as_ref().err().map(McpError::code);
        assert_eq!(code, if *accepted { None } else { Some(-32020) }, "{method:?} {name:?} {body}");
    }
    let old = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b"}}"#;
    for (method, name) in [(Some("tools/list"), None), (None, Some("a"))] {
        let headers = McpHeaders {
            method: method.map(str::to_owned),
            name: name.map(str::to_owned),
            ..McpHeaders::default()
        };
        let error = parse_client_message(old.as_bytes(), &headers).expect_err("a mismatch");
        assert_eq!(error.code(), -32020, "mirrors of an older revision mislead just as much");
    }
}

#[test]
fn forwarded_headers_come_from_the_body() {
    let show = |message: &ClientMessage| -> Vec<String> {
        let headers = message.headers();
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect()
    };
    let new = Some("2026-07-28");
    let uri = "file:///caf\u{e9}";
    let body = stateless("resources/read", new, &json!({"uri": uri}));
    let message = parse_client_message(body.as_bytes(), &mirrored("resources/read", Some(uri)));
    let expected = [
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: resources/read",
        "mcp-name: =?base64?ZmlsZTovLy9jYWbDqQ==?=",
    ];
    assert_eq!(show(&message.expect("a request")), expected);
    let body = stateless("tools/list", new, &json!({}));
    let message = parse_client_message(body.as_bytes(), &mirrored("tools/list", Some("forged")));
    assert_eq!(show(&message.expect("a request")), expected_list());
    assert_eq!(
        show(&parse(&call(&json!({"name": "x"}))).expect("a call")),
        ["mcp-protocol-version: 2025-11-25"]
    );
    let unnamed =
        parse_client_message(br#"{"jsonrpc":"2.0","method":"x"}"#, &McpHeaders::default());
    assert!(show(&unnamed.expect("a notification")).is_empty());
}

fn expected_list() -> [&'static str; 2] {
    ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/list"]
}

#[test]
fn row_118_errors_hold_hostile_names_escaped_and_short() {
    let name = format!("\u{1b}[31m\n{}", "x".repeat(4096));
    let text = json!({"jsonrpc": "2.0", "id": 1, "method": "m", name: 1}).to_string();
    let error = parse(&text).expect_err("an unknown member");
    let shown = error.to_string();
    assert!(!shown.contains(['\u{1b}', '\n']) && shown.len() < 200, "{shown}");
}

proptest! {
    /// Target D3: the forwarded form reads as what was judged, and encoding it again changes nothing.
    #[test]
    fn forwarding_is_stable(
        name in "[a-zA-Z_.-]{1,10}",
        text in "\\PC{0,10}",
        number in any::<f64>(),
        integer in any::<i64>(),
    ) {
        let arguments = json!({"t": text, "n": number, "i": integer, "o": {"l": [text, null, true]}});
        let message = parse(&call(&json!({"name": name, "arguments": arguments}))).expect("a call");
        let again = parse(&encoded(&message)).expect("the forwarded form is valid");
        prop_assert_eq!(&again, &message);
        prop_assert_eq!(encoded(&again), encoded(&message));
    }

    #[test]
    fn any_text(text in "[\\[\\]{}:,\"a-z0-9.e\\\\ -]{0,60}") {
        drop(parse(&text));
        drop(parse(&format!(r#"{{"jsonrpc":"2.0","method":"m","params":{{"a":{text}}}}}"#)));
    }
}
