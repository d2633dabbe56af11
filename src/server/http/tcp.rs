//! Clients on TCP, taken in one after the other. All of them together are one user.

use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::super::{Caller, EVENTS, Phase, Server};
use super::FrontDoor;
use crate::actors::sink::EventRoom;

/// Pause after a failed accept, so that exhaustion neither spins nor parks.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until the daemon begins to end. Connections under way go on by themselves.
pub(crate) async fn serve(server: Rc<Server>, listener: TcpListener) {
    let mut phase = server.phase.clone();
    let mut failing = false;
    loop {
        tokio::select! {
            biased;
            ending = phase.wait_for(|phase| *phase != Phase::Serving) => {
                drop(ending);
                return;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    failing = false;
                    take_in(&server, stream, &listener);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot accept a connection on TCP; trying again");
                    }
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

/// A client that finds no place is let go at once; its library says that and tries again.
fn take_in(server: &Rc<Server>, stream: TcpStream, listener: &TcpListener) {
    let Some(place) = server.budget.connect() else { return };
    let port = listener.local_addr().ok().map(|address| address.port()).unwrap_or_default();
    // Events are small and must not wait for each other; without it they are only later.
    let _ = stream.set_nodelay(true);
    let caller = Caller::of_network(EventRoom::new(EVENTS));
    let door = FrontDoor { server: server.clone(), caller, port: Some(port) };
    actix::spawn(super::serve(door, stream, place));
}
