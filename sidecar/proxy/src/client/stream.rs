//! What carries a client's bytes: its socket, or TLS that the sidecar ends over that socket.
//!
//! Waiting holds no buffer of ours in either case; under TLS rustls keeps one of 4 KiB.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
use tokio_rustls::server::TlsStream;

/// Bytes of deciphered text taken at once, on the stack.
const TAKEN_BYTES: usize = 8 * 1024;

/// The agent's end of a connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The socket itself.
    Tcp(TcpStream),
    /// What the agent says inside TLS.
    Tls(Box<TlsStream<Replayed>>),
}

/// A socket of which some bytes were read already: they come first again.
#[derive(Debug)]
pub(crate) struct Replayed {
    early: BytesMut,
    stream: TcpStream,
}

impl Replayed {
    /// `early` is what was read from the socket.
    pub(crate) fn new(early: BytesMut, stream: TcpStream) -> Self {
        Self { early, stream }
    }
}

impl Stream {
    /// The socket, if nothing is between it and the agent's bytes.
    pub(crate) fn tcp(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(_) => None,
        }
    }

    /// Both directions.
    pub(crate) fn split(&mut self) -> (ReadEnd<'_>, WriteEnd<'_>) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.split();
                (ReadEnd::Tcp(read), WriteEnd::Tcp(write))
            }
            Self::Tls(stream) => {
                let (read, write) = tokio::io::split(stream.as_mut());
                (ReadEnd::Tls(read), WriteEnd::Tls(write))
            }
        }
    }

    /// Reads what there is, of a socket at most `most` bytes; 0 at the end.
    ///
    /// # Errors
    /// The system's, or that of TLS.
    pub(crate) async fn read_into(
        &mut self,
        buffer: &mut BytesMut,
        most: usize,
    ) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => read_socket(stream, buffer, most).await,
            Self::Tls(stream) => take(stream.as_mut(), buffer).await,
        }
    }
}

/// What the agent sends.
#[derive(Debug)]
pub(crate) enum ReadEnd<'s> {
    Tcp(tcp::ReadHalf<'s>),
    Tls(tokio::io::ReadHalf<&'s mut TlsStream<Replayed>>),
}

/// What the agent gets.
#[derive(Debug)]
pub(crate) enum WriteEnd<'s> {
    Tcp(tcp::WriteHalf<'s>),
    Tls(tokio::io::WriteHalf<&'s mut TlsStream<Replayed>>),
}

impl ReadEnd<'_> {
    /// As [`Stream::read_into`].
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn read_into(
        &mut self,
        buffer: &mut BytesMut,
        most: usize,
    ) -> io::Result<usize> {
        match self {
            Self::Tcp(read) => read_socket(read.as_ref(), buffer, most).await,
            Self::Tls(read) => take(read, buffer).await,
        }
    }

    /// Resolves when the agent ends its side; never if it sends more instead, or if that can't be seen without reading.
    pub(crate) async fn ended(&mut self) {
        let mut byte = [0];
        let goes_on = match self {
            Self::Tcp(read) => matches!(read.peek(&mut byte).await, Ok(1..)),
            Self::Tls(_) => true,
        };
        if goes_on {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads what a socket has, at most `most` bytes; 0 at the end. While nothing comes there is no buffer.
///
/// # Errors
/// The system's.
pub(crate) async fn read_socket(
    socket: &TcpStream,
    buffer: &mut BytesMut,
    most: usize,
) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        buffer.reserve(most);
        match socket.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Reads through a buffer that is there only while something is read.
async fn take(from: &mut (impl AsyncRead + Unpin), to: &mut BytesMut) -> io::Result<usize> {
    std::future::poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); TAKEN_BYTES];
        let mut taken = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *from).poll_read(context, &mut taken))?;
        to.extend_from_slice(taken.filled());
        Poll::Ready(Ok(taken.filled().len()))
    })
    .await
}

impl AsyncRead for Replayed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = this.early.len().min(buffer.remaining());
        buffer.put_slice(this.early.get(..count).unwrap_or_default());
        this.early.advance(count);
        if this.early.is_empty() {
            this.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Passes every method of [`AsyncWrite`] on.
macro_rules! writes_to {
    ($this:ident => $stream:expr) => {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let $this = self.get_mut();
            $stream.poll_write(context, bytes)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            parts: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let $this = self.get_mut();
            $stream.poll_write_vectored(context, parts)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            let $this = self.get_mut();
            $stream.poll_flush(context)
        }

        fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            let $this = self.get_mut();
            $stream.poll_shutdown(context)
        }
    };
}

/// One of two ends that both write.
trait Write: AsyncWrite + Send + Unpin {}
impl<T: AsyncWrite + Send + Unpin> Write for T {}

impl Stream {
    fn writer(&mut self) -> Pin<&mut dyn Write> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl WriteEnd<'_> {
    fn writer(&mut self) -> Pin<&mut (dyn Write + '_)> {
        match self {
            Self::Tcp(write) => Pin::new(write),
            Self::Tls(write) => Pin::new(write),
        }
    }
}

impl AsyncWrite for Replayed {
    writes_to!(this => Pin::new(&mut this.stream));
}

impl AsyncWrite for Stream {
    writes_to!(this => this.writer());
}

impl AsyncWrite for WriteEnd<'_> {
    writes_to!(this => this.writer());
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}
