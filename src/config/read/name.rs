//! Names that people give to providers, models and tasks.
//!
//! They appear in log lines, tables, commands and URLs, so they hold no blanks and nothing that
//! a terminal could take for a command, and begin with nothing that a command takes for an option.

use super::field::Field;

/// Reports a name that could not be used everywhere; `thing` is what it names.
pub(super) fn check(field: &Field<'_>, thing: &str) {
    let name = field.key;
    let fits = (1..=128).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte));
    if !fits {
        field.report.mistake(
            field.key_at,
            format!("{}: not usable as the name of a {thing}", field.name),
            "a name is 1 to 128 letters, digits and the signs - _ . : / @ +, and does not begin with -",
        );
    }
}
