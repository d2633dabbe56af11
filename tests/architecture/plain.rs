//! Code without what only looks like code: tests, comments and literals, read without a parser.

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A file up to the module of its tests, which stands last.
pub(crate) fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|two| {
        two[0] == "#[cfg(test)]" && two[1].starts_with("mod ") && two[1].ends_with('{')
    });
    lines[..tests.unwrap_or(lines.len())].join("\n")
}

/// The same text with comments and literals as blanks; lines keep their numbers.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match literal(rest, out.chars().next_back()) {
            0 => {
                out.push(c);
                c.len_utf8()
            }
            length => {
                out.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { ' ' }));
                length
            }
        };
        rest = &rest[length..];
    }
    out
}

/// How many bytes the comment or literal is long that `text` begins with; none is 0.
fn literal(text: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(is_word);
    let to = |end: usize| end.min(text.len());
    if text.starts_with("//") {
        return to(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("r\"") || text.starts_with("r#\"") && !in_word {
        let close = if text.starts_with("r#") { "\"#" } else { "\"" };
        return to(text[3..].find(close).map_or(text.len(), |at| at + 3 + close.len()));
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    let mut chars = text.chars().skip(1);
    let (first, second) = (chars.next(), chars.next());
    let is_char = text.starts_with('\'') && (first == Some('\\') || second == Some('\''));
    if is_char { quoted(text, '\'') } else { 0 }
}

/// The length of what stands between two quotes, with both.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
