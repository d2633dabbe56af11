//! The rig: actors over a configuration, a scripted provider, a recorder in a folder that goes
//! away, and paused time on both clocks.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr};
use futures_util::StreamExt;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::script::Scripted;
use crate::actors::dispatch::Services;
use crate::actors::guard::Rebuilds;
use crate::actors::router::{AskHealth, Route, RouterActor, SetBreaker};
use crate::actors::shadow::{Shadows, SpentOnDay, Terms};
use crate::actors::sink::{self, Answers, ChatAnswer, EventRoom, News, Told};
use crate::actors::table::Table;
use crate::clock::Clock;
use crate::config::{self, Config, Env};
use crate::domain::price::Nano;
use crate::domain::time::{Wall, millis};
use crate::protocol::chat::ChatRequest;
use crate::protocol::event::EventLine;
use crate::protocol::id::Id;
use crate::protocol::request::{BreakerOp, BreakerSet};
use crate::recorder::{Keeping, Recorder, RecorderSettings, Restored};

/// 2026-11-20T00:00:00Z
const START: u64 = 1_795_132_800_000;

/// Three models of three providers, and what the tests add to them.
pub(super) const THREE: &str = r#"
    [models.a]
    provider = "p"
    model_id = "a"
    [models.b]
    provider = "q"
    model_id = "b"
    [models.c]
    provider = "r"
    model_id = "c"
    [chains]
    default = ["a", "b", "c"]
"#;

/// Three models of one provider.
pub(super) const ONE_PROVIDER: &str = r#"
    [models.a]
    provider = "p"
    model_id = "a"
    [models.b]
    provider = "p"
    model_id = "b"
    [models.c]
    provider = "p"
    model_id = "c"
    [chains]
    default = ["a", "b", "c"]
"#;

thread_local! {
    static FAULTS: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// After `before` more readings of the clock, the next `times` panic: the way to a fault of our own
/// in a handler, each of which reads it once.
pub(super) fn faults(before: u32, times: u32) {
    FAULTS.set((before, times));
}

/// The rig.
pub(super) struct Rig {
    pub(super) script: Rc<Scripted>,
    pub(super) router: Addr<RouterActor>,
    pub(super) clock: Clock,
    pub(super) rebuilds: Rebuilds,
    pub(super) shadows: Shadows,
    recorder: Recorder,
    folder: TempDir,
}

/// A request that was sent.
pub(super) struct Asked {
    answers: Answers,
    /// The events that were read, and when.
    events: Vec<(Instant, Value)>,
}

/// Plays a scene on paused time.
pub(super) fn play(scene: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, scene());
}

