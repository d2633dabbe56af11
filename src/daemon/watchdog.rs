//! Proof of life for the service manager, and one line about how things stand.
//!
//! Every look sends a question through the router to the owner of every model. Only when all have
//! answered is the watchdog told: a process whose timers still run while its actors hang is as
//! good as dead. A stalled disk is no reason for a restart, which would not mend it; it is told in
//! the status. Without a service manager there is no watchdog, and nobody is asked anything.

use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::notify::Notifier;
use crate::actors::model::liveness::Condition;
use crate::actors::router::{CheckAllModels, Liveness, RouterActor};
use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::protocol::status::RecorderStatus;
use crate::recorder::Recorder;
use crate::server::{Phase, Server};

/// Longest time between two looks: a status is this old at most.
const PERIOD: Duration = Duration::from_secs(2);
/// Names that a status shows of the models that are out.
const NAMES: usize = 4;

/// What the status is made of, and whom it is told to.
pub(super) struct Watchdog {
    pub(super) notifier: Notifier,
    /// After how long a silence this process is taken for dead, if it is watched.
    pub(super) silence: Option<Duration>,
    pub(super) router: Addr<RouterActor>,
    pub(super) recorder: Recorder,
    pub(super) server: Rc<Server>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) clock: Clock,
}

/// What was told last.
#[derive(Default)]
struct LastTold {
    status: String,
    alive: Option<Mono>,
    disk: Disk,
}

/// The log as it was at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Disk {
    lines: u64,
    late: u64,
    slow: bool,
}

impl Watchdog {
    /// Looks for as long as the process lives. Says that the daemon is ready once everybody has
    /// answered for the first time.
    pub(super) async fn run(self) {
        if self.notifier.is_silent() {
            return;
        }
        let half = self.silence.map_or(Duration::MAX, |silence| silence / 2);
        let mut told = LastTold::default();
        loop {
            let is_first = told.alive.is_none();
            if self.look(&mut told).await {
                let now = self.clock.mono();
                // The next look may come a whole period later, so half of the silence is never
                // waited for to its end.
                let due = told.alive.is_none_or(|last| now.since(last) + PERIOD.min(half) > half);
                if is_first {
                    self.notifier.ready();
                }
                if self.silence.is_some() && due {
                    self.notifier.alive();
                }
                if is_first || due {
                    told.alive = Some(now);
                }
            }
            sleep(PERIOD.min(half)).await;
        }
    }

    /// Asks everybody, tells the status if it is a new one, and says whether all have answered.
    async fn look(&self, told: &mut LastTold) -> bool {
        // Who does not answer within a period has not answered.
        let liveness = timeout(PERIOD, self.router.send(CheckAllModels)).await;
        let liveness = liveness.ok().and_then(Result::ok);
        let recorder = self.recorder.status();
        told.disk = told.disk.now(&recorder);
        let ending = (*self.phase.borrow() != Phase::Serving).then(|| self.server.outstanding());
        let status = status(liveness.as_ref(), &recorder, told.disk, ending);
        if status != told.status {
            self.notifier.status(&status);
            told.status = status;
        }
        liveness.is_some_and(|liveness| all_answered(&liveness))
    }
}

fn all_answered(liveness: &Liveness) -> bool {
    liveness.iter().all(|(_, condition)| condition.is_some())
}

impl Disk {
    /// A log is slow from the first reply that did not wait for its line until lines are written
    /// again and no further reply is late.
    fn now(self, recorder: &RecorderStatus) -> Disk {
        let RecorderStatus { lines, late, .. } = *recorder;
        let slow = late > self.late || (self.slow && lines == self.lines);
        Disk { lines, late, slow }
    }
}

fn status(
    liveness: Option<&Liveness>,
    recorder: &RecorderStatus,
    disk: Disk,
    ending: Option<usize>,
) -> String {
    let mut parts = Vec::new();
    if let Some(outstanding) = ending {
        parts.push(format!("ending, still to answer: {outstanding}"));
    }
    match liveness {
        None => parts.push("the router does not answer".to_owned()),
        Some(liveness) => {
            let up = of(liveness, Some(Condition::Up)).len();
            parts.push(format!("{up} of {} models up", liveness.len()));
            let out = [
                ("circuit open", Some(Condition::CircuitOpen)),
                ("without a key", Some(Condition::Misconfigured)),
                ("not answering", None),
            ];
            for (what, condition) in out {
                let names = of(liveness, condition);
                if !names.is_empty() {
                    parts.push(format!("{what}: {}", listed(&names)));
                }
            }
        }
    }
    let slow = disk.slow.then(|| "the health log is slow".to_owned());
    parts.extend(recorder.log_error.clone().or(slow));
    parts.extend(recorder.store_error.clone());
    parts.join("; ")
}

/// The models of this condition.
fn of(liveness: &Liveness, wanted: Option<Condition>) -> Vec<&str> {
    let those = liveness.iter().filter(|(_, condition)| *condition == wanted);
    those.map(|(name, _)| &**name).collect()
}

fn listed(names: &[&str]) -> String {
    let shown = names[..names.len().min(NAMES)].join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liveness(conditions: &[Option<Condition>]) -> Liveness {
        let named = |(at, condition): (usize, &Option<Condition>)| {
            (format!("m{at}").as_str().into(), *condition)
        };
        conditions.iter().enumerate().map(named).collect()
    }

    #[test]
    fn the_status_names_models_that_are_out_and_why() {
        use Condition::{CircuitOpen, Misconfigured, Up};
        let told = |liveness: &Liveness| {
            status(Some(liveness), &RecorderStatus::default(), Disk::default(), None)
        };
        assert_eq!(told(&liveness(&[Some(Up); 3])), "3 of 3 models up");
        let mixed = liveness(&[Some(Up), Some(CircuitOpen), Some(Misconfigured), None]);
        let expected = "1 of 4 models up; circuit open: m1; without a key: m2; not answering: m3";
        assert_eq!(told(&mixed), expected);
        let many = told(&liveness(&[Some(CircuitOpen); 6]));
        assert_eq!(many, "0 of 6 models up; circuit open: m0, m1, m2, m3 and 2 more");
    }

    #[test]
    fn a_stalled_disk_is_told_until_lines_are_written_again() {
        let at = |lines, late| RecorderStatus { lines, late, ..RecorderStatus::default() };
        let fine = Disk::default().now(&at(5, 0));
        assert!(!fine.slow);
        let stalled = fine.now(&at(5, 1));
        assert!(stalled.slow);
        let told = status(Some(&liveness(&[])), &at(5, 1), stalled, None);
        assert_eq!(told, "0 of 0 models up; the health log is slow");
        assert!(stalled.now(&at(5, 1)).slow, "nothing was written since");
        assert!(!stalled.now(&at(9, 1)).slow);
        let full = RecorderStatus { log_error: Some("no space left".to_owned()), ..at(5, 1) };
        let told = status(Some(&liveness(&[])), &full, stalled, None);
        assert_eq!(told, "0 of 0 models up; no space left");
    }

    #[test]
    fn one_owner_that_does_not_answer_is_enough_to_be_dead() {
        assert!(all_answered(&liveness(&[Some(Condition::Up), Some(Condition::CircuitOpen)])));
        assert!(!all_answered(&liveness(&[Some(Condition::Up), None])));
    }

    #[test]
    fn the_end_is_told_with_what_is_still_to_be_answered() {
        let told = status(None, &RecorderStatus::default(), Disk::default(), Some(2));
        assert_eq!(told, "ending, still to answer: 2; the router does not answer");
    }
}
