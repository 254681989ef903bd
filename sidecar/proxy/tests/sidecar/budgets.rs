//! Budgets and rates of tool calls: exactly as many reach the server as the policy says, whatever comes at once and whoever restarts.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::mcp::{call, echo, post_with};
use super::support::{Raw, Reply, Setup, Sidecar, Upstream};

/// Limits in words of YAML: of tool `read`, of its server, of the agent.
fn text(port: u16, tool: &str, server: &str, agent: &str) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  upstreams:
  - {{name: up, url: "http://127.0.0.1:{port}/mcp"}}
  tools:
    {agent}
    servers:
    - name: files
      upstream: up
      {server}
      allow:
      - {{tool: read, arguments: {{closed: true, rules: [{{path: $.n, type: integer}}]}}, {tool}}}
      - {{tool: echo}}
    - {{name: other, upstream: up, allow: [{{tool: echo}}]}}
"#
    )
}

const NONE: &str = "deny: []";
const FREE: &str = "tier: read";
const DEFAULT: &str = "default: deny";

async fn asked(agent: &mut Raw, server: &str, tool: &str) -> Reply {
    let arguments = if tool == "read" { json!({"n": 1}) } else { json!({}) };
    agent.ask(post_with(server, "", call(tool, &arguments))).await
}

async fn ask(sidecar: &Sidecar, server: &str, tool: &str) -> String {
    verdict(&asked(&mut Raw::connect(sidecar.gateway()).await, server, tool).await)
}

/// `ok`, or reason and rule of the denial.
pub(crate) fn verdict(reply: &Reply) -> String {
    let body = reply.json();
    let told = &body["result"]["_meta"]["pinfold.dev/denial"];
    match told["reason"].as_str() {
        Some(reason) => format!("{reason} {}", told["rule"].as_str().expect("a rule")),
        None => {
            assert!(body["result"]["content"].is_array(), "{body}");
            "ok".to_owned()
        }
    }
}

const BUDGET: &str = "budget spec.tools.servers[0].allow[0].budget.calls";
const RATE: &str = "rate spec.tools.servers[0].allow[0].rate";

#[tokio::test]
async fn row_108_denied_calls_leave_the_budget_as_it_is_and_the_record_says_what_is_left() {
    let upstream = Upstream::answering(echo).await;
    let policy = text(upstream.port(), "budget: {calls: 2}", NONE, DEFAULT);
    let sidecar = Setup::new(&policy).await.audited().start().await;
    let left = r#"pinfold_tool_budget_remaining{server="files",tool="read"}"#;
    for _ in 0..5 {
        let wrong = post_with("files", "", call("read", &json!({"n": "one"})));
        let reply = Raw::connect(sidecar.gateway()).await.ask(wrong).await;
        assert!(verdict(&reply).starts_with("argument "));
        assert_eq!(ask(&sidecar, "files", "hidden").await, "tool spec.tools.servers[0].allow");
    }
    assert_eq!(sidecar.metric(left).await, 2.0);
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    assert_eq!(sidecar.metric(left).await, 1.0);
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    for _ in 0..3 {
        assert_eq!(ask(&sidecar, "files", "read").await, BUDGET);
    }
    // Its honest twin has no limit.
    assert_eq!(ask(&sidecar, "files", "echo").await, "ok");
    assert_eq!(sidecar.metric(left).await, 0.0);
    assert_eq!(upstream.requests().len(), 3);
    let denied =
        r#"pinfold_tool_calls_total{decision="deny",reason="budget",server="files",tool="read"}"#;
    assert_eq!(sidecar.metric(denied).await, 3.0);
    let records = sidecar.verified_records().await;
    let of = |decision: &str| -> Vec<&Value> {
        let read = |record: &&Value| record["tool"] == "read" && record["decision"] == decision;
        records.iter().filter(read).collect()
    };
    let notes: Vec<&Value> = of("allow").iter().map(|record| &record["message"]).collect();
    assert_eq!(notes, [&json!("1 calls left of the run"), &json!("0 calls left of the run")]);
    assert!(of("deny").iter().any(|record| record["reason"] == "budget"));
}

