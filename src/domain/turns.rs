//! Which of a provider's keys is used next, and which are left alone for a while.
//!
//! Several keys share a provider's calls, and stand in for each other: one that is refused, out
//! of quota or rate limited is left alone, and not the models it was used for. When all are left
//! alone the one that is free first is tried all the same, once per call, for somebody has to find
//! out; so a provider with one key is always asked with it.
//!
//! A refusal may be about the request and not about the key: a firewall's page, a bare status. When
//! one call meets such a refusal with every key, that says nothing of the keys.

use std::time::Duration;

use super::fault::Fault;
use super::time::Mono;

/// Bounds of the pause of a key that is rate limited, and the pause where none is asked for.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
const UNHINTED: Duration = Duration::from_secs(10);

/// The keys of one provider, known by their places in its list.
#[derive(Debug)]
pub(crate) struct Turns {
    next: usize,
    away: Vec<Option<Away>>,
}

/// Why and until when a key is left alone.
#[derive(Clone, Copy, Debug)]
struct Away {
    until: Mono,
    fault: Fault,
    /// Whether it is the key that was refused, beyond doubt.
    certain: bool,
}

/// Why a key was refused, and how long it is left alone for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    /// One of those that [`is_about_key`] names.
    pub fault: Fault,
    /// How long its provider asks to wait.
    pub hint: Option<Duration>,
    /// How long one is left alone that waiting does not cure.
    pub blocked_for: Duration,
    /// Whether it is beyond doubt that the key is meant.
    pub certain: bool,
}

/// Whether a failure may be the key's own, so that another key might do better.
pub(crate) fn is_about_key(fault: Fault) -> bool {
    matches!(fault, Fault::Auth | Fault::QuotaExhausted | Fault::RateLimited)
}

impl Turns {
    /// So many keys, of which nothing bad is known.
    pub(crate) fn of(keys: usize) -> Turns {
        Turns { next: 0, away: vec![None; keys] }
    }

    /// The key for a call that has `tried` these already; `None` when there is none left to try.
    pub(crate) fn choose(&mut self, tried: &[usize], now: Mono) -> Option<usize> {
        let count = self.away.len();
        let mut in_turn = (0..count).map(|step| (self.next + step) % count);
        let free = in_turn.find(|key| !tried.contains(key) && self.is_free(*key, now));
        let soonest = || {
            let all = (0..count).filter(|_| tried.is_empty());
            all.min_by_key(|key| self.away[*key].map(|away| away.until))
        };
        let chosen = free.or_else(soonest)?;
        self.next = (chosen + 1) % count;
        Some(chosen)
    }

    /// Leaves a key alone after it was refused: as long as its provider asks for when it is rate
    /// limited, else `blocked_for`.
    pub(crate) fn leave(&mut self, key: usize, refusal: Refusal, now: Mono) {
        let Refusal { fault, hint, blocked_for, certain } = refusal;
        let pause = match fault {
            Fault::RateLimited => hint.map_or(UNHINTED, |hint| hint.clamp(SHORTEST, LONGEST)),
            _ => blocked_for,
        };
        if let Some(away) = self.away.get_mut(key) {
            // What was beyond doubt before is so still.
            let certain = certain || away.is_some_and(|away| away.certain && now < away.until);
            *away = Some(Away { until: now.plus(pause), fault, certain });
        }
    }

    /// Takes keys back that a call tried one after the other, if nothing certain is known of them:
    /// none of them did better than the others. The next call begins with the second one.
    pub(crate) fn forgive(&mut self, tried: &[usize]) {
        for key in tried {
            if let Some(away) = self.away.get_mut(*key).filter(|a| a.is_some_and(|a| !a.certain)) {
                *away = None;
            }
        }
        if let Some(first) = tried.first() {
            self.next = (first + 1) % self.away.len().max(1);
        }
    }

    /// Takes a key back that works.
    pub(crate) fn welcome(&mut self, key: usize) {
        if let Some(away) = self.away.get_mut(key) {
            *away = None;
        }
    }

    /// How long until a key is free that was merely rate limited; `None` if there is no such key.
    pub(crate) fn cured_in(&self, now: Mono) -> Option<Duration> {
        let limited = self.away.iter().flatten().filter(|away| away.fault == Fault::RateLimited);
        limited.map(|away| away.until.since(now)).min()
    }

