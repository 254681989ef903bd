//! The promise of an answer: a future that also lets a thread wait. Never hangs: a dropped promise answers `Closed`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::LedgerError;

/// Proof that a record is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's sequence number, from 1.
    pub seq: u64,
    /// Its `entry_hash`, hexadecimal.
    pub entry_hash: String,
    /// Its `time`, RFC 3339.
    pub time: String,
}

/// Resolves when the record is durable, or can't become so. Dropping it does not withdraw the record.
#[derive(Debug)]
#[must_use = "a record counts only once its ticket resolved"]
pub struct Ticket<T = Receipt> {
    slot: Arc<Slot<T>>,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Promise<T = Receipt> {
    slot: Arc<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    answered: Condvar,
}

#[derive(Debug)]
struct State<T> {
    answer: Option<Result<T, LedgerError>>,
    waker: Option<Waker>,
}

pub(crate) fn ticket<T>() -> (Promise<T>, Ticket<T>) {
    let state = Mutex::new(State { answer: None, waker: None });
    let slot = Arc::new(Slot { state, answered: Condvar::new() });
    (Promise { slot: Arc::clone(&slot) }, Ticket { slot })
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, answer: Result<T, LedgerError>) {
        let waker = {
            let mut state = self.lock();
            if state.answer.is_some() {
                return;
            }
            state.answer = Some(answer);
            state.waker.take()
        };
        self.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Promise<T> {
    pub(crate) fn answer(self, answer: Result<T, LedgerError>) {
        self.slot.fill(answer);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.slot.fill(Err(LedgerError::Closed));
    }
}

impl<T: Clone> Ticket<T> {
    /// Blocks this thread until the answer is there. Not for async code: await the ticket instead.
    ///
    /// # Errors
    /// As for the ticket.
    pub fn wait(self) -> Result<T, LedgerError> {
        let mut state = self.slot.lock();
        loop {
            if let Some(answer) = &state.answer {
                return answer.clone();
            }
            state = self.slot.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Clone> Future for Ticket<T> {
    type Output = Result<T, LedgerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.lock();
        match &state.answer {
            Some(answer) => Poll::Ready(answer.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn poll<T: Clone>(ticket: &mut Ticket<T>, flag: &Arc<Flag>) -> Poll<Result<T, LedgerError>> {
        let waker = Waker::from(Arc::clone(flag));
        Pin::new(ticket).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn a_task_is_woken_by_the_answer() {
        let (promise, mut ticket) = ticket::<u8>();
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        assert!(poll(&mut ticket, &flag).is_pending());
        assert!(!flag.0.load(Ordering::SeqCst));
        promise.answer(Ok(7));
        assert!(flag.0.load(Ordering::SeqCst));
        assert!(matches!(poll(&mut ticket, &flag), Poll::Ready(Ok(7))));
    }

    #[test]
    fn a_thread_is_woken_by_the_answer() {
        let (promise, ticket) = ticket::<u8>();
        let waiter = std::thread::spawn(move || ticket.wait());
        promise.answer(Ok(7));
        assert!(matches!(waiter.join().unwrap(), Ok(7)));
    }

    #[test]
    fn a_dropped_promise_answers_closed() {
        let (promise, ticket) = ticket::<u8>();
        drop(promise);
        assert!(matches!(ticket.wait(), Err(LedgerError::Closed)));
    }
}
