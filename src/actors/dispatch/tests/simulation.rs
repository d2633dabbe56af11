//! Hours of random trouble in milliseconds: what must hold whatever happens.
//!
//! Each world is made from a seed: faults that come and go, streams that break in the middle, callers
//! who leave, second calls beside slow ones, deadlines of all lengths, chains of their own,
//! overrides. Safety is looked at all the time; then everything is
//! healed, and every model must serve again (liveness). A failing world prints its seed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::rig::{ONE_PROVIDER, Rig, THREE, lines, pass, play};
use super::script::{
    Step, blocked, calls_a_tool, fails, fails_with, hangs, limited, panics, says, silent, well,
};
use crate::domain::fault::Fault;
use crate::protocol::request::BreakerSet;
use crate::provider::Failure;

const MODELS: [&str; 3] = ["a", "b", "c"];
const WORLDS: u64 = 40;
const CALLERS: usize = 100;

/// What the callers of one world met.
#[derive(Default)]
struct Met {
    answered: Cell<usize>,
    failed: Cell<usize>,
    left: Cell<usize>,
    /// Streams that began again.
    restarted: Cell<usize>,
    /// Calls that another one outran.
    outrun: Cell<usize>,
}

#[test]
fn random_trouble_breaks_no_promise_and_ends_with_everybody_serving() {
    let mut totals = (0, 0, 0);
    let mut streams = (0, 0);
    for seed in 0..WORLDS {
        // The daemon's own dice are those of this thread.
        fastrand::seed(seed);
        let met = Rc::new(Met::default());
        let (for_world, mut rng) = (Rc::clone(&met), Rng::with_seed(seed));
        let world = std::panic::AssertUnwindSafe(move || {
            play(async || world(&mut rng, for_world).await);
        });
        if let Err(panic) = std::panic::catch_unwind(world) {
            panic!("world {seed}: {:?}", panic.downcast_ref::<String>());
        }
        totals.0 += met.answered.get();
        totals.1 += met.failed.get();
        totals.2 += met.left.get();
        streams.0 += met.restarted.get();
        streams.1 += met.outrun.get();
    }
    let (answered, failed, left) = totals;
    assert!(answered > 500 && failed > 100 && left > 100, "the worlds are too tame: {totals:?}");
    assert!(streams.0 > 20 && streams.1 > 30, "their streams are too tame: {streams:?}");
}

async fn world(rng: &mut Rng, met: Rc<Met>) {
    let rig = Rc::new(Rig::new(&configuration(rng)));
    let trouble = tokio::task::spawn_local(trouble(Rc::clone(&rig), rng.fork()));
    let callers = (0..CALLERS).map(|_| {
        let (rig, met, mut rng) = (Rc::clone(&rig), Rc::clone(&met), rng.fork());
        tokio::task::spawn_local(async move { caller(&rig, &met, &mut rng).await })
    });
    for caller in join_all(callers.collect::<Vec<_>>()).await {
        caller.unwrap();
    }
    trouble.abort();
    let _ = trouble.await;
    settled(&rig).await;
    alive(&rig).await;
    let requests = met.answered.get() + met.failed.get() + met.left.get();
    agrees(Rc::try_unwrap(rig).ok().unwrap(), requests).await;
}

fn configuration(rng: &mut Rng) -> String {
    let text = if rng.bool() { THREE } else { ONE_PROVIDER };
    let limits = ["", "max_in_flight = 3", "requests_per_minute = 20"];
    let limit = limits[rng.usize(..limits.len())];
    let text = text.replace("model_id = \"b\"", &format!("model_id = \"b\"\n{limit}"));
    let hedged = "default = { models = [\"a\", \"b\", \"c\"], hedge_after = \"2s\" }";
    let text = match rng.bool() {
        true => text.replace("default = [\"a\", \"b\", \"c\"]", hedged),
        false => text,
    };
    let all_open = if rng.bool() { "nearest" } else { "fail" };
    // In half of the worlds circuits open late, or there would be few models left to rescue a stream.
    let failures = if rng.bool() { rng.u32(1..5) } else { 30 };
    // In half of them copies of requests go about, too.
    let (probe, rate) = if rng.bool() { ("shadow", 0.5) } else { ("live", 0.0) };
    format!(
        "[retry]\nmax = {}\n[breaker]\nwhen_all_open = \"{all_open}\"\nfailures = {failures}\n\
         failure_rate = 0.9\nprobe = \"{probe}\"\n[shadow]\nrate = {rate:?}\n{text}",
        rng.u32(0..4),
    )
}

