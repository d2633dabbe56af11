//! Tells the story on standard output: sentences, tables of who was asked, claims kept or broken.
//!
//! Lines fit 80 columns. Colours appear on a terminal only, and not if `NO_COLOR` is set. A reader
//! who left, as `head` does, is no reason to stop: the exit code still tells how it went. The
//! printer judges nothing itself; it only remembers which claims did not hold.

use std::io::{self, IsTerminal, Write};

use super::client::ChatReply;
use crate::config::Env;
use crate::ctl::screen::{Paper, Tone};
use crate::ctl::{attempts, text};
use crate::protocol::reply::{Attempt, AttemptOutcome};

/// The narrowest terminal that people use.
const WIDTH: usize = 80;

/// Where the story goes, and what has been told.
pub(super) struct Printer {
    out: Box<dyn Write>,
    colour: bool,
    scenario: String,
    shown: usize,
    broken: Vec<String>,
}

impl Printer {
    /// Tells on standard output.
    pub(super) fn of_stdout(env: &Env) -> Printer {
        let smart = env.var("TERM").is_some_and(|term| term != "dumb");
        let colour = io::stdout().is_terminal() && smart && env.var("NO_COLOR").is_none();
        Printer::new(Box::new(io::stdout()), colour)
    }

    fn new(out: Box<dyn Write>, colour: bool) -> Printer {
        Printer { out, colour, scenario: String::new(), shown: 0, broken: Vec::new() }
    }

    /// One line, or several.
    pub(super) fn say(&mut self, text: &str) {
        // Whoever left does not hear the rest; see above.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    pub(super) fn scenario(&mut self, title: &str, story: &str) {
        title.clone_into(&mut self.scenario);
        self.shown = 0;
        let heading = self.paint(title, Tone::Bold);
        self.say(&format!("\n{heading}\n{story}\n"));
        let heads = row("#", "ASKED", "OUTCOME    ", "WHY", "TOOK");
        let heads = self.paint(&heads, Tone::Dim);
        self.say(&heads);
    }

    /// What one request led to: everybody who was asked, then the answer or the error.
    pub(super) fn show(&mut self, ChatReply(outcome): &ChatReply) {
        self.shown += 1;
        for (at, attempt) in outcome.attempts.iter().enumerate() {
            let number = if at == 0 { self.shown.to_string() } else { String::new() };
            let line = self.attempt(&number, attempt);
            self.say(&line);
        }
        let (end, tone) = match &outcome.result {
            Ok(answered) => {
                let cost =
                    answered.request_cost_usd.map(|cost| format!(", {}", text::cost(cost, false)));
                let (who, took) = (&answered.model_used, span(answered.latency_ms));
                (format!("= {who} answered in {took}{}", cost.unwrap_or_default()), Tone::Good)
            }
            Err(error) => {
                let wait = error.retry_after_ms.millis();
                let again = wait.map(|wait| format!(", ask again in {}", span(wait)));
                (format!("= {}{}", error.code.name(), again.unwrap_or_default()), Tone::Bad)
            }
        };
        let end = self.paint(&end, tone);
        self.say(&format!("     {end}"));
    }

    /// What somebody else wrote, in lines that fit.
    pub(super) fn quote(&mut self, text: &str) {
        let mut line = "    ".to_owned();
        for word in text.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.say(&self.paint(&line, Tone::Dim));
                line = "    ".to_owned();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.say(&self.paint(&line, Tone::Dim));
    }

    /// Something that must be so.
    pub(super) fn claim(&mut self, holds: bool, what: &str) {
        if holds {
            let mark = self.paint("ok", Tone::Good);
            self.say(&format!("  {mark} {what}"));
        } else {
            self.broken.push(format!("{}: {what}", self.scenario));
            let mark = self.paint("NOT SO:", Tone::Bad);
            self.say(&format!("  {mark} {what}"));
        }
    }

