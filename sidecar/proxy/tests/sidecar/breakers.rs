//! Breakers: what fails is left alone for a while, and nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::budgets::verdict;
use super::mcp::{call, echo, post_with, result};
use super::support::{PATIENCE, Raw, Request, Setup, Sidecar, Upstream};

fn policy(port: u16, breaker: &str, tool: &str) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  upstreams:
  - {{name: up, url: "http://127.0.0.1:{port}/mcp"{breaker}}}
  - {{name: plain, url: "http://127.0.0.1:{port}/mcp"{breaker}}}
  tools:
    servers:
    - {{name: files, upstream: up, allow: [{{tool: bad{tool}}}, {{tool: good}}]}}
"#
    )
}

const TWO: &str = ", breaker: {failures: 2, window: 1m, open: 1h}";
const UPSTREAMS: &str = "breaker spec.upstreams[0].breaker";

async fn ask(sidecar: &Sidecar, tool: &str) -> String {
    let message = post_with("files", "", call(tool, &json!({})));
    verdict(&Raw::connect(sidecar.gateway()).await.ask(message).await)
}

fn is_bad(request: &Request) -> bool {
    !request.body.is_empty() && request.json()["params"]["name"] == "bad"
}

const FAILED: &[u8] = b"HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn row_110_a_tool_that_fails_on_purpose_opens_its_own_breaker_alone() {
    let answer = |request: &Request| {
        if is_bad(request) { FAILED.to_vec() } else { echo(request) }
    };
    let upstream = Upstream::answering(answer).await;
    // The limit of the upstream counts for each of its tools by itself; a tool's own goes before it.
    let own = "breaker spec.tools.servers[0].allow[0].breaker";
    for (at_upstream, at_tool, place) in [(TWO, "", UPSTREAMS), ("", TWO, own)] {
        let before = upstream.requests().len();
        let policy = policy(upstream.port(), at_upstream, at_tool);
        let sidecar = Setup::new(&policy).await.audited().start().await;
        for _ in 0..2 {
            assert!(ask(&sidecar, "bad").await.starts_with("reply "));
        }
        for _ in 0..3 {
            assert_eq!(ask(&sidecar, "bad").await, place);
        }
        assert_eq!(upstream.requests().len() - before, 2);
        assert_eq!(ask(&sidecar, "good").await, "ok");
        let list = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}).to_string();
        let list = Raw::connect(sidecar.gateway()).await.ask(post_with("files", "", list)).await;
        assert!(list.json()["error"]["data"]["reason"] != "breaker", "{}", list.text());
        let state = r#"pinfold_breaker_state{server="files",tool="bad",upstream=""}"#;
        assert_eq!(sidecar.metric(state).await, 2.0);
        let records = sidecar.verified_records().await;
        assert!(records.iter().any(|record| record["reason"] == "breaker"));
    }
}

#[tokio::test]
async fn what_a_tool_says_of_itself_is_no_failure() {
    let answer = |request: &Request| {
        let error = json!({"content": [{"type": "text", "text": "no"}], "isError": true});
        if is_bad(request) { result(request, &error) } else { echo(request) }
    };
    let upstream = Upstream::answering(answer).await;
    let sidecar = Setup::new(&policy(upstream.port(), TWO, TWO)).await.start().await;
    for _ in 0..5 {
        assert_eq!(ask(&sidecar, "bad").await, "ok");
    }
    assert_eq!(upstream.requests().len(), 5);
}

#[tokio::test]
async fn one_call_tries_after_a_while_and_closes_it() {
    let works = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&works);
    let answer = move |request: &Request| {
        if told.load(Ordering::Acquire) { echo(request) } else { FAILED.to_vec() }
    };
    let upstream = Upstream::answering(answer).await;
    let breaker = ", breaker: {failures: 1, window: 1m, open: 200ms}";
    let sidecar = Setup::new(&policy(upstream.port(), breaker, "")).await.start().await;
    assert!(ask(&sidecar, "good").await.starts_with("reply "));
    assert_eq!(ask(&sidecar, "good").await, UPSTREAMS);
    works.store(true, Ordering::Release);
    let until_closed = async { while ask(&sidecar, "good").await != "ok" {} };
    tokio::time::timeout(PATIENCE, until_closed).await.expect("it closes");
    assert_eq!(ask(&sidecar, "good").await, "ok");
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_left_alone_whatever_is_called() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let sidecar = Setup::new(&policy(port, TWO, "")).await.start().await;
    assert!(ask(&sidecar, "bad").await.starts_with("upstream "));
    assert!(ask(&sidecar, "good").await.starts_with("upstream "));
    assert_eq!(ask(&sidecar, "good").await, UPSTREAMS);
    // Another upstream has seen none of it.
    let named = || async { Raw::connect(sidecar.gateway()).await.get("/upstreams/plain/x").await };
    for reason in ["upstream", "upstream", "breaker"] {
        assert_eq!(named().await.reason(), reason);
    }
    let state = r#"pinfold_breaker_state{server="",tool="",upstream="up"}"#;
    assert_eq!(sidecar.metric(state).await, 2.0);
}

#[tokio::test]
async fn plain_requests_that_fail_open_a_breaker_of_their_own() {
    let answer = |request: &Request| {
        if request.method == "GET" { FAILED.to_vec() } else { echo(request) }
    };
    let upstream = Upstream::answering(answer).await;
    let sidecar = Setup::new(&policy(upstream.port(), TWO, "")).await.start().await;
    let get = || async { Raw::connect(sidecar.gateway()).await.get("/upstreams/plain/x").await };
    for _ in 0..2 {
        assert_eq!(get().await.body, b"");
    }
    assert_eq!(get().await.reason(), "breaker");
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(ask(&sidecar, "good").await, "ok");
}
