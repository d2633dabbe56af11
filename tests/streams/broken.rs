//! Streams that break off, are cut through, or lack their end.

use fallbackd::sim::{Behaviour, Fate, Flow, Meaning};
use serde_json::{Value, json};

use super::fixture::{By, Fixture, Run, Way, backup, good, hello, text_of};

fn play(flow: &Flow, backup: &Behaviour, request: &Value) -> Vec<Run> {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, flow.clone().into()));
    fixture.script_backup(backup);
    fixture.play(request)
}

fn fated(after: usize, fate: Fate) -> Flow {
    Flow { fate: Some((after, fate)), ..good() }
}

/// In one piece, half an answer is one that cannot be read.
fn fault(way: Way, streamed: &'static str) -> &'static str {
    if way == Way::Plain { "bad_body" } else { streamed }
}

#[test]
fn a_cut_after_forty_of_sixty_tokens_is_answered_anew() {
    for fate in [Fate::Ends, Fate::Breaks] {
        for run in play(&fated(40, fate), &backup(), &hello()) {
            run.expect(By::Second, &[fault(run.way, "stream_cut")], (1, 1), 0..1_000);
            assert_eq!(run.reply["content"], text_of('b'));
            if run.way == Way::Streamed {
                assert_eq!(run.restarts(), ["stream_cut"]);
            }
        }
    }
}

#[test]
fn a_backup_that_says_the_same_goes_on_without_a_word() {
    for run in play(&fated(40, Fate::Ends), &good().into(), &hello()) {
        run.expect(By::Second, &[fault(run.way, "stream_cut")], (1, 1), 0..1_000);
        assert!(run.restarts().is_empty());
        assert_eq!(run.reply["content"], text_of('a'));
    }
}

#[test]
fn a_caller_who_wants_no_rescue_gets_interrupted_and_others_the_backup() {
    let mut request = hello();
    request["on_interrupt"] = json!("fail");
    for run in play(&fated(40, Fate::Ends), &backup(), &request) {
        let failed = [fault(run.way, "stream_cut")];
        match run.way {
            Way::Streamed => {
                run.expect(By::Error("interrupted"), &failed, (1, 0), 0..1_000);
                assert!(run.heard_anything());
            }
            _ => run.expect(By::Second, &failed, (1, 1), 0..1_000),
        }
    }
}

#[test]
fn a_malformed_chunk_is_a_bad_body_and_answered_anew() {
    for run in play(&fated(20, Fate::Malformed), &backup(), &hello()) {
        run.expect(By::Second, &["bad_body"], (1, 1), 0..1_000);
        if run.way == Way::Streamed {
            assert_eq!(run.restarts(), ["bad_body"]);
        }
    }
}

#[test]
fn before_any_text_a_break_is_not_heard_of() {
    for fate in [Fate::Ends, Fate::Breaks, Fate::Malformed] {
        for run in play(&fated(0, fate), &backup(), &hello()) {
            assert!(run.restarts().is_empty(), "{run:#?}");
            assert_eq!(run.reply["content"], text_of('b'), "{run:#?}");
            assert_eq!((run.first.len(), run.second.len()), (1, 1));
        }
    }
}

#[test]
fn an_error_within_a_stream_is_what_it_says_and_not_repeated_while_somebody_else_can_answer() {
    for run in play(&fated(20, Fate::Fails(Meaning::Overloaded)), &backup(), &hello()) {
        match run.way {
            Way::Streamed => {
                run.expect(By::Second, &["overloaded"], (1, 1), 0..1_000);
                assert_eq!(run.restarts(), ["overloaded"]);
            }
            _ => run.expect(By::Second, &["overloaded", "overloaded"], (2, 1), 375..1_500),
        }
    }
}

#[test]
fn without_done_an_answer_that_was_finished_is_whole() {
    for run in play(&Flow { no_end: true, ..good() }, &backup(), &hello()) {
        run.expect(By::First, &[], (1, 0), 0..1_000);
    }
}

#[test]
fn plain_json_where_a_stream_was_asked_for_is_an_answer() {
    for run in play(&Flow { plain: true, ..good() }, &backup(), &hello()) {
        run.expect(By::First, &[], (1, 0), 0..1_000);
    }
}
