//! What can go wrong with a call, and what each kind of failure means.
//!
//! This is the only place that says whether a failure is tried again, whether the next model is
//! asked and what the circuit breaker thinks of it. Providers decide *which* fault an answer is;
//! nobody but [`Fault::meaning`] decides what follows from it.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The kind of a failed call, named as users see it in `error_type`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// No connection: name not found, refused, connect timeout.
    Connect,
    /// The handshake or the certificate failed.
    Tls,
    /// The connection broke before the answer began.
    Reset,
    /// 5xx and 408: the provider's own failure.
    ServerError,
    /// The provider says that it has too much to do.
    Overloaded,
    /// A complete answer with neither text nor tool call.
    EmptyAnswer,
    /// An answer that is not what the wire format promises.
    BadBody,
    /// No complete answer within the attempt's limit.
    Timeout,
    /// A stream whose first content did not come in time.
    FirstTokenTimeout,
    /// A stream that ended without saying that it was finished.
    StreamCut,
    /// A stream that stopped delivering.
    StreamStalled,
    /// Too many requests or tokens for now; waiting cures it.
    RateLimited,
    /// No money or quota left; waiting a little does not cure it.
    QuotaExhausted,
    /// The key is wrong, revoked, or not allowed here.
    Auth,
    /// The provider does not know the model, or the account may not use it.
    ModelNotFound,
    /// The address is not that of such an API.
    BadEndpoint,
    /// The prompt is longer than the model takes.
    ContextTooLong,
    /// The request body is larger than the provider takes.
    TooLarge,
    /// A parameter that this model does not take.
    UnsupportedParam,
    /// This machine has no network, no names or no descriptors.
    NoNetwork,
    /// The provider reports a conflict with another operation.
    Conflict,
    /// The model produced something its own provider calls malformed.
    ModelGlitch,
    /// The provider refused the prompt or its answer by its content policy.
    Refused,
    /// The chain's own `accept` checks refused the answer.
    Rejected,
    /// The model refused the request itself, for a reason that nobody knows better.
    InvalidRequest,
    /// The caller left, or the request's deadline passed.
    Cancelled,
}

/// Whether the same model is called again for the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// Up to `retry.max` times, after a backoff.
    Repeat,
    /// Only when the provider's wait hint is short enough to be waited for.
    AfterHint,
}

/// Whether the next model of the chain is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFault {
    Yes,
    /// Not those known to be as small as the one that failed.
    NotAsSmall,
    /// As the request's `on_refusal` says.
    ByRefusalRule,
    /// No: nobody waits for an answer any more.
    No,
}

/// What the circuit breaker makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// Counts as a failure.
    Failure,
    /// Neither counts nor resets.
    Neutral,
    /// Neutral, and the model is put on hold.
    Hold,
    /// Opens at once for `blocked_for`: it needs a person.
    Block,
    /// The provider works: counts as a success.
    Success,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultMeaning {
    /// Whether the same model is called again.
    pub again: Again,
    /// Whether the next model is asked.
    pub next: AfterFault,
    /// What the circuit breaker makes of it.
    pub circuit: Circuit,
}

impl Fault {
    /// Every fault there is, in the order of the documentation.
    pub const ALL: &[Fault] = Fault::VARIANTS;

    /// The table: what follows from this fault.
    pub(crate) fn meaning(self) -> FaultMeaning {
        use Fault as F;
        let (again, next, circuit) = match self {
            F::Connect | F::Reset | F::ServerError | F::Overloaded | F::EmptyAnswer => {
                (Again::Repeat, AfterFault::Yes, Circuit::Failure)
            }
            F::Tls | F::BadBody | F::Timeout => (Again::Never, AfterFault::Yes, Circuit::Failure),
            F::FirstTokenTimeout | F::StreamCut | F::StreamStalled => {
                (Again::Never, AfterFault::Yes, Circuit::Failure)
            }
            F::RateLimited => (Again::AfterHint, AfterFault::Yes, Circuit::Hold),
            F::QuotaExhausted | F::Auth | F::ModelNotFound | F::BadEndpoint => {
                (Again::Never, AfterFault::Yes, Circuit::Block)
            }
            F::ContextTooLong | F::TooLarge => {
                (Again::Never, AfterFault::NotAsSmall, Circuit::Neutral)
            }
            F::UnsupportedParam | F::InvalidRequest | F::NoNetwork => {
                (Again::Never, AfterFault::Yes, Circuit::Neutral)
            }
            F::Conflict | F::ModelGlitch => (Again::Repeat, AfterFault::Yes, Circuit::Neutral),
            F::Refused => (Again::Never, AfterFault::ByRefusalRule, Circuit::Success),
            F::Rejected => (Again::Never, AfterFault::Yes, Circuit::Success),
            F::Cancelled => (Again::Never, AfterFault::No, Circuit::Neutral),
        };
        FaultMeaning { again, next, circuit }
    }

    /// Whether the provider itself answered, so that a neutral outcome proves it is alive.
    pub(crate) fn provider_answered(self) -> bool {
        !matches!(self, Fault::NoNetwork | Fault::Cancelled)
    }

    /// Whether somebody has to see to it, and needs the provider's own words for that.
    pub(crate) fn needs_a_person(self) -> bool {
        self.meaning().circuit == Circuit::Block || matches!(self, Fault::Tls | Fault::Connect)
    }

    /// Whether the same provider deserves a pause before another of its models is called.
    pub(crate) fn slows_the_provider(self) -> bool {
        matches!(
            self,
            Fault::Overloaded
                | Fault::ServerError
                | Fault::RateLimited
                | Fault::Connect
                | Fault::Reset
        )
    }

    /// The name users see, as in `error_type`.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_and_named_as_it_is_written_to_the_log() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        for &fault in Fault::ALL {
            let written = serde_json::to_value(fault).unwrap();
            assert_eq!(written, fault.name());
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn only_the_four_blocking_faults_open_the_circuit_at_once() {
        let blocking: Vec<_> =
            Fault::ALL.iter().copied().filter(|f| f.meaning().circuit == Circuit::Block).collect();
        let expected =
            [Fault::QuotaExhausted, Fault::Auth, Fault::ModelNotFound, Fault::BadEndpoint];
        assert_eq!(blocking, expected);
    }

    #[test]
    fn only_a_request_that_was_given_up_asks_nobody_else() {
        let stops: Vec<_> =
            Fault::ALL.iter().copied().filter(|f| f.meaning().next == AfterFault::No).collect();
        assert_eq!(stops, [Fault::Cancelled]);
    }
}
