//! Answers that are errors, for once and for ever, and connections without an answer.

use fallbackd::sim::Behaviour;

use super::fixture::{By, Fixture, Run, SILENCE, good, hello};

/// What the model asked first does once, and what ever after.
fn play(once: Option<Behaviour>, always: Behaviour) -> Vec<Run> {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| {
        primary.set_for(model, always.clone());
        once.iter().for_each(|once| primary.push_for(model, once.clone()));
    });
    fixture.play(&hello())
}

#[test]
fn a_429_with_retry_after_2_is_waited_for_once() {
    for run in play(Some(Behaviour::rate_limited(Some("2"))), good().into()) {
        run.expect(By::First, &["rate_limited"], (2, 0), 2_000..2_500);
        assert!(run.restarts().is_empty());
    }
}

#[test]
fn a_429_for_ever_is_called_twice_and_left() {
    for run in play(None, Behaviour::rate_limited(Some("2"))) {
        run.expect(By::Second, &["rate_limited", "rate_limited"], (2, 1), 2_000..2_500);
        assert!(run.restarts().is_empty());
    }
}

#[test]
fn a_429_without_a_hint_is_left_at_once() {
    for run in play(None, Behaviour::rate_limited(None)) {
        run.expect(By::Second, &["rate_limited"], (1, 1), 0..500);
    }
}

#[test]
fn a_500_is_repeated_once_after_a_pause() {
    for run in play(Some(Behaviour::server_error()), good().into()) {
        run.expect(By::First, &["server_error"], (2, 0), 375..1_000);
    }
}

#[test]
fn a_503_for_ever_is_called_twice_and_left() {
    for run in play(None, Behaviour::overloaded()) {
        run.expect(By::Second, &["overloaded", "overloaded"], (2, 1), 375..1_000);
        assert!(run.restarts().is_empty());
    }
}

#[test]
fn a_reset_before_the_headers_is_repeated_once_after_a_pause() {
    for run in play(None, Behaviour::ResetBeforeHeaders) {
        run.expect(By::Second, &["reset", "reset"], (2, 1), 375..1_000);
    }
    for run in play(Some(Behaviour::ResetBeforeHeaders), good().into()) {
        run.expect(By::First, &["reset"], (2, 0), 375..1_000);
    }
}

#[test]
fn no_response_at_all_is_left_after_the_limit_and_hung_up() {
    let fixture = Fixture::new("", "");
    fixture.script(|primary, model| primary.set_for(model, Behaviour::Hang));
    for run in fixture.play(&hello()) {
        let (fault, limit) = super::silent::late(run.way);
        run.expect(By::Second, &[fault], (1, 1), limit..limit + 500);
        assert!(limit >= SILENCE);
    }
    for primary in fixture.primaries() {
        super::harness::wait_cancelled(primary, 3);
    }
}
