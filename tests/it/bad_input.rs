//! Lines that are no requests: each gets a clear error, its connection goes on, nobody else
//! notices, and the daemon lives.
//!
//! The table names the error that people should see; the fuzz part sends what no table thinks of.

use serde_json::{Value, json};

use super::harness::{Client, Setup, chat, code, openai};

/// A line, the code of its answer, and what the message has to name.
type Row = (Vec<u8>, &'static str, &'static str);

fn rows() -> Vec<Row> {
    let row = |line: &str, code, names| (line.as_bytes().to_vec(), code, names);
    vec![
        row("hello", "invalid_json", "not JSON"),
        row("{\"messages\":", "invalid_json", "not JSON"),
        row("{\"messages\":[]}}", "invalid_json", "not JSON"),
        row("{'messages':[]}", "invalid_json", "not JSON"),
        row("{\"id\":1,}", "invalid_json", "not JSON"),
        row("[]", "bad_request", "object"),
        row("[{\"messages\":[]}]", "bad_request", "object"),
        row("\"text\"", "bad_request", "object"),
        row("42", "bad_request", "object"),
        row("null", "bad_request", "object"),
        row("{}", "bad_request", "messages"),
        row("{\"messages\":[]}", "bad_request", "messages"),
        row("{\"messages\":\"text\"}", "bad_request", "messages"),
        row("{\"messages\":[7]}", "bad_request", "messages[0]"),
        row("{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}", "bad_request", "role"),
        row("{\"messages\":[{\"content\":\"x\"}]}", "bad_request", "role"),
        row("{\"messages\":[{\"role\":\"user\"}]}", "bad_request", "messages[0]"),
        row("{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "bad_request", "content"),
        row("{\"op\":\"dance\"}", "unknown_op", "dance"),
        row("{\"op\":7}", "bad_request", "op"),
        row("{\"op\":\"ping\",\"extra\":1}", "bad_request", "extra"),
        row("{\"op\":\"health\",\"window\":\"soon\"}", "bad_request", "window"),
        row("{\"op\":\"breaker\",\"model\":\"m\"}", "bad_request", "set"),
        row("{\"op\":\"breaker\",\"model\":\"m\",\"set\":\"ajar\"}", "bad_request", "set"),
        row(
            "{\"op\":\"breaker\",\"model\":\"nobody\",\"set\":\"auto\"}",
            "unknown_model",
            "nobody",
        ),
        row("{\"op\":\"events\",\"types\":[\"weather\"]}", "bad_request", "types"),
        row("{\"op\":\"cancel\"}", "bad_request", "target"),
        row("{\"id\":{},\"op\":\"ping\"}", "bad_request", "id"),
        (b"{\"op\":\"p\xffing\"}".to_vec(), "invalid_json", "UTF-8"),
        (b"\xff\xfe\x00".to_vec(), "invalid_json", "UTF-8"),
        (b"{\"op\":\"ping\"}\0".to_vec(), "invalid_json", "not JSON"),
    ]
}

/// A good request with one field more.
fn with(field: &str, value: Value) -> Value {
    let mut request = chat(1, "p");
    request[field] = value;
    request
}

#[test]
fn every_bad_line_gets_its_own_error_and_both_connections_go_on() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let (mut client, mut other) = (daemon.client(), daemon.client());
    for (line, wanted, names) in rows() {
        let shown = String::from_utf8_lossy(&line).into_owned();
        client.send_bytes(&line);
        client.send_bytes(b"\n");
        let reply = client.recv();
        assert_eq!((code(&reply), &reply["ok"]), (wanted, &json!(false)), "{shown}: {reply}");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(names), "{shown}: {message}");
        client.ask_ok(&json!({ "op": "ping" }));
        other.ask_ok(&json!({ "op": "ping" }));
    }
    assert_eq!(client.ask_ok(&chat(1, "good"))["content"], "[m] good");
    assert_eq!(sim.counts().calls, 1, "no bad line led to a call");
}

#[test]
fn wrong_fields_of_a_chat_are_named_with_the_id_of_the_request() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let rows = [
        ("max_tokens", json!(0)),
        ("max_tokens", json!("many")),
        ("max_tokens", json!(1.5)),
        ("temperature", json!(2.1)),
        ("temperature", json!("hot")),
        ("top_p", json!(2)),
        ("timeout", json!("soon")),
        ("timeout", json!(-1)),
        ("on_refusal", json!("cry")),
        ("on_interrupt", json!("cry")),
        ("stream", json!("yes")),
        ("plan", json!("yes")),
        ("task", json!(7)),
        ("models", json!([])),
        ("models", json!("m")),
        ("max_cost_usd", json!("cheap")),
        ("tools", json!({})),
        ("extra", json!(7)),
        ("mesages", json!([])),
        ("Task", json!("x")),
    ];
    for (field, value) in rows {
        let reply = client.ask(&with(field, value.clone()));
        assert_eq!((code(&reply), &reply["id"]), ("bad_request", &json!(1)), "{field}: {reply}");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("`{field}`")), "{field} = {value}: {message}");
    }
    let reply = client.ask(&with("models", json!(["m", "nobody"])));
    assert_eq!(code(&reply), "unknown_model");
    client.ask_ok(&chat(1, "p"));
    assert_eq!(sim.counts().calls, 1);
}

