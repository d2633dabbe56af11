//! The pages are complete, and readers of manuals take them without a complaint.

use std::process::Command;

use fallbackd::ctl;

use super::*;

const PAGES: [&str; 4] = [
    "man/man1/fallbackctl.1",
    "man/man5/fallbackd.toml.5",
    "man/man7/fallbackd-protocol.7",
    "man/man8/fallbackd.8",
];

fn file(name: &str) -> String {
    let file = files().unwrap().into_iter().find(|file| file.place == name).expect(name);
    String::from_utf8(file.text).unwrap()
}

#[test]
fn every_verb_and_option_is_in_the_manual() {
    let page = file("man/man1/fallbackctl.1");
    for verb in ctl::command().get_subcommands() {
        assert!(page.contains(&format!(".SS \"fallbackctl {}\"", verb.get_name())));
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            let option = option.replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{option}")), "{} {option}", verb.get_name());
        }
    }
}

#[test]
fn every_synopsis_shows_the_values_that_options_take() {
    let page = file("man/man1/fallbackctl.1");
    assert!(
        page.contains("[\\fB\\-\\-socket\\fR \\fIPATH\\fR] [\\fB\\-\\-config\\fR \\fIFILE\\fR]")
    );
    assert!(
        page.contains("\\fB\\-\\-watch\\fR [\\fIDURATION\\fR]]"),
        "one that may lack its value"
    );
    let mut command = ctl::command();
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for option in verbs.chain([&command]).flat_map(clap::Command::get_opts) {
        let long = option.get_long().unwrap().replace('-', "\\-");
        assert!(!page.contains(&format!("\\-\\-{long}\\fR]")), "--{long} without its value");
    }
}

#[test]
fn every_key_of_the_documentation_is_in_the_manual() {
    let page = file("man/man5/fallbackd.toml.5");
    let rows = include_str!("../../../docs/configuration.md").lines();
    let keys = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let mut count = 0;
    for key in keys {
        assert!(page.contains(&key.replace('-', "\\-")), "{key}");
        count += 1;
    }
    assert!(count > 50, "{count} keys");
}

#[test]
fn pages_have_no_markdown_left() {
    for name in &PAGES[1..] {
        let page = file(name);
        for mark in ["**", "](", "```", "<!--", "|---"] {
            assert!(!page.contains(mark), "{mark} in {name}");
        }
    }
}

#[test]
fn every_file_has_something_in_it() {
    let files = files().unwrap();
    assert_eq!(files.len(), PAGES.len() + 3);
    assert!(files.iter().all(|file| file.text.len() > 100));
}

#[test]
fn manuals_are_read_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let mut read = 0;
    for (program, words) in [
        ("mandoc", &["-Tlint", "-Wwarning"][..]),
        ("groff", &["-ww", "-man", "-Kutf8", "-Tutf8", "-z"][..]),
    ] {
        for page in PAGES {
            let path = folder.path().join("page");
            fs::write(&path, file(page)).unwrap();
            let Ok(output) = Command::new(program).args(words).arg(path).output() else {
                let _ = writeln!(io::stderr(), "SKIPPED manuals_are_read…: no {program} here");
                break;
            };
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            // The pages carry no date: the same sources give the same bytes on any day.
            let complaints = said.lines().filter(|line| !line.contains("missing date"));
            assert_eq!(complaints.collect::<Vec<_>>(), [""; 0], "{program} {page}");
            read += 1;
        }
    }
    assert!(read == 0 || read >= PAGES.len());
}
