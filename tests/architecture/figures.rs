//! How is the code built? Figures that review forgets, counted over everything but tests.
//!
//! `cargo test --test architecture -- --nocapture figures` prints them. Limits are today's values:
//! no figure may grow, and who makes one smaller lowers its limit. Text is read without a parser,
//! so every checker looks at `plain` code, in which comments and literals are blanks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::plain::{is_word, plain, without_tests};
use crate::sources::{files, is_rust, root};

/// One file without its tests; `code` is `text` with comments and literals blanked.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let text = without_tests(text);
        Self { path: path.to_owned(), code: plain(&text), text }
    }

    /// The top-level module that the file belongs to.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// What a check found, each with its place.
type Found = Vec<String>;

type Check = fn(&Source) -> Found;

// ---------------------------------------------------------------------- the checkers

/// Functions that take a tuple where a struct would name an idea.
fn tuple_parameters(source: &Source) -> Found {
    let mut found = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        let rest = &source.code[at..];
        let name: String = rest[3..].chars().take_while(|c| is_word(*c)).collect();
        let starts_word = source.code[..at].chars().next_back().is_none_or(|c| !is_word(c));
        if name.is_empty() || !starts_word {
            continue;
        }
        if parameters(&rest[3 + name.len()..]).iter().any(|one| is_tuple(one)) {
            found.push(format!("{}: {name}", source.path));
        }
    }
    found
}

/// Whether a parameter's pattern is one of a tuple, as in `(a, b): (A, B)`.
fn is_tuple(parameter: &str) -> bool {
    parameter.trim_start_matches(['&', ' ', '\n']).starts_with('(')
}

/// The parameters of a function, from behind its name on.
fn parameters(after_name: &str) -> Vec<String> {
    let after_generics = match after_name.strip_prefix('<') {
        Some(generics) => behind_generics(generics),
        None => after_name,
    };
    let Some(list) = after_generics.strip_prefix('(') else { return Vec::new() };
    let mut found = vec![String::new()];
    let mut depth = 0;
    for c in list.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        match found.last_mut() {
            Some(last) if c != ',' || depth > 0 => last.push(c),
            _ => found.push(String::new()),
        }
    }
    found.iter().map(|one| one.trim().to_owned()).collect()
}

/// What follows a list of generics, whose `->` closes nothing.
fn behind_generics(text: &str) -> &str {
    let mut depth = 1;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
        before = c;
    }
    ""
}

/// Closures that are given a name, and could be functions.
fn named_closures(source: &Source) -> Found {
    let lines: Vec<&str> = source.code.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("let ")) {
        let value = match line.split_once(" = ") {
            Some((_, value)) => value,
            None if line.ends_with('=') => lines.get(at + 1).copied().unwrap_or_default(),
            None => continue,
        };
        let value = value.trim_start_matches("async ").trim_start_matches("move ");
        if value.starts_with('|') {
            found.push(format!("{}:{}", source.path, at + 1));
        }
    }
    found
}

