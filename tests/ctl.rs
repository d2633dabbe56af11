//! The whole `fallbackctl` process against a scripted daemon: what is sent, printed and returned.
//!
//! The daemon here is a thread that reads one line per connection and writes what the test says.
//! It decides nothing, so every exit code and every message is the command's own doing.

#[cfg(test)]
mod ctl {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};
    use std::thread::JoinHandle;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    /// A daemon that answers its one client with `lines` and hangs up.
    struct Scripted {
        dir: TempDir,
        asked: JoinHandle<Value>,
    }

    impl Scripted {
        fn answering(lines: &[Value]) -> Scripted {
            let dir = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(dir.path().join("d.sock")).unwrap();
            let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
            let asked = std::thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                for line in lines {
                    // A client that left, as one behind a closed pipe does, is part of the test.
                    let _ = (&stream).write_all(line.as_bytes());
                }
                serde_json::from_str(&request).unwrap()
            });
            Scripted { dir, asked }
        }

        fn socket(&self) -> PathBuf {
            self.dir.path().join("d.sock")
        }
    }

    fn command(socket: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fallbackctl"));
        command.env_clear().env("FALLBACKD_SOCKET", socket).stdin(Stdio::null());
        command
    }

    /// Runs the command against one scripted answer; gives its output and what it asked.
    fn run(words: &[&str], answer: Value) -> (Output, Value) {
        let daemon = Scripted::answering(&[answer]);
        let output = command(&daemon.socket()).args(words).output().unwrap();
        (output, daemon.asked.join().unwrap())
    }

    fn out(output: &Output) -> String {
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    fn notes(output: &Output) -> String {
        String::from_utf8(output.stderr.clone()).unwrap()
    }

    fn answer() -> Value {
        let usage =
            json!({"input_tokens":1,"output_tokens":1,"cached_tokens":0,"reasoning_tokens":0});
        json!({"id":null,"ok":true,"content":"Rhine","tool_calls":null,"finish_reason":"stop",
            "model_used":"a","provider":"p","model_id":"m","task":"default","primary":"a",
            "fallback_count":0,"used_fallback":false,"latency_ms":3,"usage":usage,
            "cost_usd":null,"request_cost_usd":null,"primary_cost_usd":null,
            "cost_estimated":false,"request_id":"r",
            "attempts":[{"model":"a","outcome":"answered","latency_ms":3}]})
    }

    fn pong() -> Value {
        json!({"id":null,"ok":true,"version":"0","protocol":1,"uptime_ms":1,"pid":1})
    }

    #[test]
    fn ask_prints_the_answer_alone_when_nobody_watches() {
        let (output, asked) = run(&["ask", "A river?"], answer());
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(0), "Rhine\n"));
        assert_eq!(notes(&output), "");
        assert_eq!(asked["messages"][0]["content"], "A river?");
    }

    fn streamed() -> [Value; 5] {
        [
            json!({"id":null,"event":"start","model_used":"a"}),
            json!({"id":null,"event":"delta","content":"Rh"}),
            json!({"id":null,"event":"restart","model_used":"b","reason":"stream_cut"}),
            json!({"id":null,"event":"delta","content":"Rhine"}),
            answer(),
        ]
    }

    #[test]
    fn ask_streams_when_it_is_told_to_and_says_when_an_answer_begins_anew() {
        let daemon = Scripted::answering(&streamed());
        let output =
            command(&daemon.socket()).args(["ask", "--stream", "A river?"]).output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(0), "Rh\nRhine\n"));
        assert!(notes(&output).contains("broke off (stream_cut); b begins anew"));
        assert_eq!(daemon.asked.join().unwrap()["stream"], true);
        let (_, asked) = run(&["ask", "--stream", "--no-stream", "A river?"], answer());
        assert_eq!(asked["stream"], json!(null), "the later word counts");
    }

    #[test]
    fn ask_prints_events_as_json_only_if_both_are_asked_for() {
        let daemon = Scripted::answering(&streamed());
        let words = ["ask", "--json", "--stream", "A river?"];
        let output = command(&daemon.socket()).args(words).output().unwrap();
        let lines: Vec<Value> =
            out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, streamed());
        let (output, asked) = run(&["ask", "--json", "A river?"], answer());
        assert_eq!((out(&output).lines().count(), &asked["stream"]), (1, &json!(null)));
    }

    #[test]
    fn ask_ends_the_line_before_it_tells_an_error() {
        let error = json!({"id":null,"ok":false,"attempts":[],
            "error":{"code":"interrupted","message":"it broke"}});
        let daemon = Scripted::answering(&[streamed()[1].clone(), error]);
        let output =
            command(&daemon.socket()).args(["ask", "--stream", "A river?"]).output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), "Rh\n"));
        assert!(notes(&output).contains("it broke"));
    }

    #[test]
    fn ask_reads_the_prompt_from_standard_input() {
        for words in [&["ask"][..], &["ask", "-"][..]] {
            let daemon = Scripted::answering(&[answer()]);
            let mut child = command(&daemon.socket())
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(b"two\nlines\n").unwrap();
            assert_eq!(out(&child.wait_with_output().unwrap()), "Rhine\n");
            assert_eq!(daemon.asked.join().unwrap()["messages"][0]["content"], "two\nlines\n");
        }
    }

    #[test]
    fn ask_verbose_shows_what_was_tried_beside_the_answer() {
        let (output, _) = run(&["ask", "-v", "A river?"], answer());
        assert_eq!(out(&output), "Rhine\n");
        assert!(notes(&output).contains("answered"), "{}", notes(&output));
    }

    #[test]
    fn a_failed_request_shows_the_message_what_was_tried_and_a_hint() {
        let reply = json!({"id":null,"ok":false,"error":{"code":"all_models_failed",
            "message":"all 2 models failed","retry_after_ms":4200},"attempts":[
                {"model":"a","outcome":"failed","error_type":"overloaded","status":503,
                 "latency_ms":204,"message":"busy"},
                {"model":"b","outcome":"skipped","reason":"circuit_open"}]});
        let (output, _) = run(&["ask", "A river?"], reply);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
        let notes = notes(&output);
        assert!(notes.starts_with("fallbackctl: all_models_failed: all 2 models failed\n"));
        assert!(notes.contains("overloaded 503") && notes.contains("circuit_open"), "{notes}");
        assert!(notes.contains("hint: try again in 4.2 s"), "{notes}");
    }

    #[test]
    fn what_passes_by_itself_exits_with_75() {
        for code in ["no_model_available", "overloaded", "shutting_down"] {
            let reply = json!({"ok":false,"error":{"code":code,"message":"m"}});
            let (output, _) = run(&["ask", "A river?"], reply);
            assert_eq!(output.status.code(), Some(75), "{code}");
        }
    }

    #[test]
    fn json_is_the_daemons_reply_as_one_line_even_when_it_failed() {
        let reply = json!({"ok":false,"error":{"code":"bad_request","message":"m"},"new":[1]});
        let (output, _) = run(&["ask", "--json", "A river?"], reply.clone());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(out(&output), format!("{reply}\n"));
        assert_eq!(notes(&output), "");
    }

    #[test]
    fn every_verb_asks_for_the_operation_of_its_name() {
        let rows: [(&[&str], Value); 5] = [
            (&["ping"], json!({"op":"ping"})),
            (&["chains"], json!({"op":"chains"})),
            (&["health", "--window", "1h"], json!({"op":"health","window":"1h"})),
            (
                &["breaker", "gpt-4o", "open", "--for", "600"],
                json!({"op":"breaker","model":"gpt-4o","set":"open","for":"10m"}),
            ),
            (&["tail", "call"], json!({"op":"events","types":["call"]})),
        ];
        let mut reply = json!({"chains":{},"models":{},"recorder":{},"model":"a",
            "breaker":{"state":"open","since":"T","consecutive_failures":0}});
        reply.as_object_mut().unwrap().extend(pong().as_object().cloned().unwrap());
        for (words, wanted) in rows {
            let (output, asked) = run(words, reply.clone());
            assert_eq!(asked, wanted);
            assert_eq!(output.status.code(), Some(0), "{words:?}: {}", notes(&output));
        }
    }

    #[test]
    fn tail_prints_events_until_the_connection_ends() {
        let lines = [
            json!({"id":null,"ok":true}),
            json!({"log":{"timestamp":"T","event":"stop","reason":"terminated","unanswered":0}}),
            json!({"log_lost":3}),
        ];
        let daemon = Scripted::answering(&lines);
        let output = command(&daemon.socket()).arg("tail").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let out = out(&output);
        assert!(out.starts_with("T stop     terminated, 0 requests unanswered\n"), "{out}");
        assert!(out.contains("3 events lost"), "{out}");
        assert!(notes(&output).contains("closed the connection"));
    }

    #[test]
    fn tail_json_gives_every_line_untouched() {
        let event = json!({"log":{"event":"call","x":1}});
        let daemon = Scripted::answering(&[json!({"ok":true}), event.clone()]);
        let output = command(&daemon.socket()).args(["tail", "--json"]).output().unwrap();
        assert_eq!(out(&output), format!("{event}\n"));
    }

    #[test]
    fn a_daemon_that_is_not_there_is_named_with_a_way_to_start_it() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("none.sock");
        let output = command(&socket).arg("ping").output().unwrap();
        assert_eq!(output.status.code(), Some(69));
        let text = notes(&output);
        assert!(text.contains(socket.to_str().unwrap()), "{text}");
        assert!(text.contains("systemctl start fallbackd`"), "{text}");

        drop(UnixListener::bind(&socket).unwrap());
        let output = command(&socket).arg("ping").output().unwrap();
        assert_eq!(output.status.code(), Some(69));
        assert!(notes(&output).contains("it has ended"), "{}", notes(&output));
    }

    #[test]
    fn a_daemon_that_hangs_up_or_talks_nonsense_is_unreachable() {
        let daemon = Scripted::answering(&[]);
        let output = command(&daemon.socket()).arg("ping").output().unwrap();
        assert_eq!(output.status.code(), Some(69));
        assert!(notes(&output).contains("without an answer"), "{}", notes(&output));

        let (output, _) = run(&["ping"], Value::String("\u{1b}[31mhello".to_owned()));
        assert_eq!(output.status.code(), Some(69), "a string is no reply");
    }

    #[test]
    fn a_reply_of_another_version_is_said_to_be_one() {
        let (output, _) = run(&["ping"], json!({"ok":true,"version":2}));
        assert_eq!(output.status.code(), Some(1));
        assert!(notes(&output).contains("the fallbackctl that came with it"));
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let daemon = Scripted::answering(&[pong()]);
        let output = command(Path::new("/no/such/socket"))
            .arg("--socket")
            .arg(daemon.socket())
            .arg("ping")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", notes(&output));
    }

    #[test]
    fn wrong_usage_exits_with_2_and_help_with_0() {
        let nowhere = Path::new("/no/such/socket");
        let wrong: [&[&str]; 9] = [
            &["tail", "--event", "nope", "--since", "1h", "--no-follow"],
            &["tail", "--event", "call,nope"],
            &["tail", "nope", "--since", "1h", "--no-follow"],
            &[],
            &["frobnicate"],
            &["ask", ""],
            &["ask", "--temperature", "9", "x"],
            &["breaker", "a", "auto", "--for", "1m"],
            &["health", "--window", "soon"],
        ];
        for words in wrong {
            let output = command(nowhere).args(words).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{words:?}: {}", notes(&output));
            assert!(!output.stderr.is_empty());
        }
        for words in [&["--help"][..], &["ask", "--help"][..], &["--version"][..]] {
            assert_eq!(command(nowhere).args(words).output().unwrap().status.code(), Some(0));
        }
    }

    #[test]
    fn a_kind_of_event_that_does_not_exist_is_refused_with_those_that_do() {
        let output = command(Path::new("/no/such/socket")).args(["tail", "nope"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(notes(&output).contains("name one of call, request"), "{}", notes(&output));
    }

    #[test]
    fn a_page_of_costs_goes_to_standard_output_when_asked() {
        let daemon = Scripted::answering(&[json!({"ok": true, "rows": []})]);
        let output = command(&daemon.socket())
            .args(["costs", "--html", "-"])
            .current_dir(daemon.dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", notes(&output));
        assert!(out(&output).contains("</html>"), "{}", out(&output));
        assert!(!daemon.dir.path().join("-").exists());
    }

    /// The doctor's exit code and its findings for one part.
    fn findings(socket: &Path, config: &Path, check: &str) -> (Option<i32>, Vec<Value>) {
        let mut doctor = command(socket);
        let output = doctor.args(["doctor", "--json", "--config"]).arg(config).arg("--socket");
        let output = output.arg(socket).output().unwrap();
        let report: Value = serde_json::from_str(&out(&output)).unwrap();
        let mut all = report["findings"].as_array().unwrap().clone();
        all.retain(|finding| finding["check"] == check);
        (output.status.code(), all)
    }

    #[test]
    fn the_doctor_finds_a_daemon_that_takes_connections_and_stays_silent() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, config) = (dir.path().join("d.sock"), dir.path().join("f.toml"));
        std::fs::write(&config, "").unwrap();
        let _silent = UnixListener::bind(&socket).unwrap();
        let (code, found) = findings(&socket, &config, "daemon");
        assert_eq!((code, found.len(), &found[0]["state"]), (Some(1), 1, &json!("wrong")));
        assert!(found[0]["finding"].as_str().unwrap().contains("did not answer within 3s"));
        assert!(found[0]["todo"].as_str().unwrap().contains("journalctl"));
    }

    #[test]
    fn the_doctor_shows_some_mistakes_of_what_is_no_configuration_and_counts_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("f.toml");
        std::fs::write(&config, "this is no configuration\n".repeat(100)).unwrap();
        let (code, found) = findings(&dir.path().join("none.sock"), &config, "config");
        assert_eq!((code, found.len()), (Some(1), 21));
        assert_eq!(found[20]["finding"], "and 80 more");
        assert!(found[20]["todo"].as_str().unwrap().contains("fallbackd --check"));
    }

    #[test]
    fn the_doctor_takes_a_named_configuration_that_cannot_be_read_for_a_mistake_of_the_caller() {
        let dir = tempfile::tempdir().unwrap();
        for (words, config) in [(&["--socket", "/x"][..], dir.path()), (&[], dir.path())] {
            let mut doctor = Command::new(env!("CARGO_BIN_EXE_fallbackctl"));
            let output =
                doctor.env_clear().args(words).args(["doctor", "--config"]).arg(config).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(78), "{}", out(&output));
            assert!(notes(&output).contains("cannot read the configuration"), "{}", notes(&output));
        }
    }

    #[test]
    fn a_configuration_that_was_named_and_cannot_be_read_exits_with_78() {
        let output = command(Path::new("/no/such/socket"))
            .args(["--config", "/no/such/file.toml", "ping"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert!(notes(&output).contains("/no/such/file.toml"), "{}", notes(&output));
    }

    #[test]
    fn a_reader_that_leaves_ends_it_quietly() {
        let event = json!({"log":{"timestamp":"T","event":"stop","reason":"x".repeat(4000)}});
        let mut lines = vec![json!({"ok":true})];
        lines.extend(std::iter::repeat_n(event, 200));
        let daemon = Scripted::answering(&lines);
        let mut child = command(&daemon.socket())
            .arg("tail")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), notes(&output).as_str()), (Some(0), ""));
    }
}
