//! The manual: which pages there are, and what is on them.
//!
//! What a command takes comes from its arguments, everything else from the pages of the
//! documentation. A part of a page that is not where it is looked for is an error, so that a
//! renamed heading cannot empty a manual page.

use std::fmt::Write;
use std::io;

use clap::Command;
use clap_mangen::Man;

use crate::markdown::{roff, section, tidy, verbatim};

const README: &str = include_str!("../../../README.md");
const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

/// One page of the manual.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) section: u8,
    pub(crate) text: String,
}

/// Those of both programs, their configuration and their protocol.
pub(crate) fn all(daemon: &Command) -> io::Result<Vec<Page>> {
    let pages = [
        ("fallbackctl", 1, fallbackctl()?),
        ("fallbackd", 8, fallbackd(daemon)?),
        ("fallbackd.toml", 5, configuration()),
        ("fallbackd-protocol", 7, protocol()),
    ];
    Ok(pages.map(|(name, section, text)| Page { name, section, text: tidy(&text) }).into())
}

fn fallbackctl() -> io::Result<String> {
    let mut command = fallbackd::ctl::command().disable_help_subcommand(true);
    command.build();
    let mut page =
        head("fallbackctl", 1, "talk to fallbackd, the gateway with fallback between AI models");
    let man = Man::new(command.clone());
    page += &synopsis(&command)?;
    page += &part(|out| man.render_description_section(out))?;
    page.push_str(".PP\nThe daemon must run: see \\fBfallbackd\\fR(8).\n");
    page += &part(|out| man.render_options_section(out))?;
    page.push_str(".SH COMMANDS\n");
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page += &verb_section(verb)?;
    }
    page += &from("EXIT STATUS", README, "## Exit codes")?;
    page += &from("ENVIRONMENT", CONFIGURATION, "## Environment")?;
    Ok(page + &see_also(&["fallbackd(8)", "fallbackd.toml(5)", "fallbackd-protocol(7)"]))
}

/// What one verb does, takes, and looks like in use.
fn verb_section(verb: &Command) -> io::Result<String> {
    // Options that go with every verb stand above, once.
    let own = verb.clone().mut_args(|arg| {
        let global = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(global)
    });
    let own = own.disable_help_flag(true);
    let mut text = format!(".SS \"fallbackctl {}\"\n", verb.get_name());
    text += &without_heading(&synopsis(&own)?);
    let man = Man::new(own);
    text.push_str(".PP\n");
    text += &without_heading(&part(|out| man.render_description_section(out))?);
    text += &without_heading(&part(|out| man.render_options_section(out))?);
    if let Some(examples) = verb.get_after_help() {
        verbatim(&examples.to_string(), &mut text);
    }
    Ok(text)
}

fn fallbackd(daemon: &Command) -> io::Result<String> {
    let mut command = daemon.clone();
    command.build();
    let mut page = head("fallbackd", 8, "keep programs answering when an AI provider fails");
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    page += &synopsis(&command)?;
    let man = Man::new(command);
    page.push_str(".SH DESCRIPTION\n");
    let opening = README.split("\n## ").next().unwrap_or_default();
    page += &roff(opening.split("\n- [").next().unwrap_or_default(), 2);
    page += &part(|out| man.render_options_section(out))?;
    page += &from("RUNNING", README, "## Starting and ending")?;
    page += &from("WHAT A FAILURE MEANS", README, "## What a failure means")?;
    page += &from("FILES", README, "## Files")?;
    page += &from("EXIT STATUS", README, "## Exit codes")?;
    page += &from("ENVIRONMENT", CONFIGURATION, "## Environment")?;
    page.push_str(".SH EXAMPLES\n");
    verbatim(&examples, &mut page);
    Ok(page + &see_also(&["fallbackctl(1)", "fallbackd.toml(5)", "fallbackd-protocol(7)"]))
}

fn configuration() -> String {
    let page = head("fallbackd.toml", 5, "configuration of fallbackd")
        + ".SH DESCRIPTION\n"
        + &roff(CONFIGURATION, 2);
    page + &see_also(&["fallbackd(8)", "fallbackctl(1)"])
}

fn protocol() -> String {
    let page = head("fallbackd-protocol", 7, "what goes over the socket of fallbackd")
        + &roff(PROTOCOL, 2);
    page + &see_also(&["fallbackd(8)", "fallbackctl(1)", "fallbackd.toml(5)"])
}

/// Title and name of a page.
fn head(name: &str, section: u8, what: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let escaped = name.replace('-', "\\-");
    format!(
        ".TH \"{}\" {section} \"\" \"fallbackd {version}\" \"fallbackd manual\"\n\
         .nh\n.ad l\n.SH NAME\n{escaped} \\- {what}\n",
        name.to_uppercase()
    )
}

/// A section of a page of the documentation.
fn from(title: &str, page: &str, heading: &str) -> io::Result<String> {
    let text = section(page, heading)
        .ok_or_else(|| io::Error::other(format!("the documentation has no section {heading:?}")))?;
    Ok(format!(".SH \"{title}\"\n{}", roff(text, 2)))
}

fn see_also(pages: &[&str]) -> String {
    let mut text = ".SH \"SEE ALSO\"\n".to_owned();
    for (at, page) in pages.iter().enumerate() {
        let (name, section) = page.split_once('(').unwrap_or((page, ")"));
        let end = if at + 1 < pages.len() { "," } else { "" };
        let _ = writeln!(text, ".BR {} ({section}{end}", name.replace('-', "\\-"));
    }
    text
}

/// The synopsis, with the values that options take: the generator leaves them out.
fn synopsis(command: &Command) -> io::Result<String> {
    let mut text = part(|out| Man::new(command.clone()).render_synopsis_section(out))?;
    for option in command.get_opts() {
        let (Some(long), Some(names)) = (option.get_long(), option.get_value_names()) else {
            continue;
        };
        let flag = format!("\\-\\-{}\\fR", long.replace('-', "\\-"));
        let value = format!("\\fI{}\\fR", names.join(" ").replace('-', "\\-"));
        let may_lack = option.get_num_args().is_some_and(|count| count.min_values() == 0);
        let value = if may_lack { format!("[{value}]") } else { value };
        text = text.replace(&format!("{flag}]"), &format!("{flag} {value}]"));
    }
    Ok(text)
}

/// One section as the arguments give it, without the preamble that each brings.
fn part(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<String> {
    let mut text = Vec::new();
    render(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // Apostrophes are plain in every reader of today.
    let preamble = [".ie \\n(.g .ds Aq", ".el .ds Aq '"];
    let lines = text.lines().filter(|line| !preamble.iter().any(|other| line.starts_with(other)));
    Ok(lines.map(|line| format!("{}\n", line.replace("\\*(Aq", "'"))).collect())
}

fn without_heading(section: &str) -> String {
    section
        .lines()
        .filter(|line| !line.starts_with(".SH "))
        .map(|line| format!("{line}\n"))
        .collect()
}