    fn is_free(&self, key: usize, now: Mono) -> bool {
        self.away[key].is_none_or(|away| away.until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKED: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn leave(turns: &mut Turns, key: usize, fault: Fault, now: u64) {
        turns.leave(
            key,
            Refusal { fault, hint: None, blocked_for: BLOCKED, certain: true },
            at(now),
        );
    }

    #[test]
    fn keys_are_used_in_turn() {
        let mut turns = Turns::of(3);
        let used: Vec<_> = (0..4).filter_map(|_| turns.choose(&[], at(0))).collect();
        assert_eq!(used, [0, 1, 2, 0]);
    }

    #[test]
    fn a_key_that_is_left_alone_is_passed_over_until_its_time_is_over() {
        let mut turns = Turns::of(2);
        leave(&mut turns, 0, Fault::Auth, 0);
        assert_eq!(turns.choose(&[], at(1)), Some(1));
        assert_eq!(turns.choose(&[], at(899)), Some(1));
        assert_eq!(turns.choose(&[], at(900)), Some(0));
    }

    #[test]
    fn a_call_tries_each_key_once() {
        let mut turns = Turns::of(2);
        assert_eq!(turns.choose(&[], at(0)), Some(0));
        leave(&mut turns, 0, Fault::Auth, 0);
        assert_eq!(turns.choose(&[0], at(0)), Some(1));
        leave(&mut turns, 1, Fault::QuotaExhausted, 0);
        assert_eq!(turns.choose(&[0, 1], at(0)), None);
    }

    #[test]
    fn when_all_are_left_alone_a_call_tries_the_one_that_is_free_first() {
        let mut turns = Turns::of(2);
        leave(&mut turns, 0, Fault::Auth, 50);
        leave(&mut turns, 1, Fault::Auth, 40);
        assert_eq!(turns.choose(&[], at(60)), Some(1));
        assert_eq!(turns.choose(&[1], at(60)), None);
    }

    #[test]
    fn keys_that_one_call_was_refused_with_in_doubt_are_taken_back_and_the_others_are_not() {
        let mut turns = Turns::of(3);
        leave(&mut turns, 0, Fault::QuotaExhausted, 0);
        let (hint, fault) = (None, Fault::Auth);
        let doubtful = Refusal { fault, hint, blocked_for: BLOCKED, certain: false };
        for key in 0..3 {
            turns.leave(key, doubtful, at(1));
        }
        turns.forgive(&[1, 2, 0]);
        assert_eq!(turns.choose(&[], at(2)), Some(2), "the next in turn");
        assert_eq!(turns.choose(&[2], at(2)), Some(1));
        assert_eq!(turns.choose(&[2, 1], at(2)), None, "what is certain stays");
        // What was certain once is not so for ever.
        turns.leave(0, doubtful, at(1000));
        turns.forgive(&[0]);
        assert_eq!(turns.choose(&[1, 2], at(1000)), Some(0));
    }

    #[test]
    fn a_single_key_is_always_used() {
        let mut turns = Turns::of(1);
        leave(&mut turns, 0, Fault::Auth, 0);
        assert_eq!(turns.choose(&[], at(1)), Some(0));
    }

    #[test]
    fn a_key_that_works_again_is_back_at_once() {
        let mut turns = Turns::of(2);
        leave(&mut turns, 0, Fault::Auth, 0);
        turns.welcome(0);
        assert_eq!(turns.choose(&[], at(1)), Some(0));
    }

    #[test]
    fn a_rate_limited_key_is_left_alone_as_long_as_it_is_asked_for() {
        let mut turns = Turns::of(2);
        let hint = Some(Duration::from_secs(7));
        let refusal =
            Refusal { fault: Fault::RateLimited, hint, blocked_for: BLOCKED, certain: true };
        turns.leave(0, refusal, at(0));
        leave(&mut turns, 1, Fault::Auth, 0);
        assert_eq!(turns.cured_in(at(2)), Some(Duration::from_secs(5)));
        assert_eq!(turns.choose(&[], at(7)), Some(0));
        turns.welcome(0);
        assert_eq!(turns.cured_in(at(8)), None);
    }

    #[test]
    fn a_provider_without_a_key_has_no_turn() {
        assert_eq!(Turns::of(0).choose(&[], at(0)), None);
    }
}
