//! The words of the circuit breaker: its rules, states, permits and what a result says.
//!
//! Plain data. What happens when is the state machine's business, one file up.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::domain::fault::{Circuit, Fault};
use crate::domain::ledger::CallKind;
use crate::domain::need::Verdict;
use crate::domain::time::{Deadline, Wall};

/// When a circuit opens and how it closes again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Consecutive failures that open it; 0 switches this rule off.
    pub(crate) failures: u32,
    pub(crate) open_for: Duration,
    /// Longest opening; re-openings double up to it.
    pub(crate) open_for_max: Duration,
    /// Length of an opening for a reason that needs a person.
    pub(crate) blocked_for: Duration,
    /// Share of failures that opens it, 0 to 1; 0 switches this rule off.
    pub(crate) failure_rate: f64,
    /// Decided calls below which the share says nothing.
    pub(crate) rate_min_calls: u32,
    /// Who tries an open circuit.
    pub(crate) probe: Prober,
    /// Least time between two probes before an opening's time is over.
    pub(crate) probe_every: Duration,
}

/// Who tries an open circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prober {
    /// A copy of a request in the background, again and again.
    Background,
    /// The first caller after the opening's time.
    Caller,
}

/// What users see of the state.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Every call is admitted, as long as it works well enough.
    #[default]
    Closed,
    /// Nobody is admitted until its time is over.
    Open,
    /// One probe is admitted.
    HalfOpen,
}

/// The state that an override sets.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schemars(rename = "Force")]
pub enum OverrideState {
    /// Nobody is admitted, whatever the breaker knows.
    Open,
    /// Everybody is admitted; failures count but do not open it.
    Closed,
}

/// A circuit's state as a person set it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Override {
    pub set: OverrideState,
    /// When it ends by itself; `None` for never.
    pub until: Option<Deadline>,
}

/// The right to make one call. Settle it exactly once, a lost call with [`CallFinding::Nothing`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not settled blocks a probe slot until its lease ends"]
pub(crate) struct CircuitPermit {
    pub(super) epoch: u64,
    pub(super) probe: bool,
}

/// How a call is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// How long a probe may take before its slot is given to another.
    pub lease: Duration,
    pub by: Asker,
}

/// For whom a call is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Caller,
    /// A caller, for the one early probe allowed when every circuit is open.
    Nearest,
    /// A copy of an answered request: never onto a circuit that is not closed.
    Shadow,
    /// A probe in the background: only onto a circuit that is not closed.
    Probe,
}

impl Asker {
    /// For whom a call of this kind is, `early` if it is to be the one probe ahead of time.
    pub(crate) fn of(kind: CallKind, early: bool) -> Asker {
        match kind {
            CallKind::Shadow => Asker::Shadow,
            CallKind::Probe => Asker::Probe,
            CallKind::Live | CallKind::Hedge if early => Asker::Nearest,
            CallKind::Live | CallKind::Hedge => Asker::Caller,
        }
    }
}

/// What a finished call says about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFinding {
    Success,
    /// It answered, but the answer says nothing about its health.
    Alive,
    Nothing,
    /// It asked for a pause.
    Hold,
    Failure(Fault),
    /// It refuses to work until a person does something.
    Block(Fault),
}

/// A change of state, for the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub from: State,
    pub to: State,
    pub reason: String,
    /// When it may be probed, if it is open now.
    pub retry_at: Option<Wall>,
}

/// What became of a result.
#[derive(Debug, PartialEq)]
pub(crate) struct Settled {
    /// Whether it could still change the state.
    pub counted: bool,
    pub change: Option<Change>,
}

/// The breaker as it stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    pub state: State,
    /// Why it is not simply closed.
    pub reason: Option<String>,
    pub since: Wall,
    pub retry_at: Option<Wall>,
    /// The running count of consecutive failures.
    pub consecutive_failures: u32,
    /// The override in force.
    pub overridden: Option<Override>,
}

/// What of a breaker survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Whether it was open; half-open counts as open.
    pub open: bool,
    pub reason: String,
    /// Whether that reason needs a person.
    pub blocked: bool,
    pub since: Wall,
    pub until: Wall,
    /// How many openings in a row had no healthy window between them.
    pub openings: u32,
    /// The running count of consecutive failures.
    pub run: u32,
    /// The override in force, and when it ends.
    #[serde(rename = "forced")]
    pub overridden: Option<(OverrideState, Option<Wall>)>,
}

impl CircuitPermit {
    /// The permit of a breaker that is gone; its result changes nothing.
    pub(crate) fn stale() -> CircuitPermit {
        // Epochs count up from zero, so none is ever this one.
        CircuitPermit { epoch: u64::MAX, probe: false }
    }

    /// Whether the call is the probe of a circuit that is not closed.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }
}

impl CallFinding {
    /// What the fault table makes of a failed call.
    pub(crate) fn of(fault: Fault) -> CallFinding {
        match fault.meaning().circuit {
            Circuit::Failure => CallFinding::Failure(fault),
            Circuit::Neutral if fault.provider_answered() => CallFinding::Alive,
            Circuit::Neutral => CallFinding::Nothing,
            Circuit::Hold => CallFinding::Hold,
            Circuit::Block => CallFinding::Block(fault),
            Circuit::Success => CallFinding::Success,
        }
    }

    /// How health counts it.
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            CallFinding::Success => Verdict::Success,
            CallFinding::Alive | CallFinding::Nothing => Verdict::Neutral,
            CallFinding::Hold => Verdict::Held,
            CallFinding::Failure(_) | CallFinding::Block(_) => Verdict::Failure,
        }
    }
}

impl OverrideState {
    /// Its name in replies and in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

impl State {
    /// Its name as people write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        }
    }

    /// Its name in replies and in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}
