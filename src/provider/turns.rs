//! A conversation as turns of two speakers, as most APIs want it: a person begins, what one speaker
//! says at a time is one turn, and what tools gave is said by the person.
//!
//! How a message is put into blocks is each format's own business; which of them belong together is
//! the same for all. Servers of OpenAI's kind take messages one by one and need none of this.

use serde::Serialize;

use super::body::{self, NO_TURN};
use super::history::{self, CallAsked, ChatEntry, Ids, NO_BEGINNING, STRAY_RESULT};
use super::{Call, Failure};
use crate::protocol::chat::{Message, Role};
use crate::protocol::content::Content;

/// What one speaker says at a time; the role is the person's or the assistant's.
#[derive(Serialize)]
pub(super) struct SpokenTurn<B> {
    pub(super) role: Role,
    pub(super) content: Vec<B>,
}

/// How a format puts what is said into blocks of its own. Nothing to say is no block.
pub(super) trait BlockMaker<'a> {
    type Block;

    /// Words of our own.
    fn words(words: &'static str) -> Self::Block;

    /// What a person says and shows.
    ///
    /// # Errors
    /// When the target cannot be shown something of it.
    fn shown(&mut self, content: Option<&'a Content>) -> Result<Vec<Self::Block>, Failure>;

    /// What the assistant says, and its calls; `is_last` if it is to go on from there.
    ///
    /// # Errors
    /// When the target cannot be shown something of it.
    fn assistant(
        &mut self,
        message: &'a Message,
        asked: Vec<CallAsked<'a>>,
        is_last: bool,
    ) -> Result<Vec<Self::Block>, Failure>;

    /// What came of a call, if anything is known of that.
    ///
    /// # Errors
    /// When the target cannot be shown something of it.
    fn result(
        &mut self,
        asked: CallAsked<'a>,
        result: Option<&'a Message>,
    ) -> Result<Vec<Self::Block>, Failure>;
}

/// All turns of a call's conversation, instructions left out.
pub(super) fn turns<'a, W: BlockMaker<'a>>(
    call: &Call<'a>,
    ids: Ids,
    mut wording: W,
) -> Result<Vec<SpokenTurn<W::Block>>, Failure> {
    let messages = &call.request.messages;
    let mut turns: Vec<SpokenTurn<W::Block>> = Vec::with_capacity(messages.len());
    let entries = history::entries(messages, ids);
    let last = entries.len().saturating_sub(1);
    for (at, entry) in entries.into_iter().enumerate() {
        let (role, content) = match entry {
            ChatEntry::Said(message) if body::instructs(message) => continue,
            ChatEntry::Said(message) => (Role::User, wording.shown(message.content.as_ref())?),
            ChatEntry::Assistant(message, asked) => {
                (Role::Assistant, wording.assistant(message, asked, at == last)?)
            }
            ChatEntry::Result(asked, result) => (Role::User, wording.result(asked, result)?),
            ChatEntry::Stray(message) => {
                let mut all = vec![W::words(STRAY_RESULT)];
                all.extend(wording.shown(message.content.as_ref())?);
                (Role::User, all)
            }
        };
        match turns.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => turns.push(SpokenTurn { role, content }),
        }
    }
    let beginning = match turns.first() {
        None => NO_TURN,
        Some(first) if first.role == Role::Assistant => NO_BEGINNING,
        Some(_) => return Ok(turns),
    };
    turns.insert(0, SpokenTurn { role: Role::User, content: vec![W::words(beginning)] });
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Kind;
    use crate::provider::fixtures;

    /// Words, calls by their ids, and results by the ids of their calls.
    struct Plain;

    impl<'a> BlockMaker<'a> for Plain {
        type Block = String;

        fn words(words: &'static str) -> String {
            words.to_owned()
        }

        fn shown(&mut self, content: Option<&'a Content>) -> Result<Vec<String>, Failure> {
            let texts = content.into_iter().flat_map(Content::texts);
            Ok(texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
        }

        fn assistant(
            &mut self,
            message: &'a Message,
            asked: Vec<CallAsked<'a>>,
            is_last: bool,
        ) -> Result<Vec<String>, Failure> {
            let mut said = self.shown(message.content.as_ref())?;
            said.extend(asked.iter().map(|one| format!("asks {}", one.id)));
            said.extend(is_last.then(|| "goes on".to_owned()));
            Ok(said)
        }

        fn result(
            &mut self,
            asked: CallAsked<'a>,
            result: Option<&'a Message>,
        ) -> Result<Vec<String>, Failure> {
            Ok(vec![format!("{} gives {}", asked.id, result.is_some())])
        }
    }

    fn told(messages: Value) -> Value {
        let request = fixtures::request(json!({ "messages": messages }));
        let model = fixtures::model(fixtures::provider(Kind::Anthropic, "https://x.example"));
        let turns = turns(&fixtures::call(&model, &request), Ids::Any, Plain);
        serde_json::to_value(turns.unwrap()).unwrap()
    }

    #[test]
    fn what_one_speaker_says_at_a_time_is_one_turn() {
        let call = json!({"id": "a", "function": {"name": "f", "arguments": "{}"}});
        let turns = told(json!([
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "2"},
            {"role": "assistant", "content": "3", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "z", "content": "lost"},
            {"role": "user", "content": "4"},
            {"role": "assistant", "content": "5"}]));
        assert_eq!(
            turns,
            json!([{"role": "user", "content": ["1", "2"]},
                {"role": "assistant", "content": ["3", "asks a"]},
                {"role": "user", "content": ["a gives false", STRAY_RESULT, "lost", "4"]},
                {"role": "assistant", "content": ["5", "goes on"]}])
        );
    }

    #[test]
    fn a_person_begins() {
        let said =
            json!([{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "x"}]);
        assert_eq!(told(said)[0], json!({"role": "user", "content": [NO_BEGINNING]}));
        let nobody = json!([{"role": "system", "content": "Be short."}]);
        assert_eq!(told(nobody), json!([{"role": "user", "content": [NO_TURN]}]));
    }
}
