//! The agent's side of the tool gate: which messages pass, which are refused with which reason, and what reaches the server.

use serde_json::{Value, json};

use super::support::{Raw, Reply, Request, Setup, Sidecar, Upstream};

/// Two servers at one address, each with an allowlist of its own; `credential` goes into the first upstream.
pub(crate) fn policy(port: u16, credential: &str) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  upstreams:
  - {{name: files-up, url: "http://127.0.0.1:{port}/mcp"{credential}}}
  - {{name: other-up, url: "http://127.0.0.1:{port}/other"}}
  tools:
    servers:
    - name: files
      upstream: files-up
      allow:
      - tool: read
        arguments:
          closed: true
          rules: [{{path: $.path, glob: "src/**", pathSafe: true}}]
      - tool: echo
      deny: [delete]
    - name: other
      upstream: other-up
      allow: [{{tool: echo}}]
"#
    )
}

/// A reply with this body.
pub(crate) fn http(content_type: &str, more: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A result as the whole reply.
pub(crate) fn result(request: &Request, result: &Value) -> Vec<u8> {
    let message = json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": result});
    http("application/json", "", message.to_string())
}

/// Answers every call with its arguments.
pub(crate) fn echo(request: &Request) -> Vec<u8> {
    let text = request.json()["params"]["arguments"].to_string();
    result(request, &json!({"content": [{"type": "text", "text": text}]}))
}

pub(crate) async fn sidecar(upstream: &Upstream) -> Sidecar {
    Setup::new(&policy(upstream.port(), "")).await.audited().start().await
}

/// A POST with more header lines.
pub(crate) fn post_with(server: &str, more: &str, message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    let head = format!(
        "POST /mcp/{server} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{more}Content-Length: {}\r\n\r\n",
        message.len()
    );
    [head.as_bytes(), message].concat()
}

pub(crate) fn call(tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
}

pub(crate) async fn ask(sidecar: &Sidecar, server: &str, message: impl AsRef<[u8]>) -> Reply {
    Raw::connect(sidecar.gateway()).await.ask(post_with(server, "", message)).await
}

/// Reason, rule and path of a denied call.
fn denial(reply: &Reply) -> String {
    let body = reply.json();
    assert_eq!(
        (reply.status, &body["id"], &body["result"]["isError"]),
        (200, &json!(7), &json!(true)),
        "{body}"
    );
    let told = &body["result"]["_meta"]["pinfold.dev/denial"];
    format!(
        "{} {}",
        told["reason"].as_str().expect("a reason"),
        told["rule"].as_str().expect("a rule")
    )
}

#[tokio::test]
async fn rows_30_83_89_94_to_97_103_denied_calls_reach_nobody_and_say_why() {
    let upstream = Upstream::answering(echo).await;
    let sidecar = sidecar(&upstream).await;
    let rule = "argument spec.tools.servers[0].allow[0].arguments.rules[0]";
    let closed = "argument spec.tools.servers[0].allow[0].arguments";
    let cases = [
        ("files", call("read", &json!({"path": "../secrets"})), rule),
        ("files", call("read", &json!({"path": "/etc/passwd"})), rule),
        ("files", call("read", &json!({"path": "src/%2e%2e/x"})), rule),
        ("files", call("read", &json!({"path": "srcx/a"})), rule),
        ("files", call("read", &json!({"path": ["src/a"]})), rule),
        ("files", call("read", &json!({})), rule),
        ("files", call("read", &json!({"path": "src/a", "mode": "w"})), closed),
        ("files", call("delete", &json!({})), "tool spec.tools.servers[0].deny"),
        ("files", call("hidden", &json!({})), "tool spec.tools.servers[0].allow"),
        ("files", call("Echo", &json!({})), "tool spec.tools.servers[0].allow"),
        ("other", call("read", &json!({"path": "src/a"})), "tool spec.tools.servers[1].allow"),
        ("nowhere", call("echo", &json!({})), "server spec.tools.servers"),
        (
            "files",
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "echo", "requestState": "s"}}).to_string(),
            "rpc-method spec.tools.servers[0].allow[1]",
        ),
    ];
    for (server, message, expected) in &cases {
        assert_eq!(denial(&ask(&sidecar, server, message).await), *expected, "{message}");
    }
    assert_eq!(upstream.connections(), 0);
    let series =
        r#"pinfold_tool_calls_total{decision="deny",reason="argument",server="files",tool="read"}"#;
    assert_eq!(sidecar.metric(series).await, 7.0);
    let series =
        r#"pinfold_tool_calls_total{decision="deny",reason="server",server="other",tool="other"}"#;
    assert_eq!(sidecar.metric(series).await, 1.0, "invented names are one series");
    let records = sidecar.verified_records().await;
    assert_eq!(records.len(), cases.len());
    let text = serde_json::to_string(&records).expect("JSON");
    assert!(!text.contains("secrets") && !text.contains("passwd"), "no argument values");
    assert_eq!(records[0]["event"], "tool-call");
    assert_eq!((&records[0]["server"], &records[0]["tool"]), (&json!("files"), &json!("read")));
    assert!(
        records[0]["arguments_digest"].as_str().is_some_and(|text| text.starts_with("sha256:"))
    );
}

