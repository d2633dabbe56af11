//! Clients that watch the health log through their connection.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::protocol::request::EventType;
use crate::recorder::Recorder;
use crate::recorder::line::Logged;

/// One client's view of what is logged.
pub(super) struct Watcher {
    events: broadcast::Receiver<Arc<Logged>>,
    types: Vec<EventType>,
}

impl Watcher {
    /// Watches events of these `types`, or all if there are none, from now on.
    pub(super) fn new(recorder: &Recorder, types: Vec<EventType>) -> Watcher {
        Watcher { events: recorder.subscribe(), types }
    }

    /// The next line for the client: an event, or how many were lost because it lagged.
    pub(super) async fn next(watcher: &mut Option<Watcher>) -> String {
        let Some(watched) = watcher else { return std::future::pending().await };
        loop {
            match watched.events.recv().await {
                Ok(logged) if watched.wants(&logged) => {
                    return format!("{{\"log\":{}}}", logged.line());
                }
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => return format!("{{\"log_lost\":{lost}}}"),
                // The recorder has ended; nothing more will be logged.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn wants(&self, logged: &Logged) -> bool {
        self.types.is_empty() || logged.event.kind().is_some_and(|kind| self.types.contains(&kind))
    }
}
