//! Where output goes, and what kind of paper it is written on.
//!
//! Results go to `out`, everything about them to `notes`; a test puts a buffer behind both.
//! Whether there is a terminal and whether colours are wanted is asked once, at the start.

use std::io::{self, IsTerminal, Write};

/// The two places a verb writes to.
pub(super) struct Screen<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) paper: Paper,
    /// Remarks and errors: standard error.
    pub(super) notes: &'a mut dyn Write,
    pub(super) notes_paper: Paper,
}

/// What is written on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paper {
    /// A terminal with a person before it.
    pub(crate) terminal: bool,
    /// Colours are wanted; never without a terminal.
    pub(crate) colour: bool,
    /// It is standard error: matters only for finding out how wide the terminal is.
    pub(crate) stderr: bool,
}

/// What a piece of text tells by its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    /// Less important than the rest.
    Dim,
    Bold,
}

impl Paper {
    /// Standard output of this process.
    pub(super) fn of_stdout() -> Paper {
        Paper::new(io::stdout().is_terminal(), false)
    }

    /// Standard error of this process.
    pub(super) fn of_stderr() -> Paper {
        Paper::new(io::stderr().is_terminal(), true)
    }

    fn new(terminal: bool, stderr: bool) -> Paper {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Paper { terminal, colour: terminal && !refused && !dumb, stderr }
    }

    /// The text in the colour of its tone, where colours are wanted.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Bold => "1",
            Tone::Plain => return text.to_owned(),
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_colour_without_a_terminal() {
        assert!(!Paper::new(false, false).colour);
        assert_eq!(Paper::default().paint("x", Tone::Bad), "x");
    }
}
