//! Pages of the documentation as manual pages.
//!
//! It knows the Markdown that `docs/` and the README use, and no more: headings, paragraphs,
//! lists, tables, code, emphasis and links. A table becomes a list of terms, which is what a
//! manual page of eighty columns can show. What a page refers to by a link is named, not linked.

use std::fmt::Write;

/// A page or a part of one as roff; its headings of `level` become sections.
pub(crate) fn roff(markdown: &str, level: usize) -> String {
    let mut out = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        let fresh = line.trim();
        if fresh.is_empty() || is_navigation(fresh) {
            out.push_str(if fresh.is_empty() { "\n" } else { "" });
        } else if fresh.starts_with("```") {
            let code: Vec<&str> =
                lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            verbatim(&code.join("\n"), &mut out);
        } else if let Some(first) = line.strip_prefix("    ") {
            let mut code = vec![first];
            while let Some(more) = lines.peek().and_then(|next| next.strip_prefix("    ")) {
                code.push(more);
                lines.next();
            }
            verbatim(&code.join("\n"), &mut out);
        } else if fresh.starts_with('#') {
            heading(fresh, level, &mut out);
        } else if fresh.starts_with('|') {
            let mut rows = vec![cells(fresh)];
            while let Some(row) = lines.next_if(|next| next.starts_with('|')) {
                rows.push(cells(row));
            }
            table(&rows, &mut out);
        } else if fresh.starts_with("<!--") {
            // A mark for the tests of the pages.
        } else {
            let item = fresh.strip_prefix("- ");
            let mut text = item.unwrap_or(fresh).to_owned();
            while let Some(more) = lines.next_if(|next| continues(next)) {
                text = format!("{text} {}", more.trim());
            }
            paragraph(&text, item.is_some(), &mut out);
        }
    }
    tidy(&out)
}

/// The section of a page below a heading, without it.
pub(crate) fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let from = page.find(&format!("\n{heading}\n"))? + heading.len() + 2;
    let depth = heading.bytes().take_while(|&byte| byte == b'#').count();
    let rest = &page[from..];
    let ends = (1..=depth).filter_map(|depth| rest.find(&format!("\n{} ", "#".repeat(depth))));
    Some(&rest[..ends.min().unwrap_or(rest.len())])
}

/// The table of contents and the links between pages: a manual page has its own.
fn is_navigation(line: &str) -> bool {
    let links_only = |text: &str| {
        let mut rest = text.replace("`", "");
        while let (Some(from), Some(to)) = (rest.find('['), rest.find(')')) {
            if from > to {
                return false;
            }
            rest.replace_range(from..=to, "");
        }
        rest.chars().all(|char| matches!(char, ' ' | '·'))
    };
    match line.strip_prefix("- ") {
        Some(item) => item.contains("](#") && links_only(item.trim_end_matches('·')),
        None if line.starts_with("[README]") => true,
        None => line.starts_with('[') && line.contains("](#") && links_only(line),
    }
}

fn continues(line: &str) -> bool {
    let fresh = line.trim_start();
    let indented = line.starts_with("    ");
    !fresh.is_empty()
        && !indented
        && !fresh.starts_with(['|', '#'])
        && !fresh.starts_with("- ")
        && !fresh.starts_with("```")
        && !fresh.starts_with("<!--")
}

fn heading(line: &str, level: usize, out: &mut String) {
    let depth = line.bytes().take_while(|&byte| byte == b'#').count();
    let text = line.trim_start_matches('#').trim().replace('`', "");
    match depth {
        // The page's own title is that of the manual page.
        1 => {}
        depth if depth <= level => {
            let _ = writeln!(out, ".SH \"{}\"", argument(&text));
        }
        _ => {
            let _ = writeln!(out, ".SS \"{}\"", argument(&text));
        }
    }
}

fn paragraph(text: &str, is_item: bool, out: &mut String) {
    out.push_str(if is_item { ".IP \\(bu 2\n" } else { ".PP\n" });
    let _ = writeln!(out, "{}", inline(text));
}

/// Code, as it stands.
pub(crate) fn verbatim(code: &str, out: &mut String) {
    out.push_str(".PP\n.RS 4\n.nf\n");
    for line in code.lines() {
        let _ = writeln!(out, "{}", guarded(&escape(line)));
    }
    out.push_str(".fi\n.RE\n");
}

