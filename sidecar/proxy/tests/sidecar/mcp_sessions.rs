//! Sessions of the older revisions: an id counts for the server that issued it and nowhere else.

use serde_json::json;

use super::mcp::{call, http, post_with, sidecar};
use super::support::{Raw, Request, Upstream};

/// Issues one session per server, and echoes.
fn server(request: &Request) -> Vec<u8> {
    let name = request.target.trim_start_matches('/').to_owned();
    if request.method == "GET" {
        let event = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let reply = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": []}});
        return http(
            "text/event-stream",
            "",
            format!("id: 1\ndata: \n\nid: 2\ndata: {event}\n\nid: 3\ndata: {reply}\n\n"),
        );
    }
    if request.method == "DELETE" {
        return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    }
    let message = request.json();
    let body =
        json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}).to_string();
    if message["params"]["arguments"]["breaks"] == true {
        return http("text/event-stream", "", "id: 1\ndata: \n\n");
    }
    if message["params"]["arguments"]["expired"] == true {
        let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}}).to_string();
        return format!("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    }
    http("application/json", &format!("Mcp-Session-Id: session-{name}\r\n"), body)
}

fn with_session(server: &str, session: &str, arguments: &serde_json::Value) -> Vec<u8> {
    let more = format!("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n");
    post_with(server, &more, call("echo", arguments))
}

fn initialize(server: &str) -> Vec<u8> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    post_with(server, "", message.to_string())
}

fn bodiless(method: &str, server: &str, more: &str) -> String {
    format!(
        "{method} /mcp/{server} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn row_101_a_session_of_another_server_is_404_without_a_call() {
    let upstream = Upstream::answering(server).await;
    let sidecar = sidecar(&upstream).await;
    let mut agent = Raw::connect(sidecar.gateway()).await;
    let reply = agent.ask(with_session("files", "session-mcp", &json!({}))).await;
    assert_eq!(reply.status, 404, "not issued yet");
    assert_eq!(upstream.connections(), 0);
    let reply = agent.ask(initialize("files")).await;
    assert_eq!(reply.headers["mcp-session-id"], "session-mcp");
    let reply = agent.ask(with_session("files", "session-mcp", &json!({}))).await;
    assert_eq!((reply.status, reply.json()["id"].as_i64()), (200, Some(7)));
    assert_eq!(upstream.last().headers["mcp-session-id"], "session-mcp");
    assert!(!reply.headers.contains_key("mcp-session-id"), "only `initialize` issues one");
    let before = upstream.requests().len();
    for (server, session) in
        [("other", "session-mcp"), ("files", "session-other"), ("files", "session-mc")]
    {
        let reply = agent.ask(with_session(server, session, &json!({}))).await;
        assert_eq!(reply.status, 404, "{server} {session}");
        assert_eq!(reply.json()["id"], 7);
        for method in ["GET", "DELETE"] {
            let request = bodiless(method, server, &format!("Mcp-Session-Id: {session}\r\n"));
            assert_eq!(agent.ask(request).await.status, 404, "{method} {server} {session}");
        }
    }
    assert_eq!(upstream.requests().len(), before);
    let reply = agent.ask(with_session("files", "a\u{e9}", &json!({}))).await;
    assert_eq!((reply.status, reply.headers["connection"].as_str()), (400, "close"));
    let mut agent = Raw::connect(sidecar.gateway()).await;
    let reply = agent.ask(bodiless("DELETE", "files", "Mcp-Session-Id: session-mcp\r\n")).await;
    assert_eq!(reply.status, 204);
    let reply = agent.ask(with_session("files", "session-mcp", &json!({}))).await;
    assert_eq!(reply.status, 404, "ended");
}

#[tokio::test]
async fn an_expired_session_is_told_as_404_and_forgotten() {
    let upstream = Upstream::answering(server).await;
    let sidecar = sidecar(&upstream).await;
    let mut agent = Raw::connect(sidecar.gateway()).await;
    agent.ask(initialize("files")).await;
    let reply = agent.ask(with_session("files", "session-mcp", &json!({"expired": true}))).await;
    assert_eq!(
        (reply.status, reply.json()["error"]["message"].as_str()),
        (404, Some("Session not found"))
    );
    let before = upstream.requests().len();
    assert_eq!(agent.ask(with_session("files", "session-mcp", &json!({}))).await.status, 404);
    assert_eq!(upstream.requests().len(), before);
}

#[tokio::test]
async fn a_resumed_stream_brings_the_reply_that_is_awaited_and_no_other() {
    let upstream = Upstream::answering(server).await;
    let sidecar = sidecar(&upstream).await;
    let mut agent = Raw::connect(sidecar.gateway()).await;
    agent.ask(initialize("files")).await;
    let session = "Mcp-Session-Id: session-mcp\r\n";
    let plain = agent.ask(bodiless("GET", "files", session)).await.text();
    assert!(plain.contains("list_changed") && !plain.contains("result"), "{plain}");
    assert!(plain.starts_with("id: 1\ndata: \n\n"), "ids pass, to resume by: {plain}");
    let resumed = format!("{session}Last-Event-ID: 1\r\n");
    let text = agent.ask(bodiless("GET", "files", &resumed)).await.text();
    assert!(!text.contains("result"), "nothing is awaited: {text}");
    let broken = agent.ask(with_session("files", "session-mcp", &json!({"breaks": true}))).await;
    assert_eq!(broken.text(), "id: 1\ndata: \n\n", "may be resumed, so no error is made up");
    let text = agent.ask(bodiless("GET", "files", &resumed)).await.text();
    assert_eq!(upstream.last().headers["last-event-id"], "1");
    assert!(text.contains("\"result\""), "{text}");
    let text = agent.ask(bodiless("GET", "files", &resumed)).await.text();
    assert!(!text.contains("result"), "once: {text}");
}
