//! When circuits were open: kept as long as the ledger, so that reports can show it.
//!
//! Kept are the two ends of each outage, as the `breaker` lines of the log tell them; a start that
//! reads the same lines again writes the same rows. What a half-open circuit does in between is
//! part of the outage: it ends when the circuit closes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::{RowKey, RowValue};
use crate::domain::breaker::State;
use crate::domain::time::Wall;
use crate::protocol::calendar::{moment, rfc3339};
use crate::protocol::costs::OutageView;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OutageKey {
    /// When the circuit opened or closed.
    pub(super) at: Wall,
    pub(super) model: Arc<str>,
}

/// One end of an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutageEdge {
    /// Whether it is the beginning.
    pub(super) open: bool,
    /// Why the circuit opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
}

impl OutageEdge {
    /// That the circuit closed.
    pub(super) const END: OutageEdge = OutageEdge { open: false, reason: String::new() };
}

impl OutageKey {
    /// The row that says what happened then.
    pub(super) fn row(self, edge: OutageEdge) -> (RowKey, RowValue) {
        (RowKey::Outage(self), RowValue::Outage(edge))
    }
}

/// The end of an outage that a change of a circuit is, if it is one.
pub(super) fn edge(from: State, to: State, reason: String) -> Option<OutageEdge> {
    match (from, to) {
        (State::Closed, State::Open) => Some(OutageEdge { open: true, reason }),
        (State::Open | State::HalfOpen, State::Closed) => Some(OutageEdge::END),
        _ => None,
    }
}

/// The outages that touch a stretch of time, whole, by their beginning. One that lasts has lasted
/// until `now`: nobody knows of a stretch that has not begun yet.
pub(super) fn between(
    range: &Range<Wall>,
    now: Wall,
    edges: &BTreeMap<OutageKey, OutageEdge>,
) -> Vec<OutageView> {
    let mut open: BTreeMap<&Arc<str>, (&OutageKey, &OutageEdge)> = BTreeMap::new();
    let mut outages = Vec::new();
    for (key, edge) in edges {
        if edge.open {
            open.entry(&key.model).or_insert((key, edge));
        } else if let Some((began, why)) = open.remove(&key.model) {
            outages.push((began, why, Some(key.at)));
        }
    }
    outages.extend(open.into_values().map(|(began, why)| (began, why, None)));
    outages.retain(|(key, _, ended)| key.at < range.end && ended.unwrap_or(now) > range.start);
    outages.sort_by_key(|(key, ..)| *key);
    let views = outages.into_iter().map(|(key, OutageEdge { reason, .. }, ended)| OutageView {
        model: key.model.clone(),
        from: rfc3339(key.at),
        to: ended.map(rfc3339),
        reason: reason.clone(),
    });
    views.collect()
}

/// The ends of an outage that a report tells of.
pub(super) fn edges(outage: &OutageView) -> impl Iterator<Item = (OutageKey, OutageEdge)> {
    let began = OutageEdge { open: true, reason: outage.reason.clone() };
    let ends = [(Some(&outage.from), began), (outage.to.as_ref(), OutageEdge::END)];
    ends.into_iter().filter_map(|(at, edge)| {
        Some((OutageKey { at: moment(at?)?, model: outage.model.clone() }, edge))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(50_000);

    fn known(changes: &[(u64, &str, State, State)]) -> BTreeMap<OutageKey, OutageEdge> {
        let edge = |&(at, model, from, to): &(u64, &str, State, State)| {
            let key = OutageKey { at: Wall(at * 1000), model: model.into() };
            Some((key, edge(from, to, "why".to_owned())?))
        };
        changes.iter().filter_map(edge).collect()
    }

    fn spans(
        range: (u64, u64),
        edges: &BTreeMap<OutageKey, OutageEdge>,
    ) -> Vec<(u64, Option<u64>)> {
        let second = |text: &str| moment(text).unwrap().0 / 1000;
        let outages = between(&(Wall(range.0 * 1000)..Wall(range.1 * 1000)), NOW, edges);
        outages.iter().map(|o| (second(&o.from), o.to.as_deref().map(second))).collect()
    }

    #[test]
    fn an_outage_lasts_until_its_circuit_closes_whatever_its_probes_say() {
        let edges = known(&[
            (10, "a", State::Closed, State::Open),
            (15, "b", State::Closed, State::Open),
            (20, "a", State::Open, State::HalfOpen),
            (21, "a", State::HalfOpen, State::Open),
            (30, "a", State::HalfOpen, State::Closed),
            (40, "a", State::Closed, State::Closed),
        ]);
        assert_eq!(spans((0, 100), &edges), [(10, Some(30)), (15, None)]);
    }

    #[test]
    fn what_only_touches_the_edge_of_a_stretch_is_no_part_of_it() {
        let edges =
            known(&[(10, "a", State::Closed, State::Open), (30, "a", State::Open, State::Closed)]);
        for (range, there) in [((0, 10), 0), ((0, 11), 1), ((29, 50), 1), ((30, 50), 0)] {
            assert_eq!(spans(range, &edges).len(), there, "{range:?}");
        }
    }

    #[test]
    fn an_outage_that_lasts_is_no_part_of_a_stretch_that_has_not_begun() {
        let edges = known(&[(10, "a", State::Closed, State::Open)]);
        for (range, there) in [((0, 10), 0), ((20, 30), 1), ((49, 90), 1), ((50, 90), 0)] {
            assert_eq!(spans(range, &edges).len(), there, "{range:?}");
        }
    }

    #[test]
    fn a_report_gives_back_the_ends_that_it_was_made_of() {
        let all =
            known(&[(10, "a", State::Closed, State::Open), (30, "a", State::Open, State::Closed)]);
        let told = between(&(Wall(0)..Wall(20_000)), NOW, &all);
        assert_eq!(told.iter().flat_map(edges).collect::<BTreeMap<_, _>>(), all);
    }
}
