//! Copies of requests in the background: which backup gets one, what they may cost, and when a
//! model whose circuit is open is tried with one.
//!
//! A backup that nobody has called for a while may be broken without anybody knowing. So a share
//! of the answered requests is also sent to one backup, the one of which least is known. And a
//! model that is left alone is tried with a copy of a request that somebody sends anyway, so that
//! no caller has to be the one who finds out.
//!
//! Time, chance and prices are arguments. Nothing here knows a request, a model or a network.

use std::time::Duration;

use super::price::Nano;
use super::time::{Deadline, Now, Wall};

/// A circuit that is open for longer than this is tried less and less often.
const LONG_OPEN: Duration = Duration::from_secs(5 * 60);
/// The longest time between two probes that the growth leads to.
const SLOWEST: Duration = Duration::from_secs(60);
/// Time between two probes of a model that waits for a person.
const BLOCKED_EVERY: Duration = Duration::from_secs(5 * 60);

/// What is configured about copies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowRules {
    /// Share of the answered requests that is copied to a backup, 0 to 1.
    pub(crate) rate: f64,
    /// Most copies under way. Probes are not counted: there is at most one per model.
    pub(crate) max_in_flight: u32,
    /// Most that copies and probes may cost per day.
    pub(crate) daily_budget: Nano,
    /// Whether requests with tools may be copied; a copy executes nothing.
    pub(crate) tools: bool,
    /// Whether a copy's answer is compared with the caller's.
    pub(crate) compare: bool,
}

impl Default for ShadowRules {
    fn default() -> ShadowRules {
        ShadowRules {
            rate: 0.05,
            max_in_flight: 4,
            daily_budget: Nano(1_000_000_000),
            tools: true,
            compare: false,
        }
    }
}

impl ShadowRules {
    /// What an owner should know before the first bill; `None` where nothing is copied.
    pub(crate) fn notice(&self) -> Option<String> {
        let percent = self.rate * 100.0;
        let dollars = self.daily_budget.0 as f64 / 1e9;
        (self.rate > 0.0).then(|| {
            format!(
                "{percent} % of the answered requests are also sent to a backup, for at most \
                 ${dollars:.2} a day; to change it: rate and daily_budget_usd in [shadow]"
            )
        })
    }
}

/// Whether a request is copied, by a random number from 0 to below 1.
pub(crate) fn sampled(rate: f64, chance: f64) -> bool {
    chance < rate
}

/// A model that could take a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Backup {
    /// Copies that it is answering now: their data is on its way.
    pub copies: usize,
    /// When it was last found working or failing; never is older than everything.
    pub data: Option<Wall>,
    /// Its place in the chain.
    pub place: usize,
}

/// The backup with the oldest data; among equals the first of the chain.
pub(crate) fn oldest(backups: impl IntoIterator<Item = Backup>) -> Option<usize> {
    // The order of the fields is the order of what counts.
    backups.into_iter().min().map(|backup| backup.place)
}

/// What copies and probes may still cost today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AutomaticBudget {
    limit: Nano,
    /// The day that `spent` is about.
    day: (Wall, Wall),
    /// `None` until the ledger has said.
    spent: Option<Nano>,
    reserved: Nano,
}

impl AutomaticBudget {
    /// A budget of `limit` a day; nothing is left of it until somebody says what was spent.
    pub(crate) fn new(limit: Nano) -> AutomaticBudget {
        AutomaticBudget { limit, ..AutomaticBudget::default() }
    }

    pub(crate) fn set_limit(&mut self, limit: Nano) {
        self.limit = limit;
    }

    /// Takes the ledger's word for what was spent on the day from the first to before the second
    /// moment.
    pub(crate) fn spent(&mut self, day: (Wall, Wall), spent: Nano) {
        self.day = day;
        self.spent = Some(spent);
    }

    /// Whether it has to be asked what was spent: at first, and on every new day.
    pub(crate) fn is_stale(&self, now: Wall) -> bool {
        self.spent.is_none() || !(self.day.0..self.day.1).contains(&now)
    }

    /// What is left; `None` while that is not known, and nothing may be spent.
    pub(crate) fn left(&self, now: Wall) -> Option<Nano> {
        let spent = self.spent.filter(|_| !self.is_stale(now))?;
        let taken = spent.0.saturating_add(self.reserved.0);
        self.limit.0.checked_sub(taken).map(Nano)
    }

    /// Sets aside what a call will probably cost; false if there is not so much left.
    #[must_use]
    pub(crate) fn reserve(&mut self, cost: Nano, now: Wall) -> bool {
        let fits = self.left(now).is_some_and(|left| cost <= left);
        if fits {
            self.reserved += cost;
        }
        fits
    }

    /// Takes what a call has cost in place of what was set aside for it.
    pub(crate) fn settle(&mut self, reserved: Nano, cost: Nano) {
        self.reserved = Nano(self.reserved.0.saturating_sub(reserved.0));
        self.spent = self.spent.map(|spent| spent + cost);
    }
}

/// When an open circuit is probed in the background.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    wait: Duration,
    next: Deadline,
}

impl Schedule {
    /// For a circuit that opens: the first probe `every` later, or later if it waits for a person.
    pub(crate) fn begin(every: Duration, blocked: bool, now: Now) -> Schedule {
        let wait = if blocked { BLOCKED_EVERY } else { every };
        Schedule { wait, next: Deadline::after(now, wait) }
    }

    /// A probe begins; the circuit has been open for `open`.
    pub(crate) fn probed(&mut self, open: Duration, blocked: bool, now: Now) {
        if !blocked && open >= LONG_OPEN {
            let grown = self.wait.saturating_mul(3) / 2;
            self.wait = grown.min(SLOWEST).max(self.wait);
        }
        self.next = Deadline::after(now, self.wait);
    }

    /// How long until the next probe.
    pub(crate) fn left(&self, now: Now) -> Duration {
        self.next.left(now)
    }
}

#[cfg(test)]
mod tests;