/// Lets time pass.
pub(super) async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// This configuration behind four providers named `p` to `s`.
pub(super) fn configured(text: &str) -> Config {
    let providers: String = ["p", "q", "r", "s"]
        .map(|name| {
            format!(
                "[providers.{name}]\nkind = \"openai\"\nauth = \"none\"\n\
                 base_url = \"http://127.0.0.1:9/{name}\"\n"
            )
        })
        .concat();
    // Nothing happens behind the back of those who do not say that it should.
    let mut text = format!("{text}\n{providers}");
    if !text.contains("[shadow]") {
        text.push_str("[shadow]\nrate = 0\n");
    }
    if !text.contains("probe = ") {
        let live = "[breaker]\nprobe = \"live\"\n";
        text = if text.contains("[breaker]") {
            text.replace("[breaker]\n", live)
        } else {
            text + live
        };
    }
    let config = config::parse(&text, "test.toml", &Env::new(7, [("HOME", "/nonexistent")]));
    config.unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

impl Rig {
    /// A rig with this configuration.
    pub(super) fn new(text: &str) -> Rig {
        let config = configured(text);
        let began = Instant::now();
        let clock = Clock::with_wall(move || {
            let (before, times) = FAULTS.get();
            FAULTS.set((before.saturating_sub(1), times - u32::from(before == 0 && times > 0)));
            assert!(before > 0 || times == 0, "a fault of our own, for a test");
            Wall(START + millis(began.elapsed()))
        });
        let folder = tempfile::tempdir().unwrap();
        let settings = RecorderSettings {
            health_log: folder.path().join("health.jsonl"),
            state_dir: folder.path().join("state"),
            keeping: Keeping {
                max_size: 1 << 30,
                keep: 1,
                store_size: 1 << 30,
                fine: Duration::from_secs(600),
                retention: config.retention,
                ledger_retention: Duration::from_secs(86_400),
                zone: jiff::tz::TimeZone::UTC,
            },
            // Paused time would run ahead of the thread that writes.
            patience: Duration::ZERO,
            clock: Clock::system(),
        };
        let (recorder, _) = Recorder::start(settings, &[], clock.now()).unwrap();
        let rebuilds = Rebuilds::none();
        let table = Table::start(&config, Restored::default(), &clock, &recorder, &rebuilds);
        let script = Rc::new(Scripted::new());
        let terms = Terms { rules: config.shadow, zone: TimeZone::UTC, busy_at: 512 };
        // The ledger's thread would not answer in paused time.
        let spent: SpentOnDay = Rc::new(|_, _| Box::pin(async { Some(Nano(0)) }));
        let shadows = Shadows::start(terms, script.clone(), &recorder, &clock, spent);
        let services = Services {
            provider: script.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            rebuilds: rebuilds.clone(),
            shadows: shadows.clone(),
        };
        let router = RouterActor::new(table, services).start();
        Rig { script, router, clock, rebuilds, shadows, recorder, folder }
    }

    /// Sends a request and goes on.
    pub(super) fn send(&self, mut request: Value) -> Asked {
        if request.get("messages").is_none() {
            request["messages"] = json!([{ "role": "user", "content": "hello" }]);
        }
        let line = request.to_string();
        let mut request: Box<ChatRequest> = serde_json::from_str(&line).unwrap();
        request.bytes = line.len();
        // As little as there can be, so that a caller who does not listen is soon waited for.
        let room = EventRoom::new(1);
        let (sink, answers) = sink::channel(request.stream.then_some(&room));
        let arrived = self.clock.now();
        self.router.do_send(Route { request, sink, arrived, peer_uid: Some(7) });
        Asked { answers, events: Vec::new() }
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn ask(&self, request: Value) -> Value {
        self.send(request).reply().await
    }

    /// The plainest request.
    pub(super) async fn hello(&self) -> Value {
        self.ask(json!({})).await
    }

    /// A model's health, as the `health` operation shows it.
    pub(super) async fn health(&self, model: &str) -> Value {
        let health = self.router.send(AskHealth(None)).await.unwrap();
        serde_json::to_value(&health[model]).unwrap()
    }

    /// The state of a model's circuit.
    pub(super) async fn state(&self, model: &str) -> String {
        self.health(model).await["breaker"]["state"].as_str().unwrap().to_owned()
    }

    /// Sets an override.
    pub(super) async fn set_override(
        &self,
        model: &str,
        set: BreakerSet,
        during: Option<Duration>,
    ) {
        let op = BreakerOp { model: model.to_owned(), set, during };
        self.router.send(SetBreaker { op, peer_uid: Some(7) }).await.unwrap().unwrap();
    }

    /// Everything that was logged, after the last message has arrived.
    pub(super) async fn log(self) -> Vec<Value> {
        pass(1.0).await;
        assert!(self.recorder.close(Duration::from_secs(10)), "the recorder did not close");
        let log = std::fs::read_to_string(self.folder.path().join("health.jsonl")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Asked {
    /// Waits for the reply.
    pub(super) async fn reply(self) -> Value {
        self.heard().await.1
    }

    /// Waits for the reply; gives the events before it, too.
    pub(super) async fn heard(mut self) -> (Vec<Value>, Value) {
        let reply = self.listen().await;
        // Once the request has ended, nothing more may come.
        tokio::task::yield_now().await;
        assert!(self.answers.next().await.is_none(), "{reply}");
        let events: Vec<Value> = self.events.into_iter().map(|(_, event)| event).collect();
        holds_together(&events, &reply);
        (events, reply)
    }

    /// Tells that the client gives the request up, and waits for what it is told.
    pub(super) async fn cancelled(mut self) -> Value {
        assert!(self.answers.cancel());
        self.reply().await
    }

    /// The next event, and how many seconds it took since `began`.
    pub(super) async fn event(&mut self, began: Instant) -> (f64, Value) {
        let Some(News::Event(told)) = self.answers.next().await else { panic!("no event") };
        self.note(&told);
        let (at, event) = self.events.last().unwrap();
        (at.duration_since(began).as_secs_f64(), event.clone())
    }

    async fn listen(&mut self) -> Value {
        loop {
            match self.answers.next().await.expect("every request gets a reply") {
                News::Event(told) => self.note(&told),
                News::Answer(ChatAnswer::Chat(outcome)) => {
                    return serde_json::to_value(outcome.line(Id::Null)).unwrap();
                }
                News::Answer(ChatAnswer::Plan(plan)) => {
                    return serde_json::to_value(&plan).unwrap();
                }
            }
        }
    }

    fn note(&mut self, told: &Told) {
        let line = EventLine { id: &Id::Null, event: &told.event };
        self.events.push((Instant::now(), serde_json::to_value(line).unwrap()));
    }
}

/// The rule of every stream: one start before all else, and the texts since the last restart are
/// the answer.
fn holds_together(events: &[Value], reply: &Value) {
    let is = |kind: &'static str| move |event: &&Value| event["event"] == kind;
    let starts = events.iter().filter(is("start")).count();
    assert!(starts == usize::from(!events.is_empty()), "{events:?}");
    assert!(events.first().is_none_or(|first| first["event"] == "start"), "{events:?}");
    if reply["ok"] != true || events.is_empty() {
        return;
    }
    let since = events.iter().rposition(|event| event["event"] == "restart").unwrap_or(0);
    let deltas = events[since..].iter().filter(is("delta"));
    let text: String = deltas.map(|delta| delta["content"].as_str().unwrap()).collect();
    assert_eq!(text, reply["content"].as_str().unwrap_or_default(), "{events:?}");
    let calls: Vec<_> =
        events.iter().filter(is("tool_call")).map(|event| &event["tool_call"]).collect();
    assert_eq!(json!(calls), json!(reply["tool_calls"].as_array().cloned().unwrap_or_default()));
}

/// The models of a reply's attempts with what became of each, such as `a overloaded`,
/// `b circuit_open` or `c answered`.
pub(super) fn tried(reply: &Value) -> Vec<String> {
    let word = |attempt: &Value| {
        let text = |name: &str| attempt[name].as_str().map(str::to_owned);
        let what = text("error_type").or_else(|| text("reason")).or_else(|| text("outcome"));
        format!("{} {}", attempt["model"].as_str().unwrap(), what.unwrap())
    };
    reply["attempts"].as_array().unwrap().iter().map(word).collect()
}

/// The error code of a reply.
pub(super) fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or("none")
}

/// Lines of one kind.
pub(super) fn lines<'a>(log: &'a [Value], event: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["event"] == event).collect()
}
