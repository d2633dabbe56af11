//! A week of traffic with two outages: the sums that a person works out on paper, everywhere they
//! appear, and the same after ten kills.
//!
//! The daemon lives in a process of its own, which is this test's program once more, and reads the
//! time from a file: two hours pass between two requests. Every answer has 1,000 tokens of prompt
//! and 500 of text:
//!
//! | model  | per 1,000 in / out | an answer                      |
//! |--------|--------------------|--------------------------------|
//! | first  | 0.005 / 0.015      | 0.005 + 0.0075 = 0.0125        |
//! | second | 0.003 / 0.015      | 0.003 + 0.0075 = 0.0105        |
//! | third  | 0.00015 / 0.0006   | 0.00015 + 0.0003 = 0.00045     |
//! | fourth | 0.00025 / 0.00125  | 0.00025 + 0.000625 = 0.000875  |
//!
//! Six requests a day, 42 in all. On Tuesday `first` is down for four of them, and `second` answers.
//! On Thursday `first` gives three empty answers (1,000 tokens, 0.005 each) and `second` is down:
//! `third` answers two, `fourth` one. On Friday morning `first` fails once more, and `second`
//! answers. So 34 answers are `first`'s, 5 `second`'s, 2 `third`'s and 1 `fourth`'s.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fallbackd::clock::Clock;
use fallbackd::config::{self, Env, Kind};
use fallbackd::daemon::{RunningDaemon, system};
use fallbackd::domain::time::Wall;
use fallbackd::sim::{Background, Behaviour};
use serde_json::{Value, json};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const HOUR: u64 = 3_600_000;
/// Monday, 16 November 2026, 0:00 UTC.
const MONDAY: u64 = 1_794_787_200_000;
/// The folder of the other process.
const FOLDER: &str = "FALLBACKD_WEEK";
/// After which requests it is killed: in quiet hours, in outages, twice in a row.
const KILLS: [usize; 10] = [2, 7, 8, 9, 10, 20, 21, 22, 24, 40];

