//! What a Service and its EndpointSlice are to the API server: one address that stays, connections spread over the replicas that are listed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Forwards connections until it is dropped; those that are open stay open when their replica is taken off the list, as with a real one.
pub(crate) struct Service {
    address: SocketAddr,
    endpoints: Arc<Mutex<Vec<SocketAddr>>>,
    closed: Arc<AtomicBool>,
}

impl Service {
    pub(crate) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let endpoints = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (listed, ended) = (Arc::clone(&endpoints), Arc::clone(&closed));
        thread::spawn(move || accept(&listener, &listed, &ended));
        Ok(Self { address, endpoints, closed })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets who gets new connections, in turn. Nobody: they are closed at once.
    pub(crate) fn route_to(&self, endpoints: &[SocketAddr]) {
        endpoints.clone_into(&mut self.endpoints.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the thread; if that fails it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, endpoints: &Mutex<Vec<SocketAddr>>, closed: &AtomicBool) {
    while let Ok((client, _)) = listener.accept() {
        if closed.load(Ordering::Acquire) {
            return;
        }
        let chosen = {
            let mut listed = endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let chosen = listed.first().copied();
            if chosen.is_some() {
                listed.rotate_left(1);
            }
            chosen
        };
        // A connection to nobody is closed by being dropped.
        if let Some(server) = chosen.and_then(|address| TcpStream::connect(address).ok()) {
            let _ = join(&client, &server);
        }
    }
}

fn join(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        to.set_nodelay(true)?;
        thread::spawn(move || {
            // Whatever ends a direction, its end is passed on, and both sides close as they would without us.
            let copied = io::copy(&mut from, &mut to);
            let half = if copied.is_ok() { Shutdown::Write } else { Shutdown::Both };
            let _ = to.shutdown(half);
        });
    }
    Ok(())
}
