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

/// Longer than any deadline in the demo.
const PATIENCE: Duration = Duration::from_secs(12);

/// One connection.
pub(super) struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    sent: u64,
}

/// The parts of a chat's reply that the demo looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reply {
    pub(super) ok: bool,
    pub(super) content: Option<String>,
    pub(super) model_used: String,
    pub(super) used_fallback: bool,
    pub(super) latency_ms: u64,
    pub(super) request_cost_usd: Option<f64>,
    pub(super) primary_cost_usd: Option<f64>,
    pub(super) error: Option<ErrorPart>,
    pub(super) attempts: Vec<Attempt>,
}

/// Why there is no answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorPart {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after_ms: Option<u64>,
}

/// One model that was asked or left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attempt {
    pub(super) model: String,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    pub(super) error_type: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) latency_ms: Option<u64>,
    pub(super) retry_in_ms: Option<u64>,
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

    /// One model's part of `health`.
    pub(super) async fn health(&mut self, model: &str) -> Result<Value, Trouble> {
        let mut reply = self.exchange(json!({"op": "health"})).await?;
        Ok(reply["models"][model].take())
    }

    /// The state of one model's circuit.
    pub(super) async fn circuit(&mut self, model: &str) -> Result<String, Trouble> {
        let health = self.health(model).await?;
        Ok(health["breaker"]["state"].as_str().unwrap_or_default().to_owned())
    }
}

impl Reply {
    /// Reads a reply as that of a chat.
    pub(super) fn read(reply: Value) -> Result<Reply, Trouble> {
        serde_json::from_value(reply).map_err(Trouble::Reply)
    }

    /// Whether this model gave the answer.
    pub(super) fn is_by(&self, model: &str) -> bool {
        self.ok && self.model_used == model
    }

    /// Whether this model was left out for this reason.
    pub(super) fn left_out(&self, model: &str, reason: &str) -> bool {
        let fits = |attempt: &Attempt| {
            attempt.model == model
                && attempt.outcome == "skipped"
                && attempt.reason.as_deref() == Some(reason)
        };
        self.attempts.iter().any(fits)
    }

    /// How the calls of this model ended: nothing, or the type of the error.
    pub(super) fn calls_of(&self, model: &str) -> Vec<Option<&str>> {
        let calls = self.attempts.iter();
        let calls = calls.filter(|call| call.model == model && call.outcome != "skipped");
        calls.map(|call| call.error_type.as_deref()).collect()
    }

    /// The error's code; nothing when there was an answer.
    pub(super) fn error_code(&self) -> &str {
        self.error.as_ref().map_or("", |error| error.code.as_str())
    }
}