#[tokio::test]
async fn rows_84_to_88_114_messages_that_can_be_read_in_two_ways_are_refused() {
    let upstream = Upstream::answering(echo).await;
    let sidecar = sidecar(&upstream).await;
    let good = call("echo", &json!({}));
    let modern = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"a":{}{}}}}}}}"#,
        "[".repeat(90),
        "]".repeat(90)
    );
    let tool = |name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{meta},"name":"{name}"}}}}"#
        )
    };
    let cases: Vec<(u16, &str, Vec<u8>)> = vec![
        // Row 84: header and body.
        (400, modern, tool("read").into_bytes()),
        (400, "MCP-Protocol-Version: 2026-07-28\r\n", tool("echo").into_bytes()),
        (400, "MCP-Protocol-Version: 2025-06-18\r\n", tool("echo").into_bytes()),
        (400, "MCP-Protocol-Version: 1999-01-01\r\n", good.clone().into_bytes()),
        (400, "Mcp-Method: tools/list\r\n", good.clone().into_bytes()),
        // Row 85.
        (400, "", good.replacen("\"method\"", "\"method\":\"ping\",\"method\"", 1).into_bytes()),
        (400, "", good.replacen("\"name\"", "\"name\":\"delete\",\"name\"", 1).into_bytes()),
        (400, "", good.replacen("{}", r#"{"a":{"b":1,"b":2}}"#, 1).into_bytes()),
        (400, "", good.replacen("\"method\"", "\"Method\":\"ping\",\"method\"", 1).into_bytes()),
        (400, "", good.replacen("\"name\"", "\"NAME\":\"delete\",\"name\"", 1).into_bytes()),
        (400, "", good.replacen("\"arguments\"", "\"Arguments\":{},\"arguments\"", 1).into_bytes()),
        // Row 86.
        (
            400,
            "",
            good.replacen("\"method\"", "\"method\":\"ping\",\"\\u006dethod\"", 1).into_bytes(),
        ),
        (400, "", [b"\xef\xbb\xbf".as_slice(), good.as_bytes()].concat()),
        (400, "", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        (400, "", good.replacen("{}", r#"{"a":"\ud800"}"#, 1).into_bytes()),
        (400, "", [&good.as_bytes()[..good.len() - 1], b"\xff}"].concat()),
        // Row 87.
        (400, "", format!("[{good}]").into_bytes()),
        (400, "", b"[]".to_vec()),
        // Row 88.
        (400, "", deep.into_bytes()),
        (400, "", good.replacen("{}", r#"{"a":1e999}"#, 1).into_bytes()),
        (400, "", good.replacen(":7", ":7.0", 1).into_bytes()),
        (400, "", good.replacen(":7", ":null", 1).into_bytes()),
        (400, "", b"{}".to_vec()),
        (400, "", b"null".to_vec()),
        (400, "", Vec::new()),
        (400, "", call("e c", &json!({})).into_bytes()),
        (400, "", call("ech\u{43e}", &json!({})).into_bytes()),
        // Row 85b.
        (400, "Mcp-Name: a\r\nMcp-Name: a\r\n", good.clone().into_bytes()),
    ];
    for (status, more, message) in &cases {
        let mut agent = Raw::connect(sidecar.gateway()).await;
        let reply = agent.ask(post_with("files", more, message)).await;
        let shown = message.escape_ascii().to_string().chars().take(200).collect::<String>();
        assert_eq!(reply.status, *status, "{more} {shown}");
        assert_eq!(reply.json()["jsonrpc"], "2.0", "{shown}");
        assert!(reply.json()["error"]["code"].is_i64(), "{shown}");
    }
    let count = f64::from(u32::try_from(cases.len()).expect("a number"));
    let series =
        r#"pinfold_tool_calls_total{decision="deny",reason="malformed",server="files",tool=""}"#;
    assert_eq!(sidecar.metric(series).await, count);
    // Rows 85b and 116: other content types and encodings; row 88: ten megabytes.
    let post = |more: &str| {
        format!("POST /mcp/files HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{more}\r\n")
    };
    let cases = [
        (415, post("Content-Type: text/plain\r\nContent-Length: 2\r\n")),
        (415, post("Content-Length: 2\r\n")),
        (415, post("Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n")),
        (406, "POST /mcp/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/html\r\nContent-Length: 2\r\n\r\n".to_owned()),
        (413, post("Content-Type: application/json\r\nContent-Length: 10000000\r\n")),
        (400, post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") + "x\r\n"),
    ];
    for (status, request) in cases {
        assert_eq!(
            Raw::connect(sidecar.gateway()).await.ask(&request).await.status,
            status,
            "{request}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn row_114_methods_without_rules_are_refused() {
    let upstream = Upstream::answering(|request| result(request, &json!({}))).await;
    let sidecar = sidecar(&upstream).await;
    for method in [
        "resources/read",
        "resources/list",
        "prompts/list",
        "completion/complete",
        "logging/setLevel",
        "tasks/list",
        "Tools/list",
        "made/up",
    ] {
        let params = json!({"uri": "file:///x", "name": "x"});
        let message = json!({"jsonrpc": "2.0", "id": "i", "method": method, "params": params});
        let reply = ask(&sidecar, "files", message.to_string()).await;
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["id"], &body["error"]["code"]),
            (200, &json!("i"), &json!(-31403)),
            "{method}"
        );
        assert_eq!(body["error"]["data"]["pinfold.dev/denial"]["reason"], "rpc-method");
    }
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/made_up"});
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    for message in [notification, response] {
        assert_eq!(ask(&sidecar, "files", message.to_string()).await.status, 403, "{message}");
    }
    assert_eq!(upstream.connections(), 0);
    for method in ["initialize", "ping", "tools/list", "server/discover"] {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method});
        let reply = ask(&sidecar, "files", message.to_string()).await;
        assert_eq!(reply.json()["result"], json!({}), "{method}");
    }
}

#[tokio::test]
async fn notifications_pass_and_get_202() {
    let upstream =
        Upstream::answering(|_| b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec())
            .await;
    let sidecar = sidecar(&upstream).await;
    let message = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let reply = ask(&sidecar, "files", message.to_string()).await;
    assert_eq!((reply.status, reply.body.len()), (202, 0));
    assert_eq!(upstream.last().json(), message);
}

#[tokio::test]
async fn rows_85c_102_what_is_forwarded_is_written_anew() {
    let upstream = Upstream::answering(echo).await;
    let sidecar = sidecar(&upstream).await;
    let message = "{ \"method\" : \"tools\\/call\",\r\n\"params\":{\"arguments\":{\"n\":12345678901234567890,\"f\":-0.5,\"t\":\"\\u00e9\"},\"name\":\"echo\"},\"id\":\"\\u0061\",\"jsonrpc\":\"2.0\"}";
    let more = "Authorization: Bearer agent\r\nCookie: a=b\r\nX-Forwarded-Host: evil\r\nX-Anything: 1\r\nOrigin: http://localhost:3000\r\n\
        Mcp-Session-Routing: evil\r\nMcp-Param-X: evil\r\nUser-Agent: agent\r\n";
    let mut agent = Raw::connect(sidecar.gateway()).await;
    let reply = agent.ask(post_with("files", more, message)).await;
    assert_eq!(reply.json()["id"], "a");
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/mcp"));
    assert_eq!(
        String::from_utf8(seen.body.clone()).expect("text"),
        "{\"id\":\"a\",\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"arguments\":{\"f\":-0.5,\"n\":12345678901234567890,\"t\":\"\u{e9}\"},\"name\":\"echo\"}}"
    );
    let mut names: Vec<&str> = seen.headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"]
    );
    assert_eq!(seen.headers["host"], format!("127.0.0.1:{}", upstream.port()));
    assert_eq!(seen.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_stateless_call_gets_its_headers_from_the_body() {
    let annotated = json!({"tools": [
        {"name": "echo", "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}},
        {"name": "read", "inputSchema": {"type": "object", "properties": {"a": {"type": "object", "x-mcp-header": "A"}}}},
    ], "cacheScope": "public", "ttlMs": 5, "resultType": "complete"});
    let upstream = Upstream::answering(move |request| match request.json()["method"].as_str() {
        Some("tools/list") => result(request, &annotated),
        _ => echo(request),
    })
    .await;
    let sidecar = sidecar(&upstream).await;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let stateless = |method: &str, params: Value| {
        let mut params = params;
        params["_meta"] = meta.clone();
        json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
    };
    let version = "MCP-Protocol-Version: 2026-07-28\r\n";
    let list = post_with(
        "files",
        &format!("{version}Mcp-Method: tools/list\r\n"),
        stateless("tools/list", json!({})),
    );
    let mut agent = Raw::connect(sidecar.gateway()).await;
    let listed = agent.ask(list).await.json();
    assert_eq!(
        listed["result"]["tools"].as_array().map(Vec::len),
        Some(1),
        "an invalid annotation hides its tool: {listed}"
    );
    assert_eq!(listed["result"]["cacheScope"], "private");
    let params = json!({"name": "echo", "arguments": {"region": "eu"}});
    let more = format!(
        "{version}Mcp-Method: tools/call\r\nMcp-Name: echo\r\nMcp-Param-Region: us\r\nMcp-Session-Id: x\r\n"
    );
    let reply = agent.ask(post_with("files", &more, stateless("tools/call", params))).await;
    assert_eq!(reply.status, 200);
    let seen = upstream.last();
    for (name, value) in [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("mcp-param-region", "eu"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
    assert!(!seen.headers.contains_key("mcp-session-id"));
    assert_eq!(upstream.connections(), 1, "a connection is used again");
}

#[tokio::test]
async fn row_113_only_this_machine_may_ask() {
    let upstream = Upstream::answering(echo).await;
    let sidecar = sidecar(&upstream).await;
    let cases = [
        ("Host: localhost", 200),
        ("Host: LOCALHOST:15080", 200),
        ("Host: 127.0.0.1:80", 200),
        ("Host: [::1]", 200),
        ("Host: localhost\r\nOrigin: http://localhost:3000", 200),
        ("Host: localhost\r\nOrigin: https://127.0.0.1", 200),
        ("Host: evil.example", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: 10.0.0.1", 403),
        ("Host: localhost\r\nOrigin: http://evil.example", 403),
        ("Host: localhost\r\nOrigin: null", 403),
        ("Host: localhost\r\nOrigin: http://localhost.evil.example", 403),
        ("Host: localhost\r\nOrigin: http://localhost@evil.example", 403),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example", 403),
    ];
    for (lines, status) in cases {
        let request =
            String::from_utf8(post_with("files", "", call("echo", &json!({})))).expect("text");
        let request = request.replacen("Host: localhost", lines, 1);
        let reply = Raw::connect(sidecar.gateway()).await.ask(request).await;
        assert_eq!(reply.status, status, "{lines}");
        if status == 403 {
            assert_eq!(reply.reason(), "name");
        }
    }
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn paths_and_methods_of_the_gateway() {
    let upstream = Upstream::answering(echo).await;
    let sidecar = sidecar(&upstream).await;
    let cases = [
        ("GET /", 404),
        ("GET /mcp", 404),
        ("GET /mcp/", 404),
        ("GET /mcp/files/x", 404),
        ("GET /mcp/files%2Fx", 400),
        ("GET /upstreams/", 404),
        ("GET /upstreams/none/x", 403),
        ("GET http://localhost/mcp/files", 400),
        ("CONNECT localhost:443", 400),
        ("PUT /mcp/files", 405),
        ("TRACE /mcp/files", 405),
        ("GET /mcp/nowhere", 403),
        ("DELETE /mcp/files", 400),
    ];
    for (line, status) in cases {
        let host = if line.starts_with("CONNECT") { "localhost:443" } else { "localhost" };
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let reply = Raw::connect(sidecar.gateway()).await.ask(request).await;
        assert_eq!(reply.status, status, "{line}");
        assert!(!reply.reason().is_empty());
    }
    for method in ["GET", "DELETE"] {
        let request = format!(
            "{method} /mcp/files HTTP/1.1\r\nHost: localhost\r\nMCP-Protocol-Version: 2026-07-28\r\n\r\n"
        );
        assert_eq!(Raw::connect(sidecar.gateway()).await.ask(request).await.status, 405);
    }
    assert_eq!(upstream.connections(), 0);
}
