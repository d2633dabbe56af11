//! Whether failed connections are this machine's fault rather than the providers'.
//!
//! One provider that cannot be reached is that provider's outage. Two different ones within a few
//! seconds, with nobody answering in between, is a laptop off its network; counting that against
//! the providers would leave their circuits open for long after the network is back.
//!
//! Errors that already name the cause, such as a missing route, do not come here.

use std::time::Duration;

use super::time::Mono;

/// How close together the failures must be.
const WITHIN: Duration = Duration::from_secs(5);

/// The connection failures since the last answer of any provider.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// The last failure of each provider; there are few providers.
    failed: Vec<(Box<str>, Mono)>,
}

impl Network {
    /// Some provider answered, with whatever status: the network works.
    pub(crate) fn answered(&mut self) {
        self.failed.clear();
    }

    /// A connection to this provider failed. True when the network is to blame.
    pub(crate) fn failed(&mut self, provider: &str, now: Mono) -> bool {
        self.failed.retain(|(name, at)| &**name != provider && now.since(*at) <= WITHIN);
        self.failed.push((provider.into(), now));
        self.failed.len() >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono(Duration::from_millis(millis))
    }

    #[test]
    fn one_provider_failing_often_is_its_own_fault() {
        let mut network = Network::default();
        assert!((0..10).all(|n| !network.failed("a", at(n * 100))));
    }

    #[test]
    fn two_providers_failing_together_are_the_networks_fault() {
        let mut network = Network::default();
        assert!(!network.failed("a", at(0)));
        assert!(network.failed("b", at(5_000)));
        assert!(network.failed("a", at(5_001)));
    }

    #[test]
    fn failures_far_apart_are_not_connected() {
        let mut network = Network::default();
        assert!(!network.failed("a", at(0)));
        assert!(!network.failed("b", at(5_001)));
    }

    #[test]
    fn an_answer_in_between_clears_the_network() {
        let mut network = Network::default();
        assert!(!network.failed("a", at(0)));
        network.answered();
        assert!(!network.failed("b", at(1)));
    }
}
