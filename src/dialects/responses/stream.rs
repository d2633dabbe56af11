//! A stream of Responses: named events under rising numbers, the whole object at the end.
//!
//! Thoughts and calls are known once the answer is complete, and are told behind the text.

use std::rc::Rc;

use serde::Serialize;

use super::answer::{OutputItem, OutputPart, ResponseHead, ResponseObject, item_status};
use super::echo::Echo;
use crate::dialects::{EventWriter, Sse};
use crate::protocol::chat::ToolCall;
use crate::protocol::event::Speaker;
use crate::protocol::reply::{Answered, ErrorBody};

/// Writes one stream of events.
pub(in crate::dialects) struct ResponseWriter {
    echo: Rc<Echo>,
    unix_time: u64,
    request_id: String,
    model: String,
    /// The id of the text, once it has begun.
    said: Option<String>,
    events: EventCount,
}

/// How many events were told.
#[derive(Default)]
struct EventCount(u64);

/// An event: of all fields there are, those that it has.
#[derive(Default, Serialize)]
struct ItemEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a ResponseObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a OutputItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<OutputPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[u8; 0]>,
}

impl EventCount {
    fn tell(&mut self, kind: &'static str, event: ItemEvent<'_>, out: &mut Sse) {
        out.named(kind, &ItemEvent { kind, sequence_number: self.0, ..event });
        self.0 += 1;
    }
}

impl ResponseWriter {
    /// A writer for a stream that begins at this second of Unix time.
    pub(in crate::dialects) fn new(unix_time: u64, echo: Rc<Echo>) -> ResponseWriter {
        ResponseWriter {
            echo,
            unix_time,
            request_id: String::new(),
            model: String::new(),
            said: None,
            events: EventCount::default(),
        }
    }

    /// Begins the item of the text, and its one part.
    fn open_text(&mut self, out: &mut Sse) {
        let ResponseWriter { echo, unix_time, request_id, model, said, events } = self;
        let head = ResponseHead { request_id, unix_time: *unix_time, model, echo };
        let item = head.said(None, "in_progress");
        events.tell("response.output_item.added", of_item(0, &item), out);
        let id = said.insert(item.id().to_owned());
        let part = Some(OutputPart::text(""));
        events.tell("response.content_part.added", ItemEvent { part, ..of_text(id) }, out);
    }
}

/// BodyFields of an event about a whole item.
fn of_item<'a>(at: usize, item: &'a OutputItem<'a>) -> ItemEvent<'a> {
    ItemEvent { output_index: Some(at), item: Some(item), ..ItemEvent::default() }
}

/// BodyFields of an event about the text, which is the first item's only part.
fn of_text(id: &str) -> ItemEvent<'_> {
    ItemEvent {
        item_id: Some(id),
        output_index: Some(0),
        content_index: Some(0),
        ..ItemEvent::default()
    }
}

/// BodyFields of an event about a part of an item.
fn within<'a>(at: usize, item: &'a OutputItem<'a>) -> ItemEvent<'a> {
    ItemEvent { item_id: Some(item.id()), output_index: Some(at), ..ItemEvent::default() }
}

/// Ends the item of the text.
fn close_text(text: &str, item: &OutputItem<'_>, events: &mut EventCount, out: &mut Sse) {
    let id = item.id();
    let logprobs = Some([]);
    let done = ItemEvent { text: Some(text), logprobs, ..of_text(id) };
    events.tell("response.output_text.done", done, out);
    let part = Some(OutputPart::text(text));
    events.tell("response.content_part.done", ItemEvent { part, ..of_text(id) }, out);
    events.tell("response.output_item.done", of_item(0, item), out);
}

