//! A DNS server of a few names over UDP and TCP, which can also lie, stay silent and fail. It remembers what it is asked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// One question that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) id: u16,
    pub(crate) port: u16,
    pub(crate) tcp: bool,
}

/// What a name does instead of answering plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// No reply.
    Silence,
    /// SERVFAIL.
    Failure,
    /// SERVFAIL for AAAA.
    HalfFailure,
    /// Over UDP only a header that says so; over TCP everything.
    Truncation,
    /// Before the reply, others with the wrong id, the wrong question and from the wrong port, which all lead elsewhere.
    Spoofing,
    /// Bytes that are no message, with the right id.
    Garbage,
    /// No reply before [`Dns::release`].
    Waiting,
}

#[derive(Default)]
struct State {
    records: HashMap<String, Vec<(u16, Vec<u8>)>>,
    /// Answers that come one after the other, instead of `records`.
    turns: HashMap<String, Vec<Vec<IpAddr>>>,
    tricks: HashMap<String, Trick>,
    asked: Vec<Asked>,
    ttl: u32,
}

/// The server; it ends with the test.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    release: Arc<Notify>,
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let release = Arc::new(Notify::new());
        tokio::spawn(serve_udp(Arc::new(udp), Arc::clone(&state), Arc::clone(&release)));
        tokio::spawn(serve_tcp(tcp, Arc::clone(&state)));
        Self { address, state, release }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("a lock"))
    }

    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let records = addresses.iter().map(|text| address(text.parse().expect("an address")));
        let records = records.collect();
        self.change(|state| state.records.insert(name.to_owned(), records));
    }

    /// A name that leads to another.
    pub(crate) fn alias(&self, name: &str, target: &str) {
        self.add(name, CNAME, labels(target));
    }

    /// One more record of any type.
    pub(crate) fn add(&self, name: &str, kind: u16, data: Vec<u8>) {
        self.change(|state| state.records.entry(name.to_owned()).or_default().push((kind, data)));
    }

    /// Answers that come one after the other; the last stays.
    pub(crate) fn turns(&self, name: &str, turns: &[&[&str]]) {
        let parse = |text: &&str| text.parse().expect("an address");
        let turns = turns.iter().map(|turn| turn.iter().map(parse).collect()).collect();
        self.change(|state| state.turns.insert(name.to_owned(), turns));
    }

    pub(crate) fn trick(&self, name: &str, trick: Trick) {
        self.change(|state| state.tricks.insert(name.to_owned(), trick));
    }

    pub(crate) fn silence(&self, name: &str) {
        self.trick(name, Trick::Silence);
    }

    /// Seconds that answers hold; 0 at first.
    pub(crate) fn ttl(&self, seconds: u32) {
        self.change(|state| state.ttl = seconds);
    }

    /// Lets replies go that wait.
    pub(crate) fn release(&self) {
        self.release.notify_waiters();
    }

    /// The names that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.questions().into_iter().map(|asked| asked.name).collect()
    }

    /// The questions that came.
    pub(crate) fn questions(&self) -> Vec<Asked> {
        self.change(|state| state.asked.clone())
    }
}

/// UDP and TCP of one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP");
}

async fn serve_udp(socket: Arc<UdpSocket>, state: Arc<Mutex<State>>, release: Arc<Notify>) {
    let mut buffer = [0; 1500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let query = Query::read(&buffer[..length]);
        let trick = query.note(&state, peer.port(), false);
        match trick {
            Some(Trick::HalfFailure) if query.kind == AAAA => {
                let _ = socket.send_to(&query.broken(trick), peer).await;
                continue;
            }
            None | Some(Trick::HalfFailure) => {}
            Some(Trick::Silence) => continue,
            Some(Trick::Failure | Trick::Garbage | Trick::Truncation) => {
                let reply = query.broken(trick);
                let _ = socket.send_to(&reply, peer).await;
                continue;
            }
            Some(Trick::Spoofing) => query.spoof(&socket, peer).await,
            Some(Trick::Waiting) => {
                let (socket, state, release) =
                    (Arc::clone(&socket), Arc::clone(&state), Arc::clone(&release));
                tokio::spawn(async move {
                    release.notified().await;
                    let _ = socket.send_to(&query.answer(&state), peer).await;
                });
                continue;
            }
        }
        let _ = socket.send_to(&query.answer(&state), peer).await;
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((mut stream, peer)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut query = vec![0; usize::from(length)];
                if stream.read_exact(&mut query).await.is_err() {
                    return;
                }
                let query = Query::read(&query);
                if query.note(&state, peer.port(), true) == Some(Trick::Silence) {
                    continue;
                }
                let reply = query.answer(&state);
                let length = u16::try_from(reply.len()).expect("a message");
                let _ = stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await;
            }
        });
    }
}