    /// The claims that did not hold, each with its scenario.
    pub(super) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// The text in the colour of its tone, where colours are wanted.
    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        Paper { colour: self.colour, ..Paper::default() }.paint(text, tone)
    }

    fn attempt(&self, number: &str, attempt: &Attempt) -> String {
        let why = match (attempt.reason, attempt.error_type) {
            (Some(reason), _) => {
                let left = attempt.retry_in_ms.map(|left| format!(", {} left", span(left)));
                format!("{}{}", reason.name().replace('_', " "), left.unwrap_or_default())
            }
            (None, error) => attempts::failure(error, attempt.status, None),
        };
        let took = attempt.latency_ms.map(span).unwrap_or_default();
        let tone = match attempt.outcome {
            AttemptOutcome::Answered => Tone::Good,
            AttemptOutcome::Failed => Tone::Bad,
            AttemptOutcome::Skipped | AttemptOutcome::Cancelled => Tone::Warn,
        };
        // Padded before it is painted: colours take room in a text, but none on the screen.
        let outcome = self.paint(&format!("{:<11}", attempt.outcome.name()), tone);
        row(number, &attempt.model, &outcome, &why, &took)
    }
}

/// One row of a scenario's table. The outcome brings its own padding.
fn row(number: &str, model: &str, outcome: &str, why: &str, took: &str) -> String {
    format!("  {number:<2} {model:<19}{outcome}{why:<26}{took:>8}").trim_end().to_owned()
}

/// A short time for people.
pub(super) fn span(millis: u64) -> String {
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn reply() -> ChatReply {
        let skipped = json!({"model":"claude-sonnet-4-6","outcome":"skipped",
            "reason":"circuit_open","retry_in_ms":2_940});
        let failed = json!({"model":"failed-model","outcome":"failed","error_type":"overloaded",
            "status":503,"latency_ms":21});
        let error = json!({"code":"all_models_failed","message":"","retry_after_ms":2_940});
        let attempts = [skipped, failed];
        ChatReply::read(json!({"id":1,"ok":false,"error":error,"attempts":attempts})).ok().unwrap()
    }

    #[test]
    fn a_reply_is_a_table_and_its_end() {
        let page = Page::default();
        let mut printer = Printer::new(Box::new(page.clone()), false);
        printer.show(&reply());
        let wanted = "  1  claude-sonnet-4-6  skipped    circuit open, 2.9 s left
     failed-model       failed     overloaded 503               21 ms
     = all_models_failed, ask again in 2.9 s
";
        assert_eq!(page.text(), wanted);
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let (plain, coloured) = (Page::default(), Page::default());
        Printer::new(Box::new(plain.clone()), false).show(&reply());
        Printer::new(Box::new(coloured.clone()), true).show(&reply());
        assert!(coloured.text().contains("\x1b[33mskipped    \x1b[0m"));
        let mut stripped = coloured.text();
        for code in ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain.text());
    }

    #[test]
    fn a_quotation_is_broken_between_words() {
        let page = Page::default();
        Printer::new(Box::new(page.clone()), false).quote(&"circuit ".repeat(12));
        let lengths: Vec<_> = page.text().lines().map(str::len).collect();
        assert_eq!(lengths, [4 + 9 * 8, 4 + 3 * 8]);
    }

    #[test]
    fn a_broken_claim_is_remembered_with_its_scenario() {
        let mut printer = Printer::new(Box::new(io::sink()), false);
        printer.scenario("1 Rain", "It rains.");
        printer.claim(true, "the street is wet");
        printer.claim(false, "nobody sings");
        assert_eq!(printer.broken(), ["1 Rain: nobody sings"]);
    }

    #[test]
    fn a_reader_who_left_is_no_reason_to_stop() {
        let mut printer = Printer::new(Box::new(Closed), false);
        printer.scenario("1 Rain", "It rains.");
        printer.show(&reply());
        printer.claim(true, "the street is wet");
        assert!(printer.broken().is_empty());
    }
}
