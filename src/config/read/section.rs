//! One table with known keys: a cursor that remembers which keys were asked for.
//!
//! A reader asks for each key once, in one line. When it lets go of the table, every key that nobody
//! asked for is reported. So a key is known exactly if it is read, and a new key is one new line;
//! a reader that gives up does so after the last of them. A section that is absent reads like an
//! empty one.

use std::time::Duration;

use humantime::format_duration;
use toml::de::DeTable;

use super::field::{self, Field};
use crate::config::finding::Report;
use crate::config::suggest;

/// A table under reading.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    /// Its full name; empty for the document.
    name: String,
    at: usize,
    fields: Vec<Field<'a>>,
    known: Vec<&'static str>,
    mistakes_before: usize,
}

impl<'a> Section<'a> {
    pub(super) fn root(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        Section::of(report, String::new(), 0, field::entries(report, "", table))
    }

    /// The table that is the value of `field`.
    pub(super) fn new(field: &Field<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        let fields = field::entries(field.report, &field.name, table);
        Section::of(field.report, field.name.clone(), field.key_at, fields)
    }

    fn of(report: &'a Report<'a>, name: String, at: usize, fields: Vec<Field<'a>>) -> Section<'a> {
        let mistakes_before = report.mistakes_so_far();
        Section { report, name, at, fields, known: Vec::new(), mistakes_before }
    }

    /// The value of `key`, which is known from now on.
    pub(super) fn field(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        self.peek(key).cloned()
    }

    /// The value of `key` as `read` understands it.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) -> Option<T> {
        read(&self.field(key)?)
    }

    /// The same, or what holds without it.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
        default: T,
    ) -> T {
        self.value(key, read).unwrap_or(default)
    }

    /// Like [`Section::value`] for a key that must be there; `sample` is what to write.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        sample: &str,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.field(key) {
            Some(field) => read(&field),
            None => {
                let message = format!("{}: the key `{key}` is missing", self.name);
                self.report.mistake(self.at, message, format!("add {key} = {sample}"));
                None
            }
        }
    }

    /// Reads a key that is checked like any other, but changes nothing in this version.
    pub(super) fn inert<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        read: impl FnOnce(&Field<'a>) -> Option<T>,
    ) {
        let Some(field) = self.field(key) else { return };
        let value = read(&field);
        if value.is_some() && value != default {
            field.report.warning(
                Some(field.key_at),
                format!("{}: accepted, but has no effect in this version", field.name),
                "leave it out until a version that has it",
            );
        }
    }

    /// The table of that name below this one; an empty one when it is absent or no table.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let below = self.value(key, Field::section);
        below.unwrap_or_else(|| {
            let name = field::join(&self.name, key);
            Section::of(self.report, name, self.at, Vec::new())
        })
    }

    /// The entries of a table of the user's own names below this one.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<Field<'a>> {
        self.value(key, Field::entries).unwrap_or_default()
    }

    /// Reports a pair of durations that is the wrong way round, if this section sets one of them.
    pub(super) fn ordered(&self, low: (&str, Duration), high: (&str, Duration)) {
        if low.1 > high.1 {
            let (few, many) = (format_duration(low.1), format_duration(high.1));
            self.disordered((low.0, &few.to_string()), (high.0, &many.to_string()));
        }
    }

    /// Reports that `low` is above `high`. A section with other mistakes says nothing, since one
    /// of the two may be a default that was not meant.
    pub(super) fn disordered(&self, low: (&str, &str), high: (&str, &str)) {
        if self.report.mistakes_so_far() > self.mistakes_before {
            return;
        }
        let ((low_key, low), (high_key, high)) = (low, high);
        let hint = format!("raise {high_key} or lower {low_key}");
        if let Some(field) = self.peek(high_key) {
            field.mistake(&format!("{high} is less than {low_key} ({low})"), hint);
        } else if let Some(field) = self.peek(low_key) {
            field.mistake(&format!("{low} is more than {high_key} ({high})"), hint);
        }
    }

    /// The value of `key` without asking for it: it stays unknown, and nothing is checked.
    pub(super) fn peek(&self, key: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Where its findings go.
    pub(super) fn report(&self) -> &'a Report<'a> {
        self.report
    }
}

/// Reports every key that was never asked for.
impl Drop for Section<'_> {
    fn drop(&mut self) {
        let things = if self.name.is_empty() { "known sections" } else { "known keys" };
        for field in self.fields.iter().filter(|field| !self.known.contains(&field.key)) {
            field.key_mistake("unknown key", suggest::hint(field.key, &self.known, things));
        }
    }
}
