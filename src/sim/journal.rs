//! What a simulated provider saw, for tests that ask "who was called, when, with what".
//!
//! Waiting is by condition, never by time: counts go through a watch channel, so that a test sleeps
//! until the call it waits for has happened. Only the newest calls are kept, so that a benchmark
//! does not fill the memory; the counts go on. `Debug` shows neither headers nor bodies, as both
//! hold secrets.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::behaviour::Behaviour;

/// One call as the provider saw it.
#[derive(Clone)]
pub struct Seen {
    /// Its number, from 0.
    pub number: u64,
    /// When its body was complete, since the simulator's start.
    pub at: Duration,
    /// Path and query of its address.
    pub path: String,
    /// The model it asked for; empty if none.
    pub model: String,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` if it was not JSON.
    pub body: Value,
    /// What was done with it.
    pub served: Behaviour,
    /// The status that was sent; `None` as long as nothing was.
    pub status: Option<u16>,
    /// The client closed the connection before the answer.
    pub cancelled: bool,
}

impl Seen {
    /// The value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("number", &self.number)
            .field("at", &self.at)
            .field("model", &self.model)
            .field("served", &self.served)
            .field("status", &self.status)
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}

/// How much happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that arrived, answered or not.
    pub calls: u64,
    /// Calls whose client left before the answer.
    pub cancelled: u64,
    /// Connections that were accepted.
    pub connections: u64,
}

/// The calls of one simulator.
#[derive(Debug)]
pub(super) struct CallJournal {
    kept: Mutex<KeptCalls>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug)]
struct KeptCalls {
    calls: VecDeque<Seen>,
    most: usize,
    next: u64,
}

impl CallJournal {
    pub(super) fn new() -> Self {
        let kept = KeptCalls { calls: VecDeque::new(), most: 10_000, next: 0 };
        Self { kept: Mutex::new(kept), counts: watch::Sender::new(Counts::default()) }
    }

    /// Writes a call down and gives its number. What is not to be kept is not even put together.
    pub(super) fn arrive(&self, seen: impl FnOnce() -> Seen) -> u64 {
        let number = self.with(|kept| {
            let number = kept.next;
            kept.next += 1;
            if kept.most > 0 {
                kept.calls.push_back(Seen { number, ..seen() });
                kept.trim();
            }
            number
        });
        self.counts.send_modify(|counts| counts.calls += 1);
        number
    }

    pub(super) fn answered(&self, number: u64, status: u16) {
        self.with(|kept| kept.change(number, |seen| seen.status = Some(status)));
    }

    pub(super) fn cancelled(&self, number: u64) {
        self.with(|kept| kept.change(number, |seen| seen.cancelled = true));
        self.counts.send_modify(|counts| counts.cancelled += 1);
    }

    pub(super) fn connected(&self) {
        self.counts.send_modify(|counts| counts.connections += 1);
    }

    pub(super) fn keep(&self, most: usize) {
        self.with(|kept| {
            kept.most = most;
            kept.trim();
        });
    }

    /// Forgets the calls; the counts go on.
    pub(super) fn clear(&self) {
        self.with(|kept| kept.calls.clear());
    }

    pub(super) fn calls(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.with(|kept| kept.calls.iter().filter(|seen| wanted(seen)).cloned().collect())
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) async fn wait(&self, enough: impl Fn(Counts) -> bool) {
        // The sender lives in `self`, so the channel cannot end while somebody waits here.
        let _ = self.counts.subscribe().wait_for(|counts| enough(*counts)).await;
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut KeptCalls) -> T) -> T {
        use_it(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KeptCalls {
    fn trim(&mut self) {
        while self.calls.len() > self.most {
            self.calls.pop_front();
        }
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Seen)) {
        if let Ok(place) = self.calls.binary_search_by_key(&number, |seen| seen.number) {
            change(&mut self.calls[place]);
        }
    }
}
