//! A conversation as every provider takes it, whoever said what in it.
//!
//! Providers refuse a whole request for a result that stands away from its call, for a call that
//! nobody answered, for two calls of one name or an id that is too long. None of that is a reason
//! to lose a conversation: results are put behind their calls, a missing one is said to be missing,
//! one of a forgotten call is told as a message, and ids are given the form that the target
//! demands. The same conversation always comes out the same, so that prompt caches hold.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Step;
use crate::protocol::chat::{ChatRequest, Message, Role, ToolCall};

/// Said of a call that nobody answered.
pub(super) const NO_RESULT: &str = "[there is no result of this call]";

/// Said before the result of a call that is not in the conversation.
pub(super) const STRAY_RESULT: &str = "[result of an earlier tool call]";

/// Said when a conversation begins with the assistant and the API wants a person first.
pub(super) const NO_BEGINNING: &str = "[the beginning of this conversation was left out]";

/// A step of a conversation.
pub(super) enum ChatEntry<'a> {
    /// Instructions, or what a person says.
    Said(&'a Message),
    /// What the assistant says, and its calls.
    Assistant(&'a Message, Vec<CallAsked<'a>>),
    /// What came of a call: right behind the calls of one message, in their order.
    Result(CallAsked<'a>, Option<&'a Message>),
    /// What came of a call that is not in the conversation.
    Stray(&'a Message),
}

/// A call under the id that it has for the target.
#[derive(Clone)]
pub(super) struct CallAsked<'a> {
    pub(super) call: &'a ToolCall,
    pub(super) id: Cow<'a, str>,
}

/// Which ids a target takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// Whatever they are: some models need their own ids back.
    Any,
    /// Of at most so many bytes.
    AtMost(usize),
    /// Of at most 64 letters, digits, `_` and `-`.
    Plain,
    /// Of exactly nine letters and digits.
    Nine,
}

/// The steps of a conversation for a target that takes these ids.
pub(super) fn entries(messages: &[Message], ids: Ids) -> Vec<ChatEntry<'_>> {
    let mut entries = Vec::with_capacity(messages.len());
    let mut names = CallIds { ids, taken: HashSet::new(), times: HashMap::new() };
    // Where the result of a call belongs that was not answered yet, newest last.
    let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
    for message in messages {
        match message.role {
            Role::System | Role::Developer | Role::User => entries.push(ChatEntry::Said(message)),
            Role::Assistant => {
                let calls = message.tool_calls.iter();
                let asked: Vec<CallAsked<'_>> =
                    calls.map(|call| CallAsked { call, id: names.of(&call.id) }).collect();
                entries.push(ChatEntry::Assistant(message, asked.clone()));
                // The first of two calls with one id is answered first.
                for (behind, one) in asked.iter().enumerate().rev() {
                    open.entry(&one.call.id).or_default().push(entries.len() + behind);
                }
                entries.extend(asked.into_iter().map(|one| ChatEntry::Result(one, None)));
            }
            Role::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                let place = open.get_mut(id).and_then(Vec::pop);
                match place.and_then(|at| entries.get_mut(at)) {
                    Some(ChatEntry::Result(_, result)) => *result = Some(message),
                    _ => entries.push(ChatEntry::Stray(message)),
                }
            }
        }
    }
    entries
}

/// The ids given out so far.
struct CallIds<'a> {
    ids: Ids,
    taken: HashSet<String>,
    /// How often an id was used again.
    times: HashMap<&'a str, u32>,
}

