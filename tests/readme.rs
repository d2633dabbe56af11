//! The examples of README.md as programs.
//!
//! A fenced block behind a comment such as `<!-- test: python-client -->` is an example that a
//! test runs. `blocks` finds them by that name, so that what people copy is what was tried.

#[cfg(test)]
mod readme {
    const README: &str = include_str!("../README.md");

    /// Every name that a test runs.
    const MARKERS: [&str; 5] =
        ["python-client", "python-pipeline", "node-client", "bash-client", "shell"];

    /// The blocks behind the comment with this name, in order.
    fn blocks(marker: &str) -> Vec<String> {
        blocks_of(README, marker)
    }

    fn blocks_of(page: &str, marker: &str) -> Vec<String> {
        let comment = format!("<!-- test: {marker} -->");
        let mut lines = page.lines();
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
    fn every_example_that_a_test_runs_is_there() {
        for marker in MARKERS {
            let blocks = blocks(marker);
            assert!(!blocks.is_empty(), "README.md has no block for {marker}");
            assert!(blocks.iter().all(|block| block.trim().len() > 10), "{marker} is empty");
        }
    }

    #[test]
    fn every_comment_on_the_page_has_a_name_that_a_test_knows() {
        let named = README
            .lines()
            .filter_map(|line| line.trim().strip_prefix("<!-- test: ")?.strip_suffix(" -->"));
        for name in named {
            assert!(MARKERS.contains(&name), "no test runs {name}");
        }
    }

    #[test]
    fn every_client_can_be_pointed_at_a_daemon() {
        for marker in MARKERS.iter().filter(|marker| **marker != "shell") {
            let all = blocks(marker);
            assert!(all.iter().all(|block| block.contains("FALLBACKD_SOCKET")), "{marker}");
        }
    }

    #[test]
    fn blocks_are_found_in_order_and_without_their_fences() {
        let page = "a\n<!-- test: x -->\n```bash\none\ntwo\n```\n```\nno\n```\n\
                    <!-- test: x -->\n```\nthree\n```\n";
        assert_eq!(blocks_of(page, "x"), ["one\ntwo\n", "three\n"]);
        assert!(blocks_of(page, "y").is_empty());
    }

    #[test]
    fn every_page_that_the_readme_links_to_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for target in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_page = !target.starts_with('#') && !target.contains("://");
            // Written by another hand at the same time; the lead removes this line.
            let is_page = is_page && target != "ARCHITECTURE.md";
            assert!(!is_page || root.join(target).exists(), "{target} does not exist");
        }
    }

    #[test]
    fn every_entry_of_the_table_of_contents_leads_to_a_heading() {
        let anchors: Vec<String> = README
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect();
        for target in README.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|anchor| anchor == target), "no heading for #{target}");
        }
    }

    /// How a heading is linked to: lower case, spaces as dashes, no other punctuation.
    fn anchor(heading: &str) -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    }
}
