//! One value of the file, and the checks that need nothing but the value.
//!
//! Every reader gives `None` after it has reported what is wrong, so a caller goes on with its
//! default and later mistakes are found too. Messages show numbers and names, and strings only
//! where they cannot be a key.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::Section;
use crate::config::finding::Report;
use crate::config::key::{looks_like_key, shown};
use crate::config::suggest;
use crate::domain::price::Nano;

/// Ten years: beyond it, adding to a clock may overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A value with its name and its place.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) report: &'a Report<'a>,
    /// The full name, as in `breaker.open_for`.
    pub(super) name: String,
    /// The last part of the name; empty for an item of a list.
    pub(super) key: &'a str,
    /// Where the key stands.
    pub(super) key_at: usize,
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Field<'a> {
    /// Where the value stands.
    pub(super) fn at(&self) -> usize {
        self.value.span().start
    }

    /// Reports a mistake in the value; `problem` follows the name of the field.
    pub(super) fn mistake(&self, problem: &str, hint: impl Into<String>) {
        self.report.mistake(self.at(), format!("{}: {problem}", self.name), hint);
    }

    /// Reports a mistake in the key itself.
    pub(super) fn key_mistake(&self, problem: &str, hint: impl Into<String>) {
        self.report.mistake(self.key_at, format!("{}: {problem}", self.name), hint);
    }

    /// Reports something that works, but probably not as wished.
    pub(super) fn warning(&self, problem: &str, hint: impl Into<String>) {
        self.report.warning(Some(self.at()), format!("{}: {problem}", self.name), hint);
    }

    /// Reports that the value is not what was `expected`, with a `sample` of it.
    pub(super) fn wrong<T>(&self, expected: &str, sample: &str) -> Option<T> {
        self.mistake(&format!("expected {expected}, found {}", self.found()), self.example(sample));
        None
    }

    /// `for example key = sample`
    pub(super) fn example(&self, sample: &str) -> String {
        match self.key {
            "" => format!("for example {sample}"),
            key => format!("for example {key} = {sample}"),
        }
    }

    fn found(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// Reports a key that could not be used everywhere as the name of a `thing`. Such names appear in
    /// log lines, tables, commands and URLs, so they hold no blanks and nothing that a terminal could
    /// take for a command, and begin with nothing that a command takes for an option.
    pub(super) fn check_name(&self, thing: &str) {
        let name = self.key;
        let fits = (1..=128).contains(&name.len())
            && !name.starts_with('-')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte));
        if !fits {
            let hint = "a name is 1 to 128 letters, digits and the signs - _ . : / @ +, and does not begin with -";
            self.key_mistake(&format!("not usable as the name of a {thing}"), hint);
        }
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(text),
            DeValue::String(_) => {
                self.mistake("must not be empty", "write a value, or remove the key");
                None
            }
            _ => self.wrong("a string in quotes", "\"…\""),
        }
    }

    /// A string, also an empty one.
    pub(super) fn any_text(&self) -> Option<&'a str> {
        let text = self.value.get_ref().as_str();
        text.or_else(|| self.wrong("a string in quotes", "\"…\""))
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong("true or false", "true"),
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn whole<T: TryFrom<i128>>(&self, least: i128) -> Option<T> {
        let expected = format!("a whole number of at least {least}");
        match self.integer() {
            Some(number) if number >= least => match T::try_from(number) {
                Ok(number) => Some(number),
                Err(_) => {
                    self.mistake(&format!("{number} is too large"), "write a smaller number");
                    None
                }
            },
            _ => self.wrong(&expected, &least.max(1).to_string()),
        }
    }

    /// A whole number, also a negative one.
    pub(super) fn signed(&self) -> Option<i64> {
        let number = self.integer().and_then(|number| i64::try_from(number).ok());
        number.or_else(|| self.wrong("a whole number", "1"))
    }

    /// A number within `range`.
    pub(super) fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let (low, high) = (range.start(), range.end());
        let expected = match high.is_finite() {
            true => format!("a number from {low} to {high}"),
            false => format!("a number of at least {low}"),
        };
        let number = self.float().filter(|number| number.is_finite() && range.contains(number));
        number.or_else(|| self.wrong(&expected, &high.min(0.5).max(*low).to_string()))
    }

    /// A share of 0 to 1.
    pub(super) fn rate(&self) -> Option<f64> {
        if let Some(percent) = self.float().filter(|number| (2.0..=100.0).contains(number)) {
            let hint = format!("{percent} % is written as {}", percent / 100.0);
            self.mistake(&format!("expected a number from 0 to 1, found {percent}"), hint);
            return None;
        }
        self.number(0.0..=1.0)
    }

    /// An amount of dollars.
    pub(super) fn dollars(&self) -> Option<Nano> {
        let amount = self.float().filter(|amount| (0.0..=1e6).contains(amount));
        let amount = amount.and_then(Nano::from_dollars);
        amount.or_else(|| self.wrong("an amount of dollars of at least 0", "0.0025"))
    }

    /// A humantime string of more than zero.
    pub(super) fn duration(&self) -> Option<Duration> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let sample = format!("\"{number}s\"");
                return self.wrong("a duration in quotes with its unit", &sample);
            }
            _ => return self.wrong("a duration in quotes", "\"30s\""),
        };
        let problem = match humantime::parse_duration(text) {
            Ok(duration) if duration.is_zero() => "a duration must be longer than zero".to_owned(),
            Ok(duration) if duration > LONGEST => "longer than ten years".to_owned(),
            Ok(duration) => return Some(duration),
            Err(_) => format!("{} is not a duration", shown(text)),
        };
        let units = "a number and one of the units ms, s, m, h, d";
        self.mistake(&problem, format!("{units}, {}", self.example("\"30s\"")));
        None
    }

    /// A number of bytes, such as `"8MiB"` or 4096, of at least `least`.
    pub(super) fn size<T: TryFrom<u64>>(&self, least: u64) -> Option<T> {
        let bytes = match self.value.get_ref() {
            DeValue::String(text) => bytes_of(text),
            _ => self.integer().and_then(|number| u64::try_from(number).ok()),
        };
        let fits = bytes.filter(|bytes| *bytes >= least).and_then(|bytes| T::try_from(bytes).ok());
        let expected = format!("a size of at least {}", show_size(least));
        fits.or_else(|| self.wrong(&expected, "\"8MiB\""))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, options: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
        let DeValue::String(text) = self.value.get_ref() else {
            return self.wrong("a string in quotes", &format!("\"{}\"", words[0]));
        };
        let chosen = options.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let problem = format!("{} is not a possible value", shown(text));
            self.mistake(&problem, suggest::hint(text, &words, "possible values"));
        }
        chosen
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Field<'a>>> {
        let DeValue::Array(list) = self.value.get_ref() else {
            return self.wrong("a list", "[…]");
        };
        Some(list.iter().map(|value| Field { key: "", value, ..self.clone() }).collect())
    }

    /// A list of which each item is read by `read`; items that are wrong are left out.
    pub(super) fn list<T>(&self, read: impl FnMut(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.items()?.iter().filter_map(read).collect())
    }

    /// A table with known keys.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self, table)),
            _ => self.wrong("a table", "{ … }"),
        }
    }

    /// The entries of a table whose keys are the user's own names, in the order of the file.
    pub(super) fn entries(&self) -> Option<Vec<Field<'a>>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(entries(self.report, &self.name, table)),
            _ => self.wrong("a table", "{ … }"),
        }
    }

    fn integer(&self) -> Option<i128> {
        let DeValue::Integer(number) = self.value.get_ref() else { return None };
        i128::from_str_radix(number.as_str(), number.radix()).ok()
    }

    fn float(&self) -> Option<f64> {
        match self.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => self.integer().map(|number| number as f64),
        }
    }
}

