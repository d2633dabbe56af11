//! What was found in a configuration file, and where.
//!
//! A finding is a place, one sentence that says what is wrong, and a hint that says what to write
//! instead. The report collects findings in any order and hands them out in the order of the
//! file, so readers need not care in which order they look at keys.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::Path;

/// A place in a file, both numbers from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// One mistake or warning. It never holds a secret value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file as it was named to us.
    pub file: String,
    /// Where in it; `None` when it concerns the file as a whole.
    pub place: Option<Place>,
    /// What is wrong, in one sentence without a secret.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// At least one, in the order of the file.
    pub list: Vec<Finding>,
}

/// Collects findings about one text.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: RefCell<Vec<(Option<usize>, Finding)>>,
    warnings: RefCell<Vec<(Option<usize>, Finding)>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Report<'a> {
        let (mistakes, warnings) = Default::default();
        Report { file, text, mistakes, warnings }
    }

    /// Notes a mistake at a byte of the text.
    pub(super) fn mistake(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) {
        let finding = self.finding(Some(at), message.into(), hint.into());
        self.mistakes.borrow_mut().push((Some(at), finding));
    }

    /// Notes a warning, at a byte of the text where there is one.
    pub(super) fn warning(
        &self,
        at: Option<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = self.finding(at, message.into(), hint.into());
        self.warnings.borrow_mut().push((at, finding));
    }

    /// How many mistakes there are so far.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// The line that a byte of the text is in.
    pub(super) fn line(&self, at: usize) -> usize {
        Place::of(self.text, at).line
    }

    /// Where relative paths in the file begin.
    pub(super) fn folder(&self) -> &'a Path {
        Path::new(self.file).parent().unwrap_or(Path::new(""))
    }

    /// Mistakes and warnings, each in the order of the file.
    pub(super) fn into_findings(self) -> (Vec<Finding>, Vec<Finding>) {
        (in_order(self.mistakes.into_inner()), in_order(self.warnings.into_inner()))
    }

    fn finding(&self, at: Option<usize>, message: String, hint: String) -> Finding {
        let place = at.map(|at| Place::of(self.text, at));
        Finding { file: self.file.to_owned(), place, message, hint }
    }
}

fn in_order(mut found: Vec<(Option<usize>, Finding)>) -> Vec<Finding> {
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, finding)| finding).collect()
}

impl Place {
    /// The place of a byte. A byte order mark takes no column.
    pub(super) fn of(text: &str, at: usize) -> Place {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let shown = before[line_start..].trim_start_matches('\u{feff}');
        Place { line: before.matches('\n').count() + 1, column: shown.chars().count() + 1 }
    }
}

impl Finding {
    /// How it is printed among other output, marked as a warning.
    pub fn as_warning(&self) -> String {
        self.labelled("warning: ")
    }

    fn labelled(&self, label: &str) -> String {
        let Finding { file, place, message, hint } = self;
        let place = place.map_or(String::new(), |p| format!("{}:{}:", p.line, p.column));
        format!("{file}:{place} {label}{message}\n  hint: {hint}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.labelled(""))
    }
}

impl Mistakes {
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Mistakes {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "name another file with --config, or begin with a copy of config/fallbackd.toml"
            }
            io::ErrorKind::PermissionDenied => {
                "give the daemon's user or group the right to read it"
            }
            _ => "--config takes the path of a TOML file",
        };
        Mistakes::one(file, None, format!("cannot be read: {error}"), hint)
    }

    pub(super) fn not_utf8(file: &str, before: &str) -> Mistakes {
        let place = Place::of(before, before.len());
        Mistakes::one(file, Some(place), "not UTF-8 text".to_owned(), "save the file as UTF-8")
    }

    /// How many there are, in words.
    pub fn count(&self) -> String {
        format!("{} found", counted(self.list.len(), "mistake"))
    }

    fn one(file: &str, place: Option<Place>, message: String, hint: &str) -> Mistakes {
        let finding = Finding { file: file.to_owned(), place, message, hint: hint.to_owned() };
        Mistakes { list: vec![finding] }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(out, "{mistake}")?;
        }
        writeln!(out, "{}", self.count())
    }
}

impl std::error::Error for Mistakes {}

/// `1 model`, `2 models`.
pub(super) fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let text = "\u{feff}a = 1\nnäme = 2";
        assert_eq!(Place::of(text, 3), Place { line: 1, column: 1 });
        let at = text.find('2').unwrap();
        assert_eq!(Place::of(text, at), Place { line: 2, column: 8 });
    }

    #[test]
    fn findings_come_in_the_order_of_the_file() {
        let report = Report::new("f", "a\nb\nc");
        report.mistake(4, "third", "");
        report.mistake(0, "first", "");
        report.mistake(2, "second", "");
        let (mistakes, _) = report.into_findings();
        let lines: Vec<_> = mistakes.iter().map(|m| m.place.unwrap().line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }
}
