//! The kill switch: whichever way it is pulled, what it ends is cut within a second, nothing new passes, and it stays until somebody takes it off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::budgets::verdict;
use super::mcp::{call, echo, post_with};
use super::support::asking::{query, udp};
use super::support::{PATIENCE, Raw, Request, Setup, Sidecar, Upstream};

/// From the pull to the end of what was open.
const CUT_MAX: Duration = Duration::from_secs(1);
const A: u16 = 1;
const REFUSED: u16 = 5;

fn policy(port: u16, raw: u16, kill: &str) -> String {
    format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  egress:
    allow:
    - {{host: raw.internal, ports: [{raw}], protocol: tcp}}
    - {{cidr: 127.0.0.0/8, ports: [{raw}], protocol: tcp}}
  upstreams:
  - {{name: up, url: "http://127.0.0.1:{port}/mcp"}}
  tools:
    servers:
    - {{name: files, upstream: up, allow: [{{tool: read}}, {{tool: echo}}]}}
    - {{name: other, upstream: up, allow: [{{tool: echo}}]}}
{kill}
"#
    )
}

/// A stream of events that doesn't end for calls of `read`, else an echo.
fn stream_or_echo(request: &Request) -> Vec<u8> {
    if request.json()["params"]["name"] != "read" {
        return echo(request);
    }
    let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
        event.len()
    )
    .into_bytes()
}

/// A sidecar with everything that can be open.
struct World {
    sidecar: Sidecar,
    raw: TcpListener,
    state: PathBuf,
    file: PathBuf,
    upstream: Upstream,
}

impl World {
    async fn start() -> Self {
        let files = tempfile::tempdir().expect("a directory").keep();
        let upstream = Upstream::answering(stream_or_echo).await;
        let raw = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let (state, file) = (files.join("state"), files.join("kill"));
        std::fs::create_dir(&state).expect("a directory");
        let sidecar = Self::sidecar(&upstream, &raw, &state, &file).await;
        Self { sidecar, raw, state, file, upstream }
    }

    async fn sidecar(upstream: &Upstream, raw: &TcpListener, state: &Path, file: &Path) -> Sidecar {
        let kill = format!("  killSwitch: {{file: {}}}", file.display());
        let text = policy(upstream.port(), port(raw), &kill);
        let setup = Setup::new(&text).await.audited().with_dns();
        let setup = setup.name("raw.internal", &["127.0.0.1"]);
        setup.with(|config| config.state = Some(state.to_owned())).start().await
    }

    /// The same pod with a new process; the former one ended without a farewell.
    async fn restart(self) -> Self {
        let Self { sidecar, raw, state, file, upstream } = self;
        drop(sidecar);
        let sidecar = Self::sidecar(&upstream, &raw, &state, &file).await;
        Self { sidecar, raw, state, file, upstream }
    }

    async fn open(&self) -> Open {
        let mut stream = Raw::connect(self.sidecar.gateway()).await;
        stream.send(post_with("files", "", call("read", &json!({})))).await;
        assert_eq!(stream.head().await.status, 200);
        let event = stream.chunk().await.expect("an event");
        assert!(String::from_utf8_lossy(&event).contains("progress"));
        let tunnel = Raw::tunnel(self.sidecar.proxy(), &self.authority()).await;
        let (far, _) = self.raw.accept().await.expect("a connection");
        Open { stream, tunnel, far }
    }

    fn authority(&self) -> String {
        format!("raw.internal:{}", port(&self.raw))
    }

    async fn call(&self, server: &str, tool: &str) -> String {
        let message = post_with(server, "", call(tool, &json!({})));
        verdict(&Raw::connect(self.sidecar.gateway()).await.ask(message).await)
    }

    /// Why CONNECT is refused; nothing if it isn't.
    async fn connect(&self) -> Option<String> {
        let authority = self.authority();
        let mut agent = Raw::connect(self.sidecar.proxy()).await;
        agent.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).await;
        if agent.head().await.status == 200 {
            return None;
        }
        let body: Value = serde_json::from_slice(&agent.rest().await).expect("JSON");
        Some(body["reason"].as_str().expect("a reason").to_owned())
    }

    async fn assert_killed(&self) {
        assert_eq!(self.call("files", "echo").await, KILLED);
        assert_eq!(self.connect().await.as_deref(), Some("kill-switch"));
        let told = udp(self.sidecar.dns_gate(), &query("raw.internal", A)).await;
        assert_eq!(told.code(), REFUSED);
        assert!(told.why().1.contains("kill-switch"), "{:?}", told.why());
        let named = Raw::connect(self.sidecar.gateway()).await.get("/upstreams/up/x").await;
        assert_eq!(named.reason(), "kill-switch");
        let list = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}).to_string();
        let gateway = self.sidecar.gateway();
        let list = Raw::connect(gateway).await.ask(post_with("files", "", list)).await;
        assert!(list.text().contains("kill-switch"), "{}", list.text());
        let active = r#"pinfold_killswitch_active{scope="all"}"#;
        assert_eq!(self.sidecar.metric(active).await, 1.0);
    }

    async fn assert_alive(&self) {
        assert_eq!(self.call("files", "echo").await, "ok");
        assert_eq!(self.connect().await, None);
        let _ = self.raw.accept().await.expect("a connection");
        let told = udp(self.sidecar.dns_gate(), &query("raw.internal", A)).await;
        assert_eq!(told.addresses(), ["127.0.0.1"]);
    }

    /// Asks at the admin socket.
    async fn admin(&self, question: &str) -> Value {
        let path = self.state.join("admin.sock");
        let mut stream = UnixStream::connect(&path).await.expect("the socket");
        stream.write_all(format!("{question}\n").as_bytes()).await.expect("sent");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }
}

