//! `fallbackctl generate DIR`: manual pages, completions and the schema, for packages.
//!
//! All of it is made from what the programs themselves read: their arguments, and the pages of
//! the documentation, which are compiled in. So nothing of it can be of another version. The
//! folder is laid out like `/usr/share`; a package takes it as it is. The verb is hidden, since it
//! is for those who package or install, once.

mod markdown;
mod pages;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::aot;
use clap_complete::env::Shells;

use super::Cli;
use super::failure::Failure;
use super::screen::Screen;

/// Says to `fallbackctl` that a shell asks it for completions.
pub(super) const COMPLETE: &str = "FALLBACKCTL_COMPLETE";

const EXAMPLES: &str = "\
Examples:
  fallbackctl generate debian/fallbackd/usr/share    for a package
  fallbackctl generate ~/.local/share                for yourself, after `cargo install`

It writes, below DIR:
  man/man1 man/man5 man/man7 man/man8     fallbackctl fallbackd.toml fallbackd-protocol fallbackd
  bash-completion/completions             for bash
  zsh/site-functions                      for zsh
  fish/vendor_completions.d               for fish
  fallbackd/protocol.schema.json          what `fallbackctl schema` prints";

/// Where to.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder such as /usr/share; what is missing in it is made
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

/// Writes all files and names them. `daemon` is the command line of `fallbackd`.
pub(super) fn run(args: &Args, daemon: &Command, screen: &mut Screen<'_>) -> Result<(), Failure> {
    for (name, text) in files(daemon)? {
        let path = args.folder.join(name);
        write(&path, &text).map_err(|why| Failure::Usage {
            message: format!("cannot write {}: {why}", path.display()),
            hint: "name a folder that you may write to",
        })?;
        writeln!(screen.out, "{}", path.display())?;
    }
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// Every file, by its place below the folder.
fn files(daemon: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for page in pages::all(daemon)? {
        files.push((format!("man/man{}/{}.{0}", page.section, page.name), page.text.into()));
    }
    for (shell, folder, prefix, suffix) in [
        ("bash", "bash-completion/completions", "", ""),
        ("zsh", "zsh/site-functions", "_", ""),
        ("fish", "fish/vendor_completions.d", "", ".fish"),
    ] {
        let place = |program: &str| format!("{folder}/{prefix}{program}{suffix}");
        files.push((place("fallbackctl"), asking(shell)?));
        files.push((place("fallbackd"), fixed(shell, daemon.clone())));
    }
    let schema = format!("{:#}\n", super::schema::document());
    files.push(("fallbackd/protocol.schema.json".to_owned(), schema.into()));
    Ok(files)
}

/// A script that asks `fallbackctl` itself, which knows the models and tasks.
fn asking(shell: &str) -> io::Result<Vec<u8>> {
    let name = "fallbackctl";
    let mut text = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or(io::ErrorKind::Unsupported)?;
    completer.write_registration(COMPLETE, name, name, name, &mut text)?;
    if shell == "zsh" {
        // zsh loads the file when the first word is completed; that word is to be answered, too.
        text.extend_from_slice(
            b"[[ $funcstack[1] != _fallbackctl ]] || _clap_dynamic_completer_fallbackctl \"$@\"\n",
        );
    }
    Ok(text)
}

/// A script that knows all there is to know: a handful of options.
fn fixed(shell: &str, mut command: Command) -> Vec<u8> {
    let mut text = Vec::new();
    match shell {
        "bash" => aot::generate(aot::Bash, &mut command, "fallbackd", &mut text),
        "zsh" => aot::generate(aot::Zsh, &mut command, "fallbackd", &mut text),
        _ => aot::generate(aot::Fish, &mut command, "fallbackd", &mut text),
    }
    text
}

/// The command line of `fallbackctl`.
fn ctl() -> Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