#[tokio::test]
async fn limits_are_of_a_tool_a_server_or_the_agent() {
    let upstream = Upstream::answering(echo).await;
    let port = upstream.port();
    let one = "budget: {calls: 1}";
    let rate = "rate: [1/d, 10/s]";
    // What `files/read`, `files/echo` and `other/echo` get, in this order, after one call of `files/read`.
    let cases = [
        (text(port, one, NONE, DEFAULT), [BUDGET, "ok", "ok"]),
        (text(port, rate, NONE, DEFAULT), [RATE, "ok", "ok"]),
        (
            text(port, FREE, one, DEFAULT),
            [
                "budget spec.tools.servers[0].budget.calls",
                "budget spec.tools.servers[0].budget.calls",
                "ok",
            ],
        ),
        (
            text(port, FREE, rate, DEFAULT),
            ["rate spec.tools.servers[0].rate", "rate spec.tools.servers[0].rate", "ok"],
        ),
        (text(port, FREE, NONE, one), ["budget spec.tools.budget.calls"; 3]),
        (text(port, FREE, NONE, rate), ["rate spec.tools.rate"; 3]),
    ];
    for (policy, expected) in cases {
        let sidecar = Setup::new(&policy).await.start().await;
        assert_eq!(ask(&sidecar, "files", "read").await, "ok");
        let asked = [("files", "read"), ("files", "echo"), ("other", "echo")];
        for ((server, tool), expected) in asked.into_iter().zip(expected) {
            assert_eq!(ask(&sidecar, server, tool).await, expected, "{server} {tool} {policy}");
        }
    }
}

#[tokio::test]
async fn a_denial_by_rate_says_when_the_next_call_may_be() {
    let upstream = Upstream::answering(echo).await;
    let policy = text(upstream.port(), "rate: 2/h", NONE, DEFAULT);
    let sidecar = Setup::new(&policy).await.start().await;
    let mut agent = Raw::connect(sidecar.gateway()).await;
    for _ in 0..2 {
        assert_eq!(verdict(&asked(&mut agent, "files", "read").await), "ok");
    }
    let reply = asked(&mut agent, "files", "read").await;
    assert_eq!(verdict(&reply), RATE);
    let told = reply.json()["result"]["_meta"]["pinfold.dev/denial"]["message"].to_string();
    let soon = told.contains("the next in 30 min") || told.contains("the next in 29 min");
    assert!(told.contains("2 times an hour") && soon, "{told}");
}

/// What the server does with a call, and how many of four calls reach it with a budget of two.
#[tokio::test]
async fn what_was_sent_is_charged_even_if_it_fails_and_what_was_not_sent_is_not() {
    let failing: [fn() -> Vec<u8>; 3] = [
        || b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
        || {
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n?"
                .to_vec()
        },
        // The connection ends without a reply.
        Vec::new,
    ];
    for answer in failing {
        let upstream = Upstream::answering(move |_| answer()).await;
        let policy = text(upstream.port(), "budget: {calls: 2}", NONE, DEFAULT);
        let sidecar = Setup::new(&policy).await.start().await;
        let mut verdicts = Vec::new();
        for _ in 0..4 {
            verdicts.push(ask(&sidecar, "files", "read").await);
        }
        assert_eq!(verdicts[2..], [BUDGET, BUDGET], "{verdicts:?}");
        assert_eq!(upstream.requests().len(), 2);
    }
    // Nobody is there: nothing is sent, so nothing is charged.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let policy = text(port, "budget: {calls: 1}, rate: 1/d", NONE, DEFAULT);
    let sidecar = Setup::new(&policy).await.start().await;
    for _ in 0..3 {
        assert!(ask(&sidecar, "files", "read").await.starts_with("upstream "));
    }
}