/// Tells all of what the model thought.
fn tell_thoughts(
    at: usize,
    text: Option<&str>,
    item: &OutputItem<'_>,
    events: &mut EventCount,
    out: &mut Sse,
) {
    let begun = OutputItem::Reasoning {
        id: item.id().to_owned(),
        summary: Vec::new(),
        encrypted_content: None,
    };
    events.tell("response.output_item.added", of_item(at, &begun), out);
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let part = Some(OutputPart::SummaryText { text: "" });
        let fields = || ItemEvent { summary_index: Some(0), ..within(at, item) };
        events.tell("response.reasoning_summary_part.added", ItemEvent { part, ..fields() }, out);
        let delta = ItemEvent { delta: Some(text), ..fields() };
        events.tell("response.reasoning_summary_text.delta", delta, out);
        let done = ItemEvent { text: Some(text), ..fields() };
        events.tell("response.reasoning_summary_text.done", done, out);
        let part = Some(OutputPart::SummaryText { text });
        events.tell("response.reasoning_summary_part.done", ItemEvent { part, ..fields() }, out);
    }
    events.tell("response.output_item.done", of_item(at, item), out);
}

/// Tells all of a call.
fn tell_call(
    at: usize,
    begun: &OutputItem<'_>,
    item: &OutputItem<'_>,
    events: &mut EventCount,
    out: &mut Sse,
) {
    let OutputItem::FunctionCall { name, arguments, .. } = *item else { return };
    events.tell("response.output_item.added", of_item(at, begun), out);
    if !arguments.is_empty() {
        let delta = ItemEvent { delta: Some(arguments), ..within(at, item) };
        events.tell("response.function_call_arguments.delta", delta, out);
    }
    let done = ItemEvent { name: Some(name), arguments: Some(arguments), ..within(at, item) };
    events.tell("response.function_call_arguments.done", done, out);
    events.tell("response.output_item.done", of_item(at, item), out);
}

impl EventWriter for ResponseWriter {
    fn begin(&mut self, speaker: &Speaker, out: &mut Sse) {
        self.request_id = speaker.request_id.to_string();
        self.model.clone_from(&speaker.model_id);
        let ResponseWriter { echo, unix_time, request_id, model, events, .. } = self;
        let head = ResponseHead { request_id, unix_time: *unix_time, model, echo };
        let begun = head.begun();
        for kind in ["response.created", "response.in_progress"] {
            events.tell(kind, ItemEvent { response: Some(&begun), ..ItemEvent::default() }, out);
        }
    }

    fn text(&mut self, text: &str, out: &mut Sse) {
        if self.said.is_none() {
            self.open_text(out);
        }
        let id = self.said.as_deref().unwrap_or_default();
        let delta = ItemEvent { delta: Some(text), logprobs: Some([]), ..of_text(id) };
        self.events.tell("response.output_text.delta", delta, out);
    }

    fn tool_call(&mut self, _call: &ToolCall, _out: &mut Sse) {
        // Told with the end, which follows at once and knows the thoughts that come before.
    }

    fn end(&mut self, answered: &Answered, out: &mut Sse) {
        let text = answered.content.as_deref().unwrap_or_default();
        if self.said.is_none() && !text.is_empty() {
            self.text(text, out);
        }
        let ResponseWriter { echo, unix_time, request_id, model, said, events } = self;
        let head = ResponseHead { request_id, unix_time: *unix_time, model, echo };
        let mut output = Vec::new();
        if said.is_some() {
            let status = item_status(answered.finish_reason);
            let item = head.said(Some(OutputPart::text(text)), status);
            close_text(text, &item, events, out);
            output.push(item);
        }
        if let Some(item) = head.thoughts(answered) {
            let thought = answered.reasoning_content.as_deref();
            tell_thoughts(output.len(), thought, &item, events, out);
            output.push(item);
        }
        for (number, call) in answered.tool_calls.iter().flatten().enumerate() {
            let begun = head.call(number, call, false);
            let item = head.call(number, call, true);
            tell_call(output.len(), &begun, &item, events, out);
            output.push(item);
        }
        let ended = head.ended(answered, &output);
        let event = ItemEvent { response: Some(&ended), ..ItemEvent::default() };
        events.tell(ended.last_event(), event, out);
    }

    fn fail(&mut self, error: &ErrorBody, out: &mut Sse) {
        let ResponseWriter { echo, unix_time, request_id, model, events, .. } = self;
        let head = ResponseHead { request_id, unix_time: *unix_time, model, echo };
        let failed = head.failed(error);
        let event = ItemEvent { response: Some(&failed), ..ItemEvent::default() };
        events.tell("response.failed", event, out);
    }

    fn alive(&self, out: &mut Sse) {
        out.comment("keep-alive");
    }
}
