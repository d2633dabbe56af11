//! Which buckets are merged, and which are thrown away.
//!
//! Fine buckets serve the windows that decide; what is older than any window is merged into
//! coarse ones, and those go when the retention ends. Merging adds the fine ones to whatever the
//! coarse one already holds and deletes them in the same batch, so nothing is counted twice.
//!
//! One plan removes at most [`MOST_DELETES`] rows, because large deletes cost the database time
//! and space; the caller asks again until the plan is empty. Nothing here touches the database.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rows::{ModelKey, Slot, Width};
use crate::domain::time::Wall;
use crate::domain::window::{COARSE_MS, FINE_MS};

/// Most rows that one plan removes.
pub(super) const MOST_DELETES: usize = 256;

/// How long buckets are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    pub(super) fine: Duration,
    pub(super) all: Duration,
}

/// What to do next.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Rows to throw away.
    pub(super) expired: Vec<Slot>,
    pub(super) merges: Vec<Merge>,
}

/// Fine buckets that become part of a coarse one.
#[derive(Debug, PartialEq)]
pub(super) struct Merge {
    pub(super) into: Slot,
    pub(super) from: Vec<Slot>,
}

impl Plan {
    /// Whether nothing is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.expired.is_empty() && self.merges.is_empty()
    }
}

/// The next step at `now`.
pub(super) fn plan(slots: impl IntoIterator<Item = Slot>, now: Wall, ages: Ages) -> Plan {
    let mut plan = Plan::default();
    let mut merges: BTreeMap<(ModelKey, u64), Vec<Slot>> = BTreeMap::new();
    for slot in slots {
        if slot.end() <= now.minus(ages.all) {
            plan.expired.push(slot);
        } else if slot.width == Width::Fine {
            let coarse = slot.start.0 - slot.start.0 % COARSE_MS;
            if coarse.saturating_add(COARSE_MS) <= now.minus(ages.fine).0 {
                merges.entry((slot.model.clone(), coarse)).or_default().push(slot);
            }
        }
    }
    plan.expired.truncate(MOST_DELETES);
    let mut room = MOST_DELETES - plan.expired.len();
    for ((model, start), mut from) in merges {
        // Slots off the grid are no work of ours, but they must not jam the plan either.
        from.truncate((COARSE_MS / FINE_MS) as usize);
        if from.len() > room {
            break;
        }
        room -= from.len();
        let into = Slot { model, start: Wall(start), width: Width::Coarse };
        plan.merges.push(Merge { into, from });
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::window::Bucket;

    const HOUR: u64 = 3_600_000;
    const AGES: Ages =
        Ages { fine: Duration::from_secs(3600), all: Duration::from_secs(48 * 3600) };

    fn fine(model: &str, start: u64) -> Slot {
        Slot { model: ModelKey::new(model, "", ""), start: Wall(start), width: Width::Fine }
    }

    fn coarse(model: &str, start: u64) -> Slot {
        Slot { width: Width::Coarse, ..fine(model, start) }
    }

    #[test]
    fn young_buckets_are_left_alone() {
        let now = Wall(100 * HOUR);
        let slots = [fine("a", 100 * HOUR), fine("a", 99 * HOUR), coarse("a", 60 * HOUR)];
        assert!(plan(slots, now, AGES).is_empty());
    }

    #[test]
    fn five_minutes_are_merged_once_all_of_them_are_old() {
        let slots = || [fine("a", 0), fine("a", COARSE_MS - FINE_MS)];
        assert!(plan(slots(), Wall(HOUR + COARSE_MS - 1), AGES).is_empty());
        let plan = plan(slots(), Wall(HOUR + COARSE_MS), AGES);
        assert_eq!(plan.merges, [Merge { into: coarse("a", 0), from: slots().to_vec() }]);
    }

    #[test]
    fn models_are_never_merged_with_each_other() {
        let plan = plan([fine("a", 0), fine("b", 0)], Wall(2 * HOUR), AGES);
        assert_eq!(plan.merges.len(), 2);
    }

    #[test]
    fn what_is_older_than_the_retention_goes() {
        let slots = [fine("a", 0), coarse("a", 0), coarse("a", COARSE_MS)];
        let plan = plan(slots, Wall(48 * HOUR + COARSE_MS), AGES);
        assert_eq!(plan.expired, [fine("a", 0), coarse("a", 0)]);
        assert!(plan.merges.is_empty());
    }

    #[test]
    fn one_plan_removes_at_most_256_rows_and_repeating_it_removes_all() {
        let mut left: Vec<Slot> = (0..1000).map(|at| fine("a", at * FINE_MS)).collect();
        for _ in 0..5 {
            let plan = plan(left.iter().cloned(), Wall(10 * HOUR), AGES);
            let gone: Vec<&Slot> = plan.merges.iter().flat_map(|merge| &merge.from).collect();
            assert!(gone.len() <= MOST_DELETES);
            left.retain(|slot| !gone.contains(&slot));
        }
        assert!(left.is_empty());
    }

    #[test]
    fn adding_buckets_adds_every_count() {
        let mut part = Bucket { success: 1, failure: 2, neutral: 3, held: 4, ..Bucket::default() };
        (part.judged_success, part.judged_failure, part.latency_sum_ms) = (5, 6, 7);
        part.latency.add(7);
        let mut sum = part.clone();
        sum.merge(&part);
        assert_eq!((sum.success, sum.failure, sum.neutral, sum.held), (2, 4, 6, 8));
        assert_eq!((sum.judged_success, sum.judged_failure), (10, 12));
        assert_eq!((sum.latency_sum_ms, sum.latency.count()), (14, 2));
    }
}