#[tokio::test]
async fn of_a_thousand_calls_at_once_exactly_the_budget_is_forwarded() {
    let upstream = Upstream::answering(echo).await;
    let state = tempfile::tempdir().expect("a directory");
    let policy = text(upstream.port(), "budget: {calls: 100}", NONE, "budget: {calls: 150}");
    let setup = Setup::new(&policy).await.with(|config| {
        config.state = Some(state.path().to_owned());
        // Of so many places enough may be undecided.
        config.limits.service_connections_max = 8192;
    });
    let sidecar = setup.start().await;
    let gateway = sidecar.gateway();
    let agents = join_all((0..1000).map(|_| Raw::connect(gateway))).await;
    let calls = agents.into_iter().enumerate().map(|(number, mut agent)| async move {
        let tool = if number % 2 == 0 { "read" } else { "echo" };
        (tool, verdict(&asked(&mut agent, "files", tool).await))
    });
    let verdicts = join_all(calls).await;
    let count = |tool: &str, wanted: &str| {
        verdicts.iter().filter(|(of, told)| *of == tool && told.starts_with(wanted)).count()
    };
    let (read, echoed) = (count("read", "ok"), count("echo", "ok"));
    assert_eq!(read + echoed, 150, "the agent's");
    assert!(read <= 100, "{read} of the tool's");
    assert_eq!(read + echoed + count("read", "budget") + count("echo", "budget"), 1000);
    assert_eq!(upstream.requests().len(), 150);
    // And what was counted is what a new process finds.
    drop(sidecar);
    let setup = Setup::new(&policy).await;
    let sidecar = setup.with(|config| config.state = Some(state.path().to_owned())).start().await;
    assert_eq!(ask(&sidecar, "other", "echo").await, "budget spec.tools.budget.calls");
    assert_eq!(upstream.requests().len(), 150);
}

#[tokio::test]
async fn a_restart_refills_nothing_and_neither_does_a_reload() {
    let upstream = Upstream::answering(echo).await;
    let port = upstream.port();
    let state = tempfile::tempdir().expect("a directory");
    let with = |limits: &str| {
        let policy = text(port, limits, NONE, DEFAULT);
        let state = state.path().to_owned();
        async move { Setup::new(&policy).await.with(|config| config.state = Some(state)).start().await }
    };
    let limits = "budget: {calls: 3}, rate: 3/d";
    let sidecar = with(limits).await;
    for _ in 0..2 {
        assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    }
    // Without a farewell, as if it was killed.
    drop(sidecar);
    let sidecar = with(limits).await;
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    assert_eq!(ask(&sidecar, "files", "read").await, BUDGET);
    sidecar.rewrite(&text(port, "budget: {calls: 5}", NONE, DEFAULT));
    sidecar.until_metric(r#"pinfold_policy_reloads_total{result="success"}"#, 1.0).await;
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    sidecar.rewrite(&text(port, "rate: 4/d", NONE, DEFAULT));
    sidecar.until_metric(r#"pinfold_policy_reloads_total{result="success"}"#, 2.0).await;
    sidecar.running.shutdown().await;
    let sidecar = with("budget: {calls: 5}").await;
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    assert_eq!(ask(&sidecar, "files", "read").await, BUDGET);
    assert_eq!(upstream.requests().len(), 5);
}

#[tokio::test]
async fn a_state_that_cannot_be_read_denies_what_is_limited_and_is_never_written_over() {
    let upstream = Upstream::answering(echo).await;
    let policy = text(upstream.port(), "budget: {calls: 100}", NONE, DEFAULT);
    let state = tempfile::tempdir().expect("a directory");
    let file = state.path().join("budget.json");
    std::fs::write(&file, "pinfold-budget 1 sha256:torn").expect("written");
    for _ in 0..2 {
        let setup = Setup::new(&policy).await;
        let setup = setup.with(|config| config.state = Some(state.path().to_owned()));
        let sidecar = setup.start().await;
        let unknown = "budget spec.tools.servers[0].allow[0]";
        assert_eq!(ask(&sidecar, "files", "read").await, unknown);
        assert_eq!(ask(&sidecar, "files", "echo").await, "ok");
        sidecar.running.shutdown().await;
        let text = std::fs::read_to_string(&file).expect("there");
        assert_eq!(text, "pinfold-budget 1 sha256:torn");
    }
}

#[tokio::test]
async fn a_charge_that_cannot_be_written_down_is_no_call() {
    let upstream = Upstream::answering(echo).await;
    let policy = text(upstream.port(), "budget: {calls: 100}", NONE, DEFAULT);
    let state = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(&policy).await;
    let sidecar = setup.with(|config| config.state = Some(state.path().to_owned())).start().await;
    assert_eq!(ask(&sidecar, "files", "read").await, "ok");
    std::fs::remove_dir_all(state.path()).expect("gone");
    assert_eq!(ask(&sidecar, "files", "read").await, "budget spec.tools");
    assert_eq!(ask(&sidecar, "files", "echo").await, "ok");
    assert_eq!(upstream.requests().len(), 2);
}
