//! Waits within a walk: before a repeat, and between two models of one provider.
//!
//! Nobody waits for a model whose circuit is open; whoever waits leaves when it opens. No wait
//! outlives the deadline.

use std::sync::Arc;
use std::time::Duration;

use super::super::model::OpenUntil;
use super::attempt::Failed;
use super::{ModelHandle, Walk};
use crate::config::Retry;
use crate::domain::fault::{Again, Fault};
use crate::domain::pace::Backoff;
use crate::domain::time::Mono;

/// Until when each provider is left in peace by this request.
#[derive(Default)]
pub(super) struct Pauses(Vec<Pause>);

struct Pause {
    provider: Arc<str>,
    failures: u32,
    until: Mono,
}

impl Pauses {
    /// Takes note of a failed call.
    pub(super) fn note(&mut self, model: &ModelHandle, fault: Fault, now: Mono) {
        if !fault.slows_the_provider() {
            return;
        }
        let name = &model.config.provider.name;
        let at = self.0.iter().position(|pause| pause.provider == *name).unwrap_or_else(|| {
            self.0.push(Pause { provider: name.clone(), failures: 0, until: now });
            self.0.len() - 1
        });
        let pause = &mut self.0[at];
        let wait = backoff(&model.config.retry).wait(pause.failures, fastrand::f64());
        pause.failures += 1;
        pause.until = now.plus(wait);
    }

    /// How long a provider is still left in peace.
    pub(super) fn left(&self, provider: &str, now: Mono) -> Duration {
        let pause = self.0.iter().find(|pause| &*pause.provider == provider);
        pause.map_or(Duration::ZERO, |pause| pause.until.since(now))
    }
}

impl Walk<'_> {
    /// How long to wait before the same model is called again; `None` if it is not.
    pub(super) fn repeat_in(
        &self,
        model: &ModelHandle,
        failed: &Failed,
        repeats: u32,
    ) -> Option<Duration> {
        let retry = &model.config.retry;
        if repeats >= retry.max || failed.should_retry == Some(false) {
            return None;
        }
        let wait = match failed.fault.meaning().again {
            Again::Never => None,
            Again::Repeat => Some(backoff(retry).wait(repeats, fastrand::f64())),
            Again::AfterHint => {
                failed.hinted_hold.filter(|wait| *wait <= retry.wait_for_retry_after)
            }
        };
        wait.filter(|wait| *wait < self.left())
    }

    /// Waits; false when the model's circuit is open or opens meanwhile. One that is half-open is
    /// waited for: it may be this call that closes it.
    pub(super) async fn wait(&self, model: &ModelHandle, wait: Duration) -> bool {
        let mut open_until = model.open_until.clone();
        let is_open = |until: &OpenUntil| until.is_some_and(|u| !u.passed(self.means.clock.now()));
        tokio::select! {
            biased;
            opened = open_until.wait_for(is_open) => opened.is_err(),
            () = tokio::time::sleep(wait) => true,
        }
    }
}

fn backoff(retry: &Retry) -> Backoff {
    Backoff { base: retry.base, cap: retry.cap }
}
