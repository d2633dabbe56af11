//! What the daemon adds to a request on its own account, and what a model was seen to refuse of it.
//!
//! A caller who sent no temperature must not fail for the one that we put in. What a model refuses
//! of our own is left out and the same model asked again at once. A refusal of a plain request is
//! remembered for a day, so that the next caller does not pay for it; one of a request with tools or
//! the like may be about those.

use std::cell::RefCell;
use std::time::Duration;

use super::body::Asking;
use super::errors::shape::ErrorDetails;
use super::{Call, Failure, returned};
use crate::config::{Kind, MaxTokensField};
use crate::domain::fault::Fault;
use crate::domain::time::Mono;

/// How long a lesson is remembered: servers change.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Words for a field whose name is refused, not its value.
const UNKNOWN: [&str; 9] = [
    " unsupported param",
    " not support",
    " unknown",
    " unrecognized",
    " not permitted",
    " not allowed",
    " extra ",
    " unexpected",
    " forbidden",
];

/// What a refusal of thoughts in a history speaks of.
const THOUGHTS: [&str; 6] = [
    "signature",
    "thinking",
    "thinking_blocks",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
];

/// An addition of our own that a model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// The default temperature that we give when the caller gave none.
    Temperature,
    /// The name of the token limit.
    LimitName,
    /// The wish to hear what a stream consumed.
    StreamUsage,
    /// To answer with a stream.
    Streams,
    /// Thoughts that were taken for its own.
    Guesses,
    /// To show its thoughts.
    Thoughts,
}

impl Lesson {
    /// The same way of asking without it.
    fn apply(self, asking: Asking) -> Asking {
        match self {
            Lesson::Temperature => Asking { temperature: false, ..asking },
            Lesson::LimitName => Asking { other_limit: true, ..asking },
            Lesson::StreamUsage => Asking { usage: false, ..asking },
            Lesson::Streams => Asking { stream: false, ..asking },
            Lesson::Guesses => Asking { guesses: false, ..asking },
            Lesson::Thoughts => Asking { thoughts: false, ..asking },
        }
    }

    /// Whether what this call taught holds for others, too.
    fn holds_after(self, call: &Call<'_>) -> bool {
        let request = call.request;
        let plain = request.tools.is_empty()
            && request.response_format.is_none()
            && request.reasoning_effort.is_none()
            && request.extra.is_empty();
        match self {
            // Elsewhere it is a signature that is refused, and the next one may be good.
            Lesson::Guesses => plain && call.model.provider.kind == Kind::OpenAi,
            // It is about nothing else, and asked for with an effort alone.
            Lesson::Thoughts => request.extra.is_empty(),
            _ => plain,
        }
    }

    /// What was learnt, as people are told.
    fn words(self, limit: MaxTokensField) -> String {
        match self {
            Lesson::Temperature => "refuses temperature".to_owned(),
            Lesson::LimitName => format!("refuses {}", limit.name()),
            Lesson::StreamUsage => "refuses stream_options".to_owned(),
            Lesson::Streams => "refuses to stream".to_owned(),
            Lesson::Guesses => "refuses thoughts in a history".to_owned(),
            Lesson::Thoughts => "refuses to show its thoughts".to_owned(),
        }
    }
}

/// What a refusal is about, if it is about something that we added to this call.
pub(super) fn lesson(
    call: &Call<'_>,
    asking: Asking,
    failure: &Failure,
    error: &ErrorDetails,
) -> Option<Lesson> {
    if !matches!(failure.fault, Fault::UnsupportedParam | Fault::InvalidRequest) {
        return None;
    }
    let ours = call.temperature.is_some() && call.request.temperature.is_none();
    let limit = call.model.provider.max_tokens_field;
    let lessons = [
        (
            Lesson::StreamUsage,
            asking.stream && asking.usage && error.mentions(&["stream_options", "include_usage"]),
        ),
        (Lesson::Temperature, ours && asking.temperature && error.mentions(&["temperature"])),
        (
            Lesson::LimitName,
            call.model.provider.kind == Kind::OpenAi
                && !asking.other_limit
                && error.mentions(&[limit.name()])
                && (error.mentions(&[limit.other().name()]) || is_unknown(error)),
        ),
        (
            Lesson::Guesses,
            asking.guesses && error.mentions(&THOUGHTS) && returned::has_guesses(call.request),
        ),
        (
            Lesson::Thoughts,
            asking.thoughts
                && call.request.reasoning_effort.is_some()
                && error.mentions(&["include_thoughts", "includeThoughts"]),
        ),
        (Lesson::Streams, asking.stream && error.mentions_quoted("stream")),
        (Lesson::Streams, asking.stream && error.mentions(&["streaming"])),
    ];
    lessons.into_iter().find(|(_, applies)| *applies).map(|(lesson, _)| lesson)
}

