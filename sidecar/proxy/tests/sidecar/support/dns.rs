//! A DNS server of a few names: A and AAAA over UDP, everything else does not exist. It counts what it is asked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

#[derive(Default)]
struct State {
    names: HashMap<String, Vec<IpAddr>>,
    asked: Vec<String>,
    /// Names that are not answered at all.
    silent: Vec<String>,
}

/// The server; it ends with the test.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        tokio::spawn(serve(socket, Arc::clone(&state)));
        Self { address, state }
    }

    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.state.lock().expect("a lock").names.insert(name.to_owned(), addresses);
    }

    pub(crate) fn silence(&self, name: &str) {
        self.state.lock().expect("a lock").silent.push(name.to_owned());
    }

    /// The names that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().expect("a lock").asked.clone()
    }
}

async fn serve(socket: UdpSocket, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Some(reply) = answer(&buffer[..length], &state) else { continue };
        let _ = socket.send_to(&reply, peer).await;
    }
}

fn answer(query: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_lowercase());
        at += length + 1;
    }
    let kind = query[at + 2];
    let question = &query[12..at + 5];
    let name = labels.join(".");
    let mut state = state.lock().expect("a lock");
    state.asked.push(name.clone());
    if state.silent.contains(&name) {
        return None;
    }
    let found = state.names.get(&name);
    let wanted = |address: &&IpAddr| address.is_ipv4() == (kind == 1) && (kind == 1 || kind == 28);
    let answers: Vec<IpAddr> = found.into_iter().flatten().filter(wanted).copied().collect();
    let code = if found.is_some() { 0x80 } else { 0x83 };
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, code, 0, 1, 0, u8::try_from(answers.len()).expect("few"), 0, 0, 0, 0]);
    reply.extend(question);
    for address in answers {
        // A pointer to the question's name, the type, IN, and a time to live of 0 seconds.
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0]);
        match address {
            IpAddr::V4(address) => {
                reply.push(4);
                reply.extend(address.octets());
            }
            IpAddr::V6(address) => {
                reply.push(16);
                reply.extend(address.octets());
            }
        }
    }
    Some(reply)
}