/// What complete answers say, beside the plain one. Broken ones say a part of it.
const SKY: &str = "The sky is blue";
const SEA: &str = "The sea";

/// An answer told word by word, or a part of one.
fn stream(rng: &mut Rng) -> Step {
    let every = [1, 300, 3000, 3000, 12_000][rng.usize(..5)];
    let ends = [fails(Fault::StreamCut), fails(Fault::BadBody), fails(Fault::Overloaded), hangs()];
    let stream = match rng.u32(..8) {
        0 | 1 => says(SKY),
        2 => says("The sky").and_untold(" is blue"),
        3 => says(SEA),
        4 => says("The sky is ").then(well()).and_untold("blue"),
        5 => says("The sky is ").then(ends[rng.usize(..4)].clone()),
        6 => says("The ").then(ends[rng.usize(..4)].clone()),
        _ => return silent(),
    };
    if rng.bool() { stream.every(every) } else { stream.every(every).thinking(2) }
}

/// What a model does next.
fn step(rng: &mut Rng) -> Step {
    if rng.u32(..4) > 0 {
        return stream(rng);
    }
    let faults = [Fault::Overloaded, Fault::BadBody, Fault::Reset, Fault::Auth, Fault::ModelGlitch];
    let step = match rng.u32(..13) {
        0..=2 => well(),
        3..=6 => fails(faults[rng.usize(..faults.len())]),
        7 => limited(rng.bool().then(|| rng.u64(1..200_000))),
        8 => hangs(),
        9 => blocked(),
        10 => {
            let mut failure = Failure::new(Fault::ServerError, "no");
            failure.should_retry = Some(rng.bool());
            fails_with(failure)
        }
        11 => calls_a_tool(),
        _ => fails(Fault::ALL[rng.usize(..Fault::ALL.len())]),
    };
    step.after([0, 5, 800, 20_000][rng.usize(..4)])
}

/// Models get ill and well again, and people meddle.
async fn trouble(rig: Rc<Rig>, mut rng: Rng) {
    loop {
        let model = MODELS[rng.usize(..3)];
        rig.script.always(model, step(&mut rng));
        if rng.u32(..40) == 0 {
            rig.script.once(model, panics());
        }
        if rng.u32(..15) == 0 {
            let set = [BreakerSet::Open, BreakerSet::Closed, BreakerSet::Auto][rng.usize(..3)];
            let during = Duration::from_secs(rng.u64(1..600));
            rig.set_override(model, set, Some(during)).await;
        }
        pass(rng.f64() * 60.0).await;
    }
}

async fn caller(rig: &Rig, met: &Met, rng: &mut Rng) {
    pass(rng.f64() * 3600.0).await;
    let timeout = [0.05, 1.0, 10.0, 300.0][rng.usize(..4)];
    let mut request = json!({ "timeout": timeout });
    if rng.u32(..4) == 0 {
        request["models"] = json!([MODELS[rng.usize(..3)]]);
    }
    if rng.bool() {
        request["on_refusal"] = json!("fallback");
    }
    request["stream"] = json!(rng.u32(..3) > 0);
    if rng.u32(..4) == 0 {
        request["on_interrupt"] = json!("fail");
    }
    if rng.u32(..4) == 0 {
        // Or too few streams would break that somebody can rescue.
        rig.script.once("a", says("The sky is ").then(fails(Fault::StreamCut)).every(1));
        rig.script.once("b", well());
    }
    let sent = Instant::now();
    let asked = rig.send(request);
    if rng.u32(..4) == 0 {
        let patience = rng.f64() * timeout;
        if tokio::time::timeout(Duration::from_secs_f64(patience), asked.reply()).await.is_err() {
            met.left.set(met.left.get() + 1);
        } else {
            met.answered.set(met.answered.get() + 1);
        }
        return;
    }
    // What was heard is held against the reply in there.
    let (events, reply) = asked.heard().await;
    let took = sent.elapsed().as_secs_f64();
    assert!(took <= timeout + 0.01, "{took} of {timeout}: {reply}");
    told(&reply);
    let restarts = events.iter().filter(|event| event["event"] == "restart").count();
    met.restarted.set(met.restarted.get() + restarts);
    let outrun = |attempt: &&Value| attempt["outcome"] == "cancelled";
    let outrun = reply["attempts"].as_array().unwrap().iter().filter(outrun).count();
    met.outrun.set(met.outrun.get() + outrun);
    let count = if reply["ok"] == true { &met.answered } else { &met.failed };
    count.set(count.get() + 1);
}

