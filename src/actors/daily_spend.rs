//! What a task has spent today: one sum per task, owned by the table of chains.
//!
//! Dispatches tell it what their calls cost, and read it before they rank. A new table takes the
//! sums of the old one along, so requests that were begun before a reload still count. After a
//! restart it begins with what the ledger says of today.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::domain::ceiling::DaySpend;
use crate::domain::ledger::{LedgerKey, Sums};
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::protocol::calendar::Day;

/// What one task has spent today; clones share it.
#[derive(Clone)]
pub(crate) struct TaskSpend {
    spent: Rc<RefCell<DaySpend>>,
    zone: TimeZone,
}

/// What each task has spent today.
pub(super) struct SpendByTask {
    by_task: RefCell<HashMap<Arc<str>, Rc<RefCell<DaySpend>>>>,
    zone: TimeZone,
}

impl SpendByTask {
    /// Sums that begin with what the ledger says of the day of `now`.
    pub(super) fn new(today: &[(LedgerKey, Sums)], zone: TimeZone, now: Wall) -> SpendByTask {
        let mut amounts: HashMap<Arc<str>, Nano> = HashMap::new();
        for (key, sums) in today {
            // Copies and probes have a budget of their own.
            let spent = [sums.paid, sums.failed, sums.hedge].map(Nano).into_iter().sum();
            *amounts.entry(key.task.clone()).or_default() += spent;
        }
        let day = day(now, &zone);
        let by_task = amounts
            .into_iter()
            .map(|(task, amount)| (task, Rc::new(RefCell::new(DaySpend::on(day, amount)))))
            .collect();
        SpendByTask { by_task: RefCell::new(by_task), zone }
    }

    /// The same sums for a changed configuration.
    pub(super) fn renewed(&self, zone: TimeZone) -> SpendByTask {
        SpendByTask { by_task: self.by_task.clone(), zone }
    }

    /// The sum of one task.
    pub(super) fn of(&self, task: &Arc<str>) -> TaskSpend {
        let spent = self.by_task.borrow_mut().entry(task.clone()).or_default().clone();
        TaskSpend { spent, zone: self.zone.clone() }
    }
}

impl TaskSpend {
    pub(crate) fn pay(&self, amount: Nano, now: Wall) {
        self.spent.borrow_mut().more(amount, now, || day(now, &self.zone));
    }

    /// What was spent today.
    pub(crate) fn spent(&self, now: Wall) -> Nano {
        self.spent.borrow_mut().today(now, || day(now, &self.zone))
    }
}

fn day(now: Wall, zone: &TimeZone) -> (Wall, Wall) {
    let day = Day::of(now, zone);
    (day.start, day.end)
}
