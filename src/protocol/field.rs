//! Readers for single fields, so that a value out of range is refused where it stands.
//!
//! Every message says what was expected; the reader of the line adds which field it was.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::chat::{Message, ToolChoice};
use super::surrogate;

/// A name as a client wrote it, in quotes and short enough for a message.
pub fn shown(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}…", &name[..end]),
    }
}

/// `null` is as good as leaving the field out.
pub fn or_default<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Raw JSON in which half a character is U+FFFD, as everywhere else in a request.
pub fn mended<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Box<RawValue>>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    let mended = raw.as_deref().and_then(|raw| surrogate::mend(raw.get().as_bytes()));
    let mended =
        mended.and_then(|bytes| RawValue::from_string(String::from_utf8(bytes).ok()?).ok());
    Ok(mended.or(raw))
}

/// The arguments of a call: a JSON text, or the object itself.
pub fn arguments<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    match Value::deserialize(input)? {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        object @ Value::Object(_) => Ok(object.to_string()),
        _ => Err(de::Error::custom("expected a JSON text or an object")),
    }
}

/// A conversation has at least one message.
pub fn messages<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Message>, D::Error> {
    let messages = Vec::<Message>::deserialize(input)?;
    if messages.is_empty() {
        return Err(de::Error::invalid_length(0, &"at least one message"));
    }
    Ok(messages)
}

/// A whole number of at least 1.
pub fn at_least_one<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(input)? {
        Some(0) => Err(de::Error::invalid_value(
            de::Unexpected::Unsigned(0),
            &"a whole number of at least 1",
        )),
        number => Ok(number),
    }
}

pub(crate) fn temperature<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
    within(input, 0.0, 2.0, &"a number from 0 to 2")
}

pub(crate) fn unit_interval<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
    within(input, 0.0, 1.0, &"a number from 0 to 1")
}

fn within<'de, D: Deserializer<'de>>(
    input: D,
    low: f64,
    high: f64,
    expected: &'static &'static str,
) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(input)? {
        Some(number) if !(low..=high).contains(&number) => {
            Err(de::Error::invalid_value(de::Unexpected::Float(number), expected))
        }
        number => Ok(number),
    }
}

/// One string, or up to four.
pub fn stop<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    struct StopVisitor;
    impl<'de> Visitor<'de> for StopVisitor {
        type Value = Vec<String>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string or up to four strings")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Vec<String>, A::Error> {
            let stops = Vec::<String>::deserialize(de::value::SeqAccessDeserializer::new(list))?;
            if stops.len() > 4 {
                return Err(de::Error::invalid_length(stops.len(), &self));
            }
            Ok(stops)
        }
    }
    input.deserialize_any(StopVisitor)
}

/// A humantime string such as `"30s"`, or a number of seconds; more than zero.
pub fn timeout<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    input.deserialize_any(TimeoutVisitor)
}

/// The longest time an order for a circuit may be given: a year as people write it (`1y` is 365.25
/// days). Whoever means longer means "until told otherwise", and moments stay within any calendar.
pub const LONGEST_ORDER: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The same for an order that ends by itself: up to [`LONGEST_ORDER`].
pub fn order_time<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let lasting = timeout(input)?;
    if lasting.is_some_and(|lasting| lasting > LONGEST_ORDER) {
        return Err(de::Error::custom(
            "expected at most 366 days; leave `for` out to set it until told otherwise",
        ));
    }
    Ok(lasting)
}

struct TimeoutVisitor;

impl TimeoutVisitor {
    fn positive<E: de::Error>(self, duration: Duration) -> Result<Option<Duration>, E> {
        if duration.is_zero() {
            return Err(E::invalid_value(de::Unexpected::Other("zero"), &self));
        }
        Ok(Some(duration))
    }
}

impl Visitor<'_> for TimeoutVisitor {
    type Value = Option<Duration>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a duration above zero, such as 30s or a number of seconds")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
        self.positive(Duration::from_secs(seconds))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
        Err(E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Self::Value, E> {
        let duration = Duration::try_from_secs_f64(seconds)
            .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))?;
        self.positive(duration)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let duration = humantime::parse_duration(text)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.positive(duration)
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<ToolChoice, D::Error> {
        struct ChoiceVisitor;
        impl<'de> Visitor<'de> for ChoiceVisitor {
            type Value = ToolChoice;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("auto, none, required, or an object that names a function")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ToolChoice, E> {
                match text {
                    "auto" => Ok(ToolChoice::Auto),
                    "none" => Ok(ToolChoice::Never),
                    "required" => Ok(ToolChoice::Required),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ToolChoice, A::Error> {
                let named = NamedTool::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ToolChoice::Named(named.function.name))
            }
        }
        input.deserialize_any(ChoiceVisitor)
    }
}

impl Serialize for ToolChoice {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            ToolChoice::Auto => out.serialize_str("auto"),
            ToolChoice::Never => out.serialize_str("none"),
            ToolChoice::Required => out.serialize_str("required"),
            ToolChoice::Named(name) => {
                NamedTool { kind: Default::default(), function: ToolName { name: name.clone() } }
                    .serialize(out)
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct NamedTool {
    #[serde(rename = "type", default)]
    kind: super::chat::FunctionKind,
    function: ToolName,
}

#[derive(Serialize, Deserialize)]
struct ToolName {
    name: String,
}
