//! The turns of a conversation in Gemini's form.
//!
//! The assistant is called `model`, results of tools are spoken by the user and name the function
//! instead of the call, and arguments are objects. A thinking model's signature on a part must come
//! back unchanged with it; the one of a call travels in the call's `extra_content` and with what the
//! provider wants back of the whole answer.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::reply::{CALL_SIGNATURES, SIGNATURE};
use crate::domain::fault::Fault;
use crate::protocol::chat::{Message, Role, ToolCall};
use crate::protocol::content::{Content, ImageUrl, Part};
use crate::provider::body;
use crate::provider::history::{CallAsked, Ids, NO_RESULT, function_name};
use crate::provider::turns::{self, BlockMaker, SpokenTurn};
use crate::provider::{Call, Failure, parts};

/// What Google's documentation has for calls that another model made.
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What one speaker says at a time.
#[derive(Serialize)]
pub(super) struct ContentTurn<'a> {
    role: &'static str,
    pub(super) parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub(super) enum WirePart<'a> {
    #[serde(rename_all = "camelCase")]
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Inline { inline_data: Inline<'a> },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: FunctionCallPart<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Response { function_response: WireResponse<'a> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inline<'a> {
    mime_type: Cow<'a, str>,
    data: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct FunctionCallPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    args: Cow<'a, RawValue>,
}

#[derive(Serialize)]
pub(super) struct WireResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    response: FunctionResult<'a>,
}

/// A function's result must be an object; any other text is wrapped into one.
#[derive(Serialize)]
#[serde(untagged)]
enum FunctionResult<'a> {
    Object(&'a RawValue),
    Text { output: String },
}

/// All turns of a call's conversation.
pub(super) fn turns<'a>(call: &Call<'a>) -> Result<Vec<ContentTurn<'a>>, Failure> {
    parts::check(call.request, |_, address| inline(address.into()).is_some())?;
    let turns = turns::turns(call, Ids::Any, InParts(call))?;
    Ok(turns.into_iter().map(ContentTurn::from).collect())
}

impl<'a> From<SpokenTurn<WirePart<'a>>> for ContentTurn<'a> {
    fn from(turn: SpokenTurn<WirePart<'a>>) -> ContentTurn<'a> {
        let role = if turn.role == Role::Assistant { "model" } else { "user" };
        ContentTurn { role, parts: turn.content }
    }
}

/// Puts what is said into Gemini's parts.
struct InParts<'c, 'a>(&'c Call<'a>);

impl<'a> BlockMaker<'a> for InParts<'_, 'a> {
    type Block = WirePart<'a>;

    fn words(words: &'static str) -> WirePart<'a> {
        text(words)
    }

    fn shown(&mut self, content: Option<&'a Content>) -> Result<Vec<WirePart<'a>>, Failure> {
        parts(content)
    }

    fn assistant(
        &mut self,
        message: &'a Message,
        asked: Vec<CallAsked<'a>>,
        _: bool,
    ) -> Result<Vec<WirePart<'a>>, Failure> {
        said_by_model(message, asked, self.0)
    }

    fn result(
        &mut self,
        asked: CallAsked<'a>,
        result: Option<&'a Message>,
    ) -> Result<Vec<WirePart<'a>>, Failure> {
        tool_result(asked, result)
    }
}

fn text(text: &str) -> WirePart<'_> {
    WirePart::Text { text: Cow::Borrowed(text), thought_signature: None }
}

fn parts(content: Option<&Content>) -> Result<Vec<WirePart<'_>>, Failure> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(one)) if one.is_empty() => Ok(Vec::new()),
        Some(Content::Text(one)) => Ok(vec![text(one)]),
        Some(Content::Parts(parts)) => {
            parts.iter().filter(|part| !is_empty(part)).map(wire_part).collect()
        }
    }
}

fn is_empty(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } => text.is_empty(),
        part => parts::is_blank(part),
    }
}

fn wire_part(part: &Part) -> Result<WirePart<'_>, Failure> {
    let inline = match part {
        Part::Text { text: one, .. } => return Ok(text(one)),
        Part::ImageUrl { image_url, .. } => return image(image_url),
        Part::File { file, .. } => parts::media(file)
            .filter(|media| is_taken(media.kind))
            .map(|media| Inline { mime_type: media.kind.into(), data: media.data.into() }),
        Part::InputAudio { input_audio, .. } => {
            let mime_type = format!("audio/{}", input_audio.format).into();
            Some(Inline { mime_type, data: Cow::Borrowed(&input_audio.data) })
        }
        Part::Shown { .. } => part.address().and_then(inline),
        Part::Thought(_) | Part::Unknown { .. } => None,
    };
    Ok(match inline {
        Some(inline_data) => WirePart::Inline { inline_data },
        None => WirePart::Text { text: parts::left_out(part).into(), thought_signature: None },
    })
}

