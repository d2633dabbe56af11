//! Web pages that stand where an answer or an error should.

/// Whether a text is a web page.
pub(crate) fn is_html(text: &str) -> bool {
    let head = text.trim_start().get(..14).unwrap_or(text.trim_start()).to_ascii_lowercase();
    head.starts_with("<!doctype html") || head.starts_with("<html") || head.starts_with("<head")
}

/// The title of a page, the only part of one that is of use.
pub(super) fn title(page: &str) -> Option<&str> {
    // Lower-casing ASCII only keeps every position, so they may be used on the original.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = lower[start..].find("</title>")? + start;
    let title = page[start..end].trim();
    (!title.is_empty()).then_some(title)
}
