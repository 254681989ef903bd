//! `/upstreams/NAME/...`: rules below the upstream's URL, the injected credential, and what comes back.

use super::mcp;
use super::support::tls::Identity;
use super::support::{Raw, Request, Setup, Sidecar, Upstream};

const TOKEN: &str = "t0p-s3cret";

struct Fixture {
    sidecar: Sidecar,
    upstream: Upstream,
}

async fn fixture(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Fixture {
    let upstream = Upstream::answering(answer).await;
    let port = upstream.port();
    let setup = Setup::new("").await;
    let token = setup.files.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file");
    let policy = format!(
        r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: tester}}
spec:
  upstreams:
  - name: code
    url: http://127.0.0.1:{port}/api
    methods: [GET, POST]
    paths: ["/repos/acme/**"]
    credential: {{header: X-Api-Key, format: "{{}}", from: {{file: {}}}}}
  - {{name: open, url: "http://127.0.0.1:{port}"}}
  - {{name: private, url: "http://10.0.0.1:{port}"}}
"#,
        token.display()
    );
    std::fs::write(setup.files.path().join("policy.yaml"), policy).expect("a policy");
    Fixture { sidecar: setup.audited().start().await, upstream }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn rules_are_about_the_path_below_the_url() {
    let Fixture { sidecar, upstream } = fixture(|_| ok("hello")).await;
    let cases = [
        ("/upstreams/code/repos/acme/x?q=1", 200, "/api/repos/acme/x?q=1"),
        ("/upstreams/code/./repos/acme/%78", 200, "/api/repos/acme/x"),
        ("/upstreams/open/anything", 200, "/anything"),
        ("/upstreams/open", 200, "/"),
        ("/upstreams/open?q", 200, "/?q"),
        ("/upstreams/code/repos/evil/x", 403, "path"),
        ("/upstreams/code/repos/acme/../evil/x", 403, "path"),
        ("/upstreams/code/repos/acme/%2e%2e/evil", 403, "path"),
        ("/upstreams/code/repos/acme/%2e%2e%2fevil", 400, "malformed"),
        ("/upstreams/code/repos/acme/..;/evil", 400, "malformed"),
        ("/upstreams/code/../open/x", 200, "/x"),
        ("/upstreams/code", 403, "path"),
        ("/upstreams/none/x", 403, "host"),
        ("/upstreams/private/x", 403, "address"),
    ];
    for (path, status, expected) in cases {
        let reply = Raw::connect(sidecar.gateway()).await.ask(get(path, "")).await;
        assert_eq!(reply.status, status, "{path}");
        let found = if status == 200 { upstream.last().target } else { reply.reason() };
        assert_eq!(found, expected, "{path}");
    }
    let delete = get("/upstreams/code/repos/acme/x", "").replacen("GET", "DELETE", 1);
    assert_eq!(Raw::connect(sidecar.gateway()).await.ask(delete).await.reason(), "method");
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn the_credential_is_injected_and_the_agents_own_are_dropped() {
    let Fixture { sidecar, upstream } = fixture(|_| ok("hello")).await;
    let more = "Authorization: Bearer agent\r\nCookie: a=b\r\nX-Api-Key: agent\r\nX_Api_Key: agent\r\nRange: bytes=0-3\r\n\
        Origin: http://localhost\r\nReferer: http://localhost/x\r\nProxy-Authorization: x\r\nConnection: x-api-key\r\nAccept: a/b\r\n";
    let mut agent = Raw::connect(sidecar.gateway()).await;
    assert_eq!(agent.ask(get("/upstreams/code/repos/acme/x", more)).await.status, 200);
    let seen = upstream.last().headers;
    let mut names: Vec<&str> = seen.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "x-api-key"]);
    assert_eq!(seen["x-api-key"], TOKEN);
    // Without a credential of its own the upstream gets the agent's, and never another upstream's.
    assert_eq!(
        agent.ask(get("/upstreams/open/x", "Authorization: Bearer agent\r\n")).await.status,
        200
    );
    let seen = upstream.last().headers;
    assert_eq!(
        (seen["authorization"].as_str(), seen.contains_key("x-api-key")),
        ("Bearer agent", false)
    );
}

