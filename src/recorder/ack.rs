//! How those who wait for a line hear that it is written.
//!
//! Waking a task of the runtime from another thread costs a system call, so the journal thread
//! wakes one waiter per batch, and that one wakes the others, which costs next to nothing on its
//! own thread. If it is gone by then, its ticket wakes them when it is dropped: nobody is
//! forgotten.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Waiters whose line is written and who have not heard it yet.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<Vec<Waker>>);

/// One line that somebody waits for; the journal thread's half.
#[derive(Debug)]
pub(super) struct AckTicket(Arc<Mutex<LineState>>);

/// The waiter's half: ready when the line is written or lost.
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub(super) struct Written {
    line: Arc<Mutex<LineState>>,
    waiters: Arc<Waiters>,
}

#[derive(Debug, Default)]
struct LineState {
    settled: bool,
    /// Whether the waiter left before it was settled.
    left: bool,
    waiter: Option<Waker>,
}

/// Both halves for one line.
pub(super) fn ticket(waiters: &Arc<Waiters>) -> (AckTicket, Written) {
    let line = Arc::new(Mutex::default());
    (AckTicket(Arc::clone(&line)), Written { line, waiters: Arc::clone(waiters) })
}

impl Waiters {
    /// Tells all who wait for these lines that they are written, or lost for good.
    pub(super) fn settle(&self, tickets: &mut Vec<AckTicket>) {
        let Some(leader) = tickets.pop() else { return };
        // The others first: the leader must find them all when it comes.
        let others = tickets.drain(..).filter_map(AckTicket::settle);
        lock(&self.0).extend(others);
        let line = Arc::clone(&leader.0);
        if let Some(waker) = leader.settle() {
            waker.wake();
        } else if lock(&line).left {
            self.release();
        }
    }

    fn release(&self) {
        let released = std::mem::take(&mut *lock(&self.0));
        released.into_iter().for_each(Waker::wake);
    }
}

impl AckTicket {
    fn settle(self) -> Option<Waker> {
        let mut line = lock(&self.0);
        line.settled = true;
        line.waiter.take().filter(|_| !line.left)
    }
}

impl Future for Written {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut line = lock(&self.line);
        if line.settled {
            return Poll::Ready(());
        }
        line.waiter = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let settled = {
            let mut line = lock(&self.line);
            line.left = true;
            line.settled
        };
        if settled {
            self.waiters.release();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every statement leaves it whole; a panic elsewhere spoils nothing here.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_waiters_of_a_batch_hear_of_it() {
        let waiters = Arc::new(Waiters::default());
        let (mut tickets, waits): (Vec<_>, Vec<_>) = (0..5).map(|_| ticket(&waiters)).unzip();
        let waits: Vec<_> = waits.into_iter().map(tokio::spawn).collect();
        tokio::task::yield_now().await;
        let journal = Arc::clone(&waiters);
        std::thread::spawn(move || journal.settle(&mut tickets)).join().unwrap();
        for wait in waits {
            wait.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_leader_that_left_still_wakes_the_others() {
        let waiters = Arc::new(Waiters::default());
        let (first, waits) = ticket(&waiters);
        let (last, left) = ticket(&waiters);
        let waiting = tokio::spawn(waits);
        tokio::task::yield_now().await;
        waiters.settle(&mut vec![first, last]);
        drop(left);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_leader_that_left_before_is_passed_over() {
        let waiters = Arc::new(Waiters::default());
        let (first, waits) = ticket(&waiters);
        let (last, left) = ticket(&waiters);
        let waiting = tokio::spawn(waits);
        drop(left);
        tokio::task::yield_now().await;
        waiters.settle(&mut vec![first, last]);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_is_written_already_is_not_waited_for() {
        let waiters = Arc::new(Waiters::default());
        let (ticket, written) = ticket(&waiters);
        waiters.settle(&mut vec![ticket]);
        written.await;
    }
}
