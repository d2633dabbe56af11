//! Sends a stream: the events of an answer at their times, up to what the script says ends it.
//!
//! The whole answer is made first and then taken apart by its format, so that streamed
//! and unstreamed answers cannot differ. A stream in time has a task of its own that ends when the
//! client leaves; that counts as a cancelled call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;

use super::SharedState;
use super::ask::IncomingCall;
use super::behaviour::ProviderError;
use super::body::Sending;
use super::flow::{Fate, Flow, WireEvent};
use super::formats::{self, ServerFormat};
use super::wire::{HttpReply, Incoming};

/// Turns a whole answer into a stream of this flow.
pub(super) fn stream(
    shared: &Arc<SharedState>,
    number: u64,
    call: &Incoming,
    reply: &mut HttpReply,
    flow: &Flow,
) -> Sending {
    let format = formats::of(shared.kind);
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(items) = format.events(&body, call) else {
        return Sending::Whole(Bytes::from(format!("[{body}]")));
    };
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.stream_type()));
    let steps = steps(format, items, flow);
    if let [WriteStep::Send(bytes)] = &steps[..] {
        return Sending::Whole(Bytes::from(bytes.clone()));
    }
    let (sender, receiver) = mpsc::channel(1);
    let shared = Arc::clone(shared);
    let mut outage = shared.outage.subscribe();
    tokio::spawn(async move {
        let played = tokio::select! {
            played = play(steps, &sender) => played,
            () = sender.closed() => false,
            _ = outage.changed() => true,
        };
        if !played {
            shared.journal.cancelled(number);
        }
    });
    Sending::Live(receiver)
}

enum WriteStep {
    Send(Vec<u8>),
    Wait(Duration),
    /// Keeps the connection open until the client leaves.
    Stall,
    Break,
}

/// What is done when; what follows at once on one another is one piece.
fn steps(format: &dyn ServerFormat, items: Vec<WireEvent>, flow: &Flow) -> Vec<WriteStep> {
    let mut steps = Vec::new();
    let mut sent = 0;
    for item in items {
        match item {
            WireEvent::Token(text) => {
                if sent == 0 {
                    wait(format, flow, &mut steps);
                }
                if let Some((_, fate)) = flow.fate.filter(|(after, _)| *after == sent)
                    && ends(format, fate, &mut steps)
                {
                    return steps;
                }
                if sent > 0 && flow.pace > Duration::ZERO {
                    steps.push(WriteStep::Wait(flow.pace));
                }
                sent += 1;
                send(&mut steps, &text);
            }
            WireEvent::End(_) if flow.no_end => {}
            WireEvent::End(text) | WireEvent::Other(text) => send(&mut steps, &text),
        }
    }
    steps
}

fn send(steps: &mut Vec<WriteStep>, bytes: &[u8]) {
    match steps.last_mut() {
        Some(WriteStep::Send(before)) => before.extend_from_slice(bytes),
        _ => steps.push(WriteStep::Send(bytes.to_vec())),
    }
}

/// The time before the first token, with its pings.
fn wait(format: &dyn ServerFormat, flow: &Flow, steps: &mut Vec<WriteStep>) {
    let mut left = flow.first_after;
    while let Some(every) = flow.pings.filter(|every| *every > Duration::ZERO && *every < left) {
        steps.push(WriteStep::Wait(every));
        left -= every;
        send(steps, &format.keep_alive());
    }
    if left > Duration::ZERO {
        steps.push(WriteStep::Wait(left));
    }
}

/// Adds what a fate does; true when nothing follows it.
fn ends(format: &dyn ServerFormat, fate: Fate, steps: &mut Vec<WriteStep>) -> bool {
    match fate {
        Fate::Ends => {}
        Fate::Breaks => steps.push(WriteStep::Break),
        Fate::Stalls => steps.push(WriteStep::Stall),
        Fate::Malformed => {
            send(steps, &format.malformed());
            return false;
        }
        Fate::Fails(meaning) => {
            let ask = IncomingCall { model: "m".to_owned(), ..IncomingCall::default() };
            let reply = format.error(&ProviderError::new(meaning), "", &ask, 0);
            send(steps, &format.error_event(&reply));
        }
    }
    true
}

/// Plays a stream; false when the client left.
async fn play(steps: Vec<WriteStep>, sender: &mpsc::Sender<io::Result<Bytes>>) -> bool {
    for step in steps {
        let sent = match step {
            WriteStep::Send(bytes) => sender.send(Ok(Bytes::from(bytes))).await,
            WriteStep::Break => sender.send(Err(io::ErrorKind::BrokenPipe.into())).await,
            WriteStep::Stall => std::future::pending().await,
            WriteStep::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        };
        if sent.is_err() {
            return false;
        }
    }
    true
}
