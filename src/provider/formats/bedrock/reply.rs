//! Reads an answer of Bedrock's Converse.
//!
//! Blocks have one member, which names their kind; kinds not known yet are passed over. The service
//! counts cached prompt tokens beside the others, this project counts them among them.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::provider::pieces::{self, AnswerEnd, Gathered};
use crate::provider::tool_calls::Fragment;
use crate::provider::{Failure, finish, thoughts, usage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConverseAnswer<'a> {
    output: Option<AnswerOutput>,
    #[serde(default, deserialize_with = "finish::word")]
    stop_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AnswerOutput {
    message: Option<AnswerMessage>,
}

#[derive(Deserialize)]
struct AnswerMessage {
    content: Option<Vec<HeardBlock>>,
}

/// A block of content, whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeardBlock {
    text: Option<String>,
    tool_use: Option<HeardCall>,
    reasoning_content: Option<HeardThought>,
    citations_content: Option<Cited>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeardCall {
    pub(super) tool_use_id: Option<String>,
    pub(super) name: Option<String>,
    input: Option<Box<RawValue>>,
    /// Only tools that run at the provider's have one.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// Text with its sources.
#[derive(Deserialize)]
struct Cited {
    content: Option<Vec<CitedText>>,
}

#[derive(Deserialize)]
struct CitedText {
    text: Option<String>,
}

/// A thought, or one that only the provider can read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeardThought {
    reasoning_text: Option<ThoughtText>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ThoughtText {
    text: Option<String>,
    signature: Option<String>,
}

/// Takes a whole answer.
pub(super) fn answer(bytes: &[u8], into: &mut Gathered) -> Result<(), Failure> {
    let reply: ConverseAnswer<'_> = into.read(bytes)?;
    into.usage = reply.usage.and_then(usage::read).or(into.usage);
    let end = end(reply.stop_reason.as_deref().unwrap_or_default());
    let content = reply.output.and_then(|output| output.message).and_then(|it| it.content);
    let Some(content) = content.or((end == AnswerEnd::Refused).then(Vec::new)) else {
        let error: Value = into.read(bytes)?;
        let names = ["__type", "message", "Message", "error"];
        if names.iter().any(|name| error.get(name).is_some_and(|said| !said.is_null())) {
            return Err(into.failed(&error));
        }
        return Err(pieces::bad_body(bytes, "`output` is missing"));
    };
    content.into_iter().try_for_each(|block| take(block, into))?;
    into.finish = Some(end);
    Ok(())
}

fn take(block: HeardBlock, into: &mut Gathered) -> Result<(), Failure> {
    if let Some(text) = block.text {
        into.say(&text)?;
    }
    let cited = block.citations_content.and_then(|cited| cited.content).unwrap_or_default();
    cited.into_iter().filter_map(|one| one.text).try_for_each(|text| into.say(&text))?;
    if let Some(thought) = block.reasoning_content {
        think(thought, into)?;
    }
    match block.tool_use {
        None => Ok(()),
        Some(tool) if tool.kind.is_some() => {
            into.live();
            Ok(())
        }
        Some(tool) => {
            let input = tool.input.as_deref().map(RawValue::get);
            let key = Some(into.calls());
            into.call(Fragment {
                key,
                id: &tool.tool_use_id.unwrap_or_default(),
                name: &tool.name.unwrap_or_default(),
                whole: input.filter(|input| *input != "null").map(str::to_owned),
                ..Fragment::default()
            })
        }
    }
}

/// Keeps a thought, which must come back as it is.
fn think(thought: HeardThought, into: &mut Gathered) -> Result<(), Failure> {
    into.live();
    let ThoughtText { text, signature } =
        thought.reasoning_text.unwrap_or(ThoughtText { text: None, signature: None });
    into.think(text.as_deref().unwrap_or_default())?;
    let told = [("text", text), ("signature", signature), ("data", thought.redacted_content)];
    let fields = told.into_iter().filter_map(|(name, told)| Some((name.to_owned(), told?.into())));
    let fields: Map<String, Value> = fields.collect();
    into.keep(thoughts::size(&fields))?.begin(None, fields);
    Ok(())
}

/// What a finish word means.
pub(super) fn end(reason: &str) -> AnswerEnd {
    match reason {
        "malformed_model_output" | "malformed_tool_use" => AnswerEnd::Glitch,
        other => AnswerEnd::of(other),
    }
}
