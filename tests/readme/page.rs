//! Finds the examples of a page by the comments before them. Knows nothing of what they do.

use std::path::Path;

/// Every name that a test runs.
pub(crate) const MARKERS: [&str; 8] = [
    "python-client",
    "python-pipeline",
    "node-client",
    "bash-client",
    "shell",
    "config",
    "exchange",
    "log",
];

/// The pages for users, relative to the repository.
pub(crate) const PAGES: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/protocol.md",
    "docs/http.md",
    "docs/http-responses.md",
    "docs/configuration.md",
    "docs/providers.md",
    "docs/routing.md",
    "docs/systemd.md",
];

/// A page's text.
pub(crate) fn text(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The blocks of a page behind the comment with this name, in order.
pub(crate) fn blocks(page: &str, marker: &str) -> Vec<String> {
    blocks_of(&text(page), marker)
}

fn blocks_of(text: &str, marker: &str) -> Vec<String> {
    let comment = format!("<!-- test: {marker} -->");
    let mut lines = text.lines();
    let mut found = Vec::new();
    while lines.by_ref().any(|line| line.trim() == comment) {
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "{marker}: a fence must follow, not {fence:?}");
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push(block.join("\n") + "\n");
    }
    found
}

#[test]
fn every_kind_of_example_is_there_and_is_not_empty() {
    for marker in MARKERS {
        let blocks: Vec<_> = PAGES.iter().flat_map(|page| blocks(page, marker)).collect();
        assert!(!blocks.is_empty(), "no page has a block for {marker}");
        assert!(blocks.iter().all(|block| block.trim().len() > 10), "{marker} is empty");
    }
}

#[test]
fn every_comment_has_a_name_that_a_test_knows() {
    for page in PAGES {
        let text = text(page);
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("<!-- test: "));
        for name in names.filter_map(|rest| rest.strip_suffix(" -->")) {
            assert!(MARKERS.contains(&name), "{page}: no test runs {name}");
        }
    }
}

#[test]
fn every_toml_and_json_block_is_tried() {
    for page in PAGES {
        let text = text(page);
        let mut before = "";
        for line in text.lines() {
            let shows = line.starts_with("```toml") || line.starts_with("```json");
            assert!(!shows || before.starts_with("<!-- test: "), "{page}: nobody tries a {line}");
            before = line;
        }
    }
}

#[test]
fn blocks_are_found_in_order_and_without_their_fences() {
    let page = "a\n<!-- test: x -->\n```bash\none\ntwo\n```\n```\nno\n```\n\
                <!-- test: x -->\n```\nthree\n```\n";
    assert_eq!(blocks_of(page, "x"), ["one\ntwo\n", "three\n"]);
    assert!(blocks_of(page, "y").is_empty());
}
