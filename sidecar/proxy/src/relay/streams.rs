//! Bytes between ends that aren't plain sockets: copied, with the same limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, split};

use super::sockets::with_scratch;
use super::{Broken, Flow};
use crate::quota::Way;

/// Both directions, until both have ended or one can't go on.
pub(super) async fn both<A, U>(flow: &Flow<'_>, agent: A, upstream: U) -> Result<(), Broken>
where
    A: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (agent_read, agent_write) = split(agent);
    let (upstream_read, upstream_write) = split(upstream);
    tokio::try_join!(
        copy(flow, Way::Out, agent_read, upstream_write),
        copy(flow, Way::In, upstream_read, agent_write),
    )
    .map(|_| ())
}

async fn copy<R, W>(flow: &Flow<'_>, way: Way, mut from: R, mut to: W) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        // The buffer is the thread's while nothing comes.
        let (read, passing, denial) = poll_fn(|context| {
            with_scratch(|scratch| {
                let mut space = ReadBuf::new(scratch);
                ready!(Pin::new(&mut from).poll_read(context, &mut space))?;
                let read = space.filled().len();
                let (granted, denial) = flow.count(way, read);
                let passing = space.filled().get(..granted).unwrap_or_default().to_vec();
                Poll::Ready(Ok::<_, std::io::Error>((read, passing, denial)))
            })
        })
        .await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(&passing).await?;
        to.flush().await?;
        flow.pulse.beat();
        if let Some(denial) = denial {
            return Err(Broken::Limit(denial));
        }
    }
}
