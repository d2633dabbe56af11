//! A second call beside one that takes long, for chains with `hedge_after`.
//!
//! The first of the two to deliver content goes on, and the other is cancelled. If one fails, the
//! other goes on alone. There are never more than two calls for a request at once, and a request
//! gets a second one only once.

use tokio::time::timeout;

use super::Walk;
use super::attempt::Mode;
use super::flight::Flight;
use super::trail::Trail;
use super::turn::Course;
use crate::domain::need::SkipReason;
use crate::protocol::log::CallKind;

impl Walk<'_> {
    /// The call to follow to its end: this one, or one that was faster.
    pub(super) async fn hedge<'a>(
        &'a self,
        mut first: Flight<'a>,
        (course, trail): (&mut Course, &mut Trail),
    ) -> Flight<'a> {
        let after = self.chain.hedge_after.filter(|_| !course.hedged && !course.order.is_empty());
        let Some(after) = after else { return first };
        if timeout(after, first.first(self)).await.is_ok() {
            return first;
        }
        let Some(mut second) = self.spare(course, trail).await else { return first };
        course.hedged = true;
        let first_is_ready = tokio::select! {
            biased;
            () = first.first(self) => true,
            () = second.first(self) => false,
        };
        let (ready, other) = if first_is_ready { (first, second) } else { (second, first) };
        if ready.failed() {
            self.crash(ready, (course, trail)).await;
            return other;
        }
        // It has done nothing wrong, and may yet be needed.
        let place =
            self.chain.models.iter().position(|model| model.name() == other.bill.model.name());
        course.order.extend(place);
        self.cancel(other, trail).await;
        ready
    }

    /// A call to the next model that takes one. A provider that is being left in peace gets no
    /// call that nobody may need.
    async fn spare<'a>(&'a self, course: &mut Course, trail: &mut Trail) -> Option<Flight<'a>> {
        while let Some(&at) = course.order.front() {
            let model = &self.chain.models[at];
            let now = self.means.clock.mono();
            if !course.pauses.left(&model.config.provider.name, now).is_zero() {
                return None;
            }
            course.order.pop_front();
            if trail.known_too_small(model) {
                trail.passed_over(model.name(), SkipReason::Incapable);
                continue;
            }
            let others_behind = !course.order.is_empty();
            let mode = Mode { others_behind, early: false, kind: CallKind::Hedge };
            match self.launch(model, mode, trail).await {
                Ok(flight) => return Some(flight),
                Err(skip) => trail.skipped(model.name(), skip),
            }
        }
        None
    }
}
