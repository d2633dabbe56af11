//! The daemon, its providers, and one request per format and way.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use fallbackd::config::Kind;
use fallbackd::sim::{Background, Behaviour, Flow, Seen};
use serde_json::{Value, json};

use super::harness::{Daemon, Setup, Stopwatch};

pub(crate) const KINDS: [Kind; 4] = Kind::ALL;

pub(crate) const WAYS: [Way; 3] = [Way::Streamed, Way::Gathered, Way::Plain];

/// To the first content of a stream, and between two pieces of it.
pub(crate) const SILENCE: u64 = 1_000;

/// For an answer that is not streamed.
pub(crate) const ATTEMPT: u64 = 1_500;

/// What a busy machine may add to any time, in milliseconds.
pub(crate) const SLACK: u64 = 3_000;

/// Two calls of one request to one provider within this time are as many as there may be.
const CROWDED: Duration = Duration::from_millis(1_500);

/// How an answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The caller streams.
    Streamed,
    /// The caller wants one answer, the daemon streams.
    Gathered,
    /// The provider is never asked for a stream.
    Plain,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    First,
    Second,
    /// Nobody; the caller gets this code.
    Error(&'static str),
}

/// Sixty tokens of four characters.
pub(crate) fn text_of(letter: char) -> String {
    (0..60).map(|number| format!("{letter}{number:02} ")).collect()
}

/// A good stream of the model asked first.
pub(crate) fn good() -> Flow {
    let pace = Duration::from_millis(2);
    Flow { text: Some(text_of('a')), pace, ..Flow::default() }
}

/// The answer of the backup.
pub(crate) fn backup() -> Behaviour {
    Behaviour::from(Flow { text: Some(text_of('b')), ..good() })
}

/// A daemon with a primary of each format and a backup.
pub(crate) struct Fixture {
    pub(crate) daemon: Daemon,
    primaries: Vec<Background>,
    backup: Background,
}

impl Fixture {
    /// `first` and `second` are settings of the models asked first and second.
    pub(crate) fn new(first: &str, second: &str) -> Fixture {
        Fixture::with(first, second, "")
    }

    /// The same with more sections.
    pub(crate) fn with(first: &str, second: &str, sections: &str) -> Fixture {
        let primaries: Vec<_> =
            KINDS.into_iter().map(|kind| Background::start(kind).unwrap()).collect();
        let backup = Background::start(Kind::Anthropic).unwrap();
        backup.set(self::backup());
        let limits = format!(
            "[timeouts]\nfirst_token = \"{SILENCE}ms\"\nidle = \"{SILENCE}ms\"\n\
             attempt = \"{ATTEMPT}ms\""
        );
        let mut setup = Setup::new().toml(&limits).toml(sections).provider("backup", &backup);
        for (kind, primary) in KINDS.into_iter().zip(&primaries) {
            setup = setup.provider(kind.name(), primary);
            setup = setup.provider(&format!("{}-plain", kind.name()), primary);
            setup = setup.toml("upstream_stream = \"never\"");
            for way in WAYS {
                let suffix = if way == Way::Plain { "-plain" } else { "" };
                let provider = format!("{}{suffix}", kind.name());
                setup = setup.model(&name("first", kind, way), &provider, first);
                setup = setup.model(&name("second", kind, way), "backup", second);
            }
        }
        Fixture { daemon: setup.start(), primaries, backup }
    }

    /// What calls of the model asked first get, for one format in one way.
    pub(crate) fn script(&self, script: impl Fn(&Background, &str)) {
        for (kind, primary) in KINDS.into_iter().zip(&self.primaries) {
            WAYS.into_iter().for_each(|way| script(primary, &name("first", kind, way)));
        }
    }

    /// The same for the model asked second.
    pub(crate) fn script_backup(&self, behaviour: &Behaviour) {
        self.backup.set(behaviour.clone());
    }

    /// All calls of the model asked first, of all requests in this format and way.
    pub(crate) fn all_first(&self, run: &Run) -> Vec<Seen> {
        let primary = &self.primaries[KINDS.iter().position(|kind| *kind == run.kind).unwrap()];
        primary.calls_for(&name("first", run.kind, run.way))
    }

    /// The providers of the models asked first.
    pub(crate) fn primaries(&self) -> &[Background] {
        &self.primaries
    }

    /// Sends the same request for every format in every way, all at once.
    pub(crate) fn play(&self, request: &Value) -> Vec<Run> {
        thread::scope(|scope| {
            let all = KINDS.into_iter().flat_map(|kind| WAYS.map(|way| (kind, way)));
            let all: Vec<_> =
                all.map(|(kind, way)| scope.spawn(move || self.run(kind, way, request))).collect();
            all.into_iter().map(|run| run.join().unwrap()).collect()
        })
    }

