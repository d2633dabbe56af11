//! What a refusal teaches: which of the daemon's own additions it is about, in whatever words.
//!
//! The daemon adds a temperature, a limit of tokens, the wish for a stream and for its usage. Each is
//! known by its name and by what people call it, next to a word that refuses; a limit that is too large
//! also by the number that is taken. What the caller sent is never a lesson.

use super::body::Asking;
use super::errors::shape::ErrorDetails;
use super::errors::topic::Words;
use super::{Call, Failure, returned};
use crate::config::{Kind, MaxTokensField};
use crate::domain::fault::Fault;

/// An addition of our own that a model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// The default temperature that we give when the caller gave none.
    Temperature,
    /// The name of the token limit.
    LimitName,
    /// Our limit of tokens, of which the model takes so many at most.
    AtMost(u32),
    /// The same for this request alone: so many are left behind its prompt.
    Room(u32),
    /// Our limit of tokens by any name.
    Limit,
    /// The wish to hear what a stream consumed.
    StreamUsage,
    /// To answer with a stream.
    Streams,
    /// Thoughts that were taken for its own.
    Guesses,
    /// To show its thoughts.
    Thoughts,
}

/// What a refusal of thoughts in a history speaks of.
const THOUGHTS: [&str; 6] = [
    "signature",
    "thinking",
    "thinking_blocks",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
];

/// Fewest tokens that are worth an answer; smaller numbers in a text are no limits.
const FEWEST: u32 = 16;

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

/// Words that refuse a value or a wish.
const REFUSES: [&str; 22] = [
    " not ",
    " unsupported",
    " unavailable",
    " must ",
    " should ",
    " cannot",
    " cant ",
    " doesnt",
    " isnt",
    " arent",
    " wont",
    " only ",
    " without ",
    " non stream",
    " disabled",
    " invalid",
    " unknown",
    " unrecognized",
    " unexpected",
    " deprecated",
    " forbidden",
    " refuse",
];

/// Words for a value above a limit.
const TOO_LARGE: [&str; 19] = [
    " at most",
    " maximum",
    " max ",
    " less ",
    " exceed",
    " too large",
    " too high",
    " too big",
    " greater",
    " larger",
    " higher",
    " between",
    " range",
    " limit",
    " up to",
    " more than",
    " must be",
    " should be",
    " upper bound",
];

/// What a token limit is called.
const LIMITS: [&str; 9] = [
    " max tokens",
    " max completion tokens",
    " max new tokens",
    " max output tokens",
    " completion tokens",
    " output tokens",
    " new tokens",
    " num predict",
    " maximum tokens",
];

impl Lesson {
    /// The same way of asking without it.
    pub(super) fn apply(self, asking: Asking) -> Asking {
        match self {
            Lesson::Temperature => Asking { temperature: false, ..asking },
            Lesson::LimitName => Asking { other_limit: true, ..asking },
            Lesson::AtMost(most) | Lesson::Room(most) => {
                let known = asking.most_tokens.unwrap_or(most);
                Asking { most_tokens: Some(known.min(most)), ..asking }
            }
            Lesson::Limit => Asking { limit: false, ..asking },
            Lesson::StreamUsage => Asking { usage: false, ..asking },
            Lesson::Streams => Asking { stream: false, ..asking },
            Lesson::Guesses => Asking { guesses: false, ..asking },
            Lesson::Thoughts => Asking { thoughts: false, ..asking },
        }
    }

    /// Whether what this call taught holds for others, too.
    pub(super) fn holds_after(self, call: &Call<'_>) -> bool {
        let request = call.request;
        let plain = request.tools.is_empty()
            && request.response_format.is_none()
            && request.reasoning_effort.is_none()
            && request.extra.is_empty();
        match self {
            Lesson::Room(_) => false,
            // Elsewhere it is a signature that is refused, and the next one may be good.
            Lesson::Guesses => plain && call.model.provider.kind == Kind::OpenAi,
            // It is about nothing else, and asked for with an effort alone.
            Lesson::Thoughts => request.extra.is_empty(),
            _ => plain,
        }
    }

