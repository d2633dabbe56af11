//! Writes the manual pages for packages, and completions for `fallbackd`.
//!
//! `cargo run --example pages -- DIR`, where DIR is laid out like `/usr/share`: it becomes `man/man1`
//! to `man/man8` and a folder for each shell. All of it is made from what the programs themselves
//! read, their arguments, and from the pages of the documentation, so nothing of it can be of another
//! version. Completions for `fallbackctl` and the schema of the protocol are printed by `fallbackctl`.

mod manual;
mod markdown;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};
use fallbackd::daemon;

/// Manual pages, and completions for fallbackd.
#[derive(Parser)]
struct Arguments {
    /// Folder such as /usr/share; what is missing in it is made.
    folder: PathBuf,
}

/// A file, by its place below the folder.
struct File {
    place: String,
    text: Vec<u8>,
}

fn main() -> anyhow::Result<()> {
    let Arguments { folder } = Arguments::parse();
    for File { place, text } in files()? {
        let path = folder.join(place);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(&path, text)?;
        writeln!(io::stdout(), "{}", path.display())?;
    }
    Ok(())
}

fn files() -> io::Result<Vec<File>> {
    let pages = manual::all(&daemon::command())?.into_iter().map(|page| File {
        place: format!("man/man{}/{}.{0}", page.section, page.name),
        text: page.text.into(),
    });
    let completions = [
        completion("bash-completion/completions/fallbackd", Bash),
        completion("zsh/site-functions/_fallbackd", Zsh),
        completion("fish/vendor_completions.d/fallbackd.fish", Fish),
    ];
    Ok(pages.chain(completions).collect())
}

/// A script that knows all there is to know: a handful of options.
fn completion(place: &str, shell: impl Generator) -> File {
    let mut text = Vec::new();
    generate(shell, &mut daemon::command(), "fallbackd", &mut text);
    File { place: place.to_owned(), text }
}
