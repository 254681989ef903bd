//! A client that sends bytes as they are and reads replies.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

/// Where redirected connections were going, by the agent's end.
static DESTINATIONS: Mutex<BTreeMap<SocketAddr, SocketAddr>> = Mutex::new(BTreeMap::new());

/// What the kernel's connection tracking would say.
pub(crate) fn destination(peer: SocketAddr) -> Option<SocketAddr> {
    DESTINATIONS.lock().expect("a lock").get(&peer).copied()
}

/// A connection.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) buffer: Vec<u8>,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.body.escape_ascii()))
    }

    /// The reason of a denial.
    pub(crate) fn reason(&self) -> String {
        let body = self.json();
        assert_eq!(body["error"], "denied", "{body}");
        for member in ["rule", "path", "message", "remedy", "policy", "id"] {
            assert!(body[member].is_string(), "{member} in {body}");
        }
        body["reason"].as_str().expect("a reason").to_owned()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, buffer: Vec::new() }
    }

    /// A connection that was going somewhere else.
    pub(crate) async fn redirected(listener: SocketAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
        let own = socket.local_addr().expect("an address");
        DESTINATIONS.lock().expect("a lock").insert(own, to);
        let stream = socket.connect(listener).await.expect("a connection");
        Self { stream, buffer: Vec::new() }
    }

    /// A tunnel by SOCKS5: the code of the reply, and the connection.
    pub(crate) async fn socks(address: SocketAddr, request: &[u8]) -> (u8, Self) {
        let mut raw = Self::connect(address).await;
        raw.send([&[5, 1, 0], request].concat()).await;
        assert_eq!(raw.exactly(2).await, [5, 0]);
        let reply = raw.exactly(10).await;
        assert_eq!((reply[0], &reply[2..]), (5, &[0, 1, 0, 0, 0, 0, 0, 0][..]));
        (reply[1], raw)
    }

    /// Opens a tunnel.
    pub(crate) async fn tunnel(address: SocketAddr, authority: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).await;
        let reply = raw.head().await;
        assert_eq!(reply.status, 200, "{authority}");
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Over any stream.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Everything until the other side ends, and whether it ended with a reset.
    pub(crate) async fn rest_or_reset(&mut self) -> (Vec<u8>, bool) {
        loop {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("an answer in time") {
                Ok(1..) => {}
                Ok(0) => return (std::mem::take(&mut self.buffer), false),
                Err(_) => return (std::mem::take(&mut self.buffer), true),
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
        self.stream.flush().await.expect("sent");
    }

    /// Sends one request and reads its reply.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request).await;
        self.reply().await
    }

    /// A request for a path at the address itself.
    pub(crate) async fn get(mut self, path: &str) -> Reply {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    async fn more(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        // A reset is an end too.
        read.expect("an answer in time").unwrap_or(0)
    }

    /// Everything until the other side ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.more().await > 0, "ended after {}", self.buffer.escape_ascii());
        }
        self.buffer.drain(..count).collect()
    }

    /// A head alone.
    pub(crate) async fn head(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert!(self.more().await > 0, "ended after {}", self.buffer.escape_ascii());
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a line").split(' ').nth(1).expect("a status");
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Reply {
            status: status.parse().expect("a number"),
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    /// A head and its body.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        let chunked = reply.headers.get("transfer-encoding").is_some_and(|text| text == "chunked");
        if chunked {
            while let Some(chunk) = self.chunk().await {
                reply.body.extend(chunk);
            }
        } else if let Some(length) = reply.headers.get("content-length") {
            reply.body = self.exactly(length.parse().expect("a number")).await;
        }
        reply
    }

    /// One chunk; none at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.exactly(1).await);
        }
        let digits = std::str::from_utf8(&line).expect("text").trim_end().to_owned();
        let size = usize::from_str_radix(&digits, 16).expect("a size");
        let data = self.exactly(size).await;
        self.exactly(2).await;
        (size > 0).then_some(data)
    }
}
