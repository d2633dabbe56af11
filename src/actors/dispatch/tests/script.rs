//! A provider that does what a script says, and remembers who was called when.
//!
//! It keeps the promises of [`Provider`]: a call ends within its limits, dropping it ends it, and
//! nothing is read from it faster than its listener listens.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::fault::Fault;
use crate::domain::pace::Limits;
use crate::domain::price::{Nano, Usage};
use crate::protocol::answer::{Answer, Finish};
use crate::protocol::chat::{ChatRequest, Role, ToolCall};
use crate::provider::{Call, CallResult, Failure, Provider, Step as News, Steps};

/// What one call gets.
#[derive(Clone)]
pub(super) struct Step {
    after: Duration,
    /// What is told before the end, and how long after what was before; `None` is life without
    /// text. An answer that tells nothing is not streamed.
    told: Vec<(Duration, Option<String>)>,
    /// The whole text, if it is neither what was told nor the usual one.
    text: Option<String>,
    end: End,
}

#[derive(Clone)]
enum End {
    Answer(Finish, Option<Usage>),
    Tools,
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
    pub(super) limits: Limits,
    pub(super) max_tokens: Option<u32>,
    pub(super) temperature: Option<f64>,
    /// Texts of its system messages.
    pub(super) systems: Vec<String>,
    /// Whether it was dropped before its end.
    pub(super) dropped: bool,
}

/// The script and its journal.
pub(super) struct Scripted {
    started: Instant,
    always: RefCell<HashMap<String, Step>>,
    once: RefCell<HashMap<String, VecDeque<Step>>>,
    made: RefCell<Vec<Made>>,
    running: Cell<usize>,
    most: Cell<usize>,
}

fn at_once(end: End) -> Step {
    Step { after: Duration::ZERO, told: Vec::new(), text: None, end }
}

/// A streamed answer, a word every tenth of a second.
pub(super) fn says(words: &str) -> Step {
    let told = words.split_inclusive(' ').map(str::to_owned);
    let told = told.map(|word| (Duration::from_millis(100), Some(word))).collect();
    Step { told, ..well() }
}

/// A stream that never begins to answer.
pub(super) fn silent() -> Step {
    Step { told: vec![(Duration::MAX, None)], ..well() }
}

/// An answer that calls a tool and says nothing.
pub(super) fn calls_a_tool() -> Step {
    at_once(End::Tools)
}

/// An answer that names its model.
pub(super) fn well() -> Step {
    let usage = Usage { input_tokens: 1000, output_tokens: 100, ..Usage::default() };
    at_once(End::Answer(Finish::Stop, Some(usage)))
}

/// An answer that does not say what it consumed.
pub(super) fn well_without_usage() -> Step {
    at_once(End::Answer(Finish::Stop, None))
}

/// An answer of which the provider says what it cost.
pub(super) fn well_for(cost: Nano) -> Step {
    let usage = Usage { input_tokens: 1000, output_tokens: 100, ..Usage::default() };
    at_once(End::Answer(Finish::Stop, Some(Usage { told_cost: Some(cost), ..usage })))
}

/// A refusal that comes as an answer.
pub(super) fn blocked() -> Step {
    let usage = Usage { input_tokens: 1000, output_tokens: 10, ..Usage::default() };
    at_once(End::Answer(Finish::Refused, Some(usage)))
}

/// A failure.
pub(super) fn fails(fault: Fault) -> Step {
    fails_with(Failure::new(fault, format!("the provider says {fault}")))
}

pub(super) fn fails_with(failure: Failure) -> Step {
    at_once(End::Fail(failure))
}

/// A 429, with or without a hint in milliseconds.
pub(super) fn limited(hint_ms: Option<u64>) -> Step {
    let mut failure = Failure::new(Fault::RateLimited, "slow down").with_status(429);
    failure.retry_after = hint_ms.map(Duration::from_millis);
    fails_with(failure)
}

/// No answer ever.
pub(super) fn hangs() -> Step {
    at_once(End::Hang)
}

/// A fault of our own.
pub(super) fn panics() -> Step {
    at_once(End::Panic)
}

impl Step {
    /// The same, after this many milliseconds.
    pub(super) fn after(self, millis: u64) -> Step {
        Step { after: Duration::from_millis(millis), ..self }
    }

    /// The same with this long between its words.
    pub(super) fn every(mut self, millis: u64) -> Step {
        self.told.iter_mut().for_each(|(wait, _)| *wait = Duration::from_millis(millis));
        self
    }

    /// The same, thinking so often before it speaks.
    pub(super) fn thinking(mut self, times: usize) -> Step {
        self.told.splice(0..0, vec![(Duration::from_millis(1000), None); times]);
        self
    }

    /// The same, with text at its end of which nothing was told.
    pub(super) fn and_untold(self, rest: &str) -> Step {
        let told: String = self.told.iter().filter_map(|(_, word)| word.as_deref()).collect();
        Step { text: Some(told + rest), ..self }
    }

    /// The same, ending like that.
    pub(super) fn then(self, other: Step) -> Step {
        Step { end: other.end, ..self }
    }

