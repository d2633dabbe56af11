//! What a message says: a plain string, or parts of text, images, files and recordings, and what
//! else stands in histories that other clients wrote.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::schema;

pub(super) mod read;

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

/// One part of a message. The derived reader and writer know the first four alone; all others are
/// read in `read.rs` and never written.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", remote = "Self")]
#[schemars(transform = schema::of_part)]
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
        /// Where it is to be found; the address alone will do.
        #[schemars(schema_with = "schema::image_url")]
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
    /// What a model thought, in the words of whoever kept it.
    #[serde(skip)]
    Thought(Value),
    /// What is shown in a form that only some servers have, such as a video.
    #[serde(skip)]
    Shown {
        /// What it is, as far as its type tells.
        showing: Showing,
        /// The whole part as it was written. Somewhere in it is an address.
        given: Value,
    },
    /// Something that holds no text and nothing to show.
    #[serde(skip)]
    Unknown {
        /// The type that it names.
        kind: String,
    },
}

/// What a part shows, as far as its type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// A picture of any kind.
    Image,
    /// Pictures that move, whatever their format.
    Video,
    /// Sound, or somebody who speaks.
    Sound,
    /// Anything else that is in a file.
    File,
}

impl Showing {
    /// What it is, for people and models.
    pub fn name(self) -> &'static str {
        match self {
            Showing::Image => "an image",
            Showing::Video => "a video",
            Showing::Sound => "a recording",
            Showing::File => "a file",
        }
    }
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
#[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
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

    /// What is wrong with it in the mouth of a person: what is meant must not be lost without a word.
    pub fn mistake(&self) -> Option<&'static str> {
        let has_unknown = matches!(self, Content::Parts(parts)
            if parts.iter().any(|part| matches!(part, Part::Unknown { .. })));
        has_unknown
            .then_some("a part of `content` has an unknown `type`, no text and nothing to show")
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
            Part::Shown { given, .. } => read::mark(given),
            Part::Thought(_) | Part::Unknown { .. } => None,
        }
    }

    /// Where something is to be had that only some servers are shown.
    pub fn address(&self) -> Option<Cow<'_, str>> {
        match self {
            Part::Shown { given, .. } => read::address(given.as_object()?, 0),
            _ => None,
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        // The derived one: an inherent function goes before this one.
        Part::serialize(self, out)
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
