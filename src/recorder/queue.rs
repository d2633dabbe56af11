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
    state: QueueState,
}

/// What the reader is to do about the messages, and who sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueState {
    /// The reader looks again after [`LINGER`]; nobody waits for a message.
    Lingering,
    /// Like that, but somebody waits for a message and has promised to wake the reader.
    Promised,
    /// The reader is to take everything now.
    Woken,
    /// The queue is empty, and the reader sleeps until there is a message.
    Asleep,
    /// Nothing will come after what is still in it.
    Ended,
}

impl<T> Queue<T> {
    /// A queue for at most `most` messages.
    pub(super) fn new(most: usize) -> Queue<T> {
        let inside = Inside { messages: Vec::new(), state: QueueState::Lingering };
        Queue { inside: Mutex::new(inside), news: Condvar::new(), most }
    }

    /// Puts a message in; gives it back when there is no room, or no reader any more. Of those
    /// who wait for what they push, the first is told (true) to wake the reader for all.
    pub(super) fn push(&self, message: T, waits: bool) -> Result<bool, T> {
        let mut inside = self.inside();
        let before = inside.state;
        if before == QueueState::Ended || inside.messages.len() >= self.most {
            return Err(message);
        }
        inside.messages.push(message);
        inside.state = before.after_push(waits);
        let first = inside.state == QueueState::Promised && before != QueueState::Promised;
        if before == QueueState::Asleep {
            drop(inside);
            self.news.notify_one();
        }
        Ok(first)
    }

    /// Has everything that is in it taken at once.
    pub(super) fn wake(&self) {
        let mut inside = self.inside();
        let lingers = matches!(inside.state, QueueState::Lingering | QueueState::Promised);
        if inside.messages.is_empty() || !lingers {
            return;
        }
        inside.state = QueueState::Woken;
        drop(inside);
        self.news.notify_one();
    }

    /// Puts a last message in, room or not, and lets nothing follow.
    pub(super) fn end(&self, last: Option<T>) {
        let mut inside = self.inside();
        if inside.state != QueueState::Ended {
            inside.messages.extend(last);
        }
        inside.state = QueueState::Ended;
        drop(inside);
        self.news.notify_one();
    }

    /// Waits for messages and moves them all into `taken`; false when there will be no more.
    pub(super) fn take(&self, taken: &mut Vec<T>) -> bool {
        let mut inside = self.inside();
        loop {
            let waited = self.news.wait_timeout_while(inside, LINGER, |inside| {
                matches!(inside.state, QueueState::Lingering | QueueState::Promised)
            });
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !inside.messages.is_empty() || inside.state == QueueState::Ended {
                break;
            }
            inside.state = QueueState::Asleep;
            let woken = self.news.wait_while(inside, |inside| inside.state == QueueState::Asleep);
            inside = woken.unwrap_or_else(PoisonError::into_inner);
        }
        taken.append(&mut inside.messages);
        let more = inside.state != QueueState::Ended;
        if more {
            inside.state = QueueState::Lingering;
        }
        more
    }

    fn inside(&self) -> MutexGuard<'_, Inside<T>> {
        // Every statement leaves it whole; a panic elsewhere spoils nothing here.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// The state after a message came, for which somebody `waits` or nobody does. Who comes when
    /// the reader is woken already is taken with the others, and has nothing to promise.
    fn after_push(self, waits: bool) -> QueueState {
        match self {
            QueueState::Lingering | QueueState::Asleep if waits => QueueState::Promised,
            QueueState::Lingering | QueueState::Asleep => QueueState::Lingering,
            QueueState::Promised | QueueState::Woken | QueueState::Ended => self,
        }
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
        while queue.inside().state != QueueState::Asleep {
            thread::yield_now();
        }
        queue.push(7, false).unwrap();
        while !queue.inside().messages.is_empty() {
            thread::yield_now();
        }
        queue.end(Some(8));
        assert_eq!(reading.join().unwrap(), [7, 8]);
    }

    #[test]
    fn every_state_is_left_as_it_should_be() {
        use QueueState::{Asleep, Ended, Lingering, Promised, Woken};
        // A queue in that state, with a message in it unless its reader sleeps; then what is done.
        let after = |state, step: fn(&Queue<u8>)| {
            let queue = Queue::new(8);
            let messages = if state == Asleep { vec![] } else { vec![0] };
            *queue.inside() = Inside { messages, state };
            step(&queue);
            queue.inside().state
        };
        let rows = [
            (Lingering, [Lingering, Promised, Woken, Ended, Lingering]),
            (Promised, [Promised, Promised, Woken, Ended, Lingering]),
            (Woken, [Woken, Woken, Woken, Ended, Lingering]),
            (Ended, [Ended, Ended, Ended, Ended, Ended]),
        ];
        let push: fn(&Queue<u8>) = |queue| _ = queue.push(1, false);
        let push_and_wait: fn(&Queue<u8>) = |queue| _ = queue.push(1, true);
        let end: fn(&Queue<u8>) = |queue| queue.end(None);
        let take: fn(&Queue<u8>) = |queue| _ = queue.take(&mut Vec::new());
        for (state, expected) in rows {
            let steps = [push, push_and_wait, Queue::wake, end, take];
            assert_eq!(steps.map(|step| after(state, step)), expected, "from {state:?}");
        }
        // It takes nothing while it sleeps.
        let steps = [push, push_and_wait, Queue::wake, end];
        assert_eq!(steps.map(|step| after(Asleep, step)), [Lingering, Promised, Asleep, Ended]);
    }

    #[test]
    fn only_the_first_who_waits_before_the_reader_is_woken_is_told_to_wake_it() {
        use QueueState::{Asleep, Lingering, Promised, Woken};
        for (state, first) in [(Lingering, true), (Asleep, true), (Promised, false), (Woken, false)]
        {
            let queue = Queue::new(8);
            queue.inside().state = state;
            assert_eq!(queue.push(0, true), Ok(first), "from {state:?}");
        }
    }

    #[test]
    fn an_empty_queue_is_not_woken() {
        let queue = Queue::<u8>::new(8);
        queue.wake();
        assert_eq!(queue.inside().state, QueueState::Lingering);
    }
}