/// A reply says who answered, and what became of everybody it names.
fn told(reply: &Value) {
    let attempts = reply["attempts"].as_array().unwrap();
    let answered: Vec<_> = attempts.iter().filter(|a| a["outcome"] == "answered").collect();
    match reply["ok"] == true {
        true => {
            assert!(answered.len() == 1 && answered[0]["model"] == reply["model_used"], "{reply}");
            let whole = format!("{} answers", reply["model_used"].as_str().unwrap());
            let content = reply["content"].as_str();
            let wholes = [None, Some(SKY), Some(SEA), Some(&*whole)];
            assert!(wholes.contains(&content), "a part of an answer: {reply}");
        }
        false => assert!(answered.is_empty() && reply["error"]["message"].is_string(), "{reply}"),
    }
    for attempt in attempts {
        let skipped = attempt["outcome"] == "skipped";
        assert_eq!(attempt["reason"].is_string(), skipped, "{reply}");
        assert_eq!(attempt["latency_ms"].is_u64(), !skipped, "{reply}");
        assert_eq!(attempt["error_type"].is_string(), attempt["outcome"] == "failed", "{reply}");
    }
}

/// Nobody is forgotten: no call is under way once every caller has gone, and copies have had their
/// time.
async fn settled(rig: &Rig) {
    pass(61.0).await;
    for model in MODELS {
        assert_eq!(rig.health(model).await["in_flight"], 0, "{model}");
    }
}

/// Once all is well and the longest pause is over, every model serves again.
async fn alive(rig: &Rig) {
    rig.script.heal();
    pass(3700.0).await;
    for model in MODELS {
        let reply = rig.ask(json!({ "models": [model] })).await;
        assert_eq!(reply["ok"], true, "{model}: {reply}");
        assert_eq!(rig.state(model).await, "closed", "{model}");
    }
}

/// The log has a line for every call the provider saw, and one for every request.
async fn agrees(rig: Rig, requests: usize) {
    let made = MODELS.map(|model| rig.script.count(model));
    let log = rig.log().await;
    let calls = lines(&log, "call");
    let logged = MODELS.map(|model| calls.iter().filter(|c| c["model_name"] == model).count());
    assert_eq!(logged, made);
    assert_eq!(lines(&log, "request").len(), requests + MODELS.len());
    for model in MODELS {
        one_probe_at_a_time(model, &log);
    }
}

/// Between two probes of a half-open circuit stands the line of the first one's call. A person's
/// order takes the word from a probe that is under way, so that another may begin.
fn one_probe_at_a_time(model: &str, log: &[Value]) {
    let mut probes = 0;
    for line in log.iter().filter(|line| line["model_name"] == model) {
        let reason = line["reason"].as_str().unwrap_or_default();
        match line["event"].as_str().unwrap() {
            "breaker" if reason.ends_with("one probe is let through") => probes += 1,
            "breaker" => probes = 0,
            "call" if line["counted"] == true => probes = 0,
            _ => {}
        }
        assert!(probes <= 1, "two probes of {model} at once: {line}");
    }
}
