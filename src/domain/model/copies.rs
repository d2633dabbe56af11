//! How a model stands towards copies of requests, and what is known of it through any call.
//!
//! A copy helps nobody who waits, so it gets only what callers leave: at most half of a limit per
//! minute, and its place among the calls at once is given to the first caller who needs it.

use std::time::Duration;

use crate::domain::breaker::Asker;
use crate::domain::ledger::CallKind;
use crate::domain::need::Verdict;
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::domain::window::Window;

/// How a model stands towards a copy of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CopyAvailability {
    /// Whether a call that is admitted now is the test of its circuit, although a copy can be.
    pub awaited: bool,
    /// How long until a copy may test its circuit, if ever.
    pub probe_in: Option<Duration>,
    /// What a copy would probably cost; nothing without a price.
    pub cost: Nano,
    /// When it was last found working or failing.
    pub data: Option<Wall>,
}

/// When a model was last found working or failing, and by whose call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Its last call that was decided either way.
    pub decided: Option<Wall>,
    /// Its last call that worked. After a restart, the start of the ten seconds in which it did.
    pub proven: Option<(Wall, CallKind)>,
}

impl Evidence {
    /// What the buckets still know of it.
    pub(super) fn restored(window: &Window) -> Evidence {
        let newest = |wanted: fn(&crate::domain::window::Bucket) -> bool| {
            window.buckets().filter(|(_, bucket)| wanted(bucket)).last()
        };
        let proven = newest(|bucket| bucket.success > 0);
        Evidence {
            decided: newest(|bucket| bucket.decided().calls() > 0).map(|(start, _)| *start),
            proven: proven.map(|(start, bucket)| (*start, bucket.kind())),
        }
    }

    /// Takes note of a call.
    pub(super) fn note(&mut self, verdict: Verdict, kind: CallKind, now: Wall) {
        if matches!(verdict, Verdict::Success | Verdict::Failure) {
            self.decided = Some(now);
        }
        if verdict == Verdict::Success {
            self.proven = Some((now, kind));
        }
    }
}

impl Asker {
    /// The kind of call it asks for.
    pub(crate) fn kind(self) -> CallKind {
        match self {
            Asker::Caller | Asker::Nearest => CallKind::Live,
            Asker::Shadow => CallKind::Shadow,
            Asker::Probe => CallKind::Probe,
        }
    }
}

/// Whether a call of this kind is made for no caller.
pub(super) fn is_copy(kind: CallKind) -> bool {
    matches!(kind, CallKind::Shadow | CallKind::Probe)
}
