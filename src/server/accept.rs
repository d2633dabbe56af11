//! Taking connections in.
//!
//! A machine out of descriptors gets a pause instead of a spinning loop, and goes on by itself.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::sleep;

use super::connection::{Connection, turn_away};
use super::{Phase, Server};

/// Pause after a failed accept, so that exhaustion neither spins nor parks.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until the daemon begins to end. Connections under way go on by themselves.
pub async fn serve(server: Rc<Server>, listener: UnixListener) {
    let mut phase = server.phase.clone();
    loop {
        tokio::select! {
            biased;
            ending = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(ending);
                return;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match server.budget.connect() {
                    Some(place) => {
                        let server = server.clone();
                        // All of it in its own task: a panic takes one client, never this loop.
                        actix::spawn(async move {
                            Connection::new(server, stream, place).run().await;
                        });
                    }
                    None => {
                        actix::spawn(turn_away(stream, server.rules().limits.connections));
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}
