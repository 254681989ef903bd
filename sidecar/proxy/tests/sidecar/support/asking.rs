//! A DNS client as libraries are: queries over UDP and TCP, read by somebody else's parser.

use std::net::SocketAddr;

use hickory_resolver::proto::op::{Edns, Message, Query};
use hickory_resolver::proto::rr::rdata::opt::EdnsCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::PATIENCE;

/// What came back.
pub(crate) struct Told {
    pub(crate) message: Message,
}

impl Told {
    fn read(bytes: &[u8]) -> Self {
        Self { message: Message::from_vec(bytes).expect("a DNS message") }
    }

    /// The response code.
    pub(crate) fn code(&self) -> u16 {
        u16::from(self.message.response_code)
    }

    /// The addresses, as text.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let text = |data: &RData| {
            let found = data.ip_addr()?;
            Some(found.to_string())
        };
        self.message.answers.iter().filter_map(|record| text(&record.data)).collect()
    }

    /// Number and text of the extended error.
    pub(crate) fn why(&self) -> (u16, String) {
        let edns = self.message.edns.as_ref().expect("EDNS");
        let option = edns.options().get(EdnsCode::from(15)).expect("an extended error");
        let bytes = Vec::<u8>::try_from(option).expect("bytes");
        let text = String::from_utf8(bytes[2..].to_vec()).expect("text");
        (u16::from_be_bytes([bytes[0], bytes[1]]), text)
    }
}

/// A query with EDNS, as `dig` and glibc with `options edns0` send it.
pub(crate) fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = plain_message(name, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message.to_vec().expect("bytes")
}

/// A query without EDNS, as musl sends it.
pub(crate) fn plain_query(name: &str, kind: u16) -> Vec<u8> {
    plain_message(name, kind).to_vec().expect("bytes")
}

fn plain_message(name: &str, kind: u16) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{name}.")).expect("a name");
    message.add_query(Query::query(name, RecordType::from(kind)));
    message
}

/// Asks over UDP from a socket of its own.
pub(crate) async fn udp(server: SocketAddr, query: &[u8]) -> Told {
    Told::read(&udp_bytes(server, query).await)
}

/// The same, unread.
pub(crate) async fn udp_bytes(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.send_to(query, server).await.expect("sent");
    let mut buffer = vec![0; 65_535];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("a reply");
    let (length, from) = received.expect("a reply");
    assert_eq!(from, server);
    buffer.truncate(length);
    buffer
}

/// A connection to ask over.
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        Self(TcpStream::connect(server).await.expect("a connection"))
    }

    /// Sends queries in one write.
    pub(crate) async fn send(&mut self, queries: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for query in queries {
            bytes.extend(u16::try_from(query.len()).expect("short").to_be_bytes());
            bytes.extend(query);
        }
        self.0.write_all(&bytes).await.expect("written");
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("written");
    }

    pub(crate) async fn shut(&mut self) {
        self.0.shutdown().await.expect("shut");
    }

    /// The next reply; nothing at the end of the connection.
    pub(crate) async fn reply(&mut self) -> Option<Told> {
        timeout(PATIENCE, async {
            let length = self.0.read_u16().await.ok()?;
            let mut bytes = vec![0; usize::from(length)];
            self.0.read_exact(&mut bytes).await.ok()?;
            Some(Told::read(&bytes))
        })
        .await
        .expect("a reply or the end")
    }

    pub(crate) async fn ask(&mut self, query: &[u8]) -> Told {
        self.send(&[query.to_vec()]).await;
        self.reply().await.expect("a reply")
    }
}