impl<'a> CallIds<'a> {
    /// An id that no other call of the conversation has.
    fn of(&mut self, id: &'a str) -> Cow<'a, str> {
        let fitted = self.ids.fit(id);
        if self.taken.insert(fitted.to_string()) {
            return fitted;
        }
        let times = self.times.entry(id).or_insert(1);
        loop {
            *times += 1;
            let another = self.ids.fit(&format!("{id}_{times}")).into_owned();
            if self.taken.insert(another.clone()) {
                return Cow::Owned(another);
            }
        }
    }
}

impl Ids {
    /// An id as the target takes it. What does not fit is changed in the same way wherever it
    /// stands, and two of them do not become one.
    pub(super) fn fit(self, id: &str) -> Cow<'_, str> {
        let most = match self {
            Ids::Any => usize::MAX,
            Ids::AtMost(most) => most,
            Ids::Plain => 64,
            Ids::Nine => 9,
        };
        let fits = match self {
            Ids::Any | Ids::AtMost(_) => id.len() <= most,
            Ids::Plain => id.len() <= most && id.chars().all(is_plain),
            Ids::Nine => id.len() == most && id.bytes().all(|b| b.is_ascii_alphanumeric()),
        };
        match self {
            _ if fits && !id.is_empty() => Cow::Borrowed(id),
            Ids::Nine => Cow::Owned(nine(hash(id))),
            _ => Cow::Owned(plain(id, most.min(64))),
        }
    }
}

/// The name of a function as all providers take it: of at most 64 letters, digits, `_` and `-`, for
/// some beginning with a letter or `_`.
pub(super) fn function_name(name: &str, letter_first: bool) -> Cow<'_, str> {
    let fits = !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain);
    match fits && (!letter_first || name.starts_with(begins_name)) {
        true => Cow::Borrowed(name),
        false if name.starts_with(begins_name) || !letter_first => Cow::Owned(plain(name, 64)),
        false => Cow::Owned(plain(&format!("_{name}"), 64)),
    }
}

fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// An answer's calls under the names that the caller offered.
pub(super) fn as_offered(mut step: Step, request: &ChatRequest) -> Step {
    if let Step::End(Ok(answer)) = &mut step {
        for called in answer.tool_calls.iter_mut().map(|call| &mut call.function.name) {
            let names = || request.tools.iter().map(|tool| tool.function.name.as_str());
            if names().any(|name| name == called) {
                continue;
            }
            let means =
                |name: &&str| [false, true].iter().any(|&f| function_name(name, f) == *called);
            if let Some(name) = names().find(means) {
                name.clone_into(called);
            }
        }
    }
    step
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// What is left of a text when only letters, digits, `_` and `-` may stay, told apart from others
/// of which as much is left.
fn plain(text: &str, most: usize) -> String {
    let head = text.chars().take(most - 17).map(|c| if is_plain(c) { c } else { '_' });
    format!("{}_{:016x}", head.collect::<String>(), hash(text))
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn nine(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(9);
    for _ in 0..9 {
        text.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(messages: Value, ids: Ids) -> Vec<String> {
        let messages: Vec<Message> = serde_json::from_str(&messages.to_string()).unwrap();
        let text = |message: &Message| {
            message.content.iter().flat_map(|c| c.texts()).collect::<Vec<_>>().concat()
        };
        let steps = entries(&messages, ids);
        let steps = steps.iter().map(|entry| match entry {
            ChatEntry::Said(message) => format!("said {}", text(message)),
            ChatEntry::Assistant(_, asked) => {
                let asked: Vec<&str> = asked.iter().map(|one| &*one.id).collect();
                format!("asks {}", asked.join(" "))
            }
            ChatEntry::Result(one, Some(message)) => format!("{} gives {}", one.id, text(message)),
            ChatEntry::Result(one, None) => format!("{} gives nothing", one.id),
            ChatEntry::Stray(message) => format!("stray {}", text(message)),
        });
        steps.collect()
    }

    fn asks(ids: &[&str]) -> Value {
        let calls =
            ids.iter().map(|id| json!({"id": id, "function": {"name": "f", "arguments": "{}"}}));
        json!({"role": "assistant", "tool_calls": calls.collect::<Vec<_>>()})
    }

    fn gives(id: &str, text: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": text})
    }

    fn says(text: &str) -> Value {
        json!({"role": "user", "content": text})
    }

    #[test]
    fn results_stand_behind_their_calls_in_their_order() {
        let messages = json!([
            says("x"),
            asks(&["a", "b"]),
            gives("b", "2"),
            says("y"),
            gives("a", "1"),
            gives("a", "again"),
            gives("z", "lost")
        ]);
        let steps =
            ["said x", "asks a b", "a gives 1", "b gives 2", "said y", "stray again", "stray lost"];
        assert_eq!(told(messages, Ids::Any), steps);
    }

    #[test]
    fn a_call_without_a_result_has_one_that_says_so() {
        let messages = json!([asks(&["a"]), says("never mind"), asks(&["b"])]);
        let steps = ["asks a", "a gives nothing", "said never mind", "asks b", "b gives nothing"];
        assert_eq!(told(messages, Ids::Any), steps);
    }

    #[test]
    fn calls_of_one_id_are_told_apart_and_answered_in_turn() {
        let within = json!([asks(&["a", "a"]), gives("a", "1"), gives("a", "2")]);
        assert_eq!(told(within, Ids::Any), ["asks a a_2", "a gives 1", "a_2 gives 2"]);
        let across =
            json!([asks(&["a"]), gives("a", "1"), asks(&["a"]), gives("a", "2"), asks(&["a_2"])]);
        assert_eq!(
            told(across, Ids::Any)[2..],
            ["asks a_2", "a_2 gives 2", "asks a_2_2", "a_2_2 gives nothing"]
        );
    }

    #[test]
    fn ids_get_the_form_that_the_target_takes_and_stay_apart() {
        let long = "x".repeat(70);
        let odd = ["functions.f:0", "functions.f.0", "", "ü", &long, "call_0123456789"];
        for ids in [Ids::AtMost(40), Ids::Plain, Ids::Nine] {
            let fitted: HashSet<String> = odd.iter().map(|id| ids.fit(id).into_owned()).collect();
            assert_eq!(fitted.len(), odd.len(), "{ids:?}");
            for id in &fitted {
                let fits = match ids {
                    Ids::Nine => id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()),
                    Ids::Plain => id.len() <= 64 && id.chars().all(is_plain),
                    _ => id.len() <= 40,
                };
                assert!(fits && !id.is_empty() && ids.fit(id) == *id, "{ids:?}: {id}");
            }
        }
        assert_eq!(Ids::AtMost(40).fit("functions.f:0"), "functions.f:0");
        assert_eq!(Ids::Nine.fit("aB3dE6gH9"), "aB3dE6gH9");
        assert_eq!(Ids::Any.fit(&long), long);
    }

    #[test]
    fn an_answer_calls_what_was_offered_under_its_own_name() {
        use crate::protocol::answer::{Answer, Finish};
        let request: ChatRequest = serde_json::from_str(
            r#"{"messages":[{"role":"user","content":"x"}],
                "tools":[{"function":{"name":"my.tool"}},{"function":{"name":"2nd"}}]}"#,
        )
        .unwrap();
        for (called, name) in [
            (&*function_name("my.tool", false), "my.tool"),
            (&*function_name("2nd", true), "2nd"),
            ("2nd", "2nd"),
            ("unheard", "unheard"),
        ] {
            let call = json!({"id": "c", "function": {"name": called, "arguments": "{}"}});
            let answer = Answer {
                content: None,
                tool_calls: vec![serde_json::from_str(&call.to_string()).unwrap()],
                reasoning_content: None,
                provider_data: None,
                finish: Finish::ToolCalls,
                usage: None,
            };
            let Step::End(Ok(answer)) = as_offered(Step::End(Ok(answer)), &request) else {
                panic!("an answer stays one")
            };
            assert_eq!(answer.tool_calls[0].function.name, name);
        }
    }

    #[test]
    fn names_of_functions_are_of_letters() {
        assert_eq!(function_name("get-weather_2", true), "get-weather_2");
        assert_eq!(function_name("2nd", false), "2nd");
        assert!(function_name("2nd", true).starts_with("_2nd_"));
        assert_ne!(function_name("a.b", false), function_name("a b", false));
        assert!(function_name(&"ä".repeat(90), true).len() <= 64);
    }
}
