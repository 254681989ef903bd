//! The explicit proxy: absolute-form requests and tunnels.

use super::support::{Raw, Setup, Upstream};

fn policy(port: u16) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  egress:
    allow:
    - {{host: pypi.internal, ports: [{port}], protocol: http, methods: [GET], paths: ["/simple/**"]}}
    - {{host: raw.internal, ports: [{port}], protocol: tcp}}
    - {{host: api.internal, ports: [{port}], protocol: tls}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}
"#
    )
}

#[tokio::test]
async fn the_slice() {
    let upstream = Upstream::saying("hello").await;
    let port = upstream.port();
    let sidecar = Setup::new(&policy(port))
        .await
        .name("pypi.internal", &["127.0.0.1"])
        .name("raw.internal", &["127.0.0.1"])
        .audited()
        .start()
        .await;
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let host = format!("pypi.internal:{port}");
    let reply =
        agent.ask(format!("GET http://{host}/simple/x?q=1 HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(upstream.last().target, "/simple/x?q=1");
    let reply =
        agent.ask(format!("GET http://{host}/admin HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "path"));
    let mut tunnel = Raw::tunnel(sidecar.proxy(), &format!("raw.internal:{port}")).await;
    let reply = tunnel.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(reply.text(), "hello");
    drop(tunnel);
    let mut agent = Raw::connect(sidecar.proxy()).await;
    let reply =
        agent.ask("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n").await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "host"));
    assert!(!sidecar.dns.asked().contains(&"evil.example".to_owned()));
    let series =
        r#"pinfold_egress_connections_total{decision="deny",protocol="connect",reason="host"}"#;
    assert_eq!(sidecar.metric(series).await, 1.0);
    println!("{:#?}", sidecar.records());
    sidecar.running.shutdown().await;
}
