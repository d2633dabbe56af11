//! The order in which a chain's models are tried.
//!
//! Healthy ones in chain order, then degraded ones in chain order; whatever cannot serve now is
//! left out. One whose circuit waits for a probe keeps its place: behind a healthy backup it would
//! never be called, and so never recover. Every place comes with its reason, so that people can be
//! told.

use std::time::Duration;

use super::model::Availability;
use super::need::{Skip, SkipReason};
use super::price::Nano;

/// An order over a chain: positions in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ranking {
    /// Whom to try, in this order.
    pub order: Vec<usize>,
    /// Whom to leave out, in chain order.
    pub left_out: Vec<(usize, Skip)>,
}

/// Leaves the test of a recovering model to copies of requests: it is left out as long as another
/// model of the chain can be asked and a copy of this request may be sent to it, for which `left`
/// is there to be spent (`None`: no copy may be sent).
pub(crate) fn spare_callers(availabilities: &mut [Availability], left: Option<Nano>) {
    let Some(left) = left else { return };
    if !availabilities.iter().any(|other| other.skip.is_none() && !other.copy.awaited) {
        return;
    }
    for availability in availabilities.iter_mut() {
        if !availability.copy.awaited || availability.copy.cost > left {
            continue;
        }
        let retry_in = availability.copy.probe_in;
        availability.skip.get_or_insert(Skip { reason: SkipReason::CircuitOpen, retry_in });
    }
}

/// Puts the models of a chain, as they stand, in order.
pub(crate) fn rank(availabilities: &[Availability]) -> Ranking {
    let mut ranking = Ranking::default();
    let mut degraded = Vec::new();
    for (place, availability) in availabilities.iter().enumerate() {
        match availability.skip {
            Some(skip) => ranking.left_out.push((place, skip)),
            None if availability.degraded && !availability.probed => degraded.push(place),
            None => ranking.order.push(place),
        }
    }
    ranking.order.append(&mut degraded);
    ranking
}

/// With nobody left to try: the model nearest to recovery among those that may be probed early
/// now.
pub(crate) fn nearest(availabilities: &[Availability]) -> Option<usize> {
    availabilities
        .iter()
        .enumerate()
        .filter(|(_, availability)| availability.early_in == Some(Duration::ZERO))
        .min_by_key(|(place, availability)| {
            let wait = availability.skip.and_then(|skip| skip.retry_in).unwrap_or(Duration::MAX);
            (wait, *place)
        })
        .map(|(place, _)| place)
}

/// With nobody to try at all: when asking again may help.
pub(crate) fn earliest(availabilities: &[Availability]) -> Option<Duration> {
    availabilities
        .iter()
        .flat_map(|availability| {
            let again = availability.skip.filter(ends_with_time).and_then(|skip| skip.retry_in);
            [again, availability.early_in.filter(|_| availability.skip.is_some())]
        })
        .flatten()
        .min()
}

fn ends_with_time(skip: &Skip) -> bool {
    matches!(skip.reason, SkipReason::CircuitOpen | SkipReason::RateLimited)
}

impl Availability {
    /// Its place in words.
    pub(crate) fn reason(&self) -> String {
        let (calls, worked) = (self.judged.calls(), self.judged.success);
        match (self.probed, self.degraded) {
            (true, _) => "half-open: the next call tests it".to_owned(),
            (_, true) => format!("degraded: {worked} of {calls} calls worked"),
            (_, false) => "healthy".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::CopyAvailability;
    use crate::domain::window::Judged;

    fn availability(degraded: bool, skip: Option<Skip>) -> Availability {
        let (judged, copy) = (Judged::default(), CopyAvailability::default());
        Availability { skip, degraded, judged, probed: false, early_in: None, copy }
    }

    fn open(seconds: u64, early: Option<u64>) -> Availability {
        let retry_in = Some(Duration::from_secs(seconds));
        let skip = Skip { reason: SkipReason::CircuitOpen, retry_in };
        Availability { early_in: early.map(Duration::from_secs), ..availability(false, Some(skip)) }
    }

    #[test]
    fn healthy_models_come_first_and_each_group_keeps_chain_order() {
        let chain = [
            availability(true, None),
            availability(false, None),
            open(5, None),
            availability(true, None),
            availability(false, None),
        ];
        let ranking = rank(&chain);
        assert_eq!(ranking.order, [1, 4, 0, 3]);
        assert_eq!(ranking.left_out.len(), 1);
    }

    fn recovering(cost: u64) -> Availability {
        let probe_in = Some(Duration::from_secs(9));
        let copy = CopyAvailability { awaited: true, probe_in, cost: Nano(cost), data: None };
        Availability { copy, ..availability(false, None) }
    }

    #[test]
    fn a_recovering_model_is_left_to_copies_while_another_can_be_asked() {
        let mut chain = [recovering(5), availability(true, None)];
        spare_callers(&mut chain, Some(Nano(5)));
        assert_eq!(rank(&chain).order, [1]);
        assert_eq!(earliest(&chain), Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_caller_tests_a_recovering_model_when_no_copy_may_or_nobody_else_can_be_asked() {
        for (other, left) in [
            (availability(false, None), None),
            (availability(false, None), Some(Nano(4))),
            (open(50, None), Some(Nano(9))),
            (recovering(5), Some(Nano(9))),
        ] {
            let mut chain = [recovering(5), other];
            spare_callers(&mut chain, left);
            assert_eq!(chain[0].skip, None);
        }
    }

    #[test]
    fn a_model_that_waits_for_its_probe_keeps_its_place_however_bad_it_was() {
        let recovering = Availability { probed: true, ..availability(true, None) };
        assert_eq!(rank(&[recovering, availability(false, None)]).order, [0, 1]);
    }

    #[test]
    fn the_nearest_to_recovery_is_probed_among_those_that_may_be() {
        assert_eq!(nearest(&[open(50, Some(0)), open(20, Some(3)), open(40, Some(0))]), Some(2));
        assert_eq!(nearest(&[open(50, None), open(20, Some(3))]), None);
    }

    #[test]
    fn the_earliest_chance_is_a_reopening_a_hold_or_an_early_probe() {
        let busy = Skip::new(SkipReason::Busy);
        let held =
            Skip { reason: SkipReason::RateLimited, retry_in: Some(Duration::from_secs(30)) };
        let chain =
            [availability(false, Some(busy)), open(50, None), availability(false, Some(held))];
        assert_eq!(earliest(&chain), Some(Duration::from_secs(30)));
        assert_eq!(earliest(&[open(50, Some(12))]), Some(Duration::from_secs(12)));
        assert_eq!(earliest(&[availability(false, Some(busy))]), None);
    }
}
