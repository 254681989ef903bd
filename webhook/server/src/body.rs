//! Request bodies, read within bounds of size, time and memory of all requests together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// A body and its share of the memory for bodies, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body isn't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// More than one request may have.
    TooLarge,
    /// More than all requests together may have.
    NoMemory,
    /// Too slow.
    TimedOut,
    /// Cut off, or not HTTP.
    Broken,
}

/// Reads a body. What it announces is refused at once if it is too large; memory is taken as bytes arrive, so that an
/// announcement alone takes none.
pub(crate) async fn read(
    body: Incoming,
    limits: &Limits,
    memory: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits.body_bytes_max {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(limits.body_max, collect(body, limits, memory)).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::TimedOut),
    }
}

async fn collect(
    mut body: Incoming,
    limits: &Limits,
    memory: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    let mut bytes = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > limits.body_bytes_max {
            return Err(BodyError::TooLarge);
        }
        let wanted = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge)?;
        let more =
            Arc::clone(memory).try_acquire_many_owned(wanted).map_err(|_| BodyError::NoMemory)?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _share: share })
}
