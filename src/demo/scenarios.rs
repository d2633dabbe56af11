//! The story: seven scenarios, each a fault, what the daemon makes of it, and what must be true then.
//!
//! What is claimed is looked up where it cannot be made up: in the reply that the client got, in
//! the daemon's health, and in the journal of the simulated provider. Scenarios wait for conditions,
//! never for time. They follow each other: the circuit that opens in the second closes in the
//! sixth, and those in between use other models.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::Trouble;
use super::fixture::Fixture;
use super::printer::Printer;
use crate::domain::breaker::State;
use crate::domain::fault::Fault;
use crate::domain::need::SkipReason;
use crate::protocol::reply::ErrorCode;
use crate::sim::{Behaviour, Fate, Flow};

const SOON: Duration = Duration::from_millis(20);
/// How often health is asked when a change is awaited, and how long.
const LOOK: Duration = Duration::from_millis(25);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Plays everything in order.
pub(super) async fn play(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    all_well(fixture, printer).await?;
    primary_down(fixture, printer).await?;
    rate_limit(fixture, printer).await?;
    hanging(fixture, printer).await?;
    broken_streams(fixture, printer).await?;
    recovery(fixture, printer).await?;
    everything_down(fixture, printer).await?;
    fixture.providers.recover()
}

async fn all_well(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "1 All is well",
        "The first model of the chain answers. Two more requests name their model\n\
         themselves, so that each of the three wire formats is spoken once.",
    );
    let first = fixture.ask(chat("complex_reasoning")).await?;
    printer.show(&first);
    let mut others = Vec::new();
    for model in ["claude-sonnet-4-6", "gemini-2.5-flash"] {
        let mut request = chat("complex_reasoning");
        request["models"] = json!([model]);
        let reply = fixture.ask(request).await?;
        printer.show(&reply);
        others.push(reply.is_by(model));
    }
    let primary =
        first.is_by("gpt-4o") && first.answered().is_some_and(|answered| !answered.used_fallback);
    printer.claim(primary, "gpt-4o, the first of its chain, answered");
    let text = first.content().unwrap_or_default();
    printer.claim(text.ends_with(PROMPT), "the answer's text came through unchanged");
    let each = fixture.providers.all().iter().all(|provider| provider.counts().calls == 1);
    let spoken = each && others.iter().all(|ok| *ok);
    printer.claim(spoken, "OpenAI, Anthropic and Google each got and answered one call");
    Ok(())
}

async fn primary_down(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "2 The primary is down",
        "gpt-4o says 503 to everything. A call is repeated once, then the next model is\n\
         asked. After three failed calls in a row the circuit opens.",
    );
    let openai = fixture.providers.openai.clone();
    openai.set_for("gpt-4o", Behaviour::overloaded().after(SOON));
    let before = openai.calls_for("gpt-4o").len();
    let mut replies = Vec::new();
    for _ in 0..2 {
        replies.push(fixture.ask(chat("complex_reasoning")).await?);
        printer.show(&replies[replies.len() - 1]);
    }
    let failed = openai.calls_for("gpt-4o").len() - before;
    let circuit = fixture.client.circuit("gpt-4o").await?;
    let third = fixture.ask(chat("complex_reasoning")).await?;
    printer.show(&third);
    let untouched = openai.calls_for("gpt-4o").len() - before == failed
        && third.left_out("gpt-4o", SkipReason::CircuitOpen);
    replies.push(third);
    let answered = replies.iter().all(|reply| reply.is_by("claude-sonnet-4-6"));
    printer.claim(answered, "claude-sonnet-4-6 answered all three requests");
    let exactly = failed == 3 && circuit == Some(State::Open);
    printer.claim(exactly, "the circuit opened after exactly 3 calls, repeats included");
    printer.claim(untouched, "the third request did not touch gpt-4o");
    Ok(())
}

