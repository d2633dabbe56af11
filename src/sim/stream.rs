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

use super::Shared;
use super::ask::Ask;
use super::behaviour::ErrorReply;
use super::body::Sending;
use super::flow::{Fate, Flow, Item};
use super::formats::{self, Format};
use super::wire::{Incoming, Outgoing};

/// Turns a whole answer into a stream of this flow.
pub(super) fn stream(
    shared: &Arc<Shared>,
    number: u64,
    call: &Incoming,
    reply: &mut Outgoing,
    flow: &Flow,
) -> Sending {
    let format = formats::of(shared.kind);
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(items) = format.events(&body, call) else {
        return Sending::Whole(Bytes::from(format!("[{body}]")));
    };
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.stream_type()));
    let steps = steps(format, items, flow);
    if let [Step::Send(bytes)] = &steps[..] {
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

enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Keeps the connection open until the client leaves.
    Stall,
    Break,
}

/// What is done when; what follows at once on one another is one piece.
fn steps(format: &dyn Format, items: Vec<Item>, flow: &Flow) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut sent = 0;
    for item in items {
        match item {
            Item::Token(text) => {
                if sent == 0 {
                    wait(format, flow, &mut steps);
                }
                if let Some((_, fate)) = flow.fate.filter(|(after, _)| *after == sent)
                    && ends(format, fate, &mut steps)
                {
                    return steps;
                }
                if sent > 0 && flow.pace > Duration::ZERO {
                    steps.push(Step::Wait(flow.pace));
                }
                sent += 1;
                send(&mut steps, &text);
            }
            Item::End(_) if flow.no_end => {}
            Item::End(text) | Item::Other(text) => send(&mut steps, &text),
        }
    }
    steps
}

fn send(steps: &mut Vec<Step>, bytes: &[u8]) {
    match steps.last_mut() {
        Some(Step::Send(before)) => before.extend_from_slice(bytes),
        _ => steps.push(Step::Send(bytes.to_vec())),
    }
}

/// The time before the first token, with its pings.
fn wait(format: &dyn Format, flow: &Flow, steps: &mut Vec<Step>) {
    let mut left = flow.first_after;
    while let Some(every) = flow.pings.filter(|every| *every > Duration::ZERO && *every < left) {
        steps.push(Step::Wait(every));
        left -= every;
        send(steps, &format.keep_alive());
    }
    if left > Duration::ZERO {
        steps.push(Step::Wait(left));
    }
}

/// Adds what a fate does; true when nothing follows it.
fn ends(format: &dyn Format, fate: Fate, steps: &mut Vec<Step>) -> bool {
    match fate {
        Fate::Ends => {}
        Fate::Breaks => steps.push(Step::Break),
        Fate::Stalls => steps.push(Step::Stall),
        Fate::Malformed => {
            send(steps, &format.malformed());
            return false;
        }
        Fate::Fails(meaning) => {
            let ask = Ask { model: "m".to_owned(), ..Ask::default() };
            let reply = format.error(&ErrorReply::new(meaning), "", &ask, 0);
            send(steps, &format.error_event(&reply));
        }
    }
    true
}

/// Plays a stream; false when the client left.
async fn play(steps: Vec<Step>, sender: &mpsc::Sender<io::Result<Bytes>>) -> bool {
    for step in steps {
        let sent = match step {
            Step::Send(bytes) => sender.send(Ok(Bytes::from(bytes))).await,
            Step::Break => sender.send(Err(io::ErrorKind::BrokenPipe.into())).await,
            Step::Stall => std::future::pending().await,
            Step::Wait(time) => {
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
