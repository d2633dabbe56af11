//! An answer printed while it comes.
//!
//! What was printed cannot be taken back. When the text so far turns out to be void, that is said,
//! and the new answer begins on a line of its own. Pieces are cleaned one by one for a terminal: an
//! escape sequence that is cut between two of them leaves letters behind, and never acts.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::connect::{Link, accept, found, print_json};
use super::super::failure::CommandError;
use super::super::screen::{Screen, Tone};
use super::super::{Session, text};
use super::print_answer;
use crate::domain::fault::Fault;
use crate::protocol::event::StreamEvent;
use crate::protocol::reply::Chat;

/// Sends one request and prints what comes. With `--json` that is every line as it came, and
/// nothing is left to do (`None`).
pub(super) fn exchange(
    session: &Session,
    request: &Value,
    patience: Option<Duration>,
    screen: &mut Screen<'_>,
) -> Result<Option<Chat>, CommandError> {
    let mut link = Link::open(&session.socket, patience)?;
    link.send(request)?;
    if session.json {
        let (line, reply) = link.reply_after(|line, _| {
            print_json(line, screen)?;
            Ok(screen.out.flush()?)
        })?;
        print_json(&line, screen)?;
        return accept(reply, true, screen.notes_paper).map(|_| None);
    }
    let mut printed = Printed::default();
    let answered = link.reply_after(|_, event| printed.hear(event, screen));
    printed.end_line(screen)?;
    let chat: Chat = found(accept(answered?.1, false, screen.notes_paper)?)?;
    if !printed.any {
        // A daemon that does not stream.
        print_answer(&chat.answered, screen)?;
    }
    Ok(Some(chat))
}

/// What of the answer is on the screen.
#[derive(Default)]
struct Printed {
    any: bool,
    /// Whether the last line is without its end.
    open: bool,
}

impl Printed {
    fn hear(&mut self, event: &Value, screen: &mut Screen<'_>) -> Result<(), CommandError> {
        // An event that is not understood is one of a later daemon, and may be ignored like any.
        match StreamEvent::deserialize(event) {
            Ok(StreamEvent::Delta { content }) => self.print(&content, screen),
            Ok(StreamEvent::Restart { model_used, reason }) => {
                self.begin_again(&text::one_line(&model_used), reason, screen)
            }
            _ => Ok(()),
        }
    }

    fn print(&mut self, content: &str, screen: &mut Screen<'_>) -> Result<(), CommandError> {
        let cleaned = screen.paper.terminal.then(|| text::clean(content));
        let shown = cleaned.as_deref().unwrap_or(content);
        if let Some(last) = shown.chars().next_back() {
            write!(screen.out, "{shown}")?;
            screen.out.flush()?;
            (self.any, self.open) = (true, last != '\n');
        }
        Ok(())
    }

    fn begin_again(
        &mut self,
        model: &str,
        reason: Fault,
        screen: &mut Screen<'_>,
    ) -> Result<(), CommandError> {
        self.end_line(screen)?;
        self.any = false;
        let note = format!("the answer broke off ({reason}); {model} begins anew:");
        let note = screen.notes_paper.paint(&note, Tone::Warn);
        writeln!(screen.notes, "fallbackctl: {note}")?;
        Ok(())
    }

    /// Ends the line that was begun, so that what follows has its own.
    fn end_line(&mut self, screen: &mut Screen<'_>) -> Result<(), CommandError> {
        if std::mem::take(&mut self.open) {
            writeln!(screen.out)?;
            screen.out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::screen::Paper;
    use super::*;

    fn shown(events: &[Value], terminal: bool) -> (String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let paper = Paper { terminal, ..Paper::default() };
        let mut screen =
            Screen { out: &mut out, paper, notes: &mut notes, notes_paper: Paper::default() };
        let mut printed = Printed::default();
        for event in events {
            printed.hear(event, &mut screen).unwrap();
        }
        printed.end_line(&mut screen).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
    }

    fn delta(content: &str) -> Value {
        json!({ "event": "delta", "content": content })
    }

    #[test]
    fn pieces_are_printed_one_behind_the_other_and_the_last_line_is_ended() {
        let start = json!({ "event": "start", "model_used": "a" });
        let tool = json!({ "event": "tool_call", "tool_call": {} });
        let events = [start, delta("The "), delta("sky"), tool];
        assert_eq!(shown(&events, false), ("The sky\n".to_owned(), String::new()));
        assert_eq!(shown(&[delta("The sky\n")], false).0, "The sky\n");
        assert_eq!(shown(&[], false).0, "");
    }

    #[test]
    fn an_answer_that_begins_anew_says_so_between_two_lines() {
        let restart = json!({ "event": "restart", "model_used": "b", "reason": "stream_cut" });
        let (out, notes) = shown(&[delta("The sky"), restart, delta("The sea")], true);
        assert_eq!(out, "The sky\nThe sea\n");
        assert_eq!(notes, "fallbackctl: the answer broke off (stream_cut); b begins anew:\n");
    }

    #[test]
    fn a_terminal_gets_no_escape_sequence_however_it_is_cut() {
        let text = "a\u{1b}[2J\u{9b}31m\u{1b}]0;t\u{7}b";
        for at in text.char_indices().map(|(at, _)| at) {
            let events = [delta(&text[..at]), delta(&text[at..])];
            let (out, _) = shown(&events, true);
            assert!(!out.trim_end().chars().any(char::is_control), "{out:?}");
            assert_eq!(shown(&events, false).0, format!("{text}\n"), "a pipe gets every byte");
        }
    }
}
