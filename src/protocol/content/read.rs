//! Reads the parts of a message, also those that other clients write.
//!
//! A history may come from anywhere: from OpenAI's newer API, from Anthropic's, from libraries that
//! keep what a model said in their own words. Four types are exact, and a mistake in one of them is
//! told. All others are recognised by what they hold: thoughts by their name, media by an address or
//! data, anything with a text as that text. What is left is nothing that a person may say, and left
//! out of what others said.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::{Error, Map, Value};

use super::{Audio, CacheControl, File, ImageUrl, Part, Showing};

/// The types that are exact.
pub(in crate::protocol) const EXACT: [&str; 4] = ["text", "image_url", "file", "input_audio"];

/// How deep an address or a text may be within a part.
const DEEPEST: usize = 3;

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Part, D::Error> {
        let fields = Map::<String, Value>::deserialize(input)?;
        part(fields).map_err(de::Error::custom)
    }
}

fn part(mut fields: Map<String, Value>) -> Result<Part, Error> {
    let kind = match fields.get("type") {
        Some(Value::String(kind)) => kind.to_ascii_lowercase(),
        Some(_) => return Err(de::Error::custom("expected `type` to be a string")),
        None => return Err(de::Error::missing_field("type")),
    };
    if kind == "image_url"
        && let Some(Value::String(url)) = fields.get_mut("image_url")
    {
        let url = std::mem::take(url);
        fields.insert("image_url".to_owned(), serde_json::json!({ "url": url }));
    }
    if EXACT.contains(&&*kind) {
        // The derived reader, which knows these alone.
        return Part::deserialize(Value::Object(fields));
    }
    Ok(foreign(&kind, fields))
}

/// A part in the words of another API or client.
fn foreign(kind: &str, fields: Map<String, Value>) -> Part {
    if is_like(kind, &["think", "thought", "reason"]) {
        return Part::Thought(Value::Object(fields));
    }
    let cache_control = fields.get("cache_control").and_then(Value::as_object).cloned();
    if let Some(text) = text(kind, &fields) {
        return Part::Text { text, cache_control };
    }
    let showing = match () {
        () if is_like(kind, &["image", "picture", "photo"]) => Showing::Image,
        () if is_like(kind, &["video", "movie"]) => Showing::Video,
        () if is_like(kind, &["audio", "sound", "speech", "voice"]) => Showing::Sound,
        () if is_like(kind, &["file", "document", "pdf", "media", "resource"]) => Showing::File,
        () => return Part::Unknown { kind: kind.to_owned() },
    };
    let filename = ["filename", "name", "title"].iter().find_map(|name| text_at(&fields, name));
    let file_id = text_at(&fields, "file_id");
    match (address(&fields, 0).map(Cow::into_owned), showing) {
        (Some(url), Showing::Image) => {
            let detail = text_at(&fields, "detail");
            Part::ImageUrl { image_url: ImageUrl { url, detail }, cache_control }
        }
        (file_data, Showing::File) if file_data.is_some() || file_id.is_some() => {
            Part::File { file: File { file_data, filename, file_id }, cache_control }
        }
        (Some(url), Showing::Sound) if sound(&url).is_some() => {
            let input_audio = sound(&url).unwrap_or_default();
            Part::InputAudio { input_audio, cache_control }
        }
        (Some(_), showing) => Part::Shown { showing, given: Value::Object(fields) },
        (None, _) => Part::Unknown { kind: kind.to_owned() },
    }
}

fn is_like(kind: &str, names: &[&str]) -> bool {
    names.iter().any(|name| kind.contains(name))
}

/// What a part says, if that is a text: under the usual name, or under that of its own type.
fn text(kind: &str, fields: &Map<String, Value>) -> Option<String> {
    let own = fields.get(kind);
    let whole = text_at(fields, "text").or_else(|| own?.as_str().map(str::to_owned));
    let within = || own?.as_object().and_then(|own| text_at(own, "text"));
    let whole = whole.filter(|text| !is_address(text)).or_else(within).or_else(|| plain(fields));
    whole.or_else(|| listed(fields.get("content")?))
}

/// A text as Anthropic has it within a document.
fn plain(fields: &Map<String, Value>) -> Option<String> {
    let source = fields.get("source")?.as_object()?;
    (source.get("type")? == "text").then(|| text_at(source, "data")).flatten()
}

/// What a content says that is a text or a list of texts.
fn listed(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts = items.iter().map(|item| text_at(item.as_object()?, "text"));
            texts.collect::<Option<Vec<String>>>().map(|texts| texts.join("\n"))
        }
        _ => None,
    }
}

fn text_at(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name)?.as_str().map(str::to_owned)
}

/// Where what is shown can be had: an address, or data with its media type as a `data:` URL.
pub(super) fn address(fields: &Map<String, Value>, depth: usize) -> Option<Cow<'_, str>> {
    let data = ["data", "base64", "bytes"].iter().find_map(|name| fields.get(*name)?.as_str());
    let kind = fields.values().filter_map(Value::as_str).find(|text| is_media_type(text));
    if let (Some(data), Some(kind)) = (data.filter(|data| !is_address(data)), kind) {
        return Some(format!("data:{kind};base64,{data}").into());
    }
    fields.iter().filter(|(name, _)| *name != "type").find_map(|(_, value)| match value {
        Value::String(text) => is_address(text).then_some(Cow::Borrowed(text.as_str())),
        Value::Object(inner) if depth < DEEPEST => address(inner, depth + 1),
        _ => None,
    })
}

