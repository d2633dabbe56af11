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
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    // A name longer than any of ours is no slip, and the table below grows with its square.
    if left.len().abs_diff(right.len()) > 4 {
        return usize::MAX;
    }
    let first_row: Vec<usize> = (0..=right.len()).collect();
    let mut rows = vec![first_row; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
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