/// The entries of `table`, in the order of the file.
pub(super) fn entries<'a>(
    report: &'a Report<'a>,
    path: &str,
    table: &'a DeTable<'a>,
) -> Vec<Field<'a>> {
    let mut fields: Vec<_> = table
        .iter()
        .map(|(key, value)| Field {
            report,
            name: join(path, key.get_ref()),
            key: key.get_ref(),
            key_at: key.span().start,
            value,
        })
        .collect();
    fields.sort_by_key(|field| field.key_at);
    fields
}

/// `path.key`, with quotes where TOML wants them. A key of a provider that was written in the
/// place of a name stays hidden.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = if looks_like_key(key) { "***" } else { key };
    let bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare && !key.is_empty() { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A size in the largest unit that shows it whole.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = units.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    whole.map_or(format!("{bytes} bytes"), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn bytes_of(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("8MiB", Some(8 << 20)),
            ("1 KiB", Some(1024)),
            ("2GB", Some(2_000_000_000)),
            ("77", Some(77)),
            ("MiB", None),
            ("1.5MiB", None),
            ("8 megs", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
        assert_eq!(show_size(8 << 20), "8MiB");
        assert_eq!(show_size(1025), "1025 bytes");
    }

    #[test]
    fn names_are_quoted_where_toml_wants_it() {
        assert_eq!(join("models", "gpt-4o"), "models.gpt-4o");
        assert_eq!(join("models", "gpt-4.1"), "models.\"gpt-4.1\"");
    }
}
