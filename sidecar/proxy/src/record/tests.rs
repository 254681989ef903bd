//! Row 119 of the attack table: what can't be recorded is not done, whatever it is.

use std::net::SocketAddr;

use pinfold_ledger::{Gate, Ledger, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Config;
use crate::server::start_with;

fn policy(port: u16) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  egress: {{allow: [{{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}]}}
  upstreams: [{{name: up, url: "http://127.0.0.1:{port}"}}]
  tools: {{servers: [{{name: s, upstream: up, allow: [{{tool: echo}}]}}]}}
"#
    )
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("half a close");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    reply
}

fn call(tool: &str) -> String {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
            .to_string();
    format!(
        "POST /mcp/s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{message}",
        message.len()
    )
}

#[tokio::test]
async fn row_119_what_cannot_be_recorded_is_not_done() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = upstream.local_addr().expect("an address").port();
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("policy.yaml");
    std::fs::write(&path, policy(port)).expect("a policy");
    let ledger = Ledger::open(Settings::new(files.path().join("audit"), Gate::Sidecar));
    let ledger = ledger.expect("a ledger");
    ledger.close().expect("closed");
    let running = start_with(Config::on_loopback(vec![path]), Some(ledger)).await;
    let running = running.expect("a sidecar");
    let (proxy, gateway) = (running.addresses.proxy[0], running.addresses.gateway[0]);
    let closes = "Connection: close\r\n\r\n";
    let requests = [
        (proxy, format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n{closes}")),
        (proxy, format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n{closes}")),
        (
            proxy,
            format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{closes}"),
        ),
        (gateway, format!("GET /upstreams/up/x HTTP/1.1\r\nHost: localhost\r\n{closes}")),
        (gateway, format!("GET /upstreams/none/x HTTP/1.1\r\nHost: localhost\r\n{closes}")),
        (gateway, call("echo")),
        (gateway, call("other")),
    ];
    for (address, request) in requests {
        let reply = ask(address, &request).await;
        assert!(reply.contains(r#""reason":"audit""#), "{request}{reply}");
    }
    let nobody =
        std::future::poll_fn(|context| std::task::Poll::Ready(upstream.poll_accept(context)));
    assert!(nobody.await.is_pending(), "nothing was dialled");
}
