//! Sixteen ways in which providers fail, seen by a program that speaks Chat Completions: with a
//! backup that says the same it gets the whole answer every time; with one that says something else
//! it gets a whole answer or an honest error, never a part as a whole.

use std::time::Duration;

use fallbackd::sim::{Background, Behaviour, Fate, Flow, Meaning};
use serde_json::json;

use crate::harness::{NO_RETRY, Setup, openai};
use crate::wire::{Reply, Web};

/// Sixty tokens.
fn text() -> String {
    "abc ".repeat(60).trim_end().to_owned()
}

const QUICK: &str = "[timeouts]\nfirst_token = \"1s\"\nidle = \"1s\"\nattempt = \"3s\"\n";

/// What the first provider does, and whether once or for ever.
fn faults() -> Vec<(&'static str, Behaviour, bool)> {
    let fated = |tokens, fate| Behaviour::from(Flow::fated(text(), tokens, fate));
    vec![
        ("429 once", Behaviour::rate_limited(Some("2")), true),
        ("429 for ever", Behaviour::rate_limited(Some("2")), false),
        ("500 once", Behaviour::server_error(), true),
        ("503 for ever", Behaviour::overloaded(), false),
        ("reset before headers", Behaviour::ResetBeforeHeaders, true),
        ("silent", Behaviour::Hang, false),
        (
            "late first token",
            Flow { text: Some(text()), first_after: Duration::from_secs(20), ..Flow::default() }
                .into(),
            false,
        ),
        ("cut after 40 of 60", fated(40, Fate::Breaks), false),
        ("silent after 20", fated(20, Fate::Stalls), false),
        ("malformed event", fated(10, Fate::Malformed), false),
        ("no end", Flow { text: Some(text()), no_end: true, ..Flow::default() }.into(), false),
        ("context too long", Behaviour::context_too_long(), false),
        ("key refused", Behaviour::auth(), false),
        ("error within the stream", fated(30, Fate::Fails(Meaning::Overloaded)), false),
        ("ends without a finish", fated(30, Fate::Ends), false),
        ("a page of HTML", Behaviour::NotJson, false),
    ]
}

fn asked(primary: Behaviour, once: bool, backup: &str, stream: bool) -> Reply {
    let (first, second): (Background, Background) = (openai(), openai());
    first.set(if once { Behaviour::Say(text()) } else { primary.clone() });
    if once {
        first.push(primary);
    }
    second.set(Behaviour::Say(backup.to_owned()));
    let daemon = Setup::new()
        .provider("one", &first)
        .provider("two", &second)
        .toml(&format!("{NO_RETRY}{QUICK}"))
        .model("a", "one", "")
        .model("b", "two", "")
        .chain("default", &["a", "b"])
        .start();
    let body = json!({"model": "default", "stream": stream, "messages": [{"role": "user", "content": "x"}]});
    Web::on(&daemon.socket()).post("/v1/chat/completions", &body)
}

/// Whether it is one of the two answers, or a stream that says why it has no end.
fn is_honest(reply: &Reply, other: &str, stream: bool) -> bool {
    if !reply.whole {
        let last = reply.events().last().cloned().unwrap_or_default();
        return stream && last["error"].is_object();
    }
    let is_ended = !stream || reply.is_done();
    is_ended && (reply.text() == other || reply.text() == text())
}

#[test]
fn with_an_equal_backup_the_answer_is_whole_whatever_the_first_provider_does() {
    std::thread::scope(|scope| {
        for (name, fault, once) in faults() {
            scope.spawn(move || {
                for stream in [false, true] {
                    let reply = asked(fault.clone(), once, &text(), stream);
                    assert_eq!((reply.status, reply.text()), (200, text()), "{name}, {stream}");
                    assert!(reply.whole && (!stream || reply.is_done()), "{name}");
                }
            });
        }
    });
}

#[test]
fn with_a_differing_backup_it_is_whole_or_an_honest_error() {
    std::thread::scope(|scope| {
        for (name, fault, once) in faults() {
            scope.spawn(move || {
                let other = "something else";
                for stream in [false, true] {
                    let reply = asked(fault.clone(), once, other, stream);
                    let honest = is_honest(&reply, other, stream);
                    assert!(honest, "{name}, {stream}: {reply:?}");
                }
            });
        }
    });
}

#[test]
fn without_a_backup_there_is_an_error_that_says_whether_to_ask_again() {
    let sim = openai();
    sim.set(Behaviour::content_policy());
    let daemon = Setup::of(&sim, &["a"]).toml(NO_RETRY).start();
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "x"}]});
    let reply = Web::on(&daemon.socket()).post("/v1/chat/completions", &body);
    assert_eq!((reply.status, reply.header("x-should-retry")), (400, Some("false")));
    assert_eq!(reply.json()["error"]["code"], "content_policy_violation");
    sim.set(Behaviour::rate_limited(Some("2")));
    let reply = Web::on(&daemon.socket()).post("/v1/chat/completions", &body);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    assert_eq!(reply.header("x-should-retry"), None, "two seconds can be waited for");
}
