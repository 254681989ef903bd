//! The server's side of the tool gate: lists, results and events as the agent sees them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::mcp::{ask, call, http, policy, post_with, result, sidecar};
use super::support::{Raw, Request, Setup, Upstream};

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "d", "inputSchema": {"type": "object"}})
}

fn list(cursor: Option<&str>) -> String {
    let params = cursor.map_or(json!({}), |cursor| json!({"cursor": cursor}));
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": params}).to_string()
}

fn names(message: &Value) -> Vec<String> {
    let tools = message["result"]["tools"].as_array().expect("tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

fn sse(events: &str) -> Vec<u8> {
    http("text/event-stream", "", events)
}

/// The messages of an event stream.
fn messages(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).expect("text");
    let data = text.split("\n\n").filter_map(|event| {
        let lines: Vec<&str> =
            event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    });
    data.map(|data| serde_json::from_str(&data).expect("JSON")).collect()
}

#[tokio::test]
async fn rows_90_106_lists_show_what_policy_allows_on_every_page() {
    let upstream = Upstream::answering(|request| match request.json()["params"]["cursor"].as_str() {
        None => result(request, &json!({"tools": [tool("read"), tool("delete"), tool("hidden")], "nextCursor": "2"})),
        Some("2") => result(request, &json!({"tools": [tool("hidden")], "nextCursor": "3"})),
        Some("3") => result(request, &json!({"tools": [tool("echo"), tool("echo"), tool("re\u{430}d"), {"name": "read"}]})),
        Some(_) => result(request, &json!({"tools": {"read": {}}})),
    })
    .await;
    let sidecar = sidecar(&upstream).await;
    let page = ask(&sidecar, "files", list(None)).await.json();
    assert_eq!(
        (names(&page), &page["result"]["nextCursor"]),
        (vec!["read".to_owned()], &json!("2"))
    );
    let page = ask(&sidecar, "files", list(Some("2"))).await.json();
    assert_eq!((names(&page), &page["result"]["nextCursor"]), (Vec::new(), &json!("3")));
    let page = ask(&sidecar, "files", list(Some("3"))).await.json();
    assert_eq!(
        names(&page),
        Vec::<String>::new(),
        "twins, confusables and tools without a schema are hidden"
    );
    let page = ask(&sidecar, "files", list(Some("4"))).await;
    assert_eq!(page.json()["error"]["data"]["pinfold.dev/denial"]["reason"], "reply");
    let dropped = |cause: &str| {
        format!(r#"pinfold_tool_reply_drops_total{{cause="{cause}",server="files"}}"#)
    };
    assert_eq!(sidecar.metric(&dropped("tool-policy")).await, 3.0);
    assert_eq!(sidecar.metric(&dropped("tool-collision")).await, 2.0);
    // The same server under another name has another list.
    let page = ask(&sidecar, "other", list(Some("2"))).await.json();
    assert_eq!(names(&page), Vec::<String>::new());
}

#[tokio::test]
async fn row_98a_a_hidden_tool_is_never_visible_over_any_form_of_events() {
    let listed = |id: i64| {
        json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [tool("echo"), tool("hidden")]}})
            .to_string()
    };
    let good = listed(7);
    let (front, back) = good.split_at(good.find(',').expect("a comma"));
    let forms = vec![
        ("LF", format!("data: {good}\n\n")),
        ("CRLF", format!("event: message\r\ndata: {good}\r\n\r\n")),
        ("CR", format!("data:{good}\r\r")),
        ("BOM", format!("\u{feff}data: {good}\n\n")),
        ("two lines", format!("data: {front}\ndata: {back}\n\n")),
        (
            "with others",
            format!(
                ": hidden\n\nhidden: hidden\ndata: {}\n\ndata: [{good}]\n\ndata: not json hidden\n\nid: 5\nretry: 10\ndata: {good}\n\n",
                listed(8)
            ),
        ),
        ("twice", format!("data: {good}\n\ndata: {good}\n\n")),
    ];
    for (name, events) in forms {
        let shared = events.clone();
        let upstream = Upstream::answering(move |_| sse(&shared)).await;
        let sidecar = sidecar(&upstream).await;
        let reply = ask(&sidecar, "files", list(None)).await;
        assert_eq!(reply.headers["content-type"], "text/event-stream", "{name}");
        assert!(!reply.text().contains("hidden"), "{name}: {}", reply.text());
        let messages = messages(&reply.body);
        assert_eq!(messages.len(), 1, "{name}: {messages:?}");
        assert_eq!(
            (names(&messages[0]), &messages[0]["id"]),
            (vec!["echo".to_owned()], &json!(7)),
            "{name}"
        );
    }
    // Without a content type, or with another one, nothing passes.
    for content_type in ["text/plain", "text/html", "application/json+x", ""] {
        let good = good.clone();
        let upstream = Upstream::answering(move |_| http(content_type, "", &good)).await;
        let reply = ask(&sidecar(&upstream).await, "files", list(None)).await;
        assert!(!reply.text().contains("hidden"), "{content_type}");
        assert_eq!(
            reply.json()["error"]["data"]["pinfold.dev/denial"]["reason"],
            "reply",
            "{content_type}"
        );
    }
}

