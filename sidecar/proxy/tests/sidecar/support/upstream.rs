//! An HTTP/1.1 server that answers as it is told, byte by byte, and remembers every byte that it got.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

type Answer = Arc<dyn Fn(&Request) -> Vec<Vec<u8>> + Send + Sync>;

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
}

/// The server; it ends with the test.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Upstream {
    /// Answers every request with a text.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::answering(move |_| {
            let length = text.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").into_bytes()
        })
        .await
    }

    /// Answers every request with these bytes.
    pub(crate) async fn answering(
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::in_pieces(move |request| vec![answer(request)]).await
    }

    /// Answers every request with these pieces, each sent on its own; an empty one closes the connection.
    pub(crate) async fn in_pieces(
        answer: impl Fn(&Request) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(answer), None).await
    }

    /// The same over TLS.
    pub(crate) async fn secure(
        acceptor: TlsAcceptor,
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(move |request: &Request| vec![answer(request)]), Some(acceptor)).await
    }

    /// [`Self::in_pieces`] over TLS.
    pub(crate) async fn secure_in_pieces(
        acceptor: TlsAcceptor,
        answer: impl Fn(&Request) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(answer), Some(acceptor)).await
    }

    async fn start(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("no delay");
                shared.lock().expect("a lock").connections += 1;
                tokio::spawn(accepted(
                    stream,
                    tls.clone(),
                    Arc::clone(&answer),
                    Arc::clone(&shared),
                ));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().expect("a lock").connections
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("a lock").requests.clone()
    }

    pub(crate) fn last(&self) -> Request {
        self.requests().pop().expect("a request")
    }
}

async fn accepted(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    answer: Answer,
    seen: Arc<Mutex<Seen>>,
) {
    match tls {
        None => serve(stream, answer, seen).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, answer, seen).await;
            }
        }
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    seen: Arc<Mutex<Seen>>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.lock().expect("a lock").requests.push(request.clone());
        for piece in answer(&request) {
            if piece.is_empty() || stream.write_all(&piece).await.is_err() {
                let _ = stream.shutdown().await;
                return;
            }
            let _ = stream.flush().await;
            tokio::task::yield_now().await;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..end + 4).collect();
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.trim_end().split("\r\n");
    let mut line = lines.next()?.split(' ');
    let mut request = Request {
        method: line.next()?.to_owned(),
        target: line.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let length = request.headers.get("content-length").and_then(|text| text.parse().ok());
    let wanted: usize = length.unwrap_or(0);
    while buffer.len() < wanted {
        more(stream, buffer).await?;
    }
    request.body = buffer.drain(..wanted).collect();
    if request.headers.contains_key("transfer-encoding") {
        while !buffer.ends_with(b"0\r\n\r\n") {
            more(stream, buffer).await?;
        }
        request.body = std::mem::take(buffer);
    }
    Some(request)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    stream.read_buf(buffer).await.ok().filter(|read| *read > 0).map(drop)
}
