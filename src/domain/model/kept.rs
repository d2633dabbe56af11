//! What is known of a model even if the state that decides about it is lost.
//!
//! A panic in the midst of a change may leave a [`ModelState`] half-changed, so it is thrown away
//! and made anew from this: what was last handed to the recorder, which is also what a restart
//! would bring back. A hold, the calls of the last minute and a probe's lease are lost with it, as
//! by a restart. The calls under way are not: their number is the owner's, and their permits
//! belong to the state that is gone.

use super::{Admission, ModelState, Settings, StoredModel};
use crate::domain::breaker::CircuitPermit;
use crate::domain::ledger::CallKind;
use crate::domain::time::{Now, Wall};
use crate::domain::window::Bucket;

/// A model's settings and what was stored of it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    settings: Settings,
    model: StoredModel,
    buckets: Vec<(Wall, Bucket)>,
}

impl Kept {
    /// All that would be stored of `state`.
    pub(crate) fn of(state: &ModelState, now: Now) -> Kept {
        Kept {
            settings: state.settings.clone(),
            model: state.stored(now),
            buckets: state.window.buckets().cloned().collect(),
        }
    }

    /// Takes note of a call that was stored in its bucket. Once per new bucket all of them are
    /// copied, because old ones may have been merged or forgotten.
    pub(crate) fn keep_call(&mut self, start: Wall, bucket: &Bucket, state: &ModelState, now: Now) {
        self.keep_circuit(state, now);
        let known = self.buckets.binary_search_by_key(&start, |&(start, _)| start);
        match known {
            Ok(at) if self.buckets.len() == state.window.len() => {
                self.buckets[at].1.clone_from(bucket);
            }
            _ => self.buckets = state.window.buckets().cloned().collect(),
        }
    }

    /// Takes note of a circuit that was stored.
    pub(crate) fn keep_circuit(&mut self, state: &ModelState, now: Now) {
        self.model = state.stored(now);
    }

    /// Takes new settings, before a state does.
    pub(crate) fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A state made of what is kept, with `in_flight` calls of the lost one still under way.
    pub(crate) fn rebuilt(&self, in_flight: u32, now: Now) -> ModelState {
        let mut state = ModelState::new(self.settings.clone(), now);
        state.restore(Some(&self.model), self.buckets.clone(), now);
        ModelState { in_flight, ..state }
    }
}

impl Admission {
    /// What the admission of a lost state is worth to the next one: its call is counted and takes
    /// its place in flight, but it changes no circuit, and nothing is reserved for it.
    pub(crate) fn stale(kind: CallKind) -> Admission {
        let permit = CircuitPermit::stale();
        Admission { permit, reserved_tokens: 0, displaces: false, kind }
    }
}