const KILLED: &str = "kill-switch spec.killSwitch";

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

/// What is open when it is pulled.
struct Open {
    stream: Raw,
    tunnel: Raw,
    far: TcpStream,
}

impl Open {
    async fn assert_cut_since(mut self, pulled: Instant) {
        assert_eq!(self.stream.rest_or_reset().await.0, b"", "no end that looks like one");
        assert!(pulled.elapsed() < CUT_MAX, "the stream: {:?}", pulled.elapsed());
        self.tunnel.rest_or_reset().await;
        Raw::over(self.far).rest_or_reset().await;
        assert!(pulled.elapsed() < CUT_MAX, "the tunnel: {:?}", pulled.elapsed());
    }
}

#[tokio::test]
async fn row_111_a_file_cuts_streams_and_tunnels_and_stays_when_it_vanishes() {
    let world = World::start().await;
    world.assert_alive().await;
    let open = world.open().await;
    let pulled = Instant::now();
    std::fs::write(&world.file, "").expect("a file");
    open.assert_cut_since(pulled).await;
    world.assert_killed().await;
    std::fs::remove_file(&world.file).expect("gone");
    world.assert_killed().await;
    // Over a restart too, until a person takes it off.
    let world = world.restart().await;
    world.assert_killed().await;
    std::fs::write(&world.file, "").expect("a file");
    let told = world.admin(r#"{"do":"release"}"#).await;
    assert!(told["error"].as_str().expect("refused").contains("is still there"), "{told}");
    world.assert_killed().await;
    std::fs::remove_file(&world.file).expect("gone");
    let told = world.admin(r#"{"do":"release"}"#).await;
    assert_eq!((&told["error"], &told["set"]), (&Value::Null, &json!([])));
    world.assert_alive().await;
    let world = world.restart().await;
    world.assert_alive().await;
    let records = world.sidecar.verified_records().await;
    let switched: Vec<&str> = records
        .iter()
        .filter(|record| record["event"] == "kill-switch")
        .map(|record| record["message"].as_str().expect("a message"))
        .collect();
    assert!(switched.iter().all(|text| !text.contains("session")), "{switched:?}");
}

#[tokio::test]
async fn row_111_a_signal_cuts_and_is_recorded_with_what_it_cut() {
    let world = World::start().await;
    let open = world.open().await;
    let pulled = Instant::now();
    world.sidecar.running.kill().await;
    open.assert_cut_since(pulled).await;
    world.assert_killed().await;
    let records = world.sidecar.verified_records().await;
    let switch = records.iter().find(|record| record["event"] == "kill-switch").expect("a record");
    assert_eq!(switch["message"], "set for everything, by a signal");
    let cut: Vec<&Value> = records
        .iter()
        .filter(|record| record["reason"] == "kill-switch")
        .map(|record| &record["event"])
        .collect();
    for event in ["tool-call", "egress", "dns"] {
        assert!(cut.contains(&&json!(event)), "{event} in {cut:?}");
    }
}

#[tokio::test]
async fn row_111_the_admin_socket_cuts_one_tool_and_leaves_the_rest() {
    let world = World::start().await;
    let mut open = world.open().await;
    let pulled = Instant::now();
    let of = json!({"scope": "tool", "server": "files", "tool": "read"});
    let told = world.admin(&json!({"do": "kill", "of": of}).to_string()).await;
    assert_eq!((&told["error"], &told["set"][0]["of"]), (&Value::Null, &of));
    assert_eq!(open.stream.rest_or_reset().await.0, b"");
    assert!(pulled.elapsed() < CUT_MAX);
    assert_eq!(world.call("files", "read").await, KILLED);
    // The tunnel, the other tool and the other server go on.
    open.far.write_all(b"still").await.expect("sent");
    assert_eq!(open.tunnel.exactly(5).await, b"still");
    world.assert_alive().await;
    let of = json!({"scope": "server", "server": "files"});
    world.admin(&json!({"do": "kill", "of": of}).to_string()).await;
    assert_eq!(world.call("files", "echo").await, KILLED);
    assert_eq!(world.call("other", "echo").await, "ok");
    assert_eq!(world.connect().await, None);
    // One is taken off, the other stays.
    world.admin(&json!({"do": "release", "of": of}).to_string()).await;
    assert_eq!(world.call("files", "echo").await, "ok");
    assert_eq!(world.call("files", "read").await, KILLED);
}

#[tokio::test]
async fn a_file_may_name_what_it_ends() {
    let world = World::start().await;
    let text = world.file.with_extension("new");
    std::fs::write(&text, "server other\ntool files read\n").expect("a file");
    std::fs::rename(&text, &world.file).expect("in one step");
    let active = r#"pinfold_killswitch_active{scope="tool"}"#;
    world.sidecar.until_metric(active, 1.0).await;
    assert_eq!(world.call("other", "echo").await, KILLED);
    assert_eq!(world.call("files", "read").await, KILLED);
    world.assert_alive().await;
}

#[tokio::test]
async fn a_policy_pulls_it_and_only_another_policy_and_a_person_take_it_off() {
    let world = World::start().await;
    let open = world.open().await;
    let text = |kill: &str| policy(world.upstream.port(), port(&world.raw), kill);
    let pulled = Instant::now();
    world.sidecar.rewrite(&text("  killSwitch: {active: true}"));
    open.assert_cut_since(pulled).await;
    world.assert_killed().await;
    let told = world.admin(r#"{"do":"release"}"#).await;
    assert!(told["error"].as_str().expect("refused").contains("killSwitch.active"), "{told}");
    world.sidecar.rewrite(&text("  killSwitch: {active: false}"));
    world.sidecar.until_metric(r#"pinfold_policy_reloads_total{result="success"}"#, 2.0).await;
    world.assert_killed().await;
    assert_eq!(world.admin(r#"{"do":"release"}"#).await["error"], Value::Null);
    world.assert_alive().await;
}

#[tokio::test]
async fn a_session_is_ended_by_its_id() {
    let upstream = Upstream::answering(|request: &Request| {
        let body = json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": {"content": []}});
        super::mcp::http("application/json", "Mcp-Session-Id: one\r\n", body.to_string())
    })
    .await;
    let state = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(&policy(upstream.port(), 1, "")).await;
    let sidecar = setup.with(|config| config.state = Some(state.path().to_owned())).start().await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
    let initialize = post_with("files", "", initialize.to_string());
    let mut agent = Raw::connect(sidecar.gateway()).await;
    assert_eq!(agent.ask(initialize).await.headers["mcp-session-id"], "one");
    let more = "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: one\r\n";
    let message = || post_with("files", more, call("echo", &json!({})));
    assert_eq!(verdict(&agent.ask(message()).await), "ok");
    std::fs::write(state.path().join("x"), "").expect("a file");
    let mut stream =
        UnixStream::connect(state.path().join("admin.sock")).await.expect("the socket");
    let kill = json!({"do": "kill", "of": {"scope": "session", "session": "one"}});
    stream.write_all(format!("{kill}\n").as_bytes()).await.expect("sent");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.expect("an answer");
    assert_eq!(verdict(&agent.ask(message()).await), KILLED);
    let without = post_with("files", "", call("echo", &json!({})));
    assert_eq!(verdict(&agent.ask(without).await), "ok");
}

#[tokio::test]
async fn the_admin_socket_is_its_owners_and_takes_no_nonsense() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::start().await;
    let path = world.state.join("admin.sock");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for question in ["", "kill", r#"{"do":"kill"}"#, r#"{"do":"kill","of":{"scope":"some"}}"#] {
        let told = world.admin(question).await;
        assert!(told["error"].is_string(), "{question}: {told}");
    }
    // Somebody who says nothing keeps nobody else waiting for long.
    let _silent = UnixStream::connect(&path).await.expect("the socket");
    let asked = world.admin(r#"{"do":"status"}"#);
    let told = tokio::time::timeout(PATIENCE, asked).await.expect("an answer");
    assert_eq!(told["set"], json!([]));
    world.assert_alive().await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_everything_until_a_person_decides() {
    let world = World::start().await;
    std::fs::write(world.state.join("kill.json"), "?").expect("written");
    let world = world.restart().await;
    world.assert_killed().await;
    assert_eq!(world.admin(r#"{"do":"release"}"#).await["error"], Value::Null);
    world.assert_alive().await;
}
