//! Cases of messages from a server and of the sidecar's own replies; "row" is a row of the attack table.

use super::super::{
    ClientMethod, DENIED, Denial, Revision, ServerMethod, denial_reply, error_reply, tool_denial,
};
use super::*;

fn parse(text: &str) -> Result<ServerMessage, McpError> {
    parse_server_message(text.as_bytes())
}

fn result(result: &Value) -> ServerMessage {
    parse(&json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()).expect("a result")
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}, "unknown": [1, 2]})
}

#[test]
fn kinds() {
    // text, kind, what is passed on
    let cases = [
        (
            r#"{"id":1,"result":{},"jsonrpc":"2.0"}"#,
            "result",
            r#"{"id":1,"jsonrpc":"2.0","result":{}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"m","data":[1]}}"#,
            "error",
            r#"{"error":{"code":-1,"data":[1],"message":"m"},"id":"a","jsonrpc":"2.0"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#,
            "error",
            r#"{"error":{"code":-1,"message":"m"},"jsonrpc":"2.0"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{"a":1}}"#,
            "request",
            r#"{"id":2,"jsonrpc":"2.0","method":"sampling/createMessage","params":{"a":1}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
            "notification",
            r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
        ),
    ];
    for (text, kind, passed_on) in cases {
        let message = parse(text).expect(text);
        let found = match &message {
            ServerMessage::Result { .. } => "result",
            ServerMessage::Error { .. } => "error",
            ServerMessage::Request { .. } => "request",
            ServerMessage::Notification { .. } => "notification",
        };
        assert_eq!((found, message.encode()), (kind, passed_on.as_bytes().to_vec()), "{text}");
        assert_eq!(message.answers().is_some(), kind == "result" || text.contains(r#""id":"a""#));
    }
}

#[test]
fn rows_85_87_98a_what_is_not_passed_on() {
    let cases = [
        ("", "mcp-json"),
        ("[]", "mcp-batch"),
        ("\u{feff}{}", "mcp-json"),
        (r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}]"#, "mcp-batch"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}"#, "mcp-json"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"Result":{"tools":[]}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"Tools":[]}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"TOOLS":[]}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"tools\u0000":[]}}"#, "mcp-member-name"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"extra":1}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, "mcp-message"),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, "mcp-message"),
        (r#"{"id":1,"result":{}}"#, "mcp-message"),
    ];
    for (text, reason) in cases {
        assert_eq!(parse(text).expect_err(text).reason(), reason, "{text}");
    }
}

#[test]
fn rows_89_90_106_lists_show_only_what_is_allowed() {
    let mut message = result(&json!({
        "tools": [
            tool("b"), tool("denied"), tool("twice"), tool("a"), tool("twice"),
            tool("sp ace"), tool("zero\u{200b}"), tool(""), {"inputSchema": {}}, {"name": "no_schema"},
            {"name": "twin", "Name": "denied", "inputSchema": {}}, "text", null, {"name": 1, "inputSchema": {}},
        ],
        "nextCursor": "page-2",
        "_meta": {"x": 1},
        "resultType": "complete",
    }));
    assert!(message.lists_tools());
    let dropped = message.retain_tools(|name, tool| name != "denied" && tool["unknown"][1] == 2);
    let dropped = dropped.expect("a list");
    let expected = json!({"jsonrpc": "2.0", "id": 1, "result": {
        "tools": [tool("b"), tool("a")],
        "nextCursor": "page-2",
        "_meta": {"x": 1},
        "resultType": "complete",
    }});
    let encoded: Value = serde_json::from_slice(&message.encode()).expect("JSON");
    assert_eq!(encoded, expected);
    let count = |why| dropped.iter().filter(|tool| tool.why == why).count();
    assert_eq!((count(WhyDropped::Policy), count(WhyDropped::Collision)), (1, 2));
    assert_eq!((count(WhyDropped::CaseTwin), count(WhyDropped::Malformed)), (1, 8));
    assert!(dropped.iter().all(|tool| !tool.name.contains('\u{200b}')), "names are escaped");
}

#[test]
fn row_106_an_empty_page_keeps_its_cursor() {
    let mut message = result(&json!({"tools": [tool("a")], "nextCursor": "c"}));
    message.retain_tools(|_, _| false).expect("a list");
    let encoded: Value = serde_json::from_slice(&message.encode()).expect("JSON");
    assert_eq!(encoded["result"], json!({"tools": [], "nextCursor": "c"}));
    let mut odd = result(&json!({"tools": {"a": 1}}));
    assert_eq!(odd.retain_tools(|_, _| true).expect_err("not a list").reason(), "mcp-message");
    let mut other = result(&json!({"content": []}));
    assert_eq!(other.retain_tools(|_, _| false), Ok(Vec::new()));
    assert!(!other.lists_tools());
}

#[test]
fn row_105_requests_inside_results_are_seen() {
    let message = result(&json!({"resultType": "input_required", "inputRequests": {
        "a": {"method": "elicitation/create", "params": {}},
        "b": {"method": "sampling/createMessage"},
    }}));
    assert_eq!(message.result_type(), Some("input_required"));
    let found = message.input_requests().expect("requests");
    let found: Vec<_> = found.iter().map(|request| (request.key, request.method)).collect();
    assert_eq!(found, [("a", "elicitation/create"), ("b", "sampling/createMessage")]);
    let malformed = [
        json!([]),
        json!({"a": 1}),
        json!({"a": {}}),
        json!({"a": {"method": 1}}),
        json!({"a": {"method": "roots/list", "Method": "sampling/createMessage"}}),
    ];
    for requests in malformed {
        let message = result(&json!({"inputRequests": requests}));
        assert_eq!(message.input_requests().expect_err("malformed").reason(), "mcp-message");
    }
    assert_eq!(result(&json!({})).input_requests(), Ok(Vec::new()));
}

#[test]
fn row_83_denials_echo_the_id_and_say_what_would_be_allowed() {
    let denial = Denial {
        rule: "tools.servers[0]",
        reason: "argument",
        message: "`$.path` is \"../x\"",
        remedy: "a path that matches `src/**`",
    };
    let id = RequestId::Text("a\"b".to_owned());
    for (revision, result_type) in
        [(Revision::V2025_11_25, Value::Null), (Revision::V2026_07_28, json!("complete"))]
    {
        let bytes = tool_denial(&id, &denial, revision);
        let reply: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!((&reply["id"], &reply["result"]["isError"]), (&json!("a\"b"), &json!(true)));
        assert_eq!(reply["result"]["resultType"], result_type);
        let text = reply["result"]["content"][0]["text"].as_str().expect("a text");
        for part in [denial.rule, denial.reason, denial.message, denial.remedy] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(reply["result"]["_meta"]["pinfold.dev/denial"]["reason"], "argument");
        assert!(parse_server_message(&bytes).is_ok(), "clients can read it");
    }
    let reply: Value = serde_json::from_slice(&denial_reply(Some(&id), &denial)).expect("JSON");
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!("a\"b"), &json!(DENIED)));
    assert!(!(-32_768..=-32_000).contains(&DENIED), "reserved by JSON-RPC and MCP");
    assert_eq!(
        error_reply(None, 1, "m", None),
        br#"{"error":{"code":1,"message":"m"},"jsonrpc":"2.0"}"#
    );
}

#[test]
fn methods_by_revision() {
    use Revision::{V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28};
    let names = |revision| {
        let client = ClientMethod::ALL.iter().filter(|method| method.is_in(revision));
        let server = ServerMethod::ALL.iter().filter(|method| method.is_in(revision));
        (client.count(), server.count())
    };
    assert_eq!(names(V2025_03_26), (17, 10));
    assert_eq!(names(V2025_06_18), (17, 11));
    assert_eq!(names(V2025_11_25), (22, 17));
    assert_eq!(names(V2026_07_28), (14, 11));
    // Row 114: what isn't in the schemas is unknown.
    for name in
        ["", "Tools/Call", "tools/call ", "tools/delete", "rpc.discover", "resources/subscribe/x"]
    {
        assert_eq!(ClientMethod::named(name), None, "{name}");
    }
    for method in ClientMethod::ALL {
        assert_eq!(ClientMethod::named(method.as_str()), Some(*method));
    }
    for method in ServerMethod::ALL {
        assert_eq!(ServerMethod::named(method.as_str()), Some(*method));
    }
    for revision in Revision::ALL {
        assert_eq!(Revision::named(revision.as_str()), Some(*revision));
    }
}
