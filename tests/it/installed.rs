//! What `fallbackctl completions` prints, read by the shells it is printed for, with a real daemon
//! to ask.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::harness::{Daemon, Setup, openai, skipped};

const CTL: &str = env!("CARGO_BIN_EXE_fallbackctl");

/// A folder with the script for a shell, under this name.
fn script_for(shell: &str, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(CTL).args(["completions", shell]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(folder.path().join(name), output.stdout).unwrap();
    folder
}

/// A shell that finds `fallbackctl`, and the daemon where a user would have it.
fn shell(program: &str, words: &[&str], daemon: &Daemon) -> Option<Output> {
    let bin = Path::new(CTL).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", path)
        .env("TERM", "dumb")
        .env("HOME", daemon.setup.folder())
        .env("FALLBACKD_SOCKET", daemon.socket())
        .output()
        .ok()
}

fn two_models() -> Daemon {
    let sim = openai();
    Setup::of(&sim, &["alpha", "alpine", "beta"]).chain("coding", &["beta"]).start()
}

fn out(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Lines to be completed, and what must and must not be offered.
const ROWS: [(&[&str], &[&str], &[&str]); 6] = [
    (&["fallbackctl", "he"], &["health"], &["ask"]),
    (&["fallbackctl", "ask", "--model", "al"], &["alpha", "alpine"], &["beta"]),
    (&["fallbackctl", "breaker", "be"], &["beta"], &["alpha"]),
    (&["fallbackctl", "ask", "--task", "co"], &["coding"], &["default"]),
    (&["fallbackctl", "tail", "--event", "de"], &["degraded"], &["call"]),
    (&["fallbackctl", "health", "--wa"], &["--watch"], &["--window"]),
];

/// Whether what a shell offers is what it must and nothing that it must not.
fn offers(said: &str, must: &[&str], not: &[&str]) -> bool {
    let words: Vec<&str> = said.split_whitespace().collect();
    must.iter().all(|word| words.contains(word)) && !not.iter().any(|word| words.contains(word))
}

#[test]
fn bash_completes_verbs_options_models_and_tasks() {
    let (folder, daemon) = (script_for("bash", "fallbackctl"), two_models());
    let file = folder.path().join("fallbackctl");
    for (line, must, not) in ROWS {
        let quoted: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let (at, word) = (line.len() - 1, line[line.len() - 1]);
        let script = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={at}; COMP_TYPE=9\n\
             _clap_complete_fallbackctl fallbackctl '{word}' '' 2>/dev/null\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            quoted.join(" ")
        );
        let Some(output) = shell("bash", &["--norc", "-c", &script], &daemon) else {
            return skipped("bash_completes_verbs_options_models_and_tasks", "no bash here");
        };
        assert!(offers(&out(&output), must, not), "{line:?}: {}", out(&output));
    }
}

#[test]
fn fish_completes_verbs_options_models_and_tasks() {
    let (folder, daemon) = (script_for("fish", "fallbackctl.fish"), two_models());
    let file = folder.path().join("fallbackctl.fish");
    for (line, must, not) in ROWS {
        let script = format!("source '{}'; complete -C '{}'", file.display(), line.join(" "));
        let Some(output) = shell("fish", &["--no-config", "-c", &script], &daemon) else {
            return skipped("fish_completes_verbs_options_models_and_tasks", "no fish here");
        };
        assert!(offers(&out(&output), must, not), "{line:?}: {}", out(&output));
    }
}

/// zsh completes only for somebody who types, so somebody does: each line ends in one tab,
/// and the screen shows what was offered.
#[test]
fn zsh_completes_verbs_options_models_and_tasks_at_the_first_tab() {
    let (folder, daemon) = (script_for("zsh", "_fallbackctl"), two_models());
    for (line, must, _) in ROWS {
        let script = format!(
            "zmodload zsh/zpty; zpty -b z zsh -f -i\n\
             zpty -w z \"PS1=; fpath=({} \\$fpath); autoload -U compinit; compinit -D -u; \
             zstyle ':completion:*' list-prompt ''; LISTMAX=1000; setopt no_list_ambiguous; echo re''ady\"\n\
             while zpty -r z text; do [[ $text == *ready* ]] && break; done\n\
             zpty -n -w z $'{}\\t'\n\
             repeat 2000; do text=; zpty -r -t z text; print -rn -- $text; all+=$text; \
             {} && break; sleep 0.03; done",
            folder.path().display(),
            line.join(" "),
            must.iter()
                .map(|word| format!("[[ $all == *{word}* ]]"))
                .collect::<Vec<_>>()
                .join(" && "),
        );
        let Some(output) = shell("zsh", &["-f", "-c", &script], &daemon) else {
            return skipped("zsh_completes_…_at_the_first_tab", "no zsh here");
        };
        let said = out(&output);
        assert!(must.iter().all(|word| said.contains(word)), "{line:?}: {said:?}");
    }
}

#[test]
fn without_a_daemon_names_come_from_the_configuration() {
    let folder = script_for("bash", "fallbackctl");
    let ended = two_models().terminate();
    let file = folder.path().join("fallbackctl");
    let config = ended.setup.config();
    let script = format!(
        "source '{}'; COMP_WORDS=(fallbackctl --config '{}' ask -m al); COMP_CWORD=5\n\
         _clap_complete_fallbackctl fallbackctl al -m 2>/dev/null; echo \"${{COMPREPLY[@]}}\"",
        file.display(),
        config.display()
    );
    let path = format!("{}:/usr/bin:/bin", Path::new(CTL).parent().unwrap().display());
    let output =
        Command::new("bash").args(["--norc", "-c", &script]).env_clear().env("PATH", path).output();
    let Ok(output) = output else {
        return skipped("without_a_daemon_names_come_from_the_configuration", "no bash here");
    };
    assert!(offers(&out(&output), &["alpha", "alpine"], &["beta"]), "{}", out(&output));
}
