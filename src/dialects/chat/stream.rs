//! A stream of Chat Completions: chunks, one finish, what was consumed if asked for, `[DONE]`.

use serde::Serialize;

use super::answer::TokensUsed;
use super::{completion_id, finish_reason};
use crate::dialects::{EventWriter, HttpDialect, Refused, Sse, status};
use crate::protocol::chat::ToolCall;
use crate::protocol::event::Speaker;
use crate::protocol::reply::{Answered, ErrorBody};

/// Writes one stream, chunk by chunk.
pub(in crate::dialects) struct ChunkWriter {
    id: String,
    created: u64,
    model: String,
    tells_usage: bool,
    /// How many tool calls were told.
    calls: u32,
}

#[derive(Serialize)]
struct CompletionChunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [ToldChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<TokensUsed>>,
}

#[derive(Serialize)]
struct ToldChoice<'a> {
    index: u32,
    delta: ChunkDelta<'a>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct ChunkDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[NumberedCall<'a>; 1]>,
}

#[derive(Serialize)]
struct NumberedCall<'a> {
    index: u32,
    #[serde(flatten)]
    call: &'a ToolCall,
}

impl ChunkWriter {
    /// A writer for a stream that begins at this second of Unix time.
    pub(in crate::dialects) fn new(tells_usage: bool, unix_time: u64) -> ChunkWriter {
        ChunkWriter {
            id: String::new(),
            created: unix_time,
            model: String::new(),
            tells_usage,
            calls: 0,
        }
    }

    fn delta(&self, delta: ChunkDelta<'_>, finish: Option<&'static str>, out: &mut Sse) {
        let choice = ToldChoice { index: 0, delta, finish_reason: finish };
        // Programs that ask for it expect the field in every chunk.
        self.chunk(&[choice], self.tells_usage.then_some(None), out);
    }

    fn chunk(&self, choices: &[ToldChoice<'_>], usage: Option<Option<TokensUsed>>, out: &mut Sse) {
        out.data(&CompletionChunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        });
    }
}

impl EventWriter for ChunkWriter {
    fn begin(&mut self, speaker: &Speaker, out: &mut Sse) {
        self.id = completion_id(&speaker.request_id);
        self.model.clone_from(&speaker.model_id);
        let role = ChunkDelta { role: Some("assistant"), content: Some(""), tool_calls: None };
        self.delta(role, None, out);
    }

    fn text(&mut self, text: &str, out: &mut Sse) {
        self.delta(ChunkDelta { content: Some(text), ..ChunkDelta::default() }, None, out);
    }

    fn tool_call(&mut self, call: &ToolCall, out: &mut Sse) {
        let call = NumberedCall { index: self.calls, call };
        self.calls += 1;
        self.delta(ChunkDelta { tool_calls: Some([call]), ..ChunkDelta::default() }, None, out);
    }

    fn end(&mut self, answered: &Answered, out: &mut Sse) {
        let finish = finish_reason(answered.finish_reason);
        self.delta(ChunkDelta::default(), Some(finish), out);
        if self.tells_usage {
            self.chunk(&[], Some(Some(TokensUsed::of(&answered.usage))), out);
        }
        out.done();
    }

    fn fail(&mut self, error: &ErrorBody, out: &mut Sse) {
        let refused = Refused { status: status(error.code), error, request_id: None };
        out.raw_data(&HttpDialect::Chat.errors().body(&refused));
    }

    fn alive(&self, out: &mut Sse) {
        out.comment("keep-alive");
    }
}