/// Calls, of these fallbacks, failed ones, and paid, would-have-paid, difference and failed cost as
/// amounts with nine places.
type Sums = ([u64; 3], [&'static str; 4]);

const ALL: Sums = ([42, 8, 12], ["0.479275000", "0.525000000", "-0.045725000", "0.015000000"]);
const ROWS: [(&str, Sums); 4] = [
    ("first", ([34, 0, 8], ["0.425000000", "0.425000000", "0.000000000", "0.015000000"])),
    ("fourth", ([1, 1, 0], ["0.000875000", "0.012500000", "-0.011625000", "0.000000000"])),
    ("second", ([5, 5, 3], ["0.052500000", "0.062500000", "-0.010000000", "0.000000000"])),
    ("third", ([2, 2, 1], ["0.000900000", "0.025000000", "-0.024100000", "0.000000000"])),
];
/// What was paid on each day.
const DAYS: [&str; 7] = [
    "0.075000000",
    "0.067000000",
    "0.075000000",
    "0.039275000",
    "0.073000000",
    "0.075000000",
    "0.075000000",
];
const OUTAGES: [[&str; 3]; 3] = [
    ["first", "2026-11-17T14:00:00.000Z", "2026-11-17T18:00:00.000Z"],
    ["first", "2026-11-19T16:00:00.000Z", "2026-11-19T18:00:00.000Z"],
    ["second", "2026-11-19T16:00:00.000Z", "2026-11-20T08:00:00.000Z"],
];

struct Week {
    dir: TempDir,
    provider: Background,
    daemon: Option<Child>,
}

#[test]
fn a_week_with_two_outages_costs_what_was_worked_out_by_hand() {
    play(&[]);
}

#[test]
fn after_ten_kills_it_still_does() {
    play(&KILLS);
}

#[test]
#[ignore = "the process that the two tests above start and kill"]
fn a_daemon_with_a_clock_of_its_own() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let text = fs::read_to_string(dir.join("fallbackd.toml")).unwrap();
    let loaded = config::parse(&text, "fallbackd.toml", &Env::new(7, [("KEY", "any")])).unwrap();
    let time = dir.join("now");
    let clock =
        Clock::with_wall(move || Wall(fs::read_to_string(&time).unwrap().trim().parse().unwrap()));
    system().unwrap().block_on(async {
        let _running = RunningDaemon::start(&loaded.config, None, clock).await.unwrap();
        std::future::pending::<()>().await;
    });
}

fn play(kills: &[usize]) {
    let mut week = Week::new();
    week.boot();
    for number in 0..42 {
        let (day, turn) = (number / 6, number % 6);
        week.time(MONDAY + (day as u64 * 24 + 8 + 2 * turn as u64) * HOUR);
        let used = week.script(day, turn);
        let reply = week.ask(&json!({"messages": [{"role": "user", "content": "Hello"}]}));
        assert_eq!(reply["model_used"], used, "request {number}: {reply}");
        if kills.contains(&number) {
            week.kill();
            week.boot();
        }
    }
    week.check_costs();
    week.time(MONDAY + 7 * 24 * HOUR + 60_000);
    week.kill();
    week.boot();
    week.check_costs();
    week.check_report();
}

impl Week {
    fn new() -> Week {
        let provider = Background::start(Kind::OpenAi).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display();
        let mut text = format!(
            "[daemon]\nsocket = \"{place}/s\"\nstate_dir = \"{place}/state\"\n\
             health_log = \"{place}/health.jsonl\"\n[shadow]\nrate = 0\n[costs]\ntimezone = \"UTC\"\n\
             [breaker]\nprobe = \"live\"\n[retry]\nmax = 0\nbase = \"1ms\"\ncap = \"1ms\"\n\
             [providers.sim]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key = {{ env = \"KEY\" }}\n\
             upstream_stream = \"never\"\n\
             [chains]\ndefault = [\"first\", \"second\", \"third\", \"fourth\"]\n",
            provider.base_url()
        );
        for (name, input, output) in [
            ("first", "0.005", "0.015"),
            ("second", "0.003", "0.015"),
            ("third", "0.00015", "0.0006"),
            ("fourth", "0.00025", "0.00125"),
        ] {
            text.push_str(&format!(
                "[models.{name}]\nprovider = \"sim\"\nmodel_id = \"{name}\"\n\
                 cost_per_1k_input = {input}\ncost_per_1k_output = {output}\n"
            ));
        }
        fs::write(dir.path().join("fallbackd.toml"), text).unwrap();
        let week = Week { dir, provider, daemon: None };
        week.time(MONDAY);
        week
    }

    /// Says what the models do with the next request; gives who will answer it.
    fn script(&self, day: usize, turn: usize) -> &'static str {
        let down = |model: &str| self.provider.push_for(model, Behaviour::overloaded());
        let empty = |model: &str| self.provider.push_for(model, answer("", 0));
        let used = match (day, turn) {
            (1, 1..=4) | (4, 0) => {
                down("first");
                "second"
            }
            (3, 2..=4) => {
                empty("first");
                down("second");
                if turn == 4 {
                    down("third");
                }
                if turn == 4 { "fourth" } else { "third" }
            }
            _ => "first",
        };
        self.provider.push_for(used, answer("Hello", 500));
        used
    }

    fn time(&self, at: u64) {
        let (beside, place) = (self.dir.path().join("next"), self.dir.path().join("now"));
        fs::write(&beside, at.to_string()).unwrap();
        fs::rename(beside, place).unwrap();
    }

    fn boot(&mut self) {
        let clock = Clock::system();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["week::a_daemon_with_a_clock_of_its_own", "--exact", "--ignored"])
            .env(FOLDER, self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.daemon = Some(child.unwrap());
        while UnixStream::connect(self.socket()).is_err() {
            assert!(clock.mono().0 < LONG, "the daemon does not serve");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn ask(&self, line: &Value) -> Value {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }

    /// What `fallbackctl costs` of this week prints.
    fn costs(&self, options: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_fallbackctl"))
            .args(["costs", "--week", "2026-W47", "--socket"])
            .arg(self.socket())
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn check_costs(&self) {
        check_json(&serde_json::from_str(&self.costs(&["--json"])).unwrap());
        check_csv(&self.costs(&["--csv"]));
        check_table(&self.costs(&[]));
        let page = self.dir.path().join("page.html");
        self.costs(&["--html", page.to_str().unwrap()]);
        check_page(&page);
    }

    fn check_report(&self) {
        let clock = Clock::system();
        let reports = self.dir.path().join("state/reports");
        let report = reports.join("2026-W47.json");
        while !report.exists() {
            assert!(clock.mono().0 < LONG, "there is no report");
            thread::sleep(Duration::from_millis(2));
        }
        check_json(&serde_json::from_slice(&fs::read(report).unwrap()).unwrap());
        check_page(&reports.join("2026-W47.html"));
    }
}

impl Drop for Week {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answer(text: &str, output: u64) -> Behaviour {
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": output, "total_tokens": 1000 + output},
    });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Behaviour::Raw { status: 200, headers, body: body.to_string() }
}

fn check_json(costs: &Value) {
    let counts = |sums: &Value| {
        ["calls", "fallback_calls", "failed_calls"].map(|key| sums[key].as_u64().unwrap())
    };
    let amounts = |sums: &Value| {
        let keys = ["paid_usd", "primary_would_usd", "difference_usd", "failed_usd"];
        keys.map(|key| format!("{:.9}", sums[key].as_f64().unwrap()))
    };
    assert_eq!(costs["incomplete"], Value::Null, "{costs}");
    assert_eq!(counts(&costs["totals"]), ALL.0, "{costs}");
    assert_eq!(amounts(&costs["totals"]), ALL.1);
    assert_eq!(costs["totals"]["input_tokens"], 42_000);
    assert_eq!(costs["totals"]["output_tokens"], 21_000);
    assert_eq!(costs["rows"].as_array().unwrap().len(), ROWS.len());
    for (row, (model, sums)) in costs["rows"].as_array().unwrap().iter().zip(ROWS) {
        assert_eq!((&row["model"], counts(row)), (&json!(model), sums.0));
        assert_eq!(amounts(row), sums.1, "{model}");
    }
    let days = costs["days"].as_array().unwrap().iter().map(|day| amounts(day)[0].clone());
    assert_eq!(days.collect::<Vec<_>>(), DAYS);
    let outages = costs["outages"].as_array().unwrap().iter();
    let outages: Vec<_> =
        outages.map(|outage| ["model", "from", "to"].map(|key| outage[key].clone())).collect();
    assert_eq!(json!(outages), json!(OUTAGES));
}

fn check_csv(text: &str) {
    let mut lines = text.split_terminator("\r\n");
    assert!(lines.next().unwrap().starts_with("task,primary,model,calls,"));
    assert_eq!(lines.clone().count(), ROWS.len());
    for (line, (model, (counts, amounts))) in lines.zip(ROWS) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[..3], ["default", "first", model]);
        assert_eq!(fields[3..6], counts.map(|count| count.to_string()));
        assert_eq!([fields[13], fields[14], fields[15], fields[19]], amounts);
    }
}

