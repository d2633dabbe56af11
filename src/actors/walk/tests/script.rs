//! A provider that does what a script says, and remembers who was called when.
//!
//! It keeps the promises of [`Provider`]: a call ends within its limit, and dropping it ends it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::fault::Fault;
use crate::domain::price::Usage;
use crate::protocol::answer::{Answer, Finish};
use crate::provider::{Call, CallFuture, Failure, Outcome, Provider};

/// What one call gets.
#[derive(Clone)]
pub(super) struct Step {
    after: Duration,
    end: End,
}

#[derive(Clone)]
enum End {
    Answer(Finish, Option<Usage>),
    Fail(Failure),
    Hang,
    Panic,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) model: String,
    /// When it began, since the script's start.
    pub(super) at: Duration,
    pub(super) limit: Duration,
    pub(super) max_tokens: u32,
    pub(super) temperature: Option<f64>,
    /// Whether it was dropped before its end.
    pub(super) dropped: bool,
}

/// The script and its journal.
pub(super) struct Scripted {
    started: Instant,
    always: RefCell<HashMap<String, Step>>,
    once: RefCell<HashMap<String, VecDeque<Step>>>,
    made: RefCell<Vec<Made>>,
}

/// An answer that names its model.
pub(super) fn well() -> Step {
    let usage = Usage { input_tokens: 1000, output_tokens: 100, ..Usage::default() };
    Step { after: Duration::ZERO, end: End::Answer(Finish::Stop, Some(usage)) }
}

/// An answer that does not say what it consumed.
pub(super) fn well_without_usage() -> Step {
    Step { after: Duration::ZERO, end: End::Answer(Finish::Stop, None) }
}

/// A refusal that comes as an answer.
pub(super) fn blocked() -> Step {
    let usage = Usage { input_tokens: 1000, output_tokens: 10, ..Usage::default() };
    Step { after: Duration::ZERO, end: End::Answer(Finish::Refused, Some(usage)) }
}

/// A failure.
pub(super) fn fails(fault: Fault) -> Step {
    fails_with(Failure::new(fault, format!("the provider says {fault}")))
}

pub(super) fn fails_with(failure: Failure) -> Step {
    Step { after: Duration::ZERO, end: End::Fail(failure) }
}

/// A 429, with or without a hint in milliseconds.
pub(super) fn limited(hint_ms: Option<u64>) -> Step {
    let mut failure = Failure::new(Fault::RateLimited, "slow down").with_status(429);
    failure.retry_after = hint_ms.map(Duration::from_millis);
    fails_with(failure)
}

/// No answer ever.
pub(super) fn hangs() -> Step {
    Step { after: Duration::ZERO, end: End::Hang }
}

/// A fault of our own.
pub(super) fn panics() -> Step {
    Step { after: Duration::ZERO, end: End::Panic }
}

impl Step {
    /// The same, after this many milliseconds.
    pub(super) fn after(self, millis: u64) -> Step {
        Step { after: Duration::from_millis(millis), ..self }
    }

    async fn play(self, model: &str) -> Outcome {
        if !self.after.is_zero() {
            tokio::time::sleep(self.after).await;
        }
        match self.end {
            End::Answer(finish, usage) => Ok(Answer {
                content: Some(format!("{model} answers")),
                tool_calls: Vec::new(),
                finish,
                usage,
            }),
            End::Fail(failure) => Err(failure),
            End::Hang => std::future::pending().await,
            End::Panic => panic!("a fault of our own, for a test"),
        }
    }
}

impl Scripted {
    pub(super) fn new() -> Scripted {
        Scripted {
            started: Instant::now(),
            always: RefCell::default(),
            once: RefCell::default(),
            made: RefCell::default(),
        }
    }

    /// From now on the model does this.
    pub(super) fn always(&self, model: &str, step: Step) {
        self.always.borrow_mut().insert(model.to_owned(), step);
    }

    /// The model does this once, in the order of saying.
    pub(super) fn once(&self, model: &str, step: Step) {
        self.once.borrow_mut().entry(model.to_owned()).or_default().push_back(step);
    }

    /// All scripts are forgotten: every model answers.
    pub(super) fn heal(&self) {
        self.always.borrow_mut().clear();
        self.once.borrow_mut().clear();
    }

    /// Every call so far, in order of time.
    pub(super) fn made(&self) -> Vec<Made> {
        self.made.borrow().clone()
    }

    /// The calls of one model.
    pub(super) fn made_to(&self, model: &str) -> Vec<Made> {
        self.made().into_iter().filter(|made| made.model == model).collect()
    }

    /// How often a model was called.
    pub(super) fn count(&self, model: &str) -> usize {
        self.made_to(model).len()
    }

    /// Names of the models called, in order of time.
    pub(super) fn names(&self) -> Vec<String> {
        self.made().into_iter().map(|made| made.model).collect()
    }

    fn step(&self, model: &str) -> Step {
        let once = self.once.borrow_mut().get_mut(model).and_then(VecDeque::pop_front);
        let always = || self.always.borrow().get(model).cloned();
        once.or_else(always).unwrap_or_else(well)
    }
}

impl Provider for Scripted {
    fn call<'a>(&'a self, call: Call<'a>) -> CallFuture<'a> {
        let model = call.model.name.to_string();
        let step = self.step(&model);
        self.made.borrow_mut().push(Made {
            model: model.clone(),
            at: self.started.elapsed(),
            limit: call.limits.complete,
            max_tokens: call.max_tokens,
            temperature: call.temperature,
            dropped: false,
        });
        let number = self.made.borrow().len() - 1;
        Box::pin(async move {
            let mut watch = Watch { script: self, number, ended: false };
            let outcome = tokio::time::timeout(call.limits.complete, step.play(&model)).await;
            watch.ended = true;
            outcome.unwrap_or_else(|_| Err(Failure::new(Fault::Timeout, "no answer in time")))
        })
    }
}

/// Notes a call that is dropped.
struct Watch<'a> {
    script: &'a Scripted,
    number: usize,
    ended: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.script.made.borrow_mut()[self.number].dropped = true;
        }
    }
}
