//! `fallbackctl completions`: a script for a shell, which then asks this program at every tab.
//!
//! So what is offered is of this version, and knows the models and tasks of the daemon.

use clap::ValueEnum;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::failure::CommandError;
use super::screen::Screen;

/// Says to `fallbackctl` that a shell asks it for completions.
pub(super) const ASKED: &str = "FALLBACKCTL_COMPLETE";

const EXAMPLES: &str = "\
Examples:
  fallbackctl completions bash > ~/.local/share/bash-completion/completions/fallbackctl
  fallbackctl completions fish > ~/.config/fish/completions/fallbackctl.fish
  fallbackctl completions zsh > ~/.zfunc/_fallbackctl

The folder for zsh must be in $fpath before compinit is called.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for that shell.
pub(super) fn run(args: &CompletionsArgs, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let name = "fallbackctl";
    let completer: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    completer.write_registration(ASKED, name, name, name, &mut screen.out)?;
    if matches!(args.shell, Shell::Zsh) {
        // zsh loads the file when the first word is completed; that word is to be answered, too.
        writeln!(
            screen.out,
            "[[ $funcstack[1] != _fallbackctl ]] || _clap_dynamic_completer_fallbackctl \"$@\""
        )?;
    }
    Ok(())
}
