//! The configuration as people meet it: every mistake explained, every shipped file valid.
//!
//! Each `config_mistakes/NAME.toml` has the exact text of `fallbackd --check` beside it in
//! `NAME.txt`. After a wanted change of the texts, `REWRITE_EXPECTED=1 cargo test --test config`
//! writes them anew; read the difference before it is committed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fallbackd::config::{self, Env, Finding};

/// Mistakes must not depend on who runs the test.
fn env() -> Env {
    Env::new(1000, [("HOME", "/home/user"), ("XDG_RUNTIME_DIR", "/run/user/1000")])
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn shipped() -> Vec<PathBuf> {
    let mut files = files("config/examples", "toml");
    files.push(PathBuf::from("config/fallbackd.toml"));
    files
}

#[test]
fn every_mistake_is_explained_as_written_down() {
    let rewrite = std::env::var_os("REWRITE_EXPECTED").is_some();
    let mut different = Vec::new();
    for path in files("tests/config_mistakes", "toml") {
        let (text, valid) = config::check_report(&path, &env());
        assert!(!valid, "{} has no mistake", path.display());
        let beside = path.with_extension("txt");
        if rewrite {
            fs::write(&beside, &text).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if text != expected {
            different.push(format!("--- {}\n{text}", path.display()));
        }
    }
    assert!(different.is_empty(), "other texts than expected:\n{}", different.join("\n"));
}

#[test]
fn every_expected_text_belongs_to_a_file() {
    for path in files("tests/config_mistakes", "txt") {
        assert!(path.with_extension("toml").exists(), "{} is left over", path.display());
    }
}

#[test]
fn every_mistake_has_a_place_and_a_hint() {
    for path in files("tests/config_mistakes", "toml") {
        for mistake in config::load(&path, &env()).unwrap_err().list {
            assert!(mistake.place.is_some(), "{mistake}");
            assert!(!mistake.hint.is_empty(), "{mistake}");
        }
    }
}

#[test]
fn mistakes_come_in_the_order_of_the_file() {
    for path in files("tests/config_mistakes", "toml") {
        let mistakes = config::load(&path, &env()).unwrap_err().list;
        let places: Vec<_> = mistakes.iter().map(|mistake| mistake.place).collect();
        assert!(places.is_sorted(), "{}", path.display());
    }
}

#[test]
fn no_explanation_repeats_a_secret() {
    for path in files("tests/config_mistakes", "toml") {
        let mistakes = config::load(&path, &env()).unwrap_err();
        for text in [mistakes.to_string(), format!("{mistakes:?}")] {
            assert!(!text.contains("planted"), "{}: {text}", path.display());
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_explained() {
    let (text, valid) = config::check_report(Path::new("tests/absent.toml"), &env());
    assert!(!valid);
    assert!(text.starts_with("tests/absent.toml: cannot be read: "), "{text}");
    assert!(text.contains("\n  hint: "), "{text}");
}

#[test]
fn every_shipped_file_is_valid_and_warns_of_missing_keys_only() {
    for path in shipped() {
        let loaded = config::load(&path, &env()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(!loaded.config.models.is_empty(), "{}", path.display());
        for warning in loaded.warnings {
            assert!(warning.message.contains("is not set"), "{warning}");
        }
    }
}

#[test]
fn with_its_keys_in_the_environment_the_default_has_no_warning() {
    let keys = [("OPENAI_API_KEY", "k1"), ("ANTHROPIC_API_KEY", "k2")];
    let (text, valid) =
        config::check_report(Path::new("config/fallbackd.toml"), &Env::new(1, keys));
    assert!(valid);
    let notice = "5 % of the answered requests are also sent to a backup, for at most $1.00 a day; \
                  to change it: rate and daily_budget_usd in [shadow]";
    assert_eq!(text, format!("ok: 4 models, 5 chains\n{notice}\n"));
}

#[test]
fn the_commented_keys_of_the_default_are_valid_too() {
    let loaded = config::parse(&every_key(), "fallbackd.toml", &env());
    let loaded = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(loaded.config.chains.contains_key("night_batch"), "the comments became settings");
}

#[test]
fn no_key_takes_a_value_of_another_type() {
    // Nothing in the configuration is a date.
    for_each_key("2026-11-20", |_| true);
}

#[test]
fn no_key_takes_a_negative_number() {
    for_each_key("-1", |key| key != "priority");
}

#[test]
fn no_key_takes_an_empty_string_but_the_remark() {
    for_each_key("\"\"", |key| key != "notes");
}

/// Puts `value` in the place of each value in turn, and wants a mistake on that very line.
fn for_each_key(value: &str, refuses: impl Fn(&str) -> bool) {
    let text = every_key();
    let lines: Vec<_> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once('=').filter(|(key, _)| !key.starts_with('#')) else {
            continue;
        };
        if !refuses(key.trim()) {
            continue;
        }
        let changed = format!("{key}= {value}");
        let mut lines = lines.clone();
        lines[index] = &changed;
        let mistakes = config::parse(&lines.join("\n"), "f.toml", &env()).err();
        let mistakes = mistakes.unwrap_or_else(|| panic!("{changed} passed")).list;
        let on_line = |m: &Finding| m.place.is_some_and(|place| place.line == index + 1);
        assert!(mistakes.iter().any(on_line), "{changed}: {mistakes:?}");
    }
}

/// The default with all its commented settings switched on.
fn every_key() -> String {
    let text = fs::read_to_string("config/fallbackd.toml").unwrap();
    let active = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c != ' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(active).collect::<Vec<_>>().join("\n")
}

/// An unknown key makes the reader list the keys that it knows, so the list cannot be forgotten.
#[test]
fn every_known_key_stands_in_the_default() {
    let text = fs::read_to_string("config/fallbackd.toml").unwrap();
    let mut sections = known_keys("qqqqqq = 1");
    for open in ["providers", "models", "chains"] {
        assert!(sections.remove(open));
    }
    let mut keys = BTreeSet::new();
    for section in &sections {
        assert!(text.contains(&format!("\n[{section}]\n")), "[{section}] is not in the default");
        keys.append(&mut known_keys(&format!("[{section}]\nqqqqqq = 1")));
    }
    for table in [
        "providers.x",
        "providers.x.api_key",
        "models.x",
        "models.x.supports",
        "models.x.timeouts",
        "models.x.retry",
        "models.x.breaker",
        "models.x.health",
        "chains.x",
        "chains.x.accept",
    ] {
        keys.append(&mut known_keys(&format!("[{table}]\nqqqqqq = 1")));
    }
    for key in keys {
        let is_there = [format!("{key} = "), format!("{key}   ="), format!("gpt-4o.{key}]")];
        assert!(is_there.iter().any(|form| text.contains(form)), "{key} is not in the default");
    }
}

fn known_keys(text: &str) -> BTreeSet<String> {
    let mistakes = config::parse(text, "f.toml", &env()).unwrap_err().list;
    let unknown = mistakes.iter().find(|mistake| mistake.message.contains("unknown key")).unwrap();
    let (_, list) = unknown.hint.split_once(": ").unwrap();
    list.split(", ").map(str::to_owned).collect()
}
