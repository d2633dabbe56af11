//! The wire formats that can be served, one folder each, and what a wire format is from the
//! server's side: the counterpart of `provider/formats/mod.rs`.

mod anthropic;
mod bedrock;
mod google;
mod openai;

use serde_json::Value;

use super::ask::{IncomingCall, SimulatedReply};
use super::behaviour::{Odd, ProviderError};
use super::flow::WireEvent;
use super::wire::{AccessRules, HttpReply, Incoming};
use crate::config::Kind;

/// One wire format, served.
pub(super) trait ServerFormat: Sync {
    /// The path that a client's base URL has.
    fn base_path(&self) -> &'static str;

    /// The model that a call is for.
    fn model<'c>(&self, call: &'c Incoming) -> &'c str {
        call.body_model()
    }

    /// The key that a call was sent with.
    fn key<'c>(&self, call: &'c Incoming) -> &'c str;

    /// Whether a call asks for a stream.
    fn asks_to_stream(&self, call: &Incoming) -> bool {
        call.body["stream"] == true
    }

    /// An answer to what is no chat, such as a list of models; `None` for a chat.
    fn other(&self, _call: &Incoming, _rules: &AccessRules, _number: u64) -> Option<HttpReply> {
        None
    }

    /// Reads a request as strictly as the real service.
    fn read(&self, call: &Incoming, rules: &AccessRules) -> Result<IncomingCall, ProviderError>;

    /// A whole answer, in this format.
    fn answer(&self, ask: &IncomingCall, reply: &SimulatedReply, number: u64) -> HttpReply;

    /// The events that a whole answer is streamed as; `None` for a call that wants no events.
    fn events(&self, body: &Value, call: &Incoming) -> Option<Vec<WireEvent>>;

    /// An answer that is odd in a way that this format can be.
    fn odd(&self, odd: Odd, ask: &IncomingCall, number: u64) -> HttpReply;

    /// An error; the key appears in it only as far as the real service shows it.
    fn error(&self, error: &ProviderError, key: &str, ask: &IncomingCall, number: u64)
    -> HttpReply;

    /// The type that a stream is called.
    fn stream_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// An error, as an event in a stream.
    fn error_event(&self, error: &HttpReply) -> Vec<u8> {
        format!("data: {}\n\n", String::from_utf8_lossy(&error.body)).into_bytes()
    }

    /// What keeps a silent stream alive.
    fn keep_alive(&self) -> Vec<u8> {
        b": keep-alive\n\n".to_vec()
    }

    /// An event that is cut off within its JSON.
    fn malformed(&self) -> Vec<u8> {
        b"data: {\"choices\":[{\"delta\":{\"cont\n\n".to_vec()
    }
}

/// How a service says an error when a test says nothing else: status, type, code and message.
type UsualError = (u16, &'static str, Option<&'static str>, String);

/// The format that a kind of provider serves: the one place that tells them apart.
pub(super) fn of(kind: Kind) -> &'static dyn ServerFormat {
    match kind {
        Kind::OpenAi => &openai::OpenAiServer,
        Kind::Anthropic => &anthropic::AnthropicServer,
        Kind::Google => &google::GoogleServer,
        Kind::Bedrock => &bedrock::BedrockServer,
    }
}
