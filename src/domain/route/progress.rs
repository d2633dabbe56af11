//! How far a request has come along its chain, and what it has learnt on the way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::next::FailedCall;
use crate::domain::fault::{AfterFault, Fault};
use crate::domain::pace::Backoff;
use crate::domain::time::Mono;

/// What has to be known of a model of the chain to decide about its turn.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Who serves it: a provider in trouble is left in peace for a moment.
    pub provider: Arc<str>,
    /// Largest prompt that it takes, in tokens; `None` where that is not configured.
    pub context_window: Option<u64>,
    /// Waits between two calls.
    pub backoff: Backoff,
    /// How often a call may be repeated.
    pub max_repeats: u32,
    /// Longest pause that a provider may ask for and that is waited for.
    pub longest_hint: Duration,
}

/// What the request itself says about its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteRules {
    /// No wait outlives it.
    pub deadline: Mono,
    /// Whether a refusal is a reason to ask another model.
    pub refusal_falls_back: bool,
    /// Whether half an answer that broke off ends the request.
    pub break_interrupts: bool,
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(super) rules: RouteRules,
    /// Places in the chain of the models that are still to be asked.
    pub(super) order: VecDeque<usize>,
    pub(super) turn: Turn,
    pub(super) pauses: Vec<Pause>,
    /// Whether a call was made beside another; a request gets one of these at most.
    pub(super) hedged: bool,
    /// Largest context window that is known to have been too small.
    pub(super) too_small: Option<u64>,
    /// Whom to try early if nobody could be called at all.
    pub(super) nearest: Option<usize>,
    /// Providers with a fault of their own over this request.
    broken: Vec<Arc<str>>,
}

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    Nobody,
    /// A model's whose provider is left in peace until its call begins.
    Pausing {
        at: usize,
    },
    /// A model's that is being called, for the first time or again.
    Calling {
        at: usize,
        repeats: u32,
    },
    /// A model's whose call failed and will be repeated.
    Repeating {
        at: usize,
        repeats: u32,
        failed: FailedCall,
    },
    /// A model's that is tried ahead of time, because nobody else can be.
    Early,
}

/// Until when a provider is left in peace by this request.
#[derive(Debug)]
pub(super) struct Pause {
    provider: Arc<str>,
    failures: u32,
    until: Mono,
}

impl Progress {
    /// A request that begins with this order; `nearest` is tried early if nobody can be called.
    pub(crate) fn new(
        order: VecDeque<usize>,
        nearest: Option<usize>,
        rules: RouteRules,
    ) -> Progress {
        Progress {
            rules,
            order,
            turn: Turn::Nobody,
            pauses: Vec::new(),
            hedged: false,
            too_small: None,
            nearest,
            broken: Vec::new(),
        }
    }

    /// Whether other models are still to be asked, so that time has to be kept for them.
    pub(crate) fn has_others(&self) -> bool {
        !self.order.is_empty()
    }

    /// Learns from a failed call, whichever it was: its provider is left in peace for a moment by
    /// `chance` (0 to 1), and no model as small is asked with a prompt that was too long.
    pub(crate) fn learn(&mut self, candidate: &Candidate, fault: Fault, now: Mono, chance: f64) {
        if fault.meaning().next == AfterFault::NotAsSmall {
            self.too_small = self.too_small.max(candidate.context_window);
        }
        if fault == Fault::ServerError {
            self.broken.push(candidate.provider.clone());
        }
        if !fault.slows_the_provider() {
            return;
        }
        let known = self.pauses.iter().position(|pause| pause.provider == candidate.provider);
        let at = known.unwrap_or_else(|| {
            let provider = candidate.provider.clone();
            self.pauses.push(Pause { provider, failures: 0, until: now });
            self.pauses.len() - 1
        });
        let pause = &mut self.pauses[at];
        pause.until = now.plus(candidate.backoff.wait(pause.failures, chance));
        pause.failures += 1;
    }

    /// Whether this request made another provider than this one fail before.
    pub(crate) fn broke_elsewhere(&self, candidate: &Candidate) -> bool {
        self.broken.iter().any(|provider| *provider != candidate.provider)
    }

    /// Whether a model is known to be no larger than one that was too small.
    pub(super) fn knows_too_small(&self, candidate: &Candidate) -> bool {
        let (Some(small), Some(window)) = (self.too_small, candidate.context_window) else {
            return false;
        };
        window <= small
    }

    /// How long a provider is still left in peace.
    pub(super) fn pause_left(&self, candidate: &Candidate, now: Mono) -> Duration {
        let pause = self.pauses.iter().find(|pause| pause.provider == candidate.provider);
        pause.map_or(Duration::ZERO, |pause| pause.until.since(now))
    }

    /// What is left of the deadline.
    pub(super) fn left(&self, now: Mono) -> Duration {
        self.rules.deadline.since(now)
    }
}