/// The cells of a row; `\|` is no border.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Each row as a term and what is said about it.
fn table(rows: &[Vec<String>], out: &mut String) {
    let Some((heads, rows)) = rows.split_first() else { return };
    for row in rows.iter().filter(|row| !row.iter().all(|cell| cell.starts_with("---"))) {
        let Some((term, rest)) = row.split_first() else { continue };
        let _ = write!(out, ".TP\n{}\n", inline(term));
        let mut said = Vec::new();
        for (at, cell) in rest.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let head = heads.get(at + 1).map(String::as_str).unwrap_or_default();
            let is_last = at + 1 == rest.len();
            said.push(match (is_last, head) {
                (true, _) | (_, "") => inline(cell),
                (false, head) => format!("{}: {}.", inline(head), inline(cell)),
            });
        }
        let _ = writeln!(out, "{}", guarded(&said.join("\n.br\n")));
    }
}

/// Emphasis, code and links within a line.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        out.push_str(&escape(&rest[..at]));
        let tail = &rest[at..];
        let (shown, after) = span(tail).unwrap_or((escape(&tail[..1]), &tail[1..]));
        out.push_str(&shown);
        rest = after;
    }
    out.push_str(&escape(rest));
    guarded(&out)
}

/// What begins with a mark: how it is shown, and what follows it.
fn span(text: &str) -> Option<(String, &str)> {
    let (open, close, font) = if text.starts_with("**") {
        ("**", "**", "B")
    } else if text.starts_with('`') {
        ("`", "`", "B")
    } else if text.starts_with('*') {
        ("*", "*", "I")
    } else {
        let (label, rest) = text[1..].split_once("](")?;
        let (_, rest) = rest.split_once(')')?;
        return Some((inline(label), rest));
    };
    let (inner, rest) =
        text[open.len()..].split_once(close).filter(|(inner, _)| !inner.is_empty())?;
    let inner = if open == "`" { escape(inner) } else { inline(inner) };
    Some((format!("\\f{font}{inner}\\fR"), rest))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// The argument of a request within quotes.
fn argument(text: &str) -> String {
    escape(text).replace('"', "\\(dq")
}

/// A line of text that cannot be taken for a request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

/// Without what a reader of roff would take for a gap where none is meant: empty lines outside
/// of code, a paragraph or a break that begins where something begins anyway, space at the ends.
pub(crate) fn tidy(roff: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut code = false;
    for line in roff.lines() {
        let line = if code { line } else { line.trim_end() };
        code = (code && line != ".fi") || line == ".nf";
        let last = lines.last().copied().unwrap_or_default();
        let begins = last.starts_with(".SH") || last.starts_with(".SS");
        if !code
            && (line.is_empty() || (line == ".PP" && begins) || (line == ".br" && last == ".br"))
        {
            continue;
        }
        lines.push(line);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_paragraphs_lists_and_marks_have_their_form() {
        let page = "# T\n\n[README](a) · b\n\n- [One](#one) · [Two](#two)\n\n## One\n\nA `co-de`, **bold**\n\
                    and a [link](x.md#y).\n\n- an item\n  of two lines\n### Sub `x`\n.dot\n";
        let wanted = ".SH \"One\"\nA \\fBco\\-de\\fR, \\fBbold\\fR and a link.\n\
                      .IP \\(bu 2\nan item of two lines\n.SS \"Sub x\"\n\\&.dot\n";
        assert_eq!(roff(page, 2), wanted);
    }

    #[test]
    fn a_row_of_a_table_is_a_term_and_its_meaning() {
        let page = "| key | default | meaning |\n|---|---|---|\n| `a` | `1` | is a\\|b |\n| `b` | | no |\n";
        let wanted = ".TP\n\\fBa\\fR\ndefault: \\fB1\\fR.\n.br\nis a|b\n.TP\n\\fBb\\fR\nno\n";
        assert_eq!(roff(page, 2), wanted);
    }

    #[test]
    fn code_stands_as_it_is() {
        let page = "<!-- test: x -->\n```json\n{\"a\":\\n}\n\n.x\n```\n    indented\n";
        let wanted = ".PP\n.RS 4\n.nf\n{\"a\":\\en}\n\n\\&.x\n.fi\n.RE\n\
                      .PP\n.RS 4\n.nf\nindented\n.fi\n.RE\n";
        assert_eq!(roff(page, 2), wanted);
    }

    #[test]
    fn a_section_ends_where_one_of_its_rank_begins() {
        let page = "# T\n\n## A\n\na\n\n### B\n\nb\n\n## C\n\nc\n";
        assert_eq!(section(page, "## A"), Some("\na\n\n### B\n\nb\n"));
        assert_eq!(section(page, "### B"), Some("\nb\n"));
        assert_eq!(section(page, "## D"), None);
    }
}
