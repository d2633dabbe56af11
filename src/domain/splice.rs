//! What a further answer adds to the text that its caller already has.
//!
//! A stream that broke is answered anew by another model. As long as the new answer repeats what
//! was delivered, nothing is told twice; where it differs, or ends before that, its caller has to
//! forget the text and begin again. The text kept here is never longer than the longer of both
//! answers.

/// The text of an answer as its caller knows it, and how much of that the answer under way has
/// repeated.
#[derive(Default)]
pub(crate) struct Splice {
    text: String,
    /// Bytes of `text` that the answer under way has told; always at the end of a character.
    told: usize,
}

/// What a piece of an answer means for its caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added<'a> {
    /// It is there already.
    Nothing,
    Append(&'a str),
    /// All of the text before is void; this is the answer so far.
    Restart(&'a str),
}

impl Splice {
    /// The text as it stands after everything that was added.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn take(&mut self, piece: &str) -> Added<'_> {
        let known = &self.text[self.told..];
        if known.starts_with(piece) {
            self.told += piece.len();
            return Added::Nothing;
        }
        if let Some(suffix) = piece.strip_prefix(known) {
            let from = self.text.len();
            self.text.push_str(suffix);
            self.told = self.text.len();
            return Added::Append(&self.text[from..]);
        }
        self.text.truncate(self.told);
        self.text.push_str(piece);
        self.told = self.text.len();
        Added::Restart(&self.text)
    }

    /// The answer under way is complete, and this is all of it. What was not told in pieces is
    /// added; an answer that ends within the text that its caller has is a restart, too.
    pub(crate) fn end(&mut self, whole: &str) -> Added<'_> {
        let from = self.text.len();
        let repeated = whole.strip_prefix(&*self.text).map(str::len);
        whole.clone_into(&mut self.text);
        self.told = whole.len();
        match repeated {
            Some(0) => Added::Nothing,
            Some(_) => Added::Append(&self.text[from..]),
            None => Added::Restart(&self.text),
        }
    }

    /// The answer under way broke, and another is told from its start. Its caller was given the
    /// first `delivered` bytes of the text, up to the end of a character.
    pub(crate) fn again(&mut self, delivered: usize) {
        self.text.truncate(delivered);
        self.told = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A caller who does as it is told.
    #[derive(Default)]
    struct Caller {
        text: String,
        restarts: usize,
        told: usize,
    }

    impl Caller {
        fn hears(&mut self, added: Added<'_>) {
            match added {
                Added::Nothing => {}
                Added::Append(suffix) => {
                    assert!(!suffix.is_empty());
                    self.text.push_str(suffix);
                    self.told += suffix.len();
                }
                Added::Restart(text) => {
                    text.clone_into(&mut self.text);
                    self.restarts += 1;
                    self.told += text.len();
                }
            }
        }
    }

    /// Cuts a text into pieces at characters chosen by `cuts`.
    fn pieces(text: &str, cuts: &[usize]) -> Vec<String> {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| ends[cut % ends.len()]).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        at.dedup();
        at.windows(2).map(|ends| text[ends[0]..ends[1]].to_owned()).collect()
    }

    fn cuts() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(any::<usize>(), 0..12)
    }

    /// Texts of characters of one to four bytes which often begin alike.
    const TEXT: &str = "[aä€😀]{0,12}";

    #[test]
    fn an_answer_that_repeats_the_delivered_text_goes_on_behind_it() {
        let mut splice = Splice::default();
        assert_eq!(splice.take("The sky"), Added::Append("The sky"));
        splice.again(7);
        assert_eq!(splice.take("The "), Added::Nothing);
        assert_eq!(splice.take("sky is"), Added::Append(" is"));
        assert_eq!(splice.take(" blue"), Added::Append(" blue"));
        assert_eq!(splice.end("The sky is blue"), Added::Nothing);
    }

    #[test]
    fn an_answer_that_differs_or_ends_too_early_begins_again() {
        let mut splice = Splice::default();
        splice.take("The sky");
        splice.again(7);
        assert_eq!(splice.take("The "), Added::Nothing);
        assert_eq!(splice.take("sea"), Added::Restart("The sea"));
        splice.again(7);
        assert_eq!(splice.take("The"), Added::Nothing);
        assert_eq!(splice.end("The"), Added::Restart("The"));
        splice.again(3);
        assert_eq!(splice.end(""), Added::Restart(""));
    }

    #[test]
    fn what_was_taken_and_not_delivered_is_forgotten() {
        let mut splice = Splice::default();
        splice.take("The sky");
        splice.again(4);
        assert_eq!(splice.text(), "The ");
        assert_eq!(splice.take("The sea"), Added::Append("sea"));
    }

    proptest! {
        #[test]
        fn the_caller_ends_with_the_last_answer_whatever_was_told_before(
            answers in proptest::collection::vec((TEXT, cuts(), any::<usize>(), any::<bool>()), 1..4),
            last in (TEXT, cuts()),
        ) {
            let (mut splice, mut caller) = (Splice::default(), Caller::default());
            let mut longest = last.0.len();
            for (text, cuts, kept, broken_late) in &answers {
                let told = pieces(text, cuts);
                let told = &told[..if *broken_late { told.len() } else { kept % (told.len() + 1) }];
                for piece in told {
                    caller.hears(splice.take(piece));
                    prop_assert!(splice.text() == caller.text);
                }
                longest = longest.max(text.len());
                splice.again(caller.text.len());
            }
            for piece in pieces(&last.0, &last.1) {
                caller.hears(splice.take(&piece));
            }
            caller.hears(splice.end(&last.0));
            prop_assert_eq!(&caller.text, &last.0);
            prop_assert_eq!(splice.text(), &last.0);
            prop_assert!(caller.restarts <= answers.len());
            prop_assert!(splice.text.len() <= longest);
        }

        #[test]
        fn a_common_prefix_is_told_once_and_a_continuation_never_restarts(
            prefix in TEXT, rest in TEXT, first in cuts(), second in cuts(),
        ) {
            let (mut splice, mut caller) = (Splice::default(), Caller::default());
            pieces(&prefix, &first).iter().for_each(|piece| caller.hears(splice.take(piece)));
            splice.again(prefix.len());
            let whole = format!("{prefix}{rest}");
            pieces(&whole, &second).iter().for_each(|piece| caller.hears(splice.take(piece)));
            caller.hears(splice.end(&whole));
            prop_assert_eq!(&caller.text, &whole);
            prop_assert_eq!((caller.restarts, caller.told), (0, whole.len()));
        }

        #[test]
        fn any_split_of_an_answer_tells_it_the_same(text in TEXT, cuts in cuts(), seen in cuts()) {
            let (mut splice, mut caller) = (Splice::default(), Caller::default());
            let told = pieces(&text, &cuts);
            // Only a part of it may be told in pieces at all.
            let count = seen.len().min(told.len());
            told[..count].iter().for_each(|piece| caller.hears(splice.take(piece)));
            caller.hears(splice.end(&text));
            prop_assert_eq!((caller.restarts, caller.told), (0, text.len()));
            prop_assert_eq!(caller.text, text);
        }
    }
}
