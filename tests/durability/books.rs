//! The accounts: what the log says, and whether others agree.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};

use crate::machine::{Daemon, Machine};

/// Sums over `call` lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    answered: u64,
    fallback: u64,
    failed: u64,
    paid: u64,
    failed_paid: u64,
    primary_would: u64,
}

/// What the logs hold.
#[derive(Default)]
pub(crate) struct Books {
    sums: Sums,
    /// Calls by model.
    calls: HashMap<String, u64>,
    /// The running count of failures of each model.
    runs: HashMap<String, u64>,
    /// `request` lines by id, and what the calls of each cost together.
    requests: HashMap<String, Vec<Value>>,
    costs: HashMap<String, u64>,
}

/// Whole nano-dollars of an amount in a line.
fn nano(dollars: &Value) -> u64 {
    (dollars.as_f64().unwrap_or(0.0) * 1e9).round() as u64
}

impl Books {
    /// Reads all files of the log.
    pub(crate) fn read(machine: &Machine) -> Books {
        let mut books = Books::default();
        for path in machine.logs() {
            let text = fs::read_to_string(&path).unwrap();
            // A daemon that was killed while it wrote has left a piece of a line.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                match line["event"].as_str().unwrap() {
                    "call" => books.call(&line),
                    "breaker" => books.run(&line),
                    "request" => {
                        let id = line["request_id"].as_str().unwrap().to_owned();
                        books.requests.entry(id).or_default().push(line);
                    }
                    _ => {}
                }
            }
        }
        books
    }

    fn call(&mut self, line: &Value) {
        let cost = nano(&line["cost_usd"]);
        let sums = &mut self.sums;
        if line["success"] == true {
            sums.answered += 1;
            sums.fallback += u64::from(line["model_name"] != line["primary"]);
            sums.paid += cost;
            sums.primary_would += nano(&line["primary_cost_usd"]);
        } else {
            sums.failed += 1;
            sums.failed_paid += cost;
        }
        *self.calls.entry(line["model_name"].as_str().unwrap().to_owned()).or_default() += 1;
        *self.costs.entry(line["request_id"].as_str().unwrap().to_owned()).or_default() += cost;
        self.run(line);
    }

    fn run(&mut self, line: &Value) {
        if let Some(run) = line["replay"]["stored"]["breaker"]["run"].as_u64() {
            self.runs.insert(line["model_name"].as_str().unwrap().to_owned(), run);
        }
    }

    /// Every reply has exactly one line, which says the same; so do the lines of its calls.
    pub(crate) fn hold(&self, replies: &[Value]) {
        for lines in self.requests.values() {
            assert_eq!(lines.len(), 1, "one line for each request: {lines:?}");
        }
        for reply in replies {
            let id = reply["request_id"].as_str().unwrap();
            let lines = self.requests.get(id).unwrap_or_else(|| panic!("no line for {reply}"));
            assert_eq!(lines[0]["success"], reply["ok"], "{reply}");
            if reply["ok"] == true {
                assert_eq!(lines[0]["model_used"], reply["model_used"], "{reply}");
                let cost = nano(&reply["request_cost_usd"]);
                assert_eq!(self.costs[id], cost, "{reply}");
                assert_eq!(nano(&lines[0]["request_cost_usd"]), cost, "{reply}");
            }
        }
    }

    /// The daemon knows exactly what the log says.
    pub(crate) fn agree_with(&self, daemon: &Daemon) {
        let reply = daemon.ask(&json!({"op": "costs"}));
        assert_eq!(reply["incomplete"], Value::Null, "{reply}");
        let known = |sums: &Value| Sums {
            answered: sums["calls"].as_u64().unwrap(),
            fallback: sums["fallback_calls"].as_u64().unwrap(),
            failed: sums["failed_calls"].as_u64().unwrap(),
            paid: nano(&sums["paid_usd"]),
            failed_paid: nano(&sums["failed_usd"]),
            primary_would: nano(&sums["primary_would_usd"]),
        };
        assert_eq!(known(&reply["totals"]), self.sums, "the ledger");
        let rows = reply["rows"].as_array().unwrap();
        let paid: u64 = rows.iter().map(|row| known(row).paid).sum();
        assert_eq!(paid, self.sums.paid, "the rows of the ledger");
        let health = daemon.ask(&json!({"op": "health"}));
        for (name, model) in health["models"].as_object().unwrap() {
            let calls = self.calls.get(name).copied().unwrap_or(0);
            assert_eq!(model["total_calls"], calls, "the window of {name}: {health}");
            let run = self.runs.get(name).copied().unwrap_or(0);
            assert_eq!(model["breaker"]["consecutive_failures"], run, "the circuit of {name}");
        }
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.values().sum()
    }
}
