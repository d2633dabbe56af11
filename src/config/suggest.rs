//! Which known name a mistyped one was probably meant to be.
//!
//! The distance counts insertions, deletions, replacements and swaps of neighbours, which covers
//! nearly every slip of the fingers. A name that is too far from everything gets the whole list
//! instead of a wild guess.

/// A hint for `found`, which is none of `known`; `what` names such things, as in `known keys`.
pub(super) fn hint(found: &str, known: &[&str], what: &str) -> String {
    if let Some(best) = nearest(found, known) {
        return format!("did you mean `{best}`?");
    }
    if known.is_empty() {
        return format!("{what}: none");
    }
    format!("{what}: {}", known.join(", "))
}

/// The known name nearest to `found`, if any is near enough to be a slip.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase().replace('-', "_");
    let near = (found.chars().count() / 3).clamp(1, 4);
    known
        .iter()
        .map(|name| (distance(&found, &name.to_lowercase().replace('-', "_")), *name))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn distance(left: &str, right: &str) -> usize {
    // A name longer than any of ours is no slip, and comparing takes the product of both lengths.
    if left.chars().count().abs_diff(right.chars().count()) > 4 {
        return usize::MAX;
    }
    strsim::osa_distance(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_find_the_name_that_was_meant() {
        let known = ["timeout", "temperature", "max_tokens", "unknown_task"];
        for (typed, meant) in [
            ("timeuot", "timeout"),
            ("time_out", "timeout"),
            ("max-tokens", "max_tokens"),
            ("maxtokens", "max_tokens"),
            ("Temperature", "temperature"),
            ("unknow_task", "unknown_task"),
        ] {
            assert_eq!(nearest(typed, &known), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_name_unlike_all_others_gets_the_list() {
        assert_eq!(hint("colour", &["a", "b"], "known keys"), "known keys: a, b");
        assert_eq!(hint("colour", &[], "models"), "models: none");
    }
}
