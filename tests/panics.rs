//! Panics in the whole daemon, inside this process: what a connection's costs, when the daemon
//! gives up, and what is said.
//!
//! The daemon reads the clock that it is given, and this one panics on demand. Only the daemon's
//! own thread is meant; the recorder's threads never notice.

#[cfg(test)]
mod panics {
    use std::cell::Cell;
    use std::io::Write;
    use std::panic::{catch_unwind, set_hook, take_hook};
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use fallbackd::clock::Clock;
    use fallbackd::config::{self, Config, Env, Kind};
    use fallbackd::daemon::{RunningDaemon, system, tell_where};
    use fallbackd::domain::rebuilds::MOST;
    use fallbackd::domain::time::Wall;
    use fallbackd::sim::{Background, Behaviour};
    use futures_util::FutureExt;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
    use tokio::net::UnixStream;

    thread_local! {
        static FAULTS: Cell<u32> = const { Cell::new(0) };
    }

    /// A clock whose next readings on this thread panic, as often as is asked for.
    fn clock() -> Clock {
        Clock::with_wall(|| {
            let left = FAULTS.get();
            FAULTS.set(left.saturating_sub(1));
            assert_eq!(left, 0, "a fault of our own, for a test");
            Wall(1_795_132_800_000)
        })
    }

    fn configured(folder: &Path, base_url: &str) -> Config {
        let text = format!(
            "[daemon]\nsocket = {:?}\nstate_dir = {:?}\nhealth_log = {:?}\n\
             [limits]\nconnections = 2\nin_flight = 2\n\
             [providers.p]\nkind = \"openai\"\nauth = \"none\"\nbase_url = {base_url:?}\n\
             [models.a]\nprovider = \"p\"\nmodel_id = \"a\"\n",
            folder.join("socket"),
            folder.join("state"),
            folder.join("health.jsonl"),
        );
        let env = Env::new(7, [("HOME", "/nonexistent")]);
        let loaded = config::parse(&text, "test.toml", &env);
        loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config
    }

    /// A daemon and a simulated provider, for one scene.
    fn play(scene: impl AsyncFnOnce(RunningDaemon, &Background, &Path)) {
        let folder = tempfile::tempdir().unwrap();
        let sim = Background::start(Kind::OpenAi).unwrap();
        sim.need_no_key();
        system().unwrap().block_on(async {
            let config = configured(folder.path(), &sim.base_url());
            let running = RunningDaemon::start(&config, None, clock()).await.unwrap();
            scene(running, &sim, &folder.path().join("socket")).await;
        });
    }

    struct Client(BufStream<UnixStream>);

    impl Client {
        async fn connect(socket: &Path) -> Client {
            Client(BufStream::new(UnixStream::connect(socket).await.unwrap()))
        }

        async fn send(&mut self, line: &Value) {
            self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            self.0.flush().await.unwrap();
        }

        /// The next line; `None` at the end.
        async fn recv(&mut self) -> Option<Value> {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(30), self.0.read_line(&mut line));
            read.await.unwrap().unwrap();
            (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
        }

        async fn ask(&mut self, line: &Value) -> Value {
            self.send(line).await;
            self.recv().await.unwrap()
        }
    }

    fn chat(id: u32) -> Value {
        json!({ "id": id, "messages": [{ "role": "user", "content": "p" }] })
    }

    #[test]
    fn a_connection_lost_to_a_panic_gives_its_place_and_its_shares_back() {
        play(async |running, sim, socket| {
            let mut other = Client::connect(socket).await;
            // More often than there are places or shares.
            for _ in 0..5 {
                let mut client = Client::connect(socket).await;
                client.ask(&json!({ "op": "ping" })).await;
                let before = sim.calls().len();
                sim.push(Behaviour::Hang);
                client.send(&chat(1)).await;
                while sim.calls().len() == before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                FAULTS.set(1);
                client.send(&chat(2)).await;
                assert_eq!(client.recv().await, None, "it ends with its requests");
                assert_eq!(other.ask(&chat(3)).await["ok"], true);
            }
            assert!(running.broken().now_or_never().is_none(), "no state was lost");
            drop(other);
            assert_eq!(running.stop("test", std::future::pending()).await.unanswered, 0);
        });
    }

    #[test]
    fn the_daemon_asks_for_its_end_when_states_are_lost_again_and_again() {
        play(async |running, _, socket| {
            let mut client = Client::connect(socket).await;
            for _ in 0..MOST {
                FAULTS.set(1);
                client.ask(&json!({ "op": "health" })).await;
            }
            assert!(running.broken().now_or_never().is_none());
            FAULTS.set(1);
            client.ask(&json!({ "op": "health" })).await;
            running.broken().await;
            assert_eq!(client.ask(&chat(1)).await["ok"], true, "it serves to the end");
            let stopped = running.stop("too many rebuilds", std::future::pending()).await;
            assert!(stopped.saved);
        });
    }

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_told_in_one_line_without_what_it_was_about() {
        let usual = take_hook();
        tell_where();
        let told = Told::default();
        let writer = told.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let cut = "a sécret prompt".len() - 12;
        let sliced = tracing::subscriber::with_default(subscriber, || {
            catch_unwind(|| "a sécret prompt"[..cut].len())
        });
        // Else the other tests would not say what is wrong with them.
        set_hook(usual);
        assert!(sliced.is_err(), "{cut} is in the midst of a character");
        let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("panic) at tests/panics.rs:"), "{told}");
        assert!(!told.contains("cret"), "{told}");
    }
}
