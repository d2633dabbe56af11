//! Per-minute limits on calls and tokens of one model.
//!
//! A sliding minute in steps of a second: in no 60 seconds are more calls begun than allowed, which
//! a refilling bucket would not promise. Tokens are reserved by estimate when a call begins and put
//! right when its usage is known.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Mono;

const MINUTE: u64 = 60;

/// Most tokens that are believed of one call, so that no sum of them can overflow.
const MOST: u64 = 1 << 40;

/// The limits; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerMinute {
    /// Calls begun in any minute.
    pub requests: Option<u32>,
    /// Tokens, prompt and answer, in any minute.
    pub tokens: Option<u64>,
}

/// What was begun in the last minute, by second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minute {
    seconds: VecDeque<Second>,
    requests: u64,
    tokens: i64,
}

#[derive(Clone, Copy, Debug)]
struct Second {
    at: u64,
    requests: u64,
    tokens: i64,
}

impl PerMinute {
    /// What of it copies of requests may use: callers keep at least half for themselves.
    pub(crate) fn for_copies(self) -> PerMinute {
        PerMinute {
            requests: self.requests.map(|most| most / 2),
            tokens: self.tokens.map(|most| most / 2),
        }
    }
}

impl Minute {
    /// Whether a call of about `tokens` may begin; if not, how long to wait. A call larger than
    /// the whole limit may begin when nothing else was: refusing it for ever helps nobody.
    pub(crate) fn check(
        &mut self,
        limits: &PerMinute,
        tokens: u64,
        now: Mono,
    ) -> Result<(), Duration> {
        if limits.requests.is_none() && limits.tokens.is_none() {
            return Ok(());
        }
        self.forget(now);
        let tokens = believed(tokens);
        let most = limits.tokens.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let fits = |requests: u64, used: i64| {
            limits.requests.is_none_or(|most| requests < u64::from(most))
                && most.is_none_or(|most| used <= 0 || used.saturating_add(tokens) <= most)
        };
        if fits(self.requests, self.tokens) {
            return Ok(());
        }
        let (mut requests, mut used) = (self.requests, self.tokens);
        for second in &self.seconds {
            requests -= second.requests;
            used -= second.tokens;
            if fits(requests, used) {
                return Err(Mono(Duration::from_secs(second.at + MINUTE)).since(now));
            }
        }
        Err(Duration::from_secs(MINUTE))
    }

    /// Counts a call that begins.
    pub(crate) fn begin(&mut self, tokens: u64, now: Mono) {
        self.add(1, believed(tokens), now);
    }

    /// Puts the reservation of a finished call right.
    pub(crate) fn correct(&mut self, reserved: u64, used: u64, now: Mono) {
        self.add(0, believed(used) - believed(reserved), now);
    }

    fn add(&mut self, requests: u64, tokens: i64, now: Mono) {
        self.forget(now);
        let at = now.0.as_secs();
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
        match self.seconds.back_mut() {
            Some(second) if second.at == at => {
                second.requests += requests;
                second.tokens = second.tokens.saturating_add(tokens);
            }
            _ => self.seconds.push_back(Second { at, requests, tokens }),
        }
    }

    fn forget(&mut self, now: Mono) {
        let now = now.0.as_secs();
        while let Some(second) = self.seconds.front().filter(|second| second.at + MINUTE <= now) {
            self.requests -= second.requests;
            self.tokens = self.tokens.saturating_sub(second.tokens);
            self.seconds.pop_front();
        }
    }
}

fn believed(tokens: u64) -> i64 {
    tokens.min(MOST) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn no_minute_begins_more_calls_than_allowed() {
        let limits = PerMinute { requests: Some(3), tokens: None };
        let mut minute = Minute::default();
        let mut begun = Vec::new();
        for second in 0..300 {
            while minute.check(&limits, 1, at(second)).is_ok() {
                minute.begin(1, at(second));
                begun.push(second);
            }
        }
        for start in 0..240 {
            let within = begun.iter().filter(|&&s| s >= start && s < start + 60).count();
            assert!(within <= 3, "{within} calls in the minute from {start}");
        }
        assert_eq!(begun.len(), 15);
    }

    #[test]
    fn a_refusal_says_when_to_ask_again() {
        let limits = PerMinute { requests: Some(1), tokens: None };
        let mut minute = Minute::default();
        minute.begin(1, at(10));
        assert_eq!(minute.check(&limits, 1, at(15)), Err(Duration::from_secs(55)));
        assert_eq!(minute.check(&limits, 1, at(70)), Ok(()));
    }

    #[test]
    fn unused_reservations_are_given_back() {
        let limits = PerMinute { requests: None, tokens: Some(1000) };
        let mut minute = Minute::default();
        minute.begin(900, at(0));
        assert!(minute.check(&limits, 200, at(1)).is_err());
        minute.correct(900, 100, at(1));
        assert_eq!(minute.check(&limits, 200, at(1)), Ok(()));
    }

    #[test]
    fn absurd_numbers_are_forgotten_after_a_minute() {
        let limits = PerMinute { requests: Some(100), tokens: Some(1000) };
        let mut minute = Minute::default();
        minute.begin(10, at(0));
        minute.correct(10, 0, at(1));
        for second in [2, 3] {
            minute.begin(10, at(second));
            minute.correct(10, u64::MAX, at(second));
        }
        for second in 3..70 {
            let refused = minute.check(&limits, 10, at(second)).is_err();
            assert_eq!(refused, second < 63, "{second}");
        }
        minute.begin(1000, at(70));
        assert!(minute.check(&limits, 10, at(70)).is_err(), "the limit still holds");
    }

    #[test]
    fn a_call_larger_than_the_limit_may_go_alone() {
        let limits = PerMinute { requests: None, tokens: Some(10) };
        let mut minute = Minute::default();
        assert_eq!(minute.check(&limits, 500, at(0)), Ok(()));
        minute.begin(500, at(0));
        assert!(minute.check(&limits, 500, at(30)).is_err());
        assert_eq!(minute.check(&limits, 500, at(60)), Ok(()));
    }
}