    /// What a call with these limits gets: news with the time before each, then the end.
    fn plan(self, model: &str, limits: Limits) -> Plan {
        let Limits { first, idle, complete, whole } = limits;
        let streamed = !self.told.is_empty();
        let mut limit = match streamed {
            true => (first, Fault::FirstTokenTimeout),
            false => (complete.saturating_sub(self.after), Fault::Timeout),
        };
        let late = |(wait, fault)| (wait, End::Fail(Failure::new(fault, "no answer in time")));
        let told: String = self.told.iter().filter_map(|(_, word)| word.as_deref()).collect();
        let mut plan = Plan {
            news: VecDeque::new(),
            end: (Duration::ZERO, self.end.clone()),
            content: String::new(),
        };
        let mut before = self.after;
        for (wait, word) in self.told {
            if wait >= limit.0 {
                plan.end = late(limit);
                plan.end.0 += before;
                return plan;
            }
            plan.news.push_back((before + wait, word.map_or(News::Life, News::Text)));
            before = Duration::ZERO;
            limit = (idle, Fault::StreamStalled);
        }
        if matches!(self.end, End::Hang) {
            plan.end = late((limit.0.min(whole), limit.1));
        }
        plan.end.0 += before;
        let usual = if streamed { told } else { format!("{model} answers") };
        plan.content = self.text.unwrap_or(usual);
        plan
    }
}

/// A call under way.
struct Plan {
    news: VecDeque<(Duration, News)>,
    end: (Duration, End),
    content: String,
}

impl Plan {
    fn outcome(self) -> CallResult {
        match self.end.1 {
            End::Answer(finish, usage) => {
                let content = Some(self.content);
                Ok(answer(content, Vec::new(), finish, usage))
            }
            End::Tools => Ok(answer(None, vec![tool_call()], Finish::ToolCalls, None)),
            End::Fail(failure) => Err(failure),
            End::Hang => unreachable!("it became a failure"),
            End::Panic => panic!("a fault of our own, for a test"),
        }
    }
}

fn answer(
    content: Option<String>,
    tool_calls: Vec<ToolCall>,
    finish: Finish,
    usage: Option<Usage>,
) -> Answer {
    // What a model thought belongs to its calls.
    let thinks = !tool_calls.is_empty();
    let kept = serde_json::Map::from_iter([("signature".to_owned(), "s".into())]);
    let reasoning_content = thinks.then(|| "hm".to_owned());
    let provider_data = thinks.then_some(kept);
    Answer { content, tool_calls, reasoning_content, provider_data, finish, usage }
}

fn tool_call() -> ToolCall {
    let call = r#"{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    serde_json::from_str(call).unwrap()
}

fn systems(request: &ChatRequest) -> Vec<String> {
    let systems = request.messages.iter().filter(|message| message.role == Role::System);
    let texts = systems.filter_map(|message| message.content.as_ref()).flat_map(|it| it.texts());
    texts.map(str::to_owned).collect()
}

impl Scripted {
    pub(super) fn new() -> Scripted {
        Scripted {
            started: Instant::now(),
            always: RefCell::default(),
            once: RefCell::default(),
            made: RefCell::default(),
            running: Cell::default(),
            most: Cell::default(),
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

    /// Most calls that were ever under way at once.
    pub(super) fn most_at_once(&self) -> usize {
        self.most.get()
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
    fn call<'a>(&'a self, call: Call<'a>) -> Steps<'a> {
        let model = call.model.name.to_string();
        let step = self.step(&model);
        self.made.borrow_mut().push(Made {
            model: model.clone(),
            at: self.started.elapsed(),
            limit: call.limits.complete,
            limits: call.limits,
            max_tokens: call.max_tokens,
            temperature: call.temperature,
            systems: systems(call.request),
            dropped: false,
        });
        let number = self.made.borrow().len() - 1;
        self.running.set(self.running.get() + 1);
        self.most.set(self.most.get().max(self.running.get()));
        let watch = Watch { script: self, number, ended: false };
        let whole = if step.told.is_empty() { call.limits.complete } else { call.limits.whole };
        let deadline = Instant::now().checked_add(whole);
        let plan = step.plan(&model, call.limits);
        Box::pin(futures_util::stream::unfold(Some((plan, watch)), move |state| async move {
            let (mut plan, mut watch) = state?;
            let next = plan.news.pop_front();
            let wait = next.as_ref().map_or(plan.end.0, |(wait, _)| *wait);
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let in_time = tokio::select! {
                biased;
                () = pass(wait) => true,
                () = late => false,
            };
            if let Some((_, news)) = next.filter(|_| in_time) {
                return Some((news, Some((plan, watch))));
            }
            watch.end();
            let late = || Err(Failure::new(Fault::Timeout, "no answer in time"));
            Some((News::End(if in_time { plan.outcome() } else { late() }), None))
        }))
    }
}

/// What comes next comes in another packet, be it at once.
async fn pass(wait: Duration) {
    match wait.is_zero() {
        true => tokio::task::yield_now().await,
        false => tokio::time::sleep(wait).await,
    }
}

/// Notes a call that is dropped.
struct Watch<'a> {
    script: &'a Scripted,
    number: usize,
    ended: bool,
}

impl Watch<'_> {
    fn end(&mut self) {
        self.ended = true;
        self.script.running.set(self.script.running.get() - 1);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
            self.script.made.borrow_mut()[self.number].dropped = true;
        }
    }
}
