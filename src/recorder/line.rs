//! How an event becomes a line of the health log.

use jiff::Timestamp;
use serde::Serializer;

use crate::domain::time::Wall;

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Wall) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    format!("{stamp:.3}")
}

/// Writes an optional moment as RFC 3339 or null.
pub fn optional_wall<S: Serializer>(at: &Option<Wall>, out: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => out.serialize_str(&rfc3339(*at)),
        None => out.serialize_none(),
    }
}
