//! What ARCHITECTURE.md promises is looked after by a machine here: `layers` refuses what is out of
//! order, `figures` measures the shape of the code and lets no figure grow.
//!
//! Each check is a function over text, so that it can be shown text it must refuse.

#[cfg(test)]
mod figures;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod plain;

/// How the checks come to the text they look at.
#[cfg(test)]
mod sources {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Lines that are no comments, with their numbers.
    pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
        let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    pub(crate) fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// Every file below a folder of the repository, without what is built or fetched.
    pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let entries = fs::read_dir(folder).map(|all| all.flatten().collect()).unwrap_or_default();
        let entries: Vec<fs::DirEntry> = entries;
        for entry in entries {
            let skipped = [".git", "target", "__pycache__", "node_modules"];
            if skipped.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
        found.sort();
        found
    }

    /// Puts every file of `folders` that is Rust through `check`; fails with all that is wrong.
    pub(crate) fn every_source(folders: &[&str], check: impl Fn(&Path, &str) -> Vec<String>) {
        let mut wrong = Vec::new();
        let mut looked_at = 0;
        for folder in folders.iter().map(|folder| root().join(folder)) {
            for file in files(&folder).iter().filter(|file| is_rust(file)) {
                looked_at += 1;
                let text = fs::read_to_string(file).unwrap();
                let inside = file.strip_prefix(&folder).unwrap();
                let named = file.strip_prefix(root()).unwrap().display();
                wrong.extend(check(inside, &text).iter().map(|what| format!("{named}: {what}")));
            }
        }
        assert!(looked_at > 0, "no file was looked at in {folders:?}");
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    pub(crate) fn is_rust(file: &Path) -> bool {
        file.extension().is_some_and(|extension| extension == "rs")
    }
}
