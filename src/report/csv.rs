//! Costs as comma-separated values, for spreadsheets: one line per task, primary and model.
//!
//! There is no line of totals, because whoever pivots would count it. Amounts have nine places, so
//! that nothing is lost.

use crate::protocol::costs::{CostRowView, Costs};

const HEADING: &str = "task,primary,model,calls,fallback_calls,failed_calls,shadow_calls,\
    probe_calls,hedge_calls,unpriced_calls,estimated_calls,input_tokens,output_tokens,paid_usd,\
    primary_would_usd,difference_usd,shadow_usd,probe_usd,hedge_usd,failed_usd,estimated_usd,\
    excused_calls,excused_usd";

/// The whole table, lines end with CRLF as RFC 4180 has it.
pub fn table(costs: &Costs) -> String {
    let mut text = format!("{HEADING}\r\n");
    for row in &costs.rows {
        text.push_str(&line(row).join(","));
        text.push_str("\r\n");
    }
    text
}

fn line(row: &CostRowView) -> Vec<String> {
    let CostRowView { task, primary, model, sums } = row;
    let names = [task, primary, model].map(|name| quoted(name));
    let counts = [
        sums.calls,
        sums.fallback_calls,
        sums.failed_calls,
        sums.shadow_calls,
        sums.probe_calls,
        sums.hedge_calls,
        sums.unpriced_calls,
        sums.estimated_calls,
        sums.input_tokens,
        sums.output_tokens,
    ]
    .map(|count| count.to_string());
    let amounts = [
        sums.paid_usd,
        sums.primary_would_usd,
        sums.difference_usd,
        sums.shadow_usd,
        sums.probe_usd,
        sums.hedge_usd,
        sums.failed_usd,
        sums.estimated_usd,
    ]
    .map(|amount| format!("{amount:.9}"));
    // At the end, so that the columns before them stay where spreadsheets expect them.
    let excused = [sums.excused_calls.to_string(), format!("{:.9}", sums.excused_usd)];
    names.into_iter().chain(counts).chain(amounts).chain(excused).collect()
}

/// A name as one field. What a spreadsheet would take for a formula is made a text.
fn quoted(name: &str) -> String {
    let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !name.contains([',', '"', '\r', '\n']) {
        return name.to_owned();
    }
    let apostrophe = if formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::Sums;

    #[test]
    fn a_line_has_as_many_fields_as_the_heading_and_exact_amounts() {
        let sums = Sums { calls: 2, paid: 963_001, difference: -5, ..Sums::default() };
        let row = CostRowView {
            task: "code".into(),
            primary: "a".into(),
            model: "a,b\"c".into(),
            sums: (&sums).into(),
        };
        let text = table(&Costs { rows: vec![row], ..Costs::default() });
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(
            lines[1],
            "code,a,\"a,b\"\"c\",2,0,0,0,0,0,0,0,0,0,0.000963001,0.000000000,-0.000000005,\
             0.000000000,0.000000000,0.000000000,0.000000000,0.000000000,0,0.000000000"
        );
        assert_eq!(lines[0].split(',').count(), 23);
    }

    #[test]
    fn no_name_is_a_formula() {
        for name in ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "=a\"b"] {
            assert_eq!(quoted(name), format!("\"'{}\"", name.replace('"', "\"\"")));
        }
        assert_eq!(quoted("gpt-4o"), "gpt-4o");
    }
}