#[tokio::test]
async fn rows_105_115_requests_of_the_server_and_foreign_replies_are_dropped() {
    let events = [
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "elicitation/create", "params": {"url": "https://evil.example"}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "roots/list"}),
        json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {}}),
        json!({"jsonrpc": "2.0", "method": "made/up"}),
        json!({"jsonrpc": "2.0", "id": 99, "result": {"content": []}}),
        json!({"jsonrpc": "2.0", "id": "7", "result": {"content": []}}),
        json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "ok"}]}}),
        json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "again"}]}}),
    ];
    let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let upstream = Upstream::answering(move |_| sse(&text)).await;
    let sidecar = sidecar(&upstream).await;
    let reply = ask(&sidecar, "files", call("echo", &json!({}))).await;
    assert_eq!(messages(&reply.body), [events[0].clone(), events[8].clone()]);
    let dropped = |cause: &str| {
        format!(r#"pinfold_tool_reply_drops_total{{cause="{cause}",server="files"}}"#)
    };
    assert_eq!(sidecar.metric(&dropped("server-request")).await, 3.0);
    assert_eq!(sidecar.metric(&dropped("notification")).await, 2.0);
    assert_eq!(sidecar.metric(&dropped("unknown-id")).await, 3.0);
}

#[tokio::test]
async fn replies_that_cannot_be_passed_on_are_denials_and_nobody_waits() {
    let good = |request: &Request, more: Value| {
        let mut result = json!({"content": []});
        more.as_object()
            .expect("an object")
            .iter()
            .for_each(|(name, value)| result[name] = value.clone());
        json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": result}).to_string()
    };
    let large = "x".repeat(5 * 1024 * 1024);
    let upstream = Upstream::answering(move |request| {
        let json = |body: String| http("application/json", "", body);
        match request.json()["params"]["arguments"]["kind"].as_str().expect("a kind") {
            "input" => json(good(request, json!({"resultType": "input_required", "inputRequests": {}}))),
            "requests" => json(good(request, json!({"inputRequests": {"a": {"method": "sampling/createMessage", "params": {}}}}))),
            "task" => json(good(request, json!({"task": {"taskId": "t"}}))),
            "duplicate" => json(good(request, json!({})).replacen("{\"id\"", "{\"id\":7,\"id\"", 1)),
            "foreign" => json(good(request, json!({})).replacen(":7", ":8", 1)),
            "batch" => json(format!("[{}]", good(request, json!({})))),
            "request" => json(json!({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage"}).to_string()),
            "gzip" => http("application/json", "Content-Encoding: gzip\r\n", good(request, json!({}))),
            "large" => json(good(request, json!({"x": large}))),
            "empty events" => sse(": nothing\n\n"),
            "broken events" => sse("data: {\"jsonrpc\""),
            "large events" => sse(&format!("data: {}\n\n", good(request, json!({"x": large})))),
            "bad event" => sse(&format!("data: {}\n\n", good(request, json!({"resultType": "task"})))),
            "html" => http("text/html", "", "<p>"),
            "redirect" => b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "login" => b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "failure" => b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops".to_vec(),
            other => panic!("{other}"),
        }
    })
    .await;
    let sidecar = sidecar(&upstream).await;
    for kind in [
        "input",
        "requests",
        "task",
        "duplicate",
        "foreign",
        "batch",
        "request",
        "gzip",
        "large",
        "empty events",
        "broken events",
        "large events",
        "bad event",
        "html",
        "redirect",
        "login",
        "failure",
    ] {
        let reply = ask(&sidecar, "files", call("echo", &json!({"kind": kind}))).await;
        assert_eq!(reply.status, 200, "{kind}");
        let body = match kind.contains("event") {
            true => messages(&reply.body).pop().expect("an event"),
            false => reply.json(),
        };
        assert_eq!(
            (&body["id"], &body["result"]["isError"]),
            (&json!(7), &json!(true)),
            "{kind}: {body}"
        );
        assert_eq!(body["result"]["_meta"]["pinfold.dev/denial"]["reason"], "reply", "{kind}");
    }
}

#[tokio::test]
async fn an_error_of_the_server_passes() {
    let upstream = Upstream::answering(|request| {
        let id = if request.json()["params"]["name"] == "echo" { json!(7) } else { Value::Null };
        let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "no"}}).to_string();
        format!("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    })
    .await;
    let sidecar = sidecar(&upstream).await;
    for message in [call("echo", &json!({})), call("read", &json!({"path": "src/a"}))] {
        let reply = ask(&sidecar, "files", message).await;
        assert_eq!((reply.status, reply.json()["error"]["message"].as_str()), (400, Some("no")));
        assert_eq!(reply.json()["id"], 7);
    }
}

#[tokio::test]
async fn capabilities_without_rules_are_not_offered() {
    let upstream = Upstream::answering(|request| {
        result(request, &json!({"capabilities": {"tools": {}, "resources": {}, "prompts": {}, "completions": {}}, "protocolVersion": "2025-11-25"}))
    })
    .await;
    let sidecar = sidecar(&upstream).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    let reply = ask(&sidecar, "files", message.to_string()).await;
    assert_eq!(reply.json()["result"]["capabilities"], json!({"tools": {}}));
}

#[tokio::test]
async fn rows_99_112_the_injected_credential_is_sent_and_never_comes_back() {
    let events = |request: &Request| {
        let token = &request.headers["authorization"]["Bearer ".len()..];
        let id = request.json()["id"].clone();
        let note =
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": token}});
        let data = json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": format!("a{token}b{token}")}],
            "structuredContent": {token: [token, {"k": token}]}, "_meta": {"x": token}}})
        .to_string();
        match request.json()["params"]["arguments"]["kind"].as_str() {
            Some("json") => http("application/json", "", data),
            Some("error") => http("application/json", "", json!({"jsonrpc": "2.0", "id": id, "error": {"code": 1, "message": token, "data": [token]}}).to_string()),
            _ => sse(&format!("id: {token}\ndata: {{}}\n\ndata: {note}\n\ndata: {data}\n\n")),
        }
    };
    let upstream = Upstream::answering(events).await;
    let files = tempfile::tempdir().expect("a directory");
    let token = files.path().join("token");
    std::fs::write(&token, "s3cr\"et-t0ken\n").expect("a file");
    let credential = format!(
        ", credential: {{header: Authorization, format: \"Bearer {{}}\", from: {{file: {}}}}}",
        token.display()
    );
    let sidecar = Setup::new(&policy(upstream.port(), &credential)).await.audited().start().await;
    for kind in ["json", "error", "events"] {
        let mut agent = Raw::connect(sidecar.gateway()).await;
        let more = "Authorization: Bearer agent\r\n";
        let reply = agent.ask(post_with("files", more, call("echo", &json!({"kind": kind})))).await;
        assert_eq!(upstream.last().headers["authorization"], "Bearer s3cr\"et-t0ken");
        let text = reply.text();
        assert!(!text.contains("t0ken") && text.contains("[redacted]"), "{kind}: {text}");
    }
    assert!(sidecar.metric(r#"pinfold_redactions_total{kind="credential"}"#).await >= 10.0);
    // Rotated, it counts at once; unusable, nothing is sent.
    std::fs::write(&token, "n3w").expect("a file");
    ask(&sidecar, "files", call("echo", &json!({"kind": "json"}))).await;
    assert_eq!(upstream.last().headers["authorization"], "Bearer n3w");
    let before = upstream.requests().len();
    std::fs::write(&token, "a\nb").expect("a file");
    let reply = ask(&sidecar, "files", call("echo", &json!({"kind": "json"}))).await;
    assert_eq!(reply.json()["result"]["_meta"]["pinfold.dev/denial"]["reason"], "upstream");
    assert_eq!(upstream.requests().len(), before);
    let records = serde_json::to_string(&sidecar.verified_records().await).expect("JSON");
    assert!(!records.contains("t0ken") && !records.contains("n3w"));
}

#[tokio::test]
async fn an_agent_that_goes_away_ends_the_request_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let sidecar = Setup::new(&policy(port, "")).await.start().await;
    for answered in [false, true] {
        let mut agent = Raw::connect(sidecar.gateway()).await;
        agent.send(post_with("files", "", call("echo", &json!({})))).await;
        let (mut far, _) = listener.accept().await.expect("a connection");
        let mut seen = vec![0; 10];
        far.read_exact(&mut seen).await.expect("the request");
        if answered {
            far.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                .await
                .expect("sent");
            assert_eq!(agent.head().await.status, 200);
        }
        drop(agent);
        far.read_to_end(&mut seen).await.expect("an end");
    }
}

#[tokio::test]
async fn row_111_streams_are_cut_when_the_policy_takes_the_tool_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let sidecar = Setup::new(&policy(port, "")).await.start().await;
    let mut agent = Raw::connect(sidecar.gateway()).await;
    agent.send(post_with("files", "", call("echo", &json!({})))).await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    far.read_exact(&mut [0; 10]).await.expect("the request");
    far.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await
        .expect("sent");
    assert_eq!(agent.head().await.status, 200);
    sidecar.rewrite(&policy(port, "").replacen("deny: [delete]", "deny: [echo]", 1));
    agent.rest().await;
    let reply = ask(&sidecar, "files", call("echo", &json!({}))).await;
    assert_eq!(reply.json()["result"]["_meta"]["pinfold.dev/denial"]["reason"], "tool");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let setup = Setup::new(&policy(port, "")).await;
    let sidecar =
        setup.with(|config| config.limits.reply_max = Duration::from_millis(50)).start().await;
    let reply = ask(&sidecar, "files", call("echo", &json!({}))).await;
    assert_eq!(reply.json()["result"]["_meta"]["pinfold.dev/denial"]["reason"], "upstream");
}
