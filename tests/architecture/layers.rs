//! Is the house still in order? Every source file is short and opens with what it is for; imports
//! only go down the layers; the domain names neither a clock nor anything that does IO; the
//! repository speaks of no machine it was written on.
//!
//! What the compiler and clippy can count (unwrap, long functions, banned calls) is left to them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::sources::{code, every_source, files, root};

const MOST_LINES: usize = 400;

/// Most files of the walk for newcomers.
const MOST_OF_A_WALK: usize = 35;

/// Modules and their layers; imports go to a lower one.
const LAYERS: [(&str, u8); 15] = [
    ("domain", 0),
    ("protocol", 1),
    ("config", 1),
    ("dialects", 2),
    ("report", 2),
    ("provider", 3),
    ("recorder", 3),
    ("clock", 3),
    ("actors", 4),
    ("server", 5),
    ("daemon", 6),
    ("ctl", 6),
    ("sim", 6),
    ("demo", 7),
    ("bin", 8),
];

/// Imports between neighbours: everybody may be handed the clock.
const NEIGHBOURS: [(&str, &str); 2] = [("recorder", "clock"), ("provider", "clock")];

/// What a decision must not know of.
const NOT_IN_DOMAIN: [&str; 13] = [
    "tokio",
    "actix",
    "sled",
    "reqwest",
    "tracing",
    "fastrand",
    "std::fs",
    "std::env",
    "std::net",
    "std::io",
    "std::thread",
    "async ",
    "now()",
];

// ---------------------------------------------------------------------- the checks

/// What is wrong with a file's size and opening.
fn shape(text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let mut wrong = Vec::new();
    if lines > MOST_LINES {
        wrong.push(format!("has {lines} lines, {MOST_LINES} are allowed; split it"));
    }
    if !text.starts_with("//! ") {
        wrong.push("does not open with `//!` and what it is for".to_owned());
    }
    wrong
}

/// Imports that go up or sideways; `file` is relative to `src`.
fn imports(file: &Path, text: &str) -> Vec<String> {
    let Some(own) = module(file) else { return Vec::new() };
    let Some(layer) = layer(&own) else {
        return vec![format!("module `{own}` has no layer; give it one in this test")];
    };
    let test_file = file.ends_with("tests.rs") || file.iter().any(|part| part == "tests");
    let mut in_tests = test_file;
    let mut wrong = Vec::new();
    for (number, line) in code(text) {
        in_tests |= line.trim() == "#[cfg(test)]";
        for other in named(line).into_iter().filter(|other| *other != own) {
            let allowed = self::layer(&other).is_some_and(|below| below < layer)
                || NEIGHBOURS.contains(&(&own, &other))
                // A test may play against a simulated provider, wherever it stands.
                || (in_tests && other == "sim");
            if !allowed {
                wrong.push(format!("{number}: `{own}` must not import `{other}`"));
            }
        }
        if line.starts_with("use super::") && climbs(line) >= depth(file) {
            wrong.push(format!("{number}: `super` leaves the module; write `crate::`"));
        }
    }
    wrong
}

/// Names of the crate's modules that a line of code uses.
fn named(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for prefix in ["crate::", "fallbackd::"] {
        for rest in line.split(prefix).skip(1) {
            match rest.strip_prefix('{') {
                Some(list) => {
                    let list = list.split('}').next().unwrap_or_default();
                    found.extend(list.split(',').map(|name| word(name.trim())));
                }
                None => found.push(word(rest)),
            }
        }
    }
    // Names with a capital are items of the crate's root, not modules.
    found.retain(|name| name.starts_with(|c: char| c.is_lowercase()));
    found
}

/// What a file of the domain names and must not.
fn impure(text: &str) -> Vec<String> {
    let lines = code(text).filter(|(_, line)| NOT_IN_DOMAIN.iter().any(|no| line.contains(no)));
    lines.map(|(number, line)| format!("{number}: not in the domain: {}", line.trim())).collect()
}

/// Paths and hosts that belong to a machine and not to the project.
fn foreign(text: &str, words: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| stands_alone(line, word)) {
            wrong.push(format!("{}: names {word}", at + 1));
        }
    }
    wrong
}