/// Every type that a file names: structs, enums, traits, and aliases outside of impls.
fn types(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for line in source.code.lines() {
        let bare = without_visibility(line.trim());
        let mut words = bare.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        let (keyword, name) = (words.next().unwrap_or_default(), words.next());
        let alias = keyword == "type" && !line.starts_with(' ');
        if alias || matches!(keyword, "struct" | "enum" | "trait") {
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

fn without_visibility(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else { return line };
    let rest = rest.split_once(')').filter(|_| rest.starts_with('(')).map_or(rest, |(_, it)| it);
    rest.trim_start()
}

/// Types of these files that share their name with another, once for each.
fn shared_types<'a>(sources: impl Iterator<Item = &'a Source>) -> Found {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources {
        for name in types(source) {
            places.entry(name).or_default().push(&source.path);
        }
    }
    let shared = places.iter().filter(|(_, paths)| paths.len() > 1);
    shared.flat_map(|(name, paths)| paths.iter().map(move |at| format!("{name}: {at}"))).collect()
}

/// Types whose own methods stand in more than two files of a room.
fn scattered(sources: &[Source]) -> Found {
    let mut places: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for line in source.code.lines().filter(|line| !line.contains(" for ")) {
            let Some(rest) = line.strip_prefix("impl") else { continue };
            let rest = rest.strip_prefix('<').map_or(rest, behind_generics).trim_start();
            let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
            places.entry((source.room(), name)).or_default().insert(&source.path);
        }
    }
    let many = places.iter().filter(|(_, files)| files.len() > 2);
    many.map(|((room, name), files)| format!("{room}: {name} in {} files", files.len())).collect()
}

/// Reads of a value by a key that nobody checks, `value["key"]` and `value.get("key")`.
fn keyed_reads(source: &Source) -> Found {
    let mut found = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        let indexed = line.match_indices("[\"").filter(|(at, _)| {
            line[..*at].ends_with(|c: char| is_word(c) || matches!(c, ']' | ')' | '?'))
        });
        let reads = indexed.count() + line.matches(".get(\"").count();
        found.extend((0..reads).map(|_| format!("{}:{}", source.path, at + 1)));
    }
    found
}

/// Docs of one line and three words or less, which repeat a name instead of saying more.
fn short_docs(source: &Source) -> Found {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let is_doc = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("///"));
    let alone = |at: &usize| is_doc(*at) && !is_doc(at + 1) && (*at == 0 || !is_doc(at - 1));
    let short = (0..lines.len()).filter(alone).filter(|at| lines[*at].split(' ').count() <= 4);
    short.map(|at| format!("{}:{}: {}", source.path, at + 1, lines[at])).collect()
}

/// Lines within six braces or more.
fn deep_lines(source: &Source) -> Found {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for (at, line) in source.code.lines().enumerate() {
        let closes_first = line.trim_start().starts_with('}');
        if depth.saturating_sub(usize::from(closes_first)) >= 6 && !line.trim().is_empty() {
            found.push(format!("{}:{}", source.path, at + 1));
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    found
}

/// Windows of eight lines of code that stand elsewhere too.
fn repeated(sources: &[Source]) -> Found {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        let lines = source.text.lines().map(str::trim).enumerate();
        let lines: Vec<(usize, &str)> =
            lines.filter(|(_, line)| !line.is_empty() && !line.starts_with("//")).collect();
        for window in lines.windows(8) {
            let words: Vec<&str> = window.iter().map(|(_, line)| *line).collect();
            let place = format!("{}:{}", source.path, window[0].0 + 1);
            places.entry(words.join("\n")).or_default().push(place);
        }
    }
    places.into_values().filter(|at| at.len() > 1).flatten().collect()
}

// ---------------------------------------------------------------------- reading

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let mut found = Vec::new();
    for file in files(&folder).iter().filter(|file| is_rust(file)) {
        let path = file.strip_prefix(&folder).unwrap();
        if !is_test(path) {
            found
                .push(Source::new(path.to_str().unwrap(), &std::fs::read_to_string(file).unwrap()));
        }
    }
    found
}

/// Whether a file is compiled for tests only: `tests.rs`, a folder of them, and what they share.
fn is_test(path: &Path) -> bool {
    let names = ["tests.rs", "tests", "fixtures.rs", "samples.rs"];
    path.iter().any(|part| names.iter().any(|name| part == *name))
}

// ---------------------------------------------------------------------- the figures

/// A figure of the whole house: what was found, what is allowed today, and where it should go.
struct Figure {
    name: &'static str,
    value: f64,
    limit: f64,
    goal: f64,
    found: Found,
}

/// The figure of something that is counted.
fn count(name: &'static str, found: Found, limit: u16, goal: u16) -> Figure {
    Figure { name, value: found.len() as f64, limit: limit.into(), goal: goal.into(), found }
}

/// The figure of something that is counted among many, `each` times their number.
fn share(name: &'static str, found: Found, each: f64, limit: f64, goal: f64) -> Figure {
    Figure { name, value: found.len() as f64 * each, limit, goal, found }
}

