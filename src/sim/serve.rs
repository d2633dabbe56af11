//! One call, from the request to the reply: journal, script, checks, answer.
//!
//! The order is fixed: a call is written down before anything else happens, so that a test that
//! waits for it finds it; then the script decides; only then is the request checked as the provider
//! would. If the client leaves meanwhile the future is dropped, and a guard notes that.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::ask::IncomingCall;
use super::behaviour::{Behaviour, Meaning, ProviderError};
use super::body::Sending;
use super::flow::{Fate, Flow};
use super::formats::{self, ServerFormat};
use super::journal::{CallJournal, Seen};
use super::wire::{AccessRules, HttpReply, Incoming};
use super::{SharedState, stream};

/// What a call gets; `None` is a reset connection.
pub(super) async fn serve(
    shared: &Arc<SharedState>,
    call: Incoming,
) -> Option<(HttpReply, Sending)> {
    let format = formats::of(shared.kind);
    let model = format.model(&call).to_owned();
    let behaviour = shared.script().take(&model);
    // Both before the call is written down: who waits for it may act at once.
    let mut released = shared.released.subscribe();
    let outage = shared.outage.subscribe();
    let number = shared.journal.arrive(|| seen(shared, &call, &model, &behaviour));
    let mut guard = Guard { journal: &shared.journal, outage, number, done: false };
    let behaviour = wait(behaviour).await;
    let asked = Asked { format, call: &call, model: &model, number };
    let streams = format.asks_to_stream(&call);
    let reply = match &behaviour {
        Behaviour::Hang => pending().await,
        Behaviour::Stream(flow) if !streams => {
            tokio::time::sleep(flow.first_after).await;
            Some(asked.unstreamed(&shared.rules(), flow))
        }
        Behaviour::ResetBeforeHeaders | Behaviour::ResetOnConnect => None,
        Behaviour::Held => {
            let _ = released.changed().await;
            Some(asked.reply(&shared.rules(), &behaviour))
        }
        _ => Some(asked.reply(&shared.rules(), &behaviour)),
    };
    guard.done = true;
    let mut reply = reply?;
    shared.journal.answered(number, reply.status);
    let sending = match &behaviour {
        Behaviour::HugeBody(blanks) => {
            Sending::Padded { blanks: *blanks, then: reply.body.clone() }
        }
        Behaviour::Stream(flow) if streams && !flow.plain => {
            stream::stream(shared, number, &call, &mut reply, flow)
        }
        Behaviour::Stream(flow) if !streams => match flow.unstreamed() {
            Some(Fate::Ends | Fate::Breaks | Fate::Malformed) => Sending::half(&reply.body),
            Some(Fate::Stalls) => Sending::stuck(&reply.body),
            Some(Fate::Fails(_)) | None => Sending::Whole(reply.body.clone()),
        },
        _ if streams && behaviour.is_an_answer() && reply.status == 200 => {
            let sending = stream::stream(shared, number, &call, &mut reply, &Flow::default());
            match (&behaviour, sending) {
                (Behaviour::TruncatedBody, Sending::Whole(all)) => Sending::half(&all),
                (_, sending) => sending,
            }
        }
        Behaviour::TruncatedBody => Sending::half(&reply.body),
        _ => Sending::Whole(reply.body.clone()),
    };
    Some((reply, sending))
}

struct Guard<'a> {
    journal: &'a CallJournal,
    outage: watch::Receiver<()>,
    number: u64,
    done: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // In an outage it is the provider who leaves.
        if !self.done && matches!(self.outage.has_changed(), Ok(false)) {
            self.journal.cancelled(self.number);
        }
    }
}

async fn wait(mut behaviour: Behaviour) -> Behaviour {
    while let Behaviour::After(time, then) = behaviour {
        if time > Duration::ZERO {
            tokio::time::sleep(time).await;
        }
        behaviour = *then;
    }
    behaviour
}

fn seen(shared: &SharedState, call: &Incoming, model: &str, served: &Behaviour) -> Seen {
    let headers = call.headers.iter();
    let query = if call.query.is_empty() { "" } else { "?" };
    Seen {
        number: 0,
        at: shared.started.elapsed(),
        path: format!("{}{query}{}", call.path, call.query),
        model: model.to_owned(),
        headers: headers
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
        body: call.body.clone(),
        served: served.clone(),
        status: None,
        cancelled: false,
    }
}

/// A call and what is known about it.
struct Asked<'a> {
    format: &'static dyn ServerFormat,
    call: &'a Incoming,
    model: &'a str,
    number: u64,
}

impl Asked<'_> {
    fn reply(&self, rules: &AccessRules, behaviour: &Behaviour) -> HttpReply {
        match behaviour {
            Behaviour::Error(error) => self.error(error),
            Behaviour::Odd(odd) => self.format.odd(*odd, &self.unread(), self.number),
            Behaviour::NotJson => HttpReply::html(200),
            Behaviour::Html404 => HttpReply::html(404),
            Behaviour::EchoKey => {
                let message = format!("Incorrect API key provided: {}", self.format.key(self.call));
                self.error(&ProviderError::saying(Meaning::Auth, message))
            }
            Behaviour::Raw { status, headers, body } => {
                let reply = HttpReply::new(*status, "application/json", body.clone());
                headers.iter().fold(reply, |reply, (name, value)| reply.with(name, value))
            }
            Behaviour::Say(text) => self.answer(rules, Some(text)),
            Behaviour::Stream(flow) => self.answer(rules, flow.text.as_deref()),
            _ => self.answer(rules, None),
        }
    }

    fn unstreamed(&self, rules: &AccessRules, flow: &Flow) -> HttpReply {
        match flow.unstreamed() {
            Some(Fate::Fails(meaning)) => self.error(&ProviderError::new(meaning)),
            _ => self.answer(rules, flow.text.as_deref()),
        }
    }

    fn answer(&self, rules: &AccessRules, scripted: Option<&str>) -> HttpReply {
        if let Some(other) = self.format.other(self.call, rules, self.number) {
            return other;
        }
        match self.format.read(self.call, rules) {
            Ok(ask) => self.format.answer(&ask, &ask.reply(scripted), self.number),
            Err(error) => self.error(&error),
        }
    }

    fn error(&self, error: &ProviderError) -> HttpReply {
        self.format.error(error, self.format.key(self.call), &self.unread(), self.number)
    }

    /// As much of a request as can be said without checking it.
    fn unread(&self) -> IncomingCall {
        let chars = match &self.call.body {
            Value::Null => 0,
            body => body.to_string().len(),
        };
        IncomingCall { model: self.model.to_owned(), chars, ..IncomingCall::default() }
    }
}
