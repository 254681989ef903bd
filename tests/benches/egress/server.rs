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

/// Starts it on a port that the system chooses.
pub(crate) async fn start() -> Outcome<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    let piece: Arc<[u8]> = vec![b'x'; PIECE_BYTES].into();
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is no failure of the server.
                tokio::spawn(serve(stream, Arc::clone(&piece)));
            }
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, piece: Arc<[u8]>) -> std::io::Result<()> {
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