async fn rate_limit(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "3 A rate limit",
        "gpt-4o-mini says 429: first \"retry after 1 s\", which is short enough to wait\n\
         for, then \"retry after 20 s\", which is not.",
    );
    let openai = fixture.providers.openai.clone();
    openai.push_for("gpt-4o-mini", Behaviour::rate_limited(Some("1")).after(SOON));
    let short = fixture.ask(chat("simple_generation")).await?;
    printer.show(&short);
    openai.push_for("gpt-4o-mini", Behaviour::rate_limited(Some("20")).after(SOON));
    let long = fixture.ask(chat("simple_generation")).await?;
    printer.show(&long);
    let before = openai.calls_for("gpt-4o-mini").len();
    let next = fixture.ask(chat("simple_generation")).await?;
    printer.show(&next);
    let limited = Some(Fault::RateLimited);
    let waited = short.is_by("gpt-4o-mini")
        && short.latency_ms() >= 1_000
        && short.calls_of("gpt-4o-mini") == [limited, None];
    printer.claim(waited, "the short pause was kept, then the same model answered");
    let moved_on = long.is_by("gemini-2.5-flash") && long.calls_of("gpt-4o-mini") == [limited];
    printer.claim(moved_on, "with the long one the next model was asked at once");
    let held = next.is_by("gemini-2.5-flash")
        && next.left_out("gpt-4o-mini", SkipReason::RateLimited)
        && openai.calls_for("gpt-4o-mini").len() == before;
    printer.claim(held, "the next caller knew, and left gpt-4o-mini alone");
    Ok(())
}

async fn hanging(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "4 A model hangs",
        "claude-haiku-4-5 takes the request and never answers. The request has 3 s in\n\
         all; the first text of this model may take 800 ms of them.",
    );
    let anthropic = fixture.providers.anthropic.clone();
    anthropic.set_for("claude-haiku-4-5", Behaviour::Hang);
    let cancelled = anthropic.counts().cancelled;
    let mut request = chat("document_analysis");
    request["timeout"] = "3s".into();
    let reply = fixture.ask(request).await?;
    printer.show(&reply);
    let answered = reply.is_by("gemini-2.5-flash") && reply.latency_ms() < 3_000;
    printer.claim(answered, "gemini-2.5-flash answered within the deadline");
    let timed_out = reply.calls_of("claude-haiku-4-5") == [Some(Fault::FirstTokenTimeout)];
    printer.claim(timed_out, "the timeout was not repeated, since that would take too long");
    let hung_up = timeout(LONGEST_WAIT, anthropic.wait_cancelled(cancelled + 1)).await;
    printer.claim(hung_up.is_ok(), "the silent call was hung up; nothing is left behind");
    Ok(())
}

async fn broken_streams(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "5 A stream breaks",
        "A streamed answer breaks off in the middle, twice. Another model is asked for\n\
         the whole of it: first it says the same, then something else.",
    );
    const RIVERS: &str = "Rhine, Nile, Amazon.";
    let breaks = || Behaviour::from(Flow { pace: SOON, ..Flow::fated(RIVERS, 3, Fate::Breaks) });
    let (anthropic, google) =
        (fixture.providers.anthropic.clone(), fixture.providers.google.clone());
    google.set_for("gemini-2.5-flash", breaks());
    anthropic.set_for("claude-haiku-4-5", Behaviour::Say(RIVERS.to_owned()));
    let mut request = chat("document_analysis");
    request["models"] = json!(["gemini-2.5-flash", "claude-haiku-4-5"]);
    let (told, same) = fixture.stream(request).await?;
    printer.show(&same);
    anthropic.set_for("claude-haiku-4-5", breaks());
    google.set_for("gemini-2.5-flash", Behaviour::Say("Danube, Volga, Po.".to_owned()));
    let (told_anew, other) = fixture.stream(chat("document_analysis")).await?;
    printer.show(&other);
    google.set_for("gemini-2.5-flash", Behaviour::delay(SOON));
    anthropic.set_for("claude-haiku-4-5", Behaviour::delay(SOON));
    let cut = [Some(Fault::StreamCut)];
    let rescued = same.is_by("claude-haiku-4-5") && same.calls_of("gemini-2.5-flash") == cut;
    let rescued_too = other.is_by("gemini-2.5-flash") && other.calls_of("claude-haiku-4-5") == cut;
    printer.claim(rescued && rescued_too, "both broke off, and both callers got a whole answer");
    let (restarts, text) = heard(&told);
    let quiet = restarts == 0 && same.content() == Some(&*text) && text == RIVERS;
    printer.claim(quiet, "the same words went on where they had ended, and none came twice");
    let (restarts, text) = heard(&told_anew);
    let anew = restarts == 1 && other.content() == Some(&*text);
    printer.claim(anew, "before other words the caller was told to forget the first ones");
    Ok(())
}

/// How often a stream began again, and its text since the last time.
fn heard(events: &[Value]) -> (usize, String) {
    let parts: Vec<&[Value]> = events.split(|event| event["event"] == "restart").collect();
    let last = parts.last().copied().unwrap_or_default();
    (parts.len() - 1, last.iter().filter_map(|event| event["content"].as_str()).collect())
}

