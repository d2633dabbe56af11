//! Every link between the pages leads to a file that exists and to a heading that is there.

use std::path::{Path, PathBuf};

use crate::page::{PAGES, text};

/// Links of `page` that lead nowhere; `read` gives the text of another page.
fn dead(page: &str, body: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let targets = body.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://"));
    let leads_nowhere = |target: &&str| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let text = match file {
            "" => Some(body.to_owned()),
            _ => read(&plain(&folder.join(file))),
        };
        let has = |text: String| anchor.is_empty() || anchors(&text).iter().any(|a| a == anchor);
        !text.is_some_and(has)
    };
    inside.filter(leads_nowhere).map(|target| format!("{page}: {target}")).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path {
        if part == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// How the headings of a page are linked to: lower case, spaces as dashes, no other punctuation.
fn anchors(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_block ^= line.starts_with("```");
        if in_block || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        found.push(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect());
    }
    found
}

fn from_repository(path: &Path) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if path.is_dir() { Some(String::new()) } else { std::fs::read_to_string(path).ok() }
}

#[test]
fn every_link_leads_somewhere() {
    let dead: Vec<String> =
        PAGES.iter().flat_map(|page| dead(page, &text(page), from_repository)).collect();
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

#[test]
fn a_link_to_a_missing_page_or_heading_is_found() {
    let read = |path: &Path| (path == Path::new("README.md")).then(|| "## In `short`\n".to_owned());
    let check = |body: &str| dead("docs/a.md", body, read).len();
    assert_eq!(check("[a](../README.md) [b](../README.md#in-short) [c](https://x.example/)"), 0);
    assert_eq!(check("# Here\n[a](#here)"), 0);
    assert_eq!(check("[a](README.md) [b](../README.md#there) [c](#here)"), 3);
    assert_eq!(check("```\n# Here\n```\n[a](#here)"), 1);
}
