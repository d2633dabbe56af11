//! The way of events from the daemon to the journal thread.
//!
//! Waking a thread costs more than writing a line, so pushing does not wake it while it is lively:
//! it looks again by itself after [`LINGER`], and the first of those who wait for a line wakes it,
//! once for everything that was pushed until then. A channel of the standard library would wake it for
//! every line of a busy day.
//!
//! Bounded: what finds it full comes back to its sender. Nothing here knows what the messages are.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long messages that nobody waits for gather before they are taken.
pub(super) const LINGER: Duration = Duration::from_millis(5);

/// A bounded queue with one reader.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inside: Mutex<Inside<T>>,
    news: Condvar,
    most: usize,
}

#[derive(Debug)]
struct Inside<T> {
    messages: Vec<T>,
    /// Whether somebody has promised to wake.
    promised: bool,
    /// Whether somebody waits for what is in it.
    woken: bool,
    /// Whether the reader sleeps until it is woken.
    asleep: bool,
    /// Whether nothing will come after.
    ended: bool,
}

impl<T> Queue<T> {
    /// A queue for at most `most` messages.
    pub(super) fn new(most: usize) -> Queue<T> {
        let inside = Inside {
            messages: Vec::new(),
            promised: false,
            woken: false,
            asleep: false,
            ended: false,
        };
        Queue { inside: Mutex::new(inside), news: Condvar::new(), most }
    }

    /// Puts a message in; gives it back when there is no room, or no reader any more. Of those
    /// who wait for what they push, the first is told (true) to wake for all.
    pub(super) fn push(&self, message: T, waits: bool) -> Result<bool, T> {
        let mut inside = self.inside();
        if inside.ended || inside.messages.len() >= self.most {
            return Err(message);
        }
        inside.messages.push(message);
        let first = waits && !inside.promised;
        inside.promised |= waits;
        if std::mem::take(&mut inside.asleep) {
            drop(inside);
            self.news.notify_one();
        }
        Ok(first)
    }

    /// Has everything that is in it taken at once.
    pub(super) fn wake(&self) {
        let mut inside = self.inside();
        if inside.messages.is_empty() || std::mem::replace(&mut inside.woken, true) {
            return;
        }
        drop(inside);
        self.news.notify_one();
    }

    /// Puts a last message in, room or not, and lets nothing follow.
    pub(super) fn end(&self, last: Option<T>) {
        let mut inside = self.inside();
        if !inside.ended {
            inside.messages.extend(last);
        }
        inside.ended = true;
        drop(inside);
        self.news.notify_one();
    }

    /// Waits for messages and moves them all into `taken`; false when there will be no more.
    pub(super) fn take(&self, taken: &mut Vec<T>) -> bool {
        let mut inside = self.inside();
        loop {
            let calm = |inside: &mut Inside<T>| !inside.woken && !inside.ended;
            let waited = self.news.wait_timeout_while(inside, LINGER, calm);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !inside.messages.is_empty() || inside.ended {
                break;
            }
            inside.asleep = true;
            let asleep = |inside: &mut Inside<T>| inside.asleep && !inside.ended;
            let woken = self.news.wait_while(inside, asleep);
            inside = woken.unwrap_or_else(PoisonError::into_inner);
        }
        inside.promised = false;
        inside.woken = false;
        inside.asleep = false;
        taken.append(&mut inside.messages);
        !inside.ended
    }

    fn inside(&self) -> MutexGuard<'_, Inside<T>> {
        // Every statement leaves it whole; a panic elsewhere spoils nothing here.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn messages_come_out_in_their_order_and_all_at_once() {
        let queue = Queue::new(8);
        for number in 0..3 {
            queue.push(number, false).unwrap();
        }
        queue.wake();
        let mut taken = Vec::new();
        assert!(queue.take(&mut taken));
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn one_of_those_who_wait_wakes_for_all_until_it_is_emptied() {
        let queue = Queue::new(8);
        assert_eq!(queue.push(0, false), Ok(false));
        assert_eq!([queue.push(1, true), queue.push(2, true)], [Ok(true), Ok(false)]);
        queue.wake();
        assert_eq!(queue.push(3, true), Ok(false), "it is on its way");
        queue.take(&mut Vec::new());
        assert_eq!(queue.push(4, true), Ok(true));
    }

    #[test]
    fn a_full_or_ended_queue_gives_the_message_back_but_takes_the_last_one() {
        let queue = Queue::new(1);
        queue.push(0, false).unwrap();
        assert_eq!(queue.push(1, false), Err(1));
        queue.end(Some(2));
        assert_eq!(queue.push(3, false), Err(3));
        queue.end(Some(4));
        let mut taken = Vec::new();
        assert!(!queue.take(&mut taken));
        assert_eq!(taken, [0, 2]);
    }

    #[test]
    fn a_sleeping_reader_is_woken_by_a_message_alone() {
        let queue = Arc::new(Queue::new(8));
        let reader = Arc::clone(&queue);
        let reading = thread::spawn(move || {
            let mut taken = Vec::new();
            while reader.take(&mut taken) {}
            taken
        });
        while !queue.inside().asleep {
            thread::yield_now();
        }
        queue.push(7, false).unwrap();
        while !queue.inside().messages.is_empty() {
            thread::yield_now();
        }
        queue.end(Some(8));
        assert_eq!(reading.join().unwrap(), [7, 8]);
    }
}