async fn recovery(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "6 Recovery",
        "gpt-4o is well again, and its circuit has been open for 3 s: half-open. Three\n\
         requests come at once, and one of them may try it.",
    );
    half_open(fixture).await?;
    let openai = fixture.providers.openai.clone();
    // The probe waits until the others have their answers: so they cannot have waited for it.
    openai.set_for("gpt-4o", Behaviour::Held);
    let before = openai.calls_for("gpt-4o").len();
    for _ in 0..3 {
        fixture.client.send(chat("complex_reasoning")).await?;
    }
    let mut replies = Vec::new();
    for _ in 0..2 {
        replies.push(fixture.reply().await?);
    }
    let others = replies.iter().all(|reply| {
        reply.is_by("claude-sonnet-4-6") && reply.left_out("gpt-4o", SkipReason::CircuitOpen)
    });
    openai.set_for("gpt-4o", Behaviour::delay(SOON));
    openai.release();
    replies.push(fixture.reply().await?);
    let probes = openai.calls_for("gpt-4o").len() - before;
    let last = fixture.ask(chat("complex_reasoning")).await?;
    for reply in replies.iter().chain([&last]) {
        printer.show(reply);
    }
    let probe = probes == 1 && replies[2].is_by("gpt-4o");
    printer.claim(probe, "exactly one request reached gpt-4o, and got its answer there");
    printer.claim(others, "the other two had theirs from the next model, without waiting");
    let closed = fixture.client.circuit("gpt-4o").await? == Some(State::Closed);
    let first = closed && last.is_by("gpt-4o") && last.0.attempts.len() == 1;
    printer.claim(first, "the circuit is closed, and gpt-4o is back in first place");
    Ok(())
}

async fn everything_down(fixture: &mut Fixture, printer: &mut Printer) -> Result<(), Trouble> {
    printer.scenario(
        "7 Everything is down",
        "gpt-4o says 503, Anthropic refuses connections, gemini-2.5-flash says 500. There\n\
         is no answer to be had, but there is a clear error.",
    );
    fixture.providers.openai.set_for("gpt-4o", Behaviour::overloaded().after(SOON));
    fixture.providers.anthropic.down().map_err(Trouble::Simulator)?;
    fixture.providers.google.set_for("gemini-2.5-flash", Behaviour::server_error().after(SOON));
    let first = fixture.ask(chat("complex_reasoning")).await?;
    printer.show(&first);
    let second = fixture.ask(chat("complex_reasoning")).await?;
    printer.show(&second);
    let before = fixture.providers.calls();
    let third = fixture.ask(chat("complex_reasoning")).await?;
    printer.show(&third);
    let error = third.error();
    printer.quote(error.map_or("", |error| error.message.as_str()));
    let chain = ["gpt-4o", "claude-sonnet-4-6", "gemini-2.5-flash"];
    let tried = [&first, &second].iter().all(|reply| {
        let all = chain.iter().all(|model| !reply.calls_of(model).is_empty());
        reply.failed_with(ErrorCode::AllModelsFailed) && all
    });
    printer.claim(tried, "the first two errors list every model and what was wrong with it");
    let open = chain.iter().all(|model| third.left_out(model, SkipReason::CircuitOpen));
    let at_once = third.failed_with(ErrorCode::NoModelAvailable)
        && open
        && fixture.providers.calls() == before;
    printer.claim(at_once, "then all circuits are open: the third fails at once, without a call");
    let again = error.and_then(|error| error.retry_after_ms.millis());
    printer.claim(again.is_some_and(|wait| wait > 0), "and it says when asking again may help");
    Ok(())
}

/// Waits until the time of the open circuit is over.
async fn half_open(fixture: &mut Fixture) -> Result<(), Trouble> {
    let waiting = async {
        while fixture.client.circuit("gpt-4o").await? != Some(State::HalfOpen) {
            sleep(LOOK).await;
        }
        Ok(())
    };
    let waited = timeout(LONGEST_WAIT, waiting).await;
    waited.unwrap_or_else(|_| Err(Trouble::too_slow("the half-open circuit of gpt-4o")))
}

const PROMPT: &str = "Name three rivers.";

fn chat(task: &str) -> Value {
    json!({"task": task, "messages": [{"role": "user", "content": PROMPT}]})
}
