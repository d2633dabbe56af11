//! How much all clients together may ask for at once.
//!
//! A ticket is held by every unanswered request and gives its share back when it is dropped,
//! whatever happened to the request.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::config::LimitsConfig;

/// What is in use, and how much may be.
pub(super) struct Budget {
    connections: Cell<usize>,
    requests: Cell<usize>,
    bytes: Cell<usize>,
    by_uid: RefCell<HashMap<u32, usize>>,
    limits: Cell<LimitsConfig>,
}

/// A connection's place, given back when it is dropped.
pub(super) struct ConnectionSlot(Rc<Budget>);

/// An unanswered request's share of all limits, given back when it is dropped.
pub(super) struct Ticket {
    budget: Rc<Budget>,
    bytes: usize,
    uid: Option<u32>,
}

/// Bytes of a line that is still arriving.
pub(super) struct Arriving {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limits: &LimitsConfig) -> Budget {
        Budget {
            connections: Cell::new(0),
            requests: Cell::new(0),
            bytes: Cell::new(0),
            by_uid: RefCell::default(),
            limits: Cell::new(*limits),
        }
    }

    /// Takes changed limits. What is in use stays, even above them.
    pub(super) fn renew(&self, limits: &LimitsConfig) {
        self.limits.set(*limits);
    }

    /// How much may be in use.
    pub(super) fn limits(&self) -> LimitsConfig {
        self.limits.get()
    }

    /// Clients that are connected.
    pub(super) fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Requests that hold a ticket.
    pub(super) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// A place for one more connection, if there is one.
    pub(super) fn connect(self: &Rc<Self>) -> Option<ConnectionSlot> {
        if self.connections.get() >= self.limits.get().connections {
            return None;
        }
        self.connections.set(self.connections.get() + 1);
        Some(ConnectionSlot(self.clone()))
    }

    /// A share for one more request, or which limit is reached.
    pub(super) fn request(
        self: &Rc<Self>,
        bytes: usize,
        uid: Option<u32>,
    ) -> Result<Ticket, String> {
        let limits = self.limits.get();
        if self.requests.get() >= limits.in_flight {
            return Err(format!(
                "{} requests are outstanding (`limits.in_flight`); try again later",
                limits.in_flight
            ));
        }
        if self.bytes.get().saturating_add(bytes) > limits.request_bytes_total {
            return Err(format!(
                "outstanding requests hold {} bytes (`limits.request_bytes_total`); try again later",
                self.bytes.get()
            ));
        }
        if let Some(uid) = uid {
            let most = limits.requests_per_uid.unwrap_or(usize::MAX);
            let mut by_uid = self.by_uid.borrow_mut();
            let count = by_uid.entry(uid).or_default();
            if *count >= most {
                return Err(format!(
                    "user {uid} has {most} outstanding requests (`limits.requests_per_uid`); \
                     try again later"
                ));
            }
            *count += 1;
        }
        self.requests.set(self.requests.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
        Ok(Ticket { budget: self.clone(), bytes, uid })
    }

    /// A share for a connection's line while it arrives.
    pub(super) fn arriving(self: &Rc<Self>) -> Arriving {
        Arriving { budget: self.clone(), bytes: 0 }
    }
}

impl Arriving {
    /// Says how many bytes have arrived; false when there is no room for them.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let others = self.budget.bytes.get().saturating_sub(self.bytes);
        let most = self.budget.limits.get().request_bytes_total;
        let fits = bytes == 0 || others.saturating_add(bytes) <= most;
        self.bytes = if fits { bytes } else { 0 };
        self.budget.bytes.set(others + self.bytes);
        fits
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.hold(0);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.budget.requests.set(self.budget.requests.get().saturating_sub(1));
        self.budget.bytes.set(self.budget.bytes.get().saturating_sub(self.bytes));
        let Some(uid) = self.uid else { return };
        let mut by_uid = self.budget.by_uid.borrow_mut();
        if let Some(count) = by_uid.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                by_uid.remove(&uid);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in super::super) fn budget(
        requests: usize,
        bytes: usize,
        per_uid: Option<usize>,
    ) -> Rc<Budget> {
        Rc::new(Budget::new(&LimitsConfig {
            line_bytes: 100,
            connections: 1,
            requests_per_connection: 64,
            in_flight: requests,
            request_bytes_total: bytes,
            response_bytes: 100,
            requests_per_uid: per_uid,
            line_timeout: Duration::from_secs(10),
            reader_timeout: Duration::from_secs(30),
        }))
    }

    #[test]
    fn every_share_comes_back_when_its_ticket_is_dropped() {
        let budget = budget(2, 100, Some(1));
        for _ in 0..10 {
            let first = budget.request(60, Some(7)).unwrap_or_else(|error| panic!("{error}"));
            assert!(budget.request(1, Some(7)).is_err_and(|error| error.contains("user 7")));
            assert!(budget.request(60, Some(8)).is_err_and(|error| error.contains("bytes")));
            let second = budget.request(40, Some(8));
            assert!(budget.request(0, None).is_err_and(|error| error.contains("in_flight")));
            drop((first, second));
        }
        assert_eq!((budget.requests(), budget.bytes.get()), (0, 0));
        assert!(budget.by_uid.borrow().is_empty());
    }

    #[test]
    fn arriving_bytes_count_until_the_line_is_complete() {
        let budget = budget(9, 100, None);
        let (mut one, mut two) = (budget.arriving(), budget.arriving());
        assert!(one.hold(80));
        assert!(!two.hold(30));
        assert!(one.hold(0) && two.hold(30));
        drop(two);
        assert_eq!(budget.bytes.get(), 0);
    }

    #[test]
    fn connections_are_limited() {
        let budget = budget(9, 100, None);
        let first = budget.connect();
        assert!(first.is_some() && budget.connect().is_none());
        drop(first);
        assert!(budget.connect().is_some());
    }
}