fn is_unknown(error: &ErrorDetails) -> bool {
    let (codes, texts) = (error.codes(), error.texts());
    UNKNOWN.iter().any(|phrase| codes.say(phrase) || texts.say(phrase))
}

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
        all.retain(|(known, since)| *known != lesson && now.since(*since) < REMEMBERED);
        all.push((lesson, now));
    }

    fn known(&self, now: Mono) -> Vec<Lesson> {
        let all = self.0.borrow();
        let fresh = all.iter().filter(|(_, since)| now.since(*since) < REMEMBERED);
        fresh.map(|(lesson, _)| *lesson).collect()
    }
}

/// How one call asks, and what it has learnt on the way.
pub(super) struct Lessons<'a> {
    learned: &'a Learned,
    fresh: Vec<Lesson>,
    pub(super) asking: Asking,
}

impl<'a> Lessons<'a> {
    /// Begins with what is remembered.
    pub(super) fn begin(learned: &'a Learned, asking: Asking, now: Mono) -> Lessons<'a> {
        Lessons { learned, fresh: Vec::new(), asking: learned.apply(asking, now) }
    }

    /// Takes a lesson from a refusal; whether there is one, and so another try.
    pub(super) fn learn(
        &mut self,
        call: &Call<'_>,
        failure: &Failure,
        error: &ErrorDetails,
    ) -> bool {
        let Some(lesson) = lesson(call, self.asking, failure, error) else { return false };
        self.asking = lesson.apply(self.asking);
        self.fresh.push(lesson);
        true
    }

    /// It worked: a lesson that a plain request taught holds for all.
    pub(super) fn keep(self, call: &Call<'_>, now: Mono) {
        for lesson in self.fresh.into_iter().filter(|lesson| lesson.holds_after(call)) {
            self.learned.remember(lesson, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::errors::shape;
    use crate::provider::fixtures;

    fn taught(request: serde_json::Value, status_text: &str, param: &str) -> Option<Lesson> {
        let request = fixtures::request(request);
        let model = fixtures::model(fixtures::provider(Kind::OpenAi, "https://x.example/v1"));
        let error = json!({"error": {"message": status_text, "param": param}});
        let failure = Failure::new(Fault::UnsupportedParam, "");
        let call = fixtures::call(&model, &request);
        lesson(&call, Asking::STREAM, &failure, &shape::read(error.to_string().as_bytes()))
    }

    #[test]
    fn a_refusal_of_what_we_added_is_told_from_one_of_what_the_caller_sent() {
        let plain = json!({"messages": [{"role": "user", "content": "x"}]});
        let mut own = plain.clone();
        own["temperature"] = json!(0.5);
        let mut effort = plain.clone();
        effort["reasoning_effort"] = json!("low");
        let thoughtful = json!({"messages": [{"role": "user", "content": "x"},
            {"role": "assistant", "content": "y", "reasoning_content": "hm"}]});
        let rows = [
            (&plain, "'temperature' does not support 0.5", "", Some(Lesson::Temperature)),
            (&plain, "only 1 is allowed", "temperature", Some(Lesson::Temperature)),
            (&own, "'temperature' does not support 0.5", "temperature", None),
            (&plain, "Use 'max_completion_tokens', not 'max_tokens'", "", Some(Lesson::LimitName)),
            (&plain, "Unrecognized request argument", "max_tokens", Some(Lesson::LimitName)),
            (&plain, "max_tokens is too large: 64", "max_tokens", None),
            (&plain, "unknown field `include_usage`", "", Some(Lesson::StreamUsage)),
            (&plain, "this model does not do streaming", "", Some(Lesson::Streams)),
            (&plain, "`stream` must be false", "", Some(Lesson::Streams)),
            (&plain, "Invalid `signature` in `thinking` block", "", None),
            (&plain, "Thinking_config.include_thoughts is not supported", "", None),
            (&effort, "Thinking_config.include_thoughts is unknown", "", Some(Lesson::Thoughts)),
            (&thoughtful, "Invalid `signature` in `thinking` block", "", Some(Lesson::Guesses)),
            (&thoughtful, "extra inputs", "messages.1.reasoning_content", Some(Lesson::Guesses)),
            (&plain, "the upstream is gone", "", None),
            (&plain, "unknown field `temperatures_of_day`", "", None),
        ];
        for (request, text, param, wanted) in rows {
            assert_eq!(taught(request.clone(), text, param), wanted, "{text}");
        }
    }

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
    }
}
