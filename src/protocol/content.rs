//! What a message says: a plain string, or parts of text, images, files and recordings.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The content of one message.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// A plain string, the whole message.
    Text(String),
    /// Several parts, in the order of reading.
    Parts(Vec<Part>),
}

/// What a caller says about caching of the prompt up to a part or tool, for providers that are told.
pub type CacheControl = Map<String, Value>;

/// One part of a message.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// A part that is text.
    Text {
        /// The text of this part.
        text: String,
        /// Whether the prompt is cached up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// A part that is an image.
    ImageUrl {
        /// Where it is to be found.
        image_url: ImageUrl,
        /// Whether the prompt is cached up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// A file, such as a PDF.
    File {
        /// Its data and its name.
        file: File,
        /// Whether the prompt is cached up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// A recording of sound or speech.
    InputAudio {
        /// Its data and its format.
        input_audio: Audio,
        /// Whether the prompt is cached up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
}

/// A file: its data, or its name at the provider that keeps it.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
pub struct File {
    /// A `data:` URL with base64, base64 alone, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_data: Option<String>,
    /// Its name, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its name at OpenAI, where it was sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
}

/// A recording of sound or speech.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
pub struct Audio {
    /// Its data in base64.
    pub data: String,
    /// Its format, such as `wav` or `mp3`.
    pub format: String,
}

/// An image: an `https:` address or a `data:` URL with base64.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImageUrl {
    /// An address on the web, or a `data:` URL that holds the image.
    pub url: String,
    /// How closely the model should look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Content {
    /// The texts in order, all else left out.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (whole, parts) = match self {
            Content::Text(text) => (Some(text.as_str()), [].as_slice()),
            Content::Parts(parts) => (None, parts.as_slice()),
        };
        let texts = parts.iter().filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        whole.into_iter().chain(texts)
    }

    /// Whether it shows an image.
    pub fn has_image(&self) -> bool {
        matches!(self, Content::Parts(parts)
            if parts.iter().any(|part| matches!(part, Part::ImageUrl { .. })))
    }
}

impl Part {
    /// Whether the prompt is cached up to this part.
    pub fn cache_control(&self) -> Option<&CacheControl> {
        match self {
            Part::Text { cache_control, .. }
            | Part::ImageUrl { cache_control, .. }
            | Part::File { cache_control, .. }
            | Part::InputAudio { cache_control, .. } => cache_control.as_ref(),
        }
    }
}

/// Written by hand because an untagged derive would hide which part was wrong.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Content, D::Error> {
        input.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string or a list of parts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
    }
}
