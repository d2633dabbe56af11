//! What the ledger says, for `costs`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Server;
use crate::domain::ledger::Sums;
use crate::domain::price::Nano;
use crate::protocol::reply::{ErrorBody, ErrorCode};
use crate::protocol::span::Span;
use crate::protocol::view::{CostRowView, CostsView, SumsView};
use crate::recorder::Costs;

/// The time zone of this name; the machine's own without one, or when it does not know it.
pub fn zone(name: Option<&str>) -> TimeZone {
    let Some(name) = name else { return TimeZone::system() };
    TimeZone::get(name).unwrap_or_else(|_| {
        tracing::warn!(
            "costs.timezone: this machine knows no time zone {name:?}; its own is used instead"
        );
        TimeZone::system()
    })
}

/// Asks the ledger.
pub(super) async fn answer(server: &Server, span: &Span) -> Result<Value, ErrorBody> {
    let (from, to) = span.walls(&server.rules().zone);
    let costs = server.recorder.costs(from, to).await.ok_or_else(|| {
        let message =
            "the ledger did not answer: its disk is slow, or the daemon is busy; try again";
        ErrorBody::new(ErrorCode::Internal, message)
    })?;
    Ok(json!(view(costs)))
}

fn view(costs: Costs) -> CostsView {
    let totals = sums(&costs.totals());
    let rows = costs.rows.into_iter().map(|row| CostRowView {
        task: row.task,
        primary: row.primary,
        model: row.model,
        sums: sums(&row.sums),
    });
    CostsView { totals, rows: rows.collect(), incomplete: costs.incomplete }
}

fn sums(sums: &Sums) -> SumsView {
    let dollars = |amount| Nano(amount).dollars();
    SumsView {
        calls: sums.calls,
        fallback_calls: sums.fallback_calls,
        failed_calls: sums.failed_calls,
        shadow_calls: sums.shadow_calls,
        probe_calls: sums.probe_calls,
        hedge_calls: sums.hedge_calls,
        unpriced_calls: sums.unpriced_calls,
        estimated_calls: sums.estimated_calls,
        input_tokens: sums.input_tokens,
        output_tokens: sums.output_tokens,
        paid_usd: dollars(sums.paid),
        primary_would_usd: dollars(sums.primary_would),
        difference_usd: sums.difference as f64 / 1e9,
        shadow_usd: dollars(sums.shadow),
        probe_usd: dollars(sums.probe),
        hedge_usd: dollars(sums.hedge),
        failed_usd: dollars(sums.failed),
        estimated_usd: dollars(sums.estimated),
    }
}
