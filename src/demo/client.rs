//! A client as anybody would write it: JSON lines over the Unix socket.
//!
//! It knows nothing of the daemon but its socket and reads only what a reply really says, so what
//! the demo tells is what a program gets to see. Every wait has an end: a daemon that does not
//! answer fails the demo and never hangs it.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::Trouble;
use crate::domain::breaker::State;
use crate::domain::fault::Fault;
use crate::domain::need::SkipReason;
use crate::protocol::health::Health;
use crate::protocol::reply::{
    Answered, Attempt, AttemptOutcome, ErrorBody, ErrorCode, Outcome, Success,
};

/// Longer than any deadline in the demo.
const PATIENCE: Duration = Duration::from_secs(12);

pub(super) struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    sent: u64,
}

impl Client {
    /// Connects to a daemon.
    pub(super) async fn connect(socket: &Path) -> Result<Client, Trouble> {
        let stream = UnixStream::connect(socket).await.map_err(Trouble::Client)?;
        let (reader, writer) = stream.into_split();
        Ok(Client { lines: BufReader::new(reader).lines(), writer, sent: 0 })
    }

    /// Sends one request without waiting for its reply.
    pub(super) async fn send(&mut self, mut request: Value) -> Result<(), Trouble> {
        self.sent += 1;
        request["id"] = self.sent.into();
        let line = format!("{request}\n");
        self.writer.write_all(line.as_bytes()).await.map_err(Trouble::Client)
    }

    /// The next reply, whichever request it is for.
    pub(super) async fn next(&mut self) -> Result<Value, Trouble> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.map_err(|_| Trouble::too_slow("a reply over the socket"))?;
        let line = line.map_err(Trouble::Client)?.ok_or(Trouble::HungUp)?;
        serde_json::from_str(&line).map_err(Trouble::Reply)
    }

    /// Sends one request and reads its reply.
    pub(super) async fn exchange(&mut self, request: Value) -> Result<Value, Trouble> {
        self.send(request).await?;
        self.next().await
    }

    /// How all models are doing.
    pub(super) async fn health(&mut self) -> Result<Health, Trouble> {
        let reply = self.exchange(json!({"op": "health"})).await?;
        Ok(Success::<Health>::deserialize(reply).map_err(Trouble::Reply)?.found)
    }

    /// The state of one model's circuit.
    pub(super) async fn circuit(&mut self, model: &str) -> Result<Option<State>, Trouble> {
        Ok(self.health().await?.models.get(model).map(|model| model.breaker.state))
    }
}

/// The final line of a chat, and what can be claimed about it.
pub(super) struct ChatReply(pub(super) Outcome);

impl ChatReply {
    /// Reads a line as that of a chat.
    pub(super) fn read(line: Value) -> Result<ChatReply, Trouble> {
        Outcome::read(line).map(ChatReply).map_err(Trouble::Reply)
    }

    /// The answer; nothing when there was an error.
    pub(super) fn answered(&self) -> Option<&Answered> {
        self.0.result.as_deref().ok()
    }

    /// The error; nothing when there was an answer.
    pub(super) fn error(&self) -> Option<&ErrorBody> {
        self.0.result.as_ref().err()
    }

    /// Whether this model gave the answer.
    pub(super) fn is_by(&self, model: &str) -> bool {
        self.answered().is_some_and(|answered| *answered.model_used == *model)
    }

    /// From the request's arrival to its answer, in milliseconds; 0 without one.
    pub(super) fn latency_ms(&self) -> u64 {
        self.answered().map_or(0, |answered| answered.latency_ms)
    }

    /// The text of the answer.
    pub(super) fn content(&self) -> Option<&str> {
        self.answered()?.content.as_deref()
    }

    /// What became of this model, try by try.
    fn tries_of(&self, model: &str) -> impl Iterator<Item = &Attempt> {
        self.0.attempts.iter().filter(move |tried| *tried.model == *model)
    }

    /// Whether this model was left out for this reason.
    pub(super) fn left_out(&self, model: &str, reason: SkipReason) -> bool {
        self.tries_of(model).any(|tried| tried.reason == Some(reason))
    }

    /// How the calls of this model ended: nothing, or the kind of failure.
    pub(super) fn calls_of(&self, model: &str) -> Vec<Option<Fault>> {
        let calls = self.tries_of(model).filter(|tried| tried.outcome != AttemptOutcome::Skipped);
        calls.map(|call| call.error_type).collect()
    }

    /// Whether it is an error of this kind.
    pub(super) fn failed_with(&self, code: ErrorCode) -> bool {
        self.error().is_some_and(|error| error.code == code)
    }
}