/// Put together from halves, so that this file does not hold what it looks for.
fn foreign_words() -> Vec<String> {
    let halves = [
        ("/wo", "rk"),
        ("/fa", "rm"),
        ("/ro", "ot"),
        ("crates", ".io"),
        ("registry.npm", "js.org"),
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("proxy.go", "lang.org"),
    ];
    halves.iter().map(|(a, b)| [*a, *b].concat()).collect()
}

/// Whether `word` stands in `line` and is not part of a longer path or name.
fn stands_alone(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside = |c: char| part(c) || (word.starts_with('/') && matches!(c, '.' | '}'));
        !before.is_some_and(inside) && !after.is_some_and(part)
    })
}

// ---------------------------------------------------------------------- helpers

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The top-level module that a file belongs to; `lib.rs` belongs to none.
fn module(file: &Path) -> Option<String> {
    let first = Path::new(file.iter().next()?).file_stem()?.to_str()?;
    (first != "lib").then(|| first.to_owned())
}

/// How many modules a file is deep.
fn depth(file: &Path) -> usize {
    file.iter().count() - usize::from(file.ends_with("mod.rs"))
}

fn climbs(line: &str) -> usize {
    line.matches("super::").count()
}

// ---------------------------------------------------------------------- the house

#[test]
fn every_file_is_short_and_says_what_it_is_for() {
    every_source(&["src", "tests", "systemd", "benches"], |_, text| shape(text));
}

#[test]
fn imports_only_go_down() {
    every_source(&["src"], imports);
}

#[test]
fn the_domain_knows_no_clock_and_no_outside_world() {
    every_source(&["src/domain"], |_, text| impure(text));
}