#[test]
fn long_names_are_cut_in_errors() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).toml("[request]\nunknown_task = \"reject\"\n").start();
    let mut client = daemon.client();
    let long = "n".repeat(100_000);
    let lines = [
        json!({ "op": long }),
        json!({ "op": "breaker", "model": long, "set": "auto" }),
        with("models", json!([long])),
        with("task", json!(long)),
        with(&long, json!(1)),
        with("extra", json!({ (long.as_str()): 1 })),
    ];
    for line in lines {
        let reply = client.ask(&line);
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains("nnnn") && message.len() < 1_000, "{:.2000}", message);
    }
}

#[test]
fn what_was_written_is_not_repeated_in_errors() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let mut client = daemon.client();
    let prompt = "canary in the prompt";
    for line in [with("temperature", json!(prompt)), with("max_tokens", json!(prompt))] {
        let reply = client.ask(&line).to_string();
        assert!(!reply.contains("canary"), "{reply}");
    }
    client.send_bytes(format!("{{\"messages\":[\"{prompt}\n").as_bytes());
    let reply = client.line();
    assert!(!reply.contains("canary"), "{reply}");
}

#[test]
fn nesting_a_hundred_thousand_deep_is_refused_wherever_it_stands() {
    const DEEP: usize = 100_000;
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    let (mut client, mut other) = (daemon.client(), daemon.client());
    let arrays = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"p\"}]";
    for deep in [&arrays, &objects] {
        let tool = format!(
            "{{\"type\":\"function\",\"function\":{{\"name\":\"f\",\"parameters\":{deep}}}}}"
        );
        let lines = [
            deep.clone(),
            "[".repeat(DEEP),
            format!("{{\"id\":{deep},{messages}}}"),
            format!("{{\"extra\":{{\"openai\":{deep}}},{messages}}}"),
            format!("{{\"messages\":{deep}}}"),
            format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{deep}}}]}}"),
            format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"p\",\"more\":{deep}}}]}}"),
            format!("{{\"tools\":[{tool}],{messages}}}"),
            format!("{{\"unheard_of\":{deep},{messages}}}"),
        ];
        for line in lines {
            client.send_bytes(line.as_bytes());
            client.send_bytes(b"\n");
            let reply = client.recv();
            let passed = reply["ok"] == true || !code(&reply).is_empty();
            assert!(passed && code(&reply) != "internal", "{reply}");
            other.ask_ok(&json!({ "op": "ping" }));
        }
    }
    assert_eq!(client.ask_ok(&chat(1, "good"))["ok"], true);
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..=self.roll(most)).map(|_| self.roll(256) as u8).collect()
    }

    /// Pieces of real requests in a random order.
    fn words(&mut self) -> Vec<u8> {
        const WORDS: [&str; 24] = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\"id\"",
            "\"op\"",
            "\"chat\"",
            "\"ping\"",
            "\"messages\"",
            "\"role\"",
            "\"user\"",
            "\"content\"",
            "1e999",
            "-0",
            "null",
            "true",
            "\\ud800",
            "\u{0}",
            "ü",
            "9223372036854775808",
        ];
        (0..self.roll(40)).flat_map(|_| WORDS[self.roll(WORDS.len())].bytes()).collect()
    }

    /// A good request with some bytes changed.
    fn mutant(&mut self) -> Vec<u8> {
        let mut line = chat(7, "prompt").to_string().into_bytes();
        for _ in 0..=self.roll(4) {
            let at = self.roll(line.len());
            match self.roll(3) {
                0 => line[at] = self.roll(256) as u8,
                1 => drop(line.remove(at)),
                _ => line.insert(at, self.roll(128) as u8),
            }
        }
        line
    }
}

fn garbage(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for _ in 0..2000 {
        let line = match dice.roll(3) {
            0 => dice.bytes(200),
            1 => dice.words(),
            _ => dice.mutant(),
        };
        all.extend(line.into_iter().filter(|byte| *byte != b'\n'));
        all.push(b'\n');
    }
    all
}

/// Takes replies until the one to the request that was sent last.
fn drain(client: &mut Client, last: &str) -> usize {
    for count in 0.. {
        let reply = client.recv();
        assert_ne!(code(&reply), "internal", "{reply}");
        if reply["id"] == last {
            assert_eq!(reply["ok"], true, "{reply}");
            return count;
        }
    }
    0
}

#[test]
fn thousands_of_lines_of_garbage_leave_everything_working() {
    let sim = openai();
    let daemon = Setup::of(&sim, &["m"]).start();
    for seed in [1, 20, 300] {
        let mut client = daemon.client();
        let mut writer = client.stream().try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            use std::io::Write;
            writer.write_all(&garbage(seed)).unwrap();
            writeln!(writer, "{}", chat("the end", "good")).unwrap();
        });
        // All replies but those to chats that are still running have come by then.
        assert!(drain(&mut client, "the end") > 1000);
        sending.join().unwrap();
    }
    assert_eq!(daemon.ask_ok(&chat(1, "good"))["content"], "[m] good");
}
