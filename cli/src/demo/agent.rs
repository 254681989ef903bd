//! The sidecar's half: what an agent tries, through the proxy with a real HTTP client and through the tool gate with MCP.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::client::{Answer, fail, send};
use super::row::{ALLOWED, Row};
use crate::CliError;

/// Where the sidecar listens, and the port of the outside world.
pub(crate) struct Sidecar {
    pub(crate) proxy: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) world: u16,
}

/// What is tried through the proxy: title, method, target, reason of the denial or empty. `PORT` is the outside world's.
const ATTEMPTS: &[(&str, &str, &str, &str)] = &[
    ("a package index that is allowed", "GET", "http://localhost:PORT/simple/left-pad", ""),
    ("the same host, another path", "GET", "http://localhost:PORT/admin", "path"),
    ("the path again, written with dots", "GET", "http://localhost:PORT/simple/../admin", "path"),
    ("the same host, a write", "DELETE", "http://localhost:PORT/simple/left-pad", "method"),
    ("a host that nobody listed", "GET", "http://evil.example/", "host"),
    ("the cloud's metadata service", "GET", "http://169.254.169.254/latest/meta-data/", "address"),
    ("a tunnel to a host that nobody listed", "CONNECT", "evil.example:443", "host"),
    ("a tunnel to an allowed host's ssh port", "CONNECT", "api.example.com:22", "port"),
    ("a tunnel to an address as a number", "CONNECT", "2130706433:443", "malformed"),
];

/// Plays everything.
pub(crate) async fn play(sidecar: &Sidecar) -> Result<Vec<Row>, CliError> {
    let mut rows = Vec::new();
    for (title, method, target, reason) in ATTEMPTS {
        let target = target.replace("PORT", &sidecar.world.to_string());
        rows.push(through_proxy(sidecar, title, method, &target, reason).await?);
    }
    rows.extend(through_tool_gate(sidecar).await?);
    Ok(rows)
}

async fn through_proxy(
    sidecar: &Sidecar,
    title: &str,
    method: &str,
    target: &str,
    reason: &str,
) -> Result<Row, CliError> {
    let fail = fail("an attempt");
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let request = Request::builder().method(method).uri(target).header("host", authority);
    let request = request.body(Full::default()).map_err(|error| fail(&error))?;
    let answer = send(sidecar.proxy, request).await?;
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let answered = match json.get("reason").and_then(Value::as_str) {
        Some(reason) => reason.to_owned(),
        None if answer.status.is_success() => ALLOWED.to_owned(),
        None => format!("status {}", answer.status),
    };
    let expected = if reason.is_empty() { ALLOWED } else { reason }.to_owned();
    let title = format!("{title}: {method} {target}");
    Ok(Row { gate: "sidecar", title, expected, answered, why: explain(&json) })
}

fn explain(json: &Value) -> String {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("message") {
        "" => String::new(),
        message => format!("{message}; fix: {}", text("remedy")),
    }
}

async fn through_tool_gate(sidecar: &Sidecar) -> Result<Vec<Row>, CliError> {
    let mut rows = Vec::new();
    let hello = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "demo", "version": "1"},
    });
    let answer = rpc(sidecar, message(1, "initialize", &hello).to_string()).await?;
    let name = answer.pointer("/result/serverInfo/name").and_then(Value::as_str);
    rows.push(tool_row("MCP initialize", ALLOWED, verdict(name.is_some(), &answer), &answer));

    let answer = rpc(sidecar, message(2, "tools/list", &json!({})).to_string()).await?;
    let tools = answer.pointer("/result/tools").and_then(Value::as_array);
    let names: Vec<&str> =
        tools.into_iter().flatten().filter_map(|tool| tool.get("name")?.as_str()).collect();
    let title = "tools/list shows one of the server's three tools";
    rows.push(tool_row(title, "read_file", names.join(","), &Value::Null));

    let calls = [
        ("an allowed call", "read_file", json!({"path": "src/main.rs"}), ALLOWED),
        (
            "a path that climbs out",
            "read_file",
            json!({"path": "src/../../etc/passwd"}),
            "argument",
        ),
        (
            "an argument that no rule names",
            "read_file",
            json!({"path": "src/a", "as": "root"}),
            "argument",
        ),
        ("a tool that isn't listed", "write_file", json!({"path": "src/a"}), "tool"),
        ("a tool that is denied by name", "delete_file", json!({"path": "src/a"}), "tool"),
    ];
    for (id, (title, tool, arguments, expected)) in (3..).zip(calls) {
        let params = json!({"name": tool, "arguments": arguments});
        let answer = rpc(sidecar, message(id, "tools/call", &params).to_string()).await?;
        let title = format!("{title}: {tool} {arguments}");
        rows.push(tool_row(&title, expected, call_verdict(&answer), &answer));
    }
    let twice = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"read_file","name":"delete_file","arguments":{"path":"src/a"}}}"#;
    let answer = rpc(sidecar, twice.to_owned()).await?;
    let refused = verdict(answer.get("error").is_none(), &answer);
    rows.push(tool_row("a call that names its tool twice", "refused", refused, &answer));
    Ok(rows)
}

fn message(id: u32, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn verdict(good: bool, answer: &Value) -> String {
    match (good, answer.get("error")) {
        (true, None) => ALLOWED.to_owned(),
        _ => "refused".to_owned(),
    }
}

/// The reason in a denied call's result, or `allowed`.
fn call_verdict(answer: &Value) -> String {
    let Some(result) = answer.get("result") else { return "refused".to_owned() };
    if result.get("isError").and_then(Value::as_bool) != Some(true) {
        return ALLOWED.to_owned();
    }
    let meta =
        result.get("_meta").into_iter().flat_map(|meta| meta.as_object().into_iter().flatten());
    let reason = meta.map(|(_, value)| value).find_map(|value| value.get("reason")?.as_str());
    reason.unwrap_or("an error without a reason").to_owned()
}

fn tool_row(title: &str, expected: &str, answered: String, answer: &Value) -> Row {
    let text =
        answer.pointer("/result/content/0/text").or_else(|| answer.pointer("/error/message"));
    let why = text.and_then(Value::as_str).filter(|_| answered != ALLOWED).unwrap_or_default();
    Row {
        gate: "tools",
        title: title.to_owned(),
        expected: expected.to_owned(),
        answered,
        why: why.to_owned(),
    }
}

async fn rpc(sidecar: &Sidecar, body: String) -> Result<Value, CliError> {
    let fail = fail("an MCP message");
    let request = Request::post("/mcp/files")
        .header("host", sidecar.gateway.to_string())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| fail(&error))?;
    let Answer { status, body } = send(sidecar.gateway, request).await?;
    serde_json::from_slice(&body)
        .map_err(|error| fail(&format_args!("the answer ({status}) isn't JSON: {error}")))
}