#[test]
fn the_repository_speaks_of_the_project_alone() {
    let mut words = foreign_words();
    // The place of this very checkout, unless it is one that any text may name.
    words.extend(root().to_str().filter(|_| root().iter().count() > 3).map(str::to_owned));
    let mut wrong = Vec::new();
    for file in files(root()).iter().filter(|file| !file.ends_with("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let named = file.strip_prefix(root()).unwrap().display();
        let found = foreign(&text, &words);
        wrong.extend(found.iter().map(|what| format!("{named}: {what}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_map_names_only_files_that_exist() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let all = ["src", "tests", "systemd"].map(|folder| files(&root().join(folder))).concat();
    for name in quoted(&map).filter(|name| name.ends_with(".rs") && !name.contains(' ')) {
        assert!(all.iter().any(|file| file.ends_with(name)), "there is no {name}");
    }
}

/// The files that the rows of the newcomers' walk name, row by row.
fn walk(map: &str) -> Vec<Vec<&str>> {
    let section = map.split("\n## ").find(|part| part.starts_with("A walk for newcomers"));
    let rows = section.unwrap_or_default().lines().filter(|line| line.starts_with("| "));
    rows.filter(|row| row.contains('`'))
        .map(|row| quoted(row).filter(|name| name.ends_with(".rs")).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What is wrong with a walk: a file named twice, too many of them, a room entered a third time.
fn tiring(walk: &[Vec<&str>]) -> Vec<String> {
    let files: Vec<&str> = walk.iter().flatten().copied().collect();
    let mut wrong = Vec::new();
    if files.is_empty() || files.len() > MOST_OF_A_WALK {
        wrong.push(format!("the walk names {} files", files.len()));
    }
    let again = files.iter().enumerate().filter(|(at, file)| files[..*at].contains(file));
    wrong.extend(again.map(|(_, file)| format!("{file} is named twice")));
    let rooms = |row: &Vec<&str>| -> BTreeSet<String> {
        row.iter().map(|file| file.split('/').next().unwrap_or_default().to_owned()).collect()
    };
    let entered: Vec<String> = walk.iter().flat_map(rooms).collect();
    for room in entered.iter().collect::<BTreeSet<_>>() {
        if entered.iter().filter(|other| *other == room).count() > 2 {
            wrong.push(format!("`{room}` is entered a third time"));
        }
    }
    wrong
}

#[test]
fn the_walk_for_newcomers_is_short_and_turns_back_once() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert_eq!(tiring(&walk(&map)), [""; 0]);
}

#[test]
fn a_walk_that_goes_back_and_forth_is_refused() {
    assert_eq!(tiring(&[]).len(), 1, "no walk at all");
    let row = |files: &[&'static str]| files.to_vec();
    let twice = [row(&["a/x.rs"]), row(&["a/x.rs"])];
    assert_eq!(tiring(&twice), ["a/x.rs is named twice"]);
    let thrice = [row(&["a/x.rs"]), row(&["a/y.rs", "b/x.rs"]), row(&["a/z.rs"])];
    assert_eq!(tiring(&thrice), ["`a` is entered a third time"]);
}

#[test]
fn what_clippy_must_refuse_is_still_refused() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lints = ["unwrap_used", "expect_used", "panic", "todo", "disallowed_methods"];
    for lint in lints.iter().chain(&["too_many_lines", "excessive_nesting"]) {
        assert!(manifest.contains(&format!("{lint} = \"deny\"")), "{lint} is not denied");
    }
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    assert!(manifest.contains("sled = { version = \"=0.34.7\""), "sled is another version");
}

// ---------------------------------------------------------------------- the checks can fail

fn refused_imports(file: &str, text: &str) -> usize {
    imports(Path::new(file), text).len()
}

#[test]
fn a_long_file_and_one_without_an_opening_are_refused() {
    let long = format!("//! Why.\n{}", "x\n".repeat(MOST_LINES));
    assert_eq!(shape(&long).len(), 1);
    assert_eq!(shape("use std::fmt;\n").len(), 1);
    assert!(shape("//! Why.\n").is_empty());
}

#[test]
fn an_import_that_goes_up_is_refused_in_every_spelling() {
    let rows = [
        ("domain/rank.rs", "use crate::config::Config;"),
        ("domain/rank.rs", "    let now = crate::clock::Clock::system();"),
        ("domain/rank.rs", "use crate::{domain::time, actors::dispatch};"),
        ("config/read/mod.rs", "use crate::protocol::id::Id;"),
        ("actors/dispatch.rs", "use crate::server::Server;"),
        ("ctl/ping.rs", "use crate::daemon::main;"),
        ("sim/mod.rs", "use crate::ctl::main;"),
        ("clock.rs", "use super::domain::time::Now;"),
        ("server/listen.rs", "use super::super::actors::dispatch;"),
        ("unheard_of/mod.rs", "//! New.\n"),
    ];
    for (file, line) in rows {
        assert_eq!(refused_imports(file, line), 1, "{file}: {line}");
    }
}

#[test]
fn imports_that_go_down_or_stay_inside_pass() {
    let rows = [
        ("actors/dispatch/hedge.rs", "use super::super::model::Admit;"),
        ("domain/rank.rs", "//! See [`crate::config`].\nuse super::time::Now;"),
        ("demo/fixture.rs", "use crate::sim::Simulator;"),
        ("provider/http.rs", "use crate::clock::Clock;"),
        ("bin/fallbackd.rs", "    fallbackd::daemon::run()"),
        ("provider/http/tests.rs", "use crate::sim::Simulator;"),
        ("actors/router.rs", "#[cfg(test)]\nmod tests {\n    use crate::sim::Simulator;"),
        ("lib.rs", "pub mod daemon;"),
    ];
    for (file, text) in rows {
        assert_eq!(imports(Path::new(file), text), [""; 0], "{file}");
    }
}

#[test]
fn a_domain_that_looks_at_the_world_is_refused() {
    for line in ["use tokio::time::sleep;", "let at = Instant::now();", "std::env::var(\"A\")"] {
        assert_eq!(impure(line).len(), 1, "{line}");
    }
    assert!(impure("// tokio would wait here\nfn at(now: Now) {}\n").is_empty());
}

#[test]
fn machine_paths_and_registries_are_found_and_longer_words_are_not() {
    let words = foreign_words();
    for word in &words {
        assert_eq!(foreign(&format!("see {word}/x for it"), &words).len(), 1, "{word}");
        assert_eq!(foreign(&format!("\"{word}\""), &words).len(), 1, "{word}");
    }
    let path = words.first().unwrap();
    for line in [format!("a{path}/b"), format!("{path}ers"), format!("..{path}")] {
        assert_eq!(foreign(&line, &words), [""; 0], "{line}");
    }
}