    /// What was learnt, as people are told.
    pub(super) fn words(self, limit: MaxTokensField) -> String {
        match self {
            Lesson::Temperature => "refuses temperature".to_owned(),
            Lesson::LimitName => format!("refuses {}", limit.name()),
            Lesson::AtMost(most) | Lesson::Room(most) => {
                format!("refuses more than {most} tokens of answer")
            }
            Lesson::Limit => "refuses a limit of tokens".to_owned(),
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
    let refusal = Refused { error, codes: error.codes(), texts: error.texts() };
    // A few tell a refusal as a failure of their own, but then in words.
    let is_refusal = match failure.fault {
        Fault::UnsupportedParam | Fault::InvalidRequest => true,
        Fault::ServerError | Fault::BadEndpoint | Fault::ModelNotFound => refusal.says(&REFUSES),
        Fault::ContextTooLong => return refusal.room(own_limit(call, asking)?).map(Lesson::Room),
        _ => false,
    };
    is_refusal.then(|| refusal.lesson(call, asking))?
}

/// Our own limit of tokens in this call, if it has one.
fn own_limit(call: &Call<'_>, asking: Asking) -> Option<u32> {
    let is_ours = call.request.max_tokens != call.max_tokens;
    asking.call(call).max_tokens.filter(|_| is_ours && asking.limit)
}

/// A refusal and its words.
struct Refused<'a> {
    error: &'a ErrorDetails,
    codes: Words,
    texts: Words,
}

impl Refused<'_> {
    fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.codes.say(phrase) || self.texts.say(phrase))
    }

    fn lesson(&self, call: &Call<'_>, asking: Asking) -> Option<Lesson> {
        let is_about_usage = self.error.mentions(&["stream_options", "include_usage"])
            || self.says(&[" stream options", " include usage"]);
        if asking.stream && asking.usage && is_about_usage {
            return Some(Lesson::StreamUsage);
        }
        let ours = call.temperature.is_some() && call.request.temperature.is_none();
        let is_about_sampling = self.error.mentions(&["temperature"]) || self.says(&[" sampling"]);
        if ours && asking.temperature && is_about_sampling {
            return Some(Lesson::Temperature);
        }
        let lesson = self.about_thoughts(call, asking).or_else(|| self.about_limit(call, asking));
        if lesson.is_some() {
            return lesson;
        }
        let is_about_streams = self.error.mentions(&["stream", "streams", "streaming", "streamed"])
            || self.says(&[" stream mode"]);
        let refuses = self.says(&REFUSES) || self.error.names_field("stream");
        (asking.stream && is_about_streams && refuses).then_some(Lesson::Streams)
    }

    fn about_thoughts(&self, call: &Call<'_>, asking: Asking) -> Option<Lesson> {
        let shows = asking.thoughts && call.request.reasoning_effort.is_some();
        if shows && self.error.mentions(&["include_thoughts", "includeThoughts"]) {
            return Some(Lesson::Thoughts);
        }
        let guessed = asking.guesses && self.error.mentions(&THOUGHTS);
        (guessed && returned::has_guesses(call.request)).then_some(Lesson::Guesses)
    }

    fn about_limit(&self, call: &Call<'_>, asking: Asking) -> Option<Lesson> {
        let usual = call.model.provider.max_tokens_field;
        let (first, second) = (usual.name(), usual.other().name());
        let ours = own_limit(call, asking);
        if let Some(most) = ours.and_then(|ours| self.at_most(ours)) {
            return Some(Lesson::AtMost(most));
        }
        let is_named = self.error.mentions(&[first]);
        let is_unknown = self.says(&UNKNOWN);
        let has_names = call.model.provider.kind == Kind::OpenAi;
        if has_names && !asking.other_limit && is_named {
            return (self.error.mentions(&[second]) || is_unknown).then_some(Lesson::LimitName);
        }
        let is_either = is_named || self.error.mentions(&[second]);
        (has_names && asking.other_limit && ours.is_some() && is_either && is_unknown)
            .then_some(Lesson::Limit)
    }

    /// The greatest number below our own limit that the refusal names as one.
    fn at_most(&self, ours: u32) -> Option<u32> {
        let is_about = self.says(&LIMITS) || self.error.names_field("max_tokens");
        let compares = self.says(&TOO_LARGE) || self.error.texts_have(&["<", ">", "≤", "≥"]);
        if !is_about || !compares {
            return None;
        }
        let numbers = self.error.each_text().flat_map(|text| numbers(text));
        let most = numbers.filter(|number| (FEWEST..ours).contains(number)).max()?;
        let is_strict = self.says(&[" less than"]) && !self.says(&[" equal"]);
        Some(if is_strict { most - 1 } else { most })
    }

    /// How much the context leaves behind the prompt, when the sizes of both are told and the prompt
    /// is the smaller part: then the model is useless because of our limit. Otherwise another model
    /// gives an answer that is not cut.
    fn room(&self, ours: u32) -> Option<u32> {
        let told: Vec<u32> = self.error.each_text().flat_map(|text| numbers(text)).collect();
        told.contains(&ours).then_some(())?;
        let sizes = told.iter().copied();
        // What is ours, and what is a sum with it, is no size of the model's.
        let window = sizes.filter(|n| *n != ours && !told.contains(&n.wrapping_sub(ours))).max()?;
        let prompt = told.iter().copied().filter(|n| *n < window && *n != ours).max()?;
        let room = window - prompt;
        (prompt <= window / 2 && (FEWEST..ours).contains(&room)).then_some(room)
    }
}

/// The whole numbers of a text, less what belongs to names (`m-1106`) or is the number of an error.
fn numbers(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let mut before = "";
    for word in text.split(is_between).filter(|word| !word.is_empty()) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_code = ["code", "status", "error", "http", "line", "column"]
            .iter()
            .any(|name| before.eq_ignore_ascii_case(name));
        before = bare;
        if is_code || bare.contains(|c: char| c.is_alphabetic() || matches!(c, '-' | '.')) {
            continue;
        }
        // `1,024` is a number, and `[1,512]` is two.
        let joined: String = bare.chars().filter(char::is_ascii_digit).collect();
        let parts = bare.split([',', '_']).chain([joined.as_str()]);
        found.extend(parts.filter_map(|number| number.parse::<u32>().ok()));
    }
    found
}

fn is_between(c: char) -> bool {
    !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | ',')
}

#[cfg(test)]
mod tests;
