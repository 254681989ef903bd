//! The outside world of the demonstration: one little HTTP server on loopback that is a package index and an MCP server.
//!
//! It serves what it is asked for, without a check of its own, so that whatever is refused was refused by the sidecar.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::client::fail;
use crate::CliError;

/// Bytes of one request that are read.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Tools of the MCP server.
const TOOLS: [&str; 3] = ["read_file", "write_file", "delete_file"];

/// The running server.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    served: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start() -> Result<Self, CliError> {
        let fail = fail("the outside world");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| fail(&error))?;
        let address = listener.local_addr().map_err(|error| fail(&error))?;
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    answer(request)
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, served, task })
    }

    /// How many requests reached it.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let response = match path.as_str() {
        "/mcp" => mcp(&body),
        _ => Response::new(Full::new(Bytes::from(format!("this is {path}\n")))),
    };
    Ok(response)
}

/// A session-based MCP server (2025-06-18) with three tools.
fn mcp(body: &[u8]) -> Response<Full<Bytes>> {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
    let Some(id) = message.get("id") else {
        let mut accepted = Response::new(Full::default());
        *accepted.status_mut() = hyper::StatusCode::ACCEPTED;
        return accepted;
    };
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "demo-files", "version": "1"},
        }),
        "tools/list" => json!({"tools": TOOLS.map(tool)}),
        "tools/call" => json!({"content": [{"type": "text", "text": "fn main() {}"}]}),
        _ => json!({}),
    };
    let text = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    let response = Response::builder().header("content-type", "application/json");
    let body = Full::new(Bytes::from(text));
    response.body(body).unwrap_or_else(|_| Response::new(Full::default()))
}

fn tool(name: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
    json!({"name": name, "description": format!("The tool {name}"), "inputSchema": schema})
}
