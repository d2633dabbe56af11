//! The providers' addresses, and the clock that their answers are compared with.
//!
//! One request to each address, without a key and without a body: whoever answers it, whatever it
//! says, is there, and nobody can be billed. All are asked at once.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::super::text;
use super::CheckResult;
use crate::clock::wall;
use crate::config::{Config, ProviderConfig};
use crate::domain::fault::Fault;
use crate::domain::time::{Wall, millis};
use crate::provider::Failure;
use crate::provider::http::{HostAnswer, look_at};

/// How long an address may take. A provider that needs longer is no use to anybody.
const PATIENCE: Duration = Duration::from_secs(10);
/// A clock that is off by more spoils certificates and holds.
const OFF: Duration = Duration::from_secs(60);
/// 2026-01-01: no clock that is right shows an earlier time to this version.
const EARLIEST: Wall = Wall(1_767_225_600_000);

/// Asks every provider that a model uses.
pub(super) fn look(config: Option<&Config>) -> Vec<CheckResult> {
    let Some(config) = config else {
        let why = "without a configuration no address is known";
        return vec![CheckResult::skipped("network", why), clock(wall(), &[])];
    };
    let providers: BTreeMap<&str, &ProviderConfig> =
        config.models.iter().map(|model| (&*model.provider.name, &*model.provider)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return vec![CheckResult::skipped("network", "no runtime could be started to look")];
    };
    let asked = providers.values().map(|provider| look_at(provider, PATIENCE));
    let answers = runtime.block_on(join_all(asked));
    let now = wall();
    let dates: Vec<Wall> = answers.iter().flatten().filter_map(|look| look.date).collect();
    let mut findings: Vec<CheckResult> =
        providers.keys().zip(&answers).map(|(name, answer)| judge(name, answer)).collect();
    findings.push(clock(now, &dates));
    findings
}

fn judge(name: &str, answer: &Result<HostAnswer, Failure>) -> CheckResult {
    match answer {
        Ok(look) => {
            let took = text::span(millis(look.took));
            let what = format!("{name}: {} answers in {took} (HTTP {})", look.host, look.status);
            if look.status < 500 {
                return CheckResult::ok("network", what);
            }
            let todo = "the provider or a proxy before it is unwell: see its status page";
            CheckResult::warning("network", what, todo)
        }
        Err(failure) => {
            let todo = match failure.fault {
                Fault::Tls => "check the clock, ca-certificates, and who answers in its place",
                Fault::NoNetwork => "check the network and the name servers of this machine",
                _ => "check `base_url`, DNS, and whether a firewall stops this machine",
            };
            CheckResult::wrong("network", format!("{name}: {}", failure.message), todo)
        }
    }
}

/// The clock of this machine, against those of the providers that gave a date.
fn clock(now: Wall, dates: &[Wall]) -> CheckResult {
    const SET: &str = "set it: `timedatectl set-ntp true`";
    if now < EARLIEST {
        return CheckResult::wrong("clock", "it stands before 2026", SET);
    }
    // The clock that agrees best: one provider may be wrong, all of them are not.
    let off = dates.iter().map(|date| Duration::from_millis(now.0.abs_diff(date.0))).min();
    match off {
        None => CheckResult::skipped("clock", "no provider gave a date to compare with"),
        Some(off) if off > OFF => {
            let off = text::span(millis(off));
            CheckResult::wrong("clock", format!("it is {off} off those of the providers"), SET)
        }
        Some(_) => CheckResult::ok("clock", "it agrees with those of the providers"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckState;
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_nearest_of_the_providers() {
        let now = Wall(EARLIEST.0 + 3_600_000);
        assert_eq!(clock(now, &[]).state, CheckState::Skipped);
        assert_eq!(clock(now, &[Wall(0), Wall(now.0 + 1500)]).state, CheckState::Ok);
        let off = clock(now, &[Wall(now.0 - 180_000)]);
        assert_eq!(off.state, CheckState::Wrong);
        assert!(off.finding.contains("3m"), "{}", off.finding);
        assert_eq!(clock(Wall(0), &[]).state, CheckState::Wrong);
    }
}