struct Query {
    bytes: Vec<u8>,
    name: String,
    kind: u16,
    question: Vec<u8>,
}

impl Query {
    fn read(bytes: &[u8]) -> Self {
        let mut labels = Vec::new();
        let mut at = 12;
        while bytes[at] != 0 {
            let length = usize::from(bytes[at]);
            labels.push(String::from_utf8_lossy(&bytes[at + 1..at + 1 + length]).to_lowercase());
            at += length + 1;
        }
        let kind = u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]);
        let question = bytes[12..at + 5].to_vec();
        Self { bytes: bytes.to_vec(), name: labels.join("."), kind, question }
    }

    fn note(&self, state: &Mutex<State>, port: u16, tcp: bool) -> Option<Trick> {
        let id = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        let asked = Asked { name: self.name.clone(), kind: self.kind, id, port, tcp };
        let mut state = state.lock().expect("a lock");
        state.asked.push(asked);
        state.tricks.get(&self.name).copied()
    }

    fn broken(&self, trick: Option<Trick>) -> Vec<u8> {
        match trick {
            Some(Trick::Garbage) => [&self.bytes[..2], &[0xff; 30]].concat(),
            Some(Trick::Truncation) => self.message(0x83, 0x80, &[], 0),
            _ => self.message(0x81, 0x82, &[], 0),
        }
    }

    fn answer(&self, state: &Mutex<State>) -> Vec<u8> {
        let mut state = state.lock().expect("a lock");
        let ttl = state.ttl;
        if let Some(turns) = state.turns.get_mut(&self.name) {
            let turn = if turns.len() > 1 { turns.remove(0) } else { turns[0].clone() };
            let records: Vec<_> = turn.into_iter().map(address).collect();
            return self.message(0x81, 0x80, &self.wanted(&records), ttl);
        }
        match state.records.get(&self.name) {
            Some(records) => self.message(0x81, 0x80, &self.wanted(records), ttl),
            None => self.message(0x81, 0x83, &[], ttl),
        }
    }

    fn wanted(&self, records: &[(u16, Vec<u8>)]) -> Vec<(u16, Vec<u8>)> {
        let wanted = |(kind, _): &&(u16, Vec<u8>)| *kind == self.kind || *kind == CNAME;
        records.iter().filter(wanted).cloned().collect()
    }

    fn message(&self, flags: u8, code: u8, records: &[(u16, Vec<u8>)], ttl: u32) -> Vec<u8> {
        let mut reply = self.bytes[..2].to_vec();
        let count = u16::try_from(records.len()).expect("few").to_be_bytes();
        reply.extend([flags, code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
        reply.extend(&self.question);
        for (kind, data) in records {
            // A pointer to the question's name.
            reply.extend([0xc0, 12]);
            reply.extend(kind.to_be_bytes());
            reply.extend([0, 1]);
            reply.extend(ttl.to_be_bytes());
            reply.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            reply.extend(data);
        }
        reply
    }

    /// Replies that nobody who can't see the query could tell from the true one.
    async fn spoof(&self, socket: &UdpSocket, peer: SocketAddr) {
        let lie = |text: &str| vec![address(text.parse().expect("an address"))];
        let mut wrong_id = self.message(0x81, 0x80, &lie("6.6.6.1"), 60);
        wrong_id[0] ^= 0x55;
        let mut wrong_question = self.message(0x81, 0x80, &lie("6.6.6.2"), 60);
        wrong_question[13] = b'z';
        let wrong_port = self.message(0x81, 0x80, &lie("6.6.6.3"), 60);
        let elsewhere = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let _ = socket.send_to(&wrong_id, peer).await;
        let _ = socket.send_to(&wrong_question, peer).await;
        let _ = elsewhere.send_to(&wrong_port, peer).await;
    }
}

fn address(address: IpAddr) -> (u16, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (A, address.octets().to_vec()),
        IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
    }
}

/// A name on the wire.
pub(crate) fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
