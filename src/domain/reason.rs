//! A provider's own words, as far as the log may keep them.
//!
//! Whoever mends a wrong key or an unpaid bill needs the provider's reason after the moment, too. But
//! some providers quote the request in it, and no message of a conversation may reach the log.

use std::collections::HashMap;

/// Most of a reason that the log keeps, in characters.
const MOST: usize = 200;

/// As many bytes in a row are a quotation when the conversation has them, too.
const QUOTED: usize = 16;

/// What stands for a quotation.
const LEFT_OUT: &str = "…";

/// The reason without what it quotes of the texts that were `said`, cut to 200 characters.
pub(crate) fn for_log<'a>(reason: &str, said: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted = vec![false; reason.len()];
    let windows = Windows::of(reason.as_bytes());
    for text in said {
        for at in windows.found_in(text.as_bytes()) {
            quoted[at..at + QUOTED].fill(true);
        }
    }
    let mut kept = String::new();
    for (at, char) in reason.char_indices() {
        match quoted[at] {
            false => kept.push(char),
            true if kept.ends_with(LEFT_OUT) => {}
            true => kept.push_str(LEFT_OUT),
        }
    }
    kept.chars().take(MOST).collect()
}

/// All stretches of a reason that would be a quotation, and where they begin. Prompts are long, so
/// most places of one are passed over by their first two bytes.
struct Windows<'r> {
    places: HashMap<&'r [u8], Vec<usize>>,
    begins: Box<[bool]>,
}

impl<'r> Windows<'r> {
    fn of(reason: &'r [u8]) -> Windows<'r> {
        let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
        let mut begins = vec![false; 1 << 16].into_boxed_slice();
        for (at, window) in reason.windows(QUOTED).enumerate() {
            places.entry(window).or_default().push(at);
            begins[first_two(window)] = true;
        }
        Windows { places, begins }
    }

    fn found_in<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = usize> + 't {
        let likely = text.windows(QUOTED).filter(|window| self.begins[first_two(window)]);
        likely.filter_map(|window| self.places.get(window)).flatten().copied()
    }
}

fn first_two(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_as_it_is_and_cut() {
        let reason = "Your credit balance is too low to access the API";
        assert_eq!(for_log(reason, ["What is my balance?", "Is it too low?"]), reason);
        assert_eq!(for_log(&"x ".repeat(300), []).chars().count(), 200);
        assert_eq!(for_log("short", ["short"]), "short");
    }

    #[test]
    fn what_a_reason_quotes_of_the_conversation_is_left_out() {
        let said = "My PIN is 4711 and\nmy hidden-word-is-here, größer";
        let rows = [
            ("blocked: \"my pin\"", "blocked: \"my pin\""),
            ("blocked: \"My PIN is 4711 and\"", "blocked: \"…\""),
            ("no \\nmy hidden-word-is-here\\n allowed", "no \\n…\\n allowed"),
            ("größer: hidden-word-is-here, größer", "größer:…"),
        ];
        for (reason, wanted) in rows {
            assert_eq!(for_log(reason, [said]), wanted);
        }
    }
}
