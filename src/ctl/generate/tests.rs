//! What is generated is complete; how it looks to a reader of manuals is tested with real ones.

use super::*;

fn file(name: &str) -> String {
    let files = files(&Command::new("fallbackd").version("1")).unwrap();
    let (_, text) = files.iter().find(|(place, _)| place == name).expect(name);
    String::from_utf8(text.clone()).unwrap()
}

#[test]
fn every_verb_and_option_is_in_the_manual() {
    let page = file("man/man1/fallbackctl.1");
    for verb in ctl().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(page.contains(&format!(".SS \"fallbackctl {}\"", verb.get_name())));
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            let option = option.replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{option}")), "{} {option}", verb.get_name());
        }
    }
    assert!(!page.contains("generate"), "hidden means hidden");
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
    let mut command = ctl();
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for option in verbs.chain([&command]).flat_map(Command::get_opts) {
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
    for name in
        ["man/man5/fallbackd.toml.5", "man/man7/fallbackd-protocol.7", "man/man8/fallbackd.8"]
    {
        let page = file(name);
        for mark in ["**", "](", "```", "<!--", "|---"] {
            assert!(!page.contains(mark), "{mark} in {name}");
        }
    }
}