fn every(sources: &[Source], check: Check) -> Found {
    sources.iter().flat_map(check).collect()
}

fn figures(all: &[Source]) -> Vec<Figure> {
    let lines: usize = all.iter().map(|source| source.text.lines().count()).sum();
    let named: usize = all.iter().map(|source| types(source).len()).sum();
    let (lines, named) = (lines as f64, named as f64);
    let inner = all.iter().filter(|source| matches!(source.room(), "actors" | "domain"));
    let in_ctl = all.iter().filter(|source| source.room() == "ctl");
    vec![
        count("tuple parameters", every(all, tuple_parameters), 0, 3),
        share("named closures per 1,000 lines", every(all, named_closures), 1e3 / lines, 1.3, 1.5),
        share("% of types share a name", shared_types(all.iter()), 100.0 / named, 1.0, 15.0),
        count("types share a name in actors and domain", shared_types(inner), 0, 0),
        count("structs with methods in over two files", scattered(all), 0, 0),
        count("keyed reads in ctl", in_ctl.flat_map(keyed_reads).collect(), 8, 10),
        count("docs of three words or less", every(all, short_docs), 3, 39),
        share("% of lines at six levels", every(all, deep_lines), 100.0 / lines, 0.1, 1.0),
        share("% of windows repeated", repeated(all), 100.0 / lines, 0.2, 1.0),
    ]
}

// ---------------------------------------------------------------------- the house

#[test]
#[expect(clippy::print_stdout, reason = "the figures are to be read, too")]
fn no_figure_grows() {
    let mut wrong = Vec::new();
    for figure in figures(&sources()) {
        let Figure { name, value, limit, goal, found } = figure;
        println!("{value:7.2}  {name} (limit {limit}, goal {goal})");
        if value > limit {
            wrong.push(format!("{name}: {value:.2} > {limit}\n  {}", found.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

// ---------------------------------------------------------------------- the checks can fail

fn found(check: Check, text: &str) -> usize {
    check(&Source::new("ctl/ping.rs", text)).len()
}

#[test]
fn text_with_each_fault_is_refused_and_its_neighbour_passes() {
    let rows: [(Check, &str, &str); 6] = [
        (
            tuple_parameters,
            "fn a<F: Fn() -> u8>((b, c): (u8, u8)) {}",
            "fn a(b: u8) -> (u8, u8) {}",
        ),
        (named_closures, "let a =\n    move |b| b;", "// let a = |b| b;\nlet a = b || c;"),
        (keyed_reads, "let a = reply[\"model\"].get(\"b\");", "let a = [\"model\"];"),
        (short_docs, "/// Its three words.\nfn a() {}", "/// It has four words.\nfn a() {}"),
        (deep_lines, "{{{{{{\na();\n}}}}}}", "{{{{{\na(\"{\");\n}}}}}"),
        (types_twice, "struct A;\nmod b {\n    enum A {}\n}", "struct A;\npub(crate) enum B {}"),
    ];
    for (check, refused, passes) in rows {
        assert!(found(check, refused) > 0, "{refused}");
        assert_eq!(found(check, passes), 0, "{passes}");
    }
}

fn types_twice(source: &Source) -> Found {
    shared_types([source].into_iter())
}

#[test]
fn scattered_methods_and_repeated_windows_are_refused() {
    let text = "impl<T> A<T> {}\nimpl Clone for B {}\na\nb\nc\nd\ne\nf\n";
    let three = ["actors/a.rs", "actors/b.rs", "actors/c.rs"].map(|path| Source::new(path, text));
    assert_eq!(scattered(&three), ["actors: A in 3 files"]);
    assert_eq!(scattered(&three[1..]), [""; 0]);
    assert_eq!(repeated(&three).len(), 3);
    assert_eq!(repeated(&three[2..]), [""; 0]);
}

#[test]
fn what_stands_in_tests_is_not_counted() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    let a = |b| b;\n}\n";
    assert_eq!(found(named_closures, text), 0);
    assert!(is_test(Path::new("provider/http/tests.rs")));
}
