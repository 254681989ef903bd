//! The server behind every leg. The first byte says what the client wants: `1` one byte back and the end, `e` an echo, `s` bytes without end.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::Outcome;

/// Bytes written at once.
const PIECE_BYTES: usize = 256 * 1024;
/// As many as the system allows.
const BACKLOG: u32 = 65_535;

/// Serves at an address until the process is ended.
pub(crate) fn run(address: SocketAddr) -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(address))
}

async fn serve(address: SocketAddr) -> Outcome<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let piece: Arc<[u8]> = vec![b'x'; PIECE_BYTES].into();
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away is no failure of the server.
        tokio::spawn(one(stream, Arc::clone(&piece)));
    }
}

async fn one(mut stream: TcpStream, piece: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match stream.read_u8().await? {
        b'1' => stream.write_all(b"1").await,
        b's' => loop {
            stream.write_all(&piece).await?;
        },
        b'e' => echo(&mut stream).await,
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

async fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}
