//! What messages and results of tools say: a text, or parts of texts, images, files, recordings.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::note;
use crate::dialects::body::{read_at, refused};
use crate::protocol::content::{Audio, Content, File, ImageUrl, Part};
use crate::protocol::reply::ErrorBody;

#[derive(Deserialize)]
struct PartTag {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PartText {
    text: String,
}

#[derive(Deserialize)]
struct PartRefusal {
    refusal: String,
}

#[derive(Deserialize)]
struct PartImage {
    #[serde(default)]
    image_url: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

#[derive(Deserialize)]
struct PartFile {
    #[serde(default)]
    file_data: Option<String>,
    #[serde(default)]
    file_url: Option<String>,
    #[serde(default)]
    file_id: Option<String>,
    #[serde(default)]
    filename: Option<String>,
}

#[derive(Deserialize)]
struct PartAudio {
    input_audio: Audio,
}

/// Reads what stands at this place. Parts of kinds that nobody else knows are left out and noted.
pub(super) fn content(
    place: &str,
    value: &RawValue,
    dropped: &mut Vec<String>,
) -> Result<Content, ErrorBody> {
    if value.get().starts_with('"') {
        return Ok(Content::Text(read_at(place, value)?));
    }
    if !value.get().starts_with('[') {
        return Err(refused(place, "expected a string or a list of parts"));
    }
    let given: Vec<&RawValue> = read_at(place, value)?;
    let mut parts = Vec::with_capacity(given.len());
    for (at, part) in given.iter().enumerate() {
        parts.extend(one(&format!("{place}[{at}]"), part, dropped)?);
    }
    Ok(simple(parts))
}

/// What an assistant said is one text, however many parts it came in.
pub(super) fn joined(content: Content) -> Content {
    let Content::Parts(parts) = &content else { return content };
    match parts.iter().all(|part| matches!(part, Part::Text { .. })) {
        true => Content::Text(content.texts().collect()),
        false => content,
    }
}

/// One text alone is no list.
fn simple(mut parts: Vec<Part>) -> Content {
    match parts.as_mut_slice() {
        [] => Content::Text(String::new()),
        [Part::Text { text, .. }] => Content::Text(std::mem::take(text)),
        _ => Content::Parts(parts),
    }
}

fn one(
    place: &str,
    value: &RawValue,
    dropped: &mut Vec<String>,
) -> Result<Option<Part>, ErrorBody> {
    let kind = read_at::<PartTag>(place, value)?.kind;
    let cache_control = None;
    Ok(Some(match kind.as_str() {
        "input_text" | "output_text" | "text" => {
            let PartText { text } = read_at(place, value)?;
            Part::Text { text, cache_control }
        }
        "refusal" => {
            let PartRefusal { refusal: text } = read_at(place, value)?;
            Part::Text { text, cache_control }
        }
        "input_image" => {
            let PartImage { image_url, detail } = read_at(place, value)?;
            let Some(url) = image_url else {
                let why = "an image that one provider keeps has no backup; send its `image_url`";
                return Err(refused(place, why));
            };
            Part::ImageUrl { image_url: ImageUrl { url, detail }, cache_control }
        }
        "input_file" => {
            let PartFile { file_data, file_url, file_id, filename } = read_at(place, value)?;
            let file = File { file_data: file_data.or(file_url), filename, file_id };
            Part::File { file, cache_control }
        }
        "input_audio" => {
            let PartAudio { input_audio } = read_at(place, value)?;
            Part::InputAudio { input_audio, cache_control }
        }
        other => {
            note(dropped, format!("input.{other}"));
            return Ok(None);
        }
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Result<(Value, Vec<String>), String> {
        let text = value.to_string();
        let mut dropped = Vec::new();
        let read = content("c", serde_json::from_str(&text).unwrap(), &mut dropped);
        let read = read.map_err(|error| error.message)?;
        Ok((serde_json::to_value(read).unwrap(), dropped))
    }

    #[test]
    fn parts_are_told_in_the_words_of_our_own_request() {
        let (parts, dropped) = read(&json!([
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": null},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "f"},
            {"type": "input_file", "file_url": "https://x/y.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "computer_screenshot", "image_url": {"odd": 1}},
        ]))
        .unwrap();
        assert_eq!(
            parts,
            json!([
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "file",
                 "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "f"}},
                {"type": "file", "file": {"file_data": "https://x/y.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ])
        );
        assert_eq!(dropped, ["input.computer_screenshot"]);
    }

    #[test]
    fn one_text_alone_is_no_list() {
        assert_eq!(read(&json!("a")).unwrap().0, json!("a"));
        assert_eq!(read(&json!([{"type": "refusal", "refusal": "no"}])).unwrap().0, json!("no"));
        assert_eq!(read(&json!([])).unwrap().0, json!(""));
    }

    #[test]
    fn a_mistake_names_its_part() {
        let told = read(&json!([{"type": "input_text", "text": "a"}, {"type": "input_text"}]));
        assert!(told.unwrap_err().starts_with("`c[1]`: "));
        let told = read(&json!([{"type": "input_image", "file_id": "file-1"}])).unwrap_err();
        assert!(told.starts_with("`c[0]`: ") && told.contains("image_url"), "{told}");
        assert!(read(&json!(7)).unwrap_err().starts_with("`c`: "));
    }
}