/// Data of a media type that is read.
fn inline(address: Cow<'_, str>) -> Option<Inline<'_>> {
    let (mime_type, data) = match &address {
        Cow::Borrowed(address) => {
            let (kind, data) = body::data_url(address)?;
            (Cow::Borrowed(kind), Cow::Borrowed(data))
        }
        Cow::Owned(address) => {
            let (kind, data) = body::data_url(address)?;
            (Cow::Owned(kind.to_owned()), Cow::Owned(data.to_owned()))
        }
    };
    is_taken(&mime_type).then_some(Inline { mime_type, data })
}

/// Whether files of this media type are read.
fn is_taken(kind: &str) -> bool {
    let families = ["text/", "image/", "audio/", "video/"];
    families.iter().any(|family| kind.starts_with(family))
        || matches!(kind, "application/pdf" | "application/json")
}

fn image(image: &ImageUrl) -> Result<WirePart<'_>, Failure> {
    match body::data_url(&image.url) {
        Some((mime_type, data)) => {
            let (mime_type, data) = (mime_type.into(), data.into());
            Ok(WirePart::Inline { inline_data: Inline { mime_type, data } })
        }
        None if body::is_web_address(&image.url) => Err(Failure::new(
            Fault::UnsupportedParam,
            "this provider takes images as data: URLs only, not by address",
        )),
        None => Err(body::bad_image()),
    }
}

/// Models from the third generation on refuse calls of a turn of which none has a signature.
fn wants_signatures(model: &str) -> bool {
    model.contains("gemini") && !model.contains("gemini-1") && !model.contains("gemini-2")
}

fn said_by_model<'a>(
    message: &'a Message,
    asked: Vec<CallAsked<'a>>,
    call: &Call<'_>,
) -> Result<Vec<WirePart<'a>>, Failure> {
    let model = &call.model.model_id;
    let own = body::own_data(message, call);
    let mut parts = match &message.content {
        Some(Content::Parts(all)) => {
            parts::said(all).map(wire_part).collect::<Result<Vec<_>, _>>()?
        }
        content => parts(content.as_ref())?,
    };
    if let (Some(WirePart::Text { thought_signature, .. }), Some(own)) = (parts.last_mut(), own) {
        *thought_signature = own.get(SIGNATURE).and_then(Value::as_str);
    }
    // Signatures of an answer that another model gave are that model's.
    let is_foreign = message.provider_data.is_some() && own.is_none();
    let signature = |call: &'a ToolCall| match is_foreign {
        true => None,
        false => carried(call).or_else(|| kept(own?, &call.id)),
    };
    // Of calls made at once only the first has one.
    let bare = asked.iter().all(|asked| signature(asked.call).is_none());
    let mut missing = (bare && wants_signatures(model)).then_some(NO_SIGNATURE);
    for CallAsked { call, id } in asked {
        let (name, args) = (function_name(&call.function.name, true), body::arguments(call));
        parts.push(WirePart::Call {
            function_call: FunctionCallPart { id: own_id(id), name, args },
            thought_signature: signature(call).or(missing.take()),
        });
    }
    Ok(parts)
}

fn carried(call: &ToolCall) -> Option<&str> {
    call.extra_content.as_ref()?.get("google")?.get("thought_signature")?.as_str()
}

fn kept<'a>(own: &'a Map<String, Value>, id: &str) -> Option<&'a str> {
    own.get(CALL_SIGNATURES)?.get(id)?.as_str()
}

/// Ids that begin like this were made up here or by another provider; Gemini does not miss them.
fn own_id(id: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!id.starts_with("call_")).then_some(id)
}

fn tool_result<'a>(
    asked: CallAsked<'a>,
    result: Option<&'a Message>,
) -> Result<Vec<WirePart<'a>>, Failure> {
    let content = result.and_then(|message| message.content.as_ref());
    let mut shown = parts(content)?;
    let response = match (result, content) {
        (None, _) => FunctionResult::Text { output: NO_RESULT.to_owned() },
        (_, Some(Content::Text(text))) => object(text)
            .map_or_else(|| FunctionResult::Text { output: text.clone() }, FunctionResult::Object),
        _ => FunctionResult::Text { output: shown.iter().filter_map(text_of).collect() },
    };
    shown.retain(|part| matches!(part, WirePart::Inline { .. }));
    let name = function_name(&asked.call.function.name, true);
    let function_response = WireResponse { id: own_id(asked.id), name, response };
    shown.insert(0, WirePart::Response { function_response });
    Ok(shown)
}

fn object(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<&RawValue>(text.trim()).ok().filter(|raw| raw.get().starts_with('{'))
}

fn text_of<'p>(part: &'p WirePart<'_>) -> Option<&'p str> {
    match part {
        WirePart::Text { text, .. } => Some(text),
        _ => None,
    }
}
