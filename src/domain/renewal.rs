//! When a command that prints a key is run: before its key is too old, after it was refused, and
//! never more than once at a time or every few moments.
//!
//! The key that there is stays good until it is refused: a command that fails takes nothing away.

use std::time::Duration;

use super::time::Mono;

/// Least time between two runs of a command.
const PAUSE: Duration = Duration::from_secs(5);

/// What a caller does about the key it wants to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Take what there is, a key or the reason why there is none.
    Nothing,
    /// Take what there is, and have the command run meanwhile.
    Beside,
    /// Have it run, and wait for its end.
    Run,
    /// Wait for the end of the run under way.
    Wait,
}

/// How old a key is, and what became of the runs of its command.
#[derive(Debug)]
pub(crate) struct Freshness {
    refresh: Duration,
    /// Longest time that a run takes.
    limit: Duration,
    printed: Option<Mono>,
    began: Option<Mono>,
    is_running: bool,
}

impl Freshness {
    /// A command that was never run. Its key is replaced after `refresh`; no run takes longer than
    /// `limit`.
    pub(crate) fn new(refresh: Duration, limit: Duration) -> Freshness {
        Freshness { refresh, limit, printed: None, began: None, is_running: false }
    }

    /// What a call does before it uses the key.
    pub(crate) fn before_use(&self, now: Mono) -> Need {
        let age = self.printed.map(|printed| now.since(printed));
        let is_good = age.is_some_and(|age| age < self.refresh);
        match is_good {
            true if self.is_running(now) || self.is_young(age) || self.ran_lately(now) => {
                Need::Nothing
            }
            true => Need::Beside,
            false if self.is_running(now) => Need::Wait,
            false if self.ran_lately(now) => Need::Nothing,
            false => Need::Run,
        }
    }

    /// What a call does whose key was refused. `Nothing` means that no newer one is to be had.
    pub(crate) fn after_refusal(&self, now: Mono) -> Need {
        match () {
            () if self.is_running(now) => Need::Wait,
            () if self.ran_lately(now) => Need::Nothing,
            () => Need::Run,
        }
    }

    /// Takes note that a run begins.
    pub(crate) fn begin(&mut self, now: Mono) {
        self.began = Some(now);
        self.is_running = true;
    }

    /// The run is over; it `worked` if it printed a key.
    pub(crate) fn end(&mut self, worked: bool, now: Mono) {
        self.is_running = false;
        if worked {
            self.printed = Some(now);
        }
    }

    /// A run that was lost with its task ends with its limit.
    fn is_running(&self, now: Mono) -> bool {
        let since = self.began.map(|began| now.since(began));
        self.is_running && since.is_some_and(|since| since <= self.limit + PAUSE)
    }

    fn ran_lately(&self, now: Mono) -> bool {
        self.began.is_some_and(|began| now.since(began) < PAUSE)
    }

    /// Whether the last tenth of the key's time has not begun.
    fn is_young(&self, age: Option<Duration>) -> bool {
        age.is_some_and(|age| age < self.refresh.mul_f64(0.9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn renewal() -> Freshness {
        Freshness::new(Duration::from_secs(100), Duration::from_secs(10))
    }

    /// A command that printed a key at that moment.
    fn printed(now: u64) -> Freshness {
        let mut renewal = renewal();
        renewal.begin(at(now));
        renewal.end(true, at(now));
        renewal
    }

    #[test]
    fn the_first_call_runs_the_command_and_others_wait_for_it() {
        let mut renewal = renewal();
        assert_eq!(renewal.before_use(at(0)), Need::Run);
        renewal.begin(at(0));
        assert_eq!(renewal.before_use(at(1)), Need::Wait);
        renewal.end(true, at(1));
        assert_eq!(renewal.before_use(at(2)), Need::Nothing);
    }

    #[test]
    fn a_key_is_replaced_beside_the_calls_before_it_is_too_old() {
        let mut renewal = printed(0);
        assert_eq!(renewal.before_use(at(89)), Need::Nothing);
        assert_eq!(renewal.before_use(at(90)), Need::Beside);
        renewal.begin(at(90));
        assert_eq!(renewal.before_use(at(91)), Need::Nothing);
        renewal.end(true, at(92));
        assert_eq!(renewal.before_use(at(150)), Need::Nothing);
    }

    #[test]
    fn a_key_that_is_too_old_is_waited_for_and_serves_if_the_command_fails() {
        let mut renewal = printed(0);
        assert_eq!(renewal.before_use(at(100)), Need::Run);
        renewal.begin(at(100));
        assert_eq!(renewal.before_use(at(101)), Need::Wait);
        renewal.end(false, at(102));
        assert_eq!(renewal.before_use(at(103)), Need::Nothing);
        assert_eq!(renewal.before_use(at(105)), Need::Run);
    }

    #[test]
    fn a_refused_key_is_replaced_at_once_but_not_again_and_again() {
        let mut renewal = printed(0);
        assert_eq!(renewal.after_refusal(at(4)), Need::Nothing);
        assert_eq!(renewal.after_refusal(at(20)), Need::Run);
        renewal.begin(at(20));
        assert_eq!(renewal.after_refusal(at(20)), Need::Wait);
        renewal.end(true, at(21));
        assert_eq!(renewal.after_refusal(at(22)), Need::Nothing);
    }

    #[test]
    fn a_command_that_fails_is_not_run_by_every_call() {
        let mut renewal = renewal();
        renewal.begin(at(0));
        renewal.end(false, at(0));
        assert_eq!(renewal.before_use(at(1)), Need::Nothing);
        assert_eq!(renewal.before_use(at(5)), Need::Run);
    }

    #[test]
    fn a_run_that_was_lost_is_not_waited_for_for_ever() {
        let mut renewal = renewal();
        renewal.begin(at(0));
        assert_eq!(renewal.before_use(at(15)), Need::Wait);
        assert_eq!(renewal.before_use(at(16)), Need::Run);
    }
}
