//! Parts of a message that not every provider takes: files, recordings, videos.
//!
//! Where a file or a recording cannot be sent, a sentence stands in its place: a message must not
//! become empty, and a model that does not know that something is missing would answer as if it had
//! read it. What is shown in a form that few models take makes a model unsuitable, like an image by
//! its address: another one may take it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Failure, body};
use crate::domain::fault::Fault;
use crate::protocol::chat::{ChatRequest, Message, Role};
use crate::protocol::content::{Content, File, Part, Showing};

/// Data with its media type.
pub(super) struct Media<'a> {
    pub(super) kind: &'a str,
    /// The data in base64.
    pub(super) data: &'a str,
}

/// What a file holds, if it came with the request. Its name tells where its data does not.
pub(super) fn media(file: &File) -> Option<Media<'_>> {
    let data = file.file_data.as_deref()?;
    if let Some((kind, data)) = body::data_url(data) {
        return Some(Media { kind, data });
    }
    if data.contains(':') {
        return None;
    }
    let (_, ending) = file.filename.as_deref()?.rsplit_once('.')?;
    let kind = match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" | "md" | "csv" | "html" | "xml" | "json" | "log" => "text/plain",
        _ => return None,
    };
    Some(Media { kind, data })
}

impl Media<'_> {
    /// The text of a file that is one.
    pub(super) fn text(&self) -> Option<String> {
        let is_text = self.kind.starts_with("text/")
            || matches!(self.kind, "application/json" | "application/xml" | "application/yaml");
        let bytes = STANDARD.decode(self.data.trim()).ok().filter(|_| is_text)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Whether a part says nothing: a text of blanks alone, which some providers refuse, or thoughts,
/// which go back in another way.
pub(super) fn is_blank(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } => text.trim().is_empty(),
        Part::Thought(_) => true,
        _ => false,
    }
}

/// What an assistant said, without what says nothing to another model.
pub(super) fn said(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| !is_blank(part) && !matches!(part, Part::Unknown { .. }))
}

/// Whether the target can be shown all that people and tools show in forms that few models take.
///
/// # Errors
/// When it takes something of it in no way.
pub(super) fn check(
    request: &ChatRequest,
    takes: impl Fn(Showing, &str) -> bool,
) -> Result<(), Failure> {
    for message in request.messages.iter().filter(|message| shows(message)) {
        let Some(Content::Parts(parts)) = &message.content else { continue };
        for part in parts {
            let Part::Shown { showing, .. } = part else { continue };
            if !part.address().is_some_and(|address| takes(*showing, &address)) {
                let what = format!("this model does not take {} in this form", showing.name());
                return Err(Failure::new(Fault::UnsupportedParam, what));
            }
        }
    }
    Ok(())
}

/// Whether who speaks can show something.
fn shows(message: &Message) -> bool {
    matches!(message.role, Role::User | Role::Tool)
}

/// What stands in the place of a part that cannot be sent.
pub(super) fn left_out(part: &Part) -> String {
    let what = match part {
        Part::File { file, .. } => match file.filename.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => format!("the file {name:?}"),
            None => "a file".to_owned(),
        },
        Part::InputAudio { .. } => "a recording".to_owned(),
        Part::ImageUrl { .. } => "an image".to_owned(),
        Part::Shown { showing, .. } => showing.name().to_owned(),
        Part::Text { .. } => "a text".to_owned(),
        Part::Thought(_) => "a thought".to_owned(),
        Part::Unknown { kind } => format!("something of the type {kind:?}"),
    };
    format!("[{what} was left out: this model does not take it here]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(data: &str, name: Option<&str>) -> File {
        File { file_data: Some(data.to_owned()), filename: name.map(str::to_owned), file_id: None }
    }

    #[test]
    fn data_says_what_it_is_or_the_name_does() {
        let kind = |data: &str, name: Option<&str>| {
            media(&file(data, name)).map(|media| (media.kind.to_owned(), media.data.to_owned()))
        };
        let pdf = Some(("application/pdf".to_owned(), "AA==".to_owned()));
        assert_eq!(kind("data:application/pdf;base64,AA==", None), pdf);
        assert_eq!(kind("AA==", Some("Report.PDF")), pdf);
        for (data, name) in
            [("AA==", None), ("AA==", Some("x.docx")), ("https://x/a.pdf", Some("a.pdf"))]
        {
            assert_eq!(kind(data, name), None, "{data} {name:?}");
        }
    }

    #[test]
    fn only_texts_are_read() {
        let text = |data: &str| media(&file(data, None)).and_then(|media| media.text());
        assert_eq!(text("data:text/markdown;base64,SGk=").as_deref(), Some("Hi"));
        assert_eq!(text("data:application/pdf;base64,SGk="), None);
        assert_eq!(text("data:text/plain;base64,!"), None);
    }
}
