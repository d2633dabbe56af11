//! What is told as a whole behind its pieces, as some servers do with their last event: what is known is
//! left as it is, and what is missing is taken.

use super::{Fragment, PartialCall, is_nothing};

/// What `whole` adds to a text of which `known` has come. Another text adds nothing.
pub(in crate::provider) fn rest<'a>(known: &str, whole: &'a str) -> &'a str {
    whole.strip_prefix(known).unwrap_or_default()
}

/// How surely a call told again is one that is known, the surest first.
const RANKS: [fn(&PartialCall, &Fragment<'_>) -> bool; 4] = [
    |call, piece| call.id == piece.id && is_same(call, piece),
    |call, piece| call.id == piece.id && !piece.id.is_empty() && has_name_of(call, piece),
    is_same,
    |call, piece| has_name_of(call, piece) && is_begun(call, piece),
];

/// For each of these whole calls the known one that it tells again, if there is one. Each known call
/// is told once.
pub(in crate::provider) fn known(
    calls: &[PartialCall],
    told: &[Fragment<'_>],
) -> Vec<Option<usize>> {
    let mut found = vec![None; told.len()];
    for is_told in RANKS {
        for (at, piece) in told.iter().enumerate().filter(|_| !calls.is_empty()) {
            if found[at].is_none() {
                let free = (0..calls.len()).filter(|own| !found.contains(&Some(*own)));
                found[at] = { free }.find(|own| is_told(&calls[*own], piece));
            }
        }
    }
    found
}

fn has_name_of(call: &PartialCall, piece: &Fragment<'_>) -> bool {
    call.name == piece.name || call.name.is_empty() || piece.name.is_empty()
}

fn is_same(call: &PartialCall, piece: &Fragment<'_>) -> bool {
    let (own, told) = (call.object(), piece.object());
    let is_blank = call.arguments.trim().is_empty() && piece.arguments.trim().is_empty();
    has_name_of(call, piece) && own == told && (own.is_some() || is_blank)
}

/// Whether the arguments of a call are the beginning of these.
fn is_begun(call: &PartialCall, piece: &Fragment<'_>) -> bool {
    let is_empty = call.object().is_none_or(|own| is_nothing(&own));
    is_empty && call.whole.is_none() && piece.arguments.starts_with(call.arguments.trim_end())
}

impl PartialCall {
    /// Takes what is missing from the same call told as a whole.
    pub(in crate::provider) fn complete(&mut self, told: Fragment<'_>) {
        let is_known =
            self.object().is_some_and(|own| !is_nothing(&own)) || told.object().is_none();
        if is_known {
            self.add(Fragment { arguments: "", whole: None, ..told });
            return;
        }
        self.arguments.clear();
        self.shape = super::Shape::Blank;
        self.add(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Fragment<'a> {
        Fragment { id, name, arguments, ..Fragment::default() }
    }

    fn begun(pieces: &[[&str; 3]]) -> Vec<PartialCall> {
        let mut calls = Vec::new();
        for [id, name, arguments] in pieces {
            let mut call = PartialCall::default();
            call.add(piece(id, name, arguments));
            calls.push(call);
        }
        calls
    }

    #[test]
    fn a_text_told_again_adds_what_it_has_more() {
        for (known, whole, more) in [
            ("", "Hello", "Hello"),
            ("Hel", "Hello", "lo"),
            ("Hello", "Hello", ""),
            ("Hi", "Hello", ""),
        ] {
            assert_eq!(rest(known, whole), more, "{known}");
        }
    }

    #[test]
    fn each_call_told_again_is_found_once() {
        let (one, two) = (r#"{"x":1}"#, r#"{"x":2}"#);
        let calls = begun(&[["a", "f", one], ["b", "f", r#"{"x"#], ["", "g", ""]]);
        for (told, found) in [
            (
                vec![["a", "f", one], ["b", "f", two], ["c", "g", "{}"]],
                vec![Some(0), Some(1), Some(2)],
            ),
            (vec![["z", "f", one], ["y", "f", one]], vec![Some(0), Some(1)]),
            (vec![["b", "f", one], ["a", "f", one]], vec![Some(1), Some(0)]),
            (vec![["", "f", two], ["", "f", one]], vec![Some(1), Some(0)]),
            (vec![["n", "h", one]], vec![None]),
            (vec![["a", "h", one]], vec![None]),
        ] {
            let pieces: Vec<_> =
                told.iter().map(|[id, name, args]| piece(id, name, args)).collect();
            assert_eq!(known(&calls, &pieces), found, "{told:?}");
        }
    }

    #[test]
    fn a_call_takes_only_what_it_has_not() {
        for (own, told, expected) in [
            (["", "", r#"{"x"#], ["a", "f", r#"{"x":1}"#], ["a", "f", r#"{"x":1}"#]),
            (["a", "f", "{}"], ["a", "f", r#"{"x":1}"#], ["a", "f", r#"{"x":1}"#]),
            (["a", "f", r#"{"x":1}"#], ["b", "g", "{}"], ["a", "f", r#"{"x":1}"#]),
            (["a", "f", r#"{"x":1}"#], ["a", "f", r#"{"x"#], ["a", "f", r#"{"x":1}"#]),
        ] {
            let mut calls = begun(&[own]);
            calls[0].complete(piece(told[0], told[1], told[2]));
            let call = calls.remove(0).into_tool_call();
            assert_eq!([&*call.id, &call.function.name, &call.function.arguments], expected);
        }
    }
}
