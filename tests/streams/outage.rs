//! A primary that is down for a while and then well again.
//!
//! A minute of outage with a circuit that opens for 20 s, scaled to 4.5 s and 1.5 s.

use std::thread;
use std::time::Duration;

use fallbackd::sim::Behaviour;

use super::fixture::{Fixture, Run, SLACK, good, hello};
use super::harness::Stopwatch;

const OUTAGE: Duration = Duration::from_millis(4_500);

const OPEN: u64 = 1_500;

/// Two failures open a circuit; the first caller after its time is the probe.
fn fixture() -> Fixture {
    let rules = format!(
        "[breaker]\nprobe = \"live\"\nfailures = 2\nopen_for = \"{OPEN}ms\"\nopen_for_max = \"{OPEN}ms\""
    );
    let fixture = Fixture::with("", "", &rules);
    fixture.script(|primary, model| primary.set_for(model, good().into()));
    fixture
}

fn is_by_first(run: &Run) -> bool {
    run.reply["model_used"].as_str().unwrap().starts_with("first")
}

/// Asks all the time during an outage, lets it end, and asks until all primaries answer again.
fn play(fixture: &Fixture, begin: impl Fn(), end: impl Fn()) -> Vec<Run> {
    let all_ok = |runs: &[Run]| {
        for run in runs {
            assert_eq!(run.reply["ok"], true, "{run:#?}");
            // At the most a call, its pause, its repeat, and the backup.
            assert!(run.took < Duration::from_millis(1_000 + SLACK), "{run:#?}");
        }
    };
    all_ok(&fixture.play(&hello()));
    begin();
    let watch = Stopwatch::start();
    while watch.elapsed() < OUTAGE {
        let runs = fixture.play(&hello());
        all_ok(&runs);
        assert!(!runs.iter().any(is_by_first), "{runs:#?}");
        thread::sleep(Duration::from_millis(50));
    }
    end();
    let watch = Stopwatch::start();
    loop {
        let runs = fixture.play(&hello());
        all_ok(&runs);
        if runs.iter().all(is_by_first) {
            return runs;
        }
        let long = Duration::from_millis(OPEN + SLACK);
        assert!(watch.elapsed() < long, "the primary is not asked again: {runs:#?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_primary_that_fails_for_a_while_is_left_alone_and_then_asked_again() {
    let fixture = fixture();
    let fails = || {
        fixture.script(|primary, model| primary.set_for(model, Behaviour::overloaded()));
    };
    let is_well = || fixture.script(|primary, model| primary.set_for(model, good().into()));
    for run in play(&fixture, fails, is_well) {
        let seen = fixture.all_first(&run);
        let failed = seen.iter().filter(|seen| seen.status != Some(200)).count();
        // Two that opened the circuit, then one probe each time it has been open long enough.
        assert!((3..=5).contains(&failed), "{failed}: {run:#?}");
    }
}

#[test]
fn a_primary_whose_machine_is_down_is_found_again() {
    let fixture = fixture();
    let down = || fixture.primaries().iter().for_each(|primary| primary.down().unwrap());
    let up = || fixture.primaries().iter().for_each(|primary| primary.up().unwrap());
    for run in play(&fixture, down, up) {
        assert!(fixture.all_first(&run).iter().all(|seen| seen.status == Some(200)), "{run:#?}");
    }
}