/// An amount as tables show it, which here all have six places.
fn shown(amount: &str) -> String {
    let amount = amount.strip_suffix("000").unwrap();
    amount.strip_prefix('-').map_or(format!("${amount}"), |amount| format!("-${amount}"))
}

fn check_table(text: &str) {
    assert!(
        text.contains("Unstable providers saved you $0.0307: the backups were cheaper."),
        "{text}"
    );
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    let with = |names: &[&str], (counts, amounts): Sums| {
        let line = lines.iter().rfind(|line| line.starts_with(names)).unwrap();
        let (counts, amounts) = (counts.map(|count| count.to_string()), amounts.map(shown));
        let rest = &line[names.len()..];
        assert_eq!(rest[..3], counts, "{text}");
        assert_eq!(rest[5..], amounts[..3], "{text}");
    };
    ROWS.iter().for_each(|(model, sums)| with(&["default", "first", model], *sums));
    with(&["all"], ALL);
}

fn check_page(path: &Path) {
    let page = fs::read_to_string(path).unwrap();
    for (model, (_, amounts)) in ROWS.into_iter().chain([("all", ALL)]) {
        let line = page.lines().rfind(|line| line.contains(&format!("<td class=\"l\">{model}<")));
        for amount in &amounts[..3] {
            let cell = format!("<td>{}</td>", shown(amount));
            assert!(line.unwrap().contains(&cell), "{model}: {cell} is not in {line:?}");
        }
    }
    assert!(page.contains("first was out") && page.contains("second was out"));
}
