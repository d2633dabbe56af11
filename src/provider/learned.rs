//! What the daemon adds to a request on its own account, and what a model was seen to refuse of it.
//!
//! A caller who sent no temperature must not fail for the one that we put in. What a model refuses
//! of our own is left out and the same model asked again at once. A refusal of a plain request is
//! remembered for a day, so that the next caller does not pay for it; one of a request with tools or
//! the like may be about those.

use std::cell::RefCell;
use std::mem::discriminant;
use std::time::Duration;

use super::body::Asking;
use super::lesson::{Lesson, lesson};
use super::{Call, Failure};
use crate::config::MaxTokensField;
use crate::domain::time::Mono;

/// How long a lesson is remembered: servers change.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Most lessons of one call: each costs another one.
const MOST_LESSONS: usize = 6;

/// What is remembered of one model.
#[derive(Default)]
pub(super) struct Learned(RefCell<Vec<(Lesson, Mono)>>);

impl Learned {
    /// How to ask, by all that is remembered.
    pub(super) fn apply(&self, asking: Asking, now: Mono) -> Asking {
        self.known(now).into_iter().fold(asking, |asking, lesson| lesson.apply(asking))
    }

    /// What is remembered, for people.
    pub(super) fn words(&self, limit: MaxTokensField, now: Mono) -> Vec<String> {
        self.known(now).into_iter().map(|lesson| lesson.words(limit)).collect()
    }

    fn remember(&self, lesson: Lesson, now: Mono) {
        let mut all = self.0.borrow_mut();
        let kind = discriminant(&lesson);
        all.retain(|(known, since)| discriminant(known) != kind && now.since(*since) < REMEMBERED);
        all.push((lesson, now));
    }

    fn known(&self, now: Mono) -> Vec<Lesson> {
        let all = self.0.borrow();
        let fresh = all.iter().filter(|(_, since)| now.since(*since) < REMEMBERED);
        fresh.map(|(lesson, _)| *lesson).collect()
    }
}

/// How one call asks, and what it has learnt on the way.
pub(super) struct Lessons {
    fresh: Vec<Lesson>,
    pub(super) asking: Asking,
}

impl Lessons {
    /// Begins with what is remembered.
    pub(super) fn begin(learned: &Learned, asking: Asking, now: Mono) -> Lessons {
        Lessons { fresh: Vec::new(), asking: learned.apply(asking, now) }
    }

    /// Takes a lesson from a refusal; whether there is one, and so another try.
    pub(super) fn learn(&mut self, call: &Call<'_>, failure: &Failure) -> bool {
        let error = failure.told.as_deref().filter(|_| self.fresh.len() < MOST_LESSONS);
        let lesson = error.and_then(|error| lesson(call, self.asking, failure, error));
        if let Some(lesson) = lesson {
            self.asking = lesson.apply(self.asking);
            self.fresh.push(lesson);
        }
        lesson.is_some()
    }

    /// It worked: what holds for other calls, too, is remembered.
    pub(super) fn keep(&mut self, learned: &Learned, call: &Call<'_>, now: Mono) {
        let all = std::mem::take(&mut self.fresh).into_iter();
        all.filter(|lesson| lesson.holds_after(call))
            .for_each(|lesson| learned.remember(lesson, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_is_forgotten_after_a_day() {
        let learned = Learned::default();
        let at = |hours: u64| Mono::default().plus(Duration::from_secs(hours * 3600));
        learned.remember(Lesson::Temperature, at(0));
        learned.remember(Lesson::Streams, at(1));
        let words = |hours| learned.words(MaxTokensField::MaxTokens, at(hours));
        assert_eq!(words(23), ["refuses temperature", "refuses to stream"]);
        assert_eq!(words(24), ["refuses to stream"]);
        let asking = learned.apply(Asking::STREAM, at(24));
        assert!(asking.temperature && !asking.stream);
        learned.remember(Lesson::AtMost(512), at(24));
        learned.remember(Lesson::AtMost(256), at(24));
        assert_eq!(words(24), ["refuses to stream", "refuses more than 256 tokens of answer"]);
    }
}
