//! The tool gate over real sockets: what reaches the MCP server, and what the agent sees of it.

use serde_json::{Value, json};

use super::support::{Raw, Reply, Request, Setup, Sidecar, Upstream};

fn policy(port: u16) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  upstreams:
  - {{name: files-up, url: "http://127.0.0.1:{port}/mcp"}}
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

/// A reply of an MCP server in JSON.
fn json_reply(message: &Value) -> Vec<u8> {
    let body = message.to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "d", "inputSchema": {"type": "object"}})
}

/// Answers like a small MCP server.
fn server(request: &Request) -> Vec<u8> {
    let message = request.json();
    let id = &message["id"];
    let result = match message["method"].as_str().expect("a method") {
        "tools/list" => {
            json!({"tools": [tool("read"), tool("delete"), tool("hidden"), tool("echo")]})
        }
        "tools/call" => {
            json!({"content": [{"type": "text", "text": message["params"]["arguments"].to_string()}]})
        }
        _ => json!({}),
    };
    json_reply(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

async fn sidecar(upstream: &Upstream) -> Sidecar {
    Setup::new(&policy(upstream.port())).await.audited().start().await
}

fn post(server: &str, message: impl ToString) -> String {
    let message = message.to_string();
    let length = message.len();
    format!(
        "POST /mcp/{server} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n{message}"
    )
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

async fn ask(sidecar: &Sidecar, server: &str, message: impl ToString) -> Reply {
    Raw::connect(sidecar.gateway()).await.ask(post(server, message)).await
}

#[tokio::test]
async fn the_slice() {
    let upstream = Upstream::answering(server).await;
    let sidecar = sidecar(&upstream).await;
    let reply = ask(&sidecar, "files", call("read", json!({"path": "src/a"}))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["result"]["content"][0]["text"], r#"{"path":"src/a"}"#);
    let reply = ask(&sidecar, "files", call("read", json!({"path": "../a"}))).await;
    assert_eq!(reply.json()["result"]["isError"], true, "{}", reply.text());
    let list = json!({"jsonrpc": "2.0", "id": "l", "method": "tools/list"});
    let reply = ask(&sidecar, "files", list).await;
    let tools = reply.json()["result"]["tools"].clone();
    let names: Vec<&str> = tools
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["read", "echo"]);
    assert_eq!(upstream.requests().len(), 2);
}
