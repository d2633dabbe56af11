//! New settings for a model that goes on living.
//!
//! A reload keeps the window, the circuit, the hold and the calls under way of every model whose
//! identity stays; only the rules they live by change.

use super::{Changes, ModelState, Settings};
use crate::domain::time::Now;

impl ModelState {
    /// Takes new settings. With `cured`, a circuit that was open for a reason that needs a person
    /// closes: the person has just done something about it.
    pub(crate) fn reconfigure(&mut self, settings: Settings, cured: bool, now: Now) -> Changes {
        self.breaker.set_rules(settings.breaker.clone(), settings.window);
        self.window.resize(settings.window, settings.retention);
        self.settings = settings;
        let mut changes = Changes::default();
        if let Some(change) = cured.then(|| self.breaker.cure(now)).flatten() {
            self.judged_from = self.window.judge_from(now.wall);
            changes.circuit.push(change);
        }
        changes.degraded = self.compare(now);
        changes
    }
}