#[tokio::test]
async fn row_112_an_echoed_credential_is_taken_out() {
    let Fixture { sidecar, .. } = fixture(|request| {
        let token = request.headers.get("x-api-key").cloned().unwrap_or_default();
        match request.target.as_str() {
            "/api/repos/acme/chunks" => {
                let mut bytes = format!("HTTP/1.1 200 OK\r\nX-Echo: key={token}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
                for byte in format!("<{token}>").bytes() {
                    bytes.extend([b'1', b'\r', b'\n', byte, b'\r', b'\n']);
                }
                bytes.extend(b"0\r\n\r\n");
                bytes
            }
            "/api/repos/acme/gzip" => format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{token}", token.len()).into_bytes(),
            "/api/repos/acme/moved" => format!("HTTP/1.1 302 Found\r\nLocation: https://evil.example/?k={token}\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n").into_bytes(),
            _ => ok(&format!("{token} and {token}")),
        }
    })
    .await;
    let ask = async |path: &str| {
        let path = format!("/upstreams/code/repos/acme/{path}");
        Raw::connect(sidecar.gateway()).await.ask(get(&path, "")).await
    };
    assert_eq!(ask("x").await.text(), "[redacted] and [redacted]");
    let reply = ask("chunks").await;
    assert_eq!(
        (reply.text().as_str(), reply.headers["x-echo"].as_str()),
        ("<[redacted]>", "key=[redacted]")
    );
    assert_eq!(ask("gzip").await.reason(), "reply");
    let reply = ask("moved").await;
    assert_eq!(
        (reply.status, reply.headers["location"].as_str()),
        (302, "https://evil.example/?k=[redacted]")
    );
    assert!(reply.headers.contains_key("set-cookie"));
    let records = serde_json::to_string(&sidecar.verified_records().await).expect("JSON");
    assert!(!records.contains(TOKEN));
}

#[tokio::test]
async fn upstreams_over_tls_are_verified() {
    let identity = Identity::new("localhost");
    let stranger = Identity::new("localhost");
    let misnamed = Identity::new("other.example");
    for (served, expected) in [(&identity, 200), (&stranger, 502), (&misnamed, 502)] {
        let upstream = Upstream::secure(served.acceptor.clone(), |_| ok("secure")).await;
        let policy = format!(
            "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: t}}\nspec:\n  upstreams: [{{name: a, url: \"https://localhost:{}\"}}]\n",
            upstream.port()
        );
        let setup = Setup::new(&policy).await.name("localhost", &["127.0.0.1"]);
        let bundle = setup.files.path().join("ca.pem");
        std::fs::write(&bundle, format!("{}{}", identity.pem, misnamed.pem)).expect("a file");
        let sidecar = setup.with(|config| config.upstream_ca = Some(bundle)).start().await;
        let reply = Raw::connect(sidecar.gateway()).await.ask(get("/upstreams/a/x", "")).await;
        assert_eq!(reply.status, expected);
        if expected == 502 {
            assert_eq!(reply.reason(), "upstream");
            assert!(upstream.requests().is_empty());
        }
    }
}

#[tokio::test]
async fn a_missing_credential_sends_nothing() {
    let Fixture { sidecar, upstream } = fixture(|_| ok("hello")).await;
    std::fs::remove_file(sidecar.files.path().join("token")).expect("gone");
    let mut agent = Raw::connect(sidecar.gateway()).await;
    let reply = agent.ask(get("/upstreams/code/repos/acme/x", "")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream"));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn the_upstream_of_an_mcp_server_is_no_way_around_the_tool_gate() {
    let upstream = Upstream::saying("never").await;
    let sidecar = Setup::new(&mcp::policy(upstream.port(), "")).await.start().await;
    let message = mcp::call("delete", &serde_json::json!({}));
    for path in ["/upstreams/files-up", "/upstreams/files-up/", "/upstreams/other-up/x?y"] {
        let length = message.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{message}"
        );
        let reply = Raw::connect(sidecar.gateway()).await.ask(request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (403, "protocol"), "{path}");
        let get = Raw::connect(sidecar.gateway()).await.get(path).await;
        assert_eq!(get.reason(), "protocol", "{path}");
    }
    assert_eq!(upstream.connections(), 0);
}
