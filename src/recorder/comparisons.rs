//! What comparisons of copies say together, per pair of models.
//!
//! They are read from the health log, as far back as it is kept: a person asks now and then, and
//! nobody else needs them. Blocks.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::logfile::LogFiles;
use super::search::each_line;
use crate::domain::price::Nano;
use crate::domain::time::Wall;
use crate::protocol::calendar::moment;
use crate::protocol::costs::{PairView, SideView};
use crate::protocol::log::{AnswerFacts, ComparisonEvent, Event, LogLine};

/// Sums over the copies of one pair.
#[derive(Default)]
struct Pair {
    copies: u64,
    failed: u64,
    live: Side,
    shadow: Side,
    same_finish: u64,
    same_json: u64,
    ratios: (f64, u64),
    similarity: f64,
}

#[derive(Default)]
struct Side {
    latency_ms: u64,
    output_tokens: u64,
    cost: Nano,
    priced: u64,
}

/// One view per pair whose copies were sent between two moments, for one task or for all.
pub(super) fn pairs(
    files: &LogFiles,
    range: &Range<Wall>,
    task: Option<&str>,
) -> io::Result<Vec<PairView>> {
    let mut pairs: BTreeMap<(Arc<str>, Arc<str>), Pair> = BTreeMap::new();
    let finder = Finder::new("\"event\":\"comparison\"");
    each_line(files, range.start, &finder, |line| {
        let Ok(line) = serde_json::from_slice::<LogLine>(line) else { return };
        let Event::Comparison(its) = line.event else { return };
        let at = moment(&line.timestamp).unwrap_or_default();
        let wanted = task.is_none_or(|task| *its.task == *task);
        if range.contains(&at) && wanted {
            let names = (its.model_used.clone(), its.backup.clone());
            pairs.entry(names).or_default().add(&its);
        }
    })?;
    let views = pairs.into_iter();
    Ok(views.map(|((model_used, backup), pair)| pair.view(model_used, backup)).collect())
}

impl Pair {
    fn add(&mut self, its: &ComparisonEvent) {
        self.copies += 1;
        let sound = its.shadow.as_ref().filter(|_| its.error_type.is_none());
        let (Some(shadow), Some(agreement)) = (sound, its.agreement) else {
            self.failed += 1;
            return;
        };
        self.live.add(&its.live);
        self.shadow.add(shadow);
        self.same_finish += u64::from(its.live.finish_reason == shadow.finish_reason);
        self.same_json += u64::from(agreement.same_json);
        self.similarity += agreement.similarity;
        if let Some(ratio) = agreement.length_ratio {
            self.ratios = (self.ratios.0 + ratio, self.ratios.1 + 1);
        }
    }

    fn view(&self, model_used: Arc<str>, backup: Arc<str>) -> PairView {
        let answered = self.copies - self.failed;
        PairView {
            model_used,
            backup,
            copies: self.copies,
            failed: self.failed,
            live: self.live.view(answered),
            shadow: self.shadow.view(answered),
            same_finish: mean(self.same_finish as f64, answered),
            same_json: mean(self.same_json as f64, answered),
            length_ratio: mean(self.ratios.0, self.ratios.1),
            similarity: mean(self.similarity, answered),
        }
    }
}

impl Side {
    fn add(&mut self, facts: &AnswerFacts) {
        self.latency_ms = self.latency_ms.saturating_add(facts.latency_ms);
        self.output_tokens = self.output_tokens.saturating_add(facts.output_tokens);
        if let Some(cost) = facts.cost_usd {
            self.cost += cost;
            self.priced += 1;
        }
    }

    fn view(&self, answers: u64) -> SideView {
        SideView {
            avg_latency_ms: mean(self.latency_ms as f64, answers),
            avg_output_tokens: mean(self.output_tokens as f64, answers),
            avg_cost_usd: mean(self.cost.dollars(), self.priced),
        }
    }
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-20T10:00:00.000Z";

    fn line(backup: &str, shadow: bool) -> String {
        let facts = |latency_ms: u64| {
            json!({"latency_ms": latency_ms, "input_tokens": 10,
            "output_tokens": 20, "cost_usd": 0.001, "finish_reason": "stop"})
        };
        let agreement = json!({"same_json": true, "length_ratio": 2.0, "similarity": 0.5});
        let rest = json!({"event": "comparison", "request_id": "r", "task": "t",
            "model_used": "a", "backup": backup, "live": facts(100),
            "shadow": shadow.then(|| facts(300)),
            "error_type": (!shadow).then_some("overloaded"),
            "agreement": shadow.then_some(agreement)});
        let rest = rest.to_string();
        let event = "\"event\":\"comparison\"";
        let rest = rest.replacen(&format!("{event},"), "", 1);
        format!("{{\"timestamp\":\"{AT}\",{event},{}\n", &rest[1..])
    }

    #[test]
    fn pairs_are_summed_up_apart_and_failures_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("health.jsonl");
        let text = [line("b", true), line("b", true), line("b", false), line("c", false)].concat();
        std::fs::write(&path, text + "{\"event\":\"comparison\" torn").unwrap();
        let files = LogFiles { path, keep: 3 };
        let all = Wall(0)..Wall(u64::MAX);
        let found = pairs(&files, &all, None).unwrap();
        assert_eq!(found.len(), 2);
        let (b, c) = (&found[0], &found[1]);
        assert_eq!((b.copies, b.failed, c.copies, c.failed), (3, 1, 1, 1));
        assert_eq!((b.live.avg_latency_ms, b.shadow.avg_latency_ms), (Some(100.0), Some(300.0)));
        assert_eq!((b.same_json, b.length_ratio, b.similarity), (Some(1.0), Some(2.0), Some(0.5)));
        assert_eq!(c.similarity, None);
        let at = moment(AT).unwrap();
        assert!(pairs(&files, &(Wall(0)..at), None).unwrap().is_empty());
        assert!(pairs(&files, &all, Some("other")).unwrap().is_empty());
    }
}
