//! What a process has consumed, from `/proc`.

use std::fs;
use std::time::Duration;

/// The kernel counts CPU time for users in hundredths of a second on every common machine.
const TICK: Duration = Duration::from_millis(10);

/// CPU time so far and memory now.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory.
    pub(crate) rss_kib: u64,
}

impl Usage {
    /// Of a process; `None` when it is gone.
    pub(crate) fn of(pid: u32) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, but nothing behind its last parenthesis does.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
        let cpu = TICK * (ticks(11)? + ticks(12)?);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss_kib = rss.split_whitespace().next()?.parse().ok()?;
        Some(Usage { cpu, rss_kib })
    }
}