    /// Sends one request and takes all its lines.
    pub(crate) fn run(&self, kind: Kind, way: Way, request: &Value) -> Run {
        let models = [name("first", kind, way), name("second", kind, way)];
        let mut request = request.clone();
        request["models"] = json!(models);
        request["stream"] = json!(way == Way::Streamed);
        let primary = &self.primaries[KINDS.iter().position(|other| *other == kind).unwrap()];
        let [first, second] = models;
        let calls = || [primary.calls_for(&first), self.backup.calls_for(&second)];
        let before = calls().map(|calls| calls.len());
        let mut client = self.daemon.client();
        let watch = Stopwatch::start();
        client.send(&request);
        let mut events = Vec::new();
        let reply = loop {
            let line = client.recv();
            if line.get("event").is_none() {
                break line;
            }
            events.push(line);
        };
        let took = watch.elapsed();
        let [mut first, mut second] = calls();
        first.drain(..before[0]);
        second.drain(..before[1]);
        let run = Run { kind, way, events, reply, took, first, second };
        run.check();
        run
    }
}

fn name(which: &str, kind: Kind, way: Way) -> String {
    format!("{which}-{}-{way:?}", kind.name()).to_lowercase()
}

/// The usual request.
pub(crate) fn hello() -> Value {
    json!({ "timeout": "30s", "max_tokens": 500,
            "messages": [{ "role": "user", "content": "hello" }] })
}

/// One request and what became of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) way: Way,
    /// The lines before the reply.
    pub(crate) events: Vec<Value>,
    pub(crate) reply: Value,
    pub(crate) took: Duration,
    /// Calls of the model asked first, for this request.
    pub(crate) first: Vec<Seen>,
    /// Calls of the model asked second, for this request.
    pub(crate) second: Vec<Seen>,
}

impl Run {
    /// What holds whatever happens: no part of an answer is a whole one, what was streamed is the
    /// answer, nothing is streamed to who did not ask, and no provider is hammered.
    fn check(&self) {
        let content = self.reply["content"].as_str();
        if self.reply["ok"] == true && self.reply["finish_reason"] == "stop" {
            let whole = [text_of('a'), text_of('b')];
            assert!(whole.iter().any(|whole| Some(whole.as_str()) == content), "{self:#?}");
        }
        match self.way {
            Way::Streamed if self.reply["ok"] == true => {
                assert_eq!(self.heard(), content.unwrap_or_default(), "{self:#?}");
            }
            Way::Streamed => {}
            Way::Gathered | Way::Plain => assert!(self.events.is_empty(), "{self:#?}"),
        }
        for calls in [&self.first, &self.second] {
            let crowded = calls.windows(3).any(|three| three[2].at - three[0].at < CROWDED);
            assert!(!crowded, "three calls within {CROWDED:?}: {self:#?}");
        }
        let streamed = |seen: &Seen| {
            seen.body["stream"] == true
                || [":streamGenerateContent", "/converse-stream"]
                    .iter()
                    .any(|path| seen.path.contains(path))
        };
        assert!(self.first.iter().all(|seen| streamed(seen) == (self.way != Way::Plain)));
    }

    /// The text that was streamed since the last `restart`.
    pub(crate) fn heard(&self) -> String {
        let mut text = String::new();
        for event in &self.events {
            match event["event"].as_str() {
                Some("restart") => text.clear(),
                Some("delta") => text.push_str(event["content"].as_str().unwrap()),
                _ => {}
            }
        }
        text
    }

    /// The reasons of all restarts.
    pub(crate) fn restarts(&self) -> Vec<&str> {
        let restarts = self.events.iter().filter(|event| event["event"] == "restart");
        restarts.map(|event| event["reason"].as_str().unwrap()).collect()
    }

    /// Whether text was streamed before the last restart, or before the end.
    pub(crate) fn heard_anything(&self) -> bool {
        self.events.iter().any(|event| event["event"] == "delta")
    }

    /// Who answered, which calls failed and how, how many calls each provider saw, and when the
    /// answer was there in milliseconds (upwards a busy machine may add [`SLACK`]).
    pub(crate) fn expect(
        &self,
        by: By,
        failed: &[&str],
        calls: (usize, usize),
        within: Range<u64>,
    ) {
        let who = match (self.reply["ok"] == true, self.reply["model_used"].as_str()) {
            (true, Some(model)) if model.starts_with("first") => "first",
            (true, _) => "second",
            (false, _) => self.reply["error"]["code"].as_str().unwrap(),
        };
        let expected = match by {
            By::First => "first",
            By::Second => "second",
            By::Error(code) => code,
        };
        assert_eq!(who, expected, "{self:#?}");
        let attempts = self.reply["attempts"].as_array().unwrap().iter();
        let failures: Vec<&str> = attempts.filter_map(|a| a["error_type"].as_str()).collect();
        assert_eq!(failures, failed, "{self:#?}");
        assert_eq!((self.first.len(), self.second.len()), calls, "{self:#?}");
        let took = u64::try_from(self.took.as_millis()).unwrap();
        assert!((within.start..within.end + SLACK).contains(&took), "{took} ms: {self:#?}");
    }
}