fn is_address(text: &str) -> bool {
    let starts = ["data:", "https://", "http://"];
    starts
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

/// Whether this is formed like `image/png`.
fn is_media_type(text: &str) -> bool {
    text.split_once('/').is_some_and(|(family, kind)| is_plain(family) && is_plain(kind))
}

fn is_plain(part: &str) -> bool {
    (1..=80).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

/// A recording that came as data.
fn sound(url: &str) -> Option<Audio> {
    let (head, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let format = head.split(';').next()?.strip_prefix("audio/")?.trim_start_matches("x-");
    let format = if format == "mpeg" { "mp3" } else { format };
    Some(Audio { data: data.to_owned(), format: format.to_owned() })
}

/// The cache mark of a part in the words of others.
pub(super) fn mark(given: &Value) -> Option<&CacheControl> {
    given.get("cache_control")?.as_object()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::content::Content;

    /// What a part is read as, in a word and what it holds.
    fn told(part: Value) -> String {
        let read: Result<Content, _> = serde_json::from_value(json!([part]));
        let parts = match read {
            Ok(Content::Parts(parts)) => parts,
            Ok(Content::Text(_)) => return "a string".to_owned(),
            Err(error) => return format!("mistake: {error}"),
        };
        match &parts[0] {
            Part::Text { text, .. } => format!("text {text}"),
            Part::ImageUrl { image_url, .. } => format!("image {}", image_url.url),
            Part::File { file, .. } => {
                let all = [&file.file_data, &file.filename, &file.file_id];
                let all = all.map(|one| one.as_deref().unwrap_or("-"));
                format!("file {}", all.join(" "))
            }
            Part::InputAudio { input_audio, .. } => {
                format!("sound {} {}", input_audio.format, input_audio.data)
            }
            Part::Thought(_) => "thought".to_owned(),
            Part::Shown { showing, .. } => {
                format!("{} {}", showing.name(), parts[0].address().unwrap_or_default())
            }
            Part::Unknown { kind } => format!("unknown {kind}"),
        }
    }

    #[test]
    fn texts_of_all_names_are_texts() {
        for part in [
            json!({"type": "text", "text": "a"}),
            json!({"type": "input_text", "text": "a"}),
            json!({"type": "output_text", "text": "a", "annotations": []}),
            json!({"type": "summary_text", "text": "a"}),
            json!({"type": "refusal", "refusal": "a"}),
            json!({"type": "plain", "plain": "a"}),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain",
                "data": "a"}, "title": "t"}),
            json!({"type": "resource", "resource": {"uri": "file:///a", "text": "a"}}),
            json!({"type": "tool_result", "tool_use_id": "t", "content": "a"}),
            json!({"type": "tool_result", "content": [{"type": "text", "text": "a"}]}),
        ] {
            assert_eq!(told(part.clone()), "text a", "{part}");
        }
    }

    #[test]
    fn thoughts_of_all_names_are_thoughts() {
        for part in [
            json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
            json!({"type": "redacted_thinking", "data": "x"}),
            json!({"type": "reasoning", "text": "hm"}),
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}),
            json!({"type": "reasoning_content", "reasoning_content": {"reasoningText": {}}}),
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
        ] {
            assert_eq!(told(part.clone()), "thought", "{part}");
        }
    }

    #[test]
    fn media_are_what_they_hold_whoever_wrote_them() {
        let (png, pdf) = ("data:image/png;base64,AA==", "data:application/pdf;base64,AA==");
        let source = |kind: &str| json!({"type": "base64", "media_type": kind, "data": "AA=="});
        for (part, wanted) in [
            (json!({"type": "image_url", "image_url": "https://x/a.png"}), "image https://x/a.png"),
            (json!({"type": "input_image", "image_url": png}), &*format!("image {png}")),
            (json!({"type": "image", "source": source("image/png")}), &format!("image {png}")),
            (
                json!({"type": "image", "source": {"type": "url", "url": "https://x"}}),
                "image https://x",
            ),
            (
                json!({"type": "image", "data": "AA==", "mimeType": "image/png"}),
                &format!("image {png}"),
            ),
            (
                json!({"type": "document", "source": source("application/pdf"), "title": "t"}),
                &format!("file {pdf} t -"),
            ),
            (json!({"type": "input_file", "file_id": "f"}), "file - - f"),
            (json!({"type": "input_file", "file_url": "https://x/a"}), "file https://x/a - -"),
            (
                json!({"type": "audio_url", "audio_url": {"url": "data:audio/mpeg;base64,AA=="}}),
                "sound mp3 AA==",
            ),
            (
                json!({"type": "audio_url", "audio_url": {"url": "https://x/a"}}),
                "a recording https://x/a",
            ),
            (
                json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}),
                "a video data:video/mp4;base64,AA==",
            ),
            (json!({"type": "input_video", "video": "https://x/v"}), "a video https://x/v"),
        ] {
            assert_eq!(told(part.clone()), wanted, "{part}");
        }
    }

    #[test]
    fn what_holds_nothing_is_unknown_and_exact_types_tell_their_mistakes() {
        for (part, wanted) in [
            (json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}), "unknown tool_use"),
            (json!({"type": "audio"}), "unknown audio"),
            (json!({"type": "video_url", "video_url": {"url": "v.mp4"}}), "unknown video_url"),
            (json!({"text": "a"}), "mistake: missing field `type`"),
            (json!({"type": 7}), "mistake: expected `type` to be a string"),
            (json!({"type": "text"}), "mistake: missing field `text`"),
            (json!({"type": "image_url", "image_url": {}}), "mistake: missing field `url`"),
            (
                json!({"type": "file", "file": 3}),
                "mistake: invalid type: integer `3`, expected struct File",
            ),
        ] {
            assert_eq!(told(part.clone()), wanted, "{part}");
        }
    }
}
