//! Where a provider's keys come from, and fetching them.
//!
//! A key never stands in the configuration itself: it is named as a systemd credential, an
//! environment variable, a file, or a command that prints one. What cannot be fetched is a reason
//! in words, not a mistake: the daemon then runs with its other keys and models. Reasons name
//! places, never contents. No command is run here: reading a configuration changes nothing.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Env;

/// No key is longer, in bytes; what goes beyond this is something else.
pub(crate) const LONGEST: u64 = 16 * 1024;

/// One of a provider's keys, and how a newer one is had.
#[derive(Clone)]
pub(crate) enum Key {
    /// From a credential or the environment: the same until the next start.
    Fixed(SecretString),
    /// In a file, and as it was there when the configuration was read.
    File {
        /// Where it is looked for again.
        path: PathBuf,
        /// What was in it.
        key: SecretString,
    },
    /// What a command prints, which is good for a while.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// How long after it was printed a key is replaced.
        refresh: Duration,
    },
}

impl Key {
    /// The key as far as it is known without running anything.
    pub(crate) fn known(&self) -> Option<&SecretString> {
        match self {
            Key::Fixed(key) | Key::File { key, .. } => Some(key),
            Key::Command { .. } => None,
        }
    }
}

/// Whether they come from the same place and are the same as far as they are known.
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        match (self, other) {
            (Key::Fixed(a), Key::Fixed(b)) => is_same(a, b),
            (Key::File { path: a, key: one }, Key::File { path: b, key: two }) => {
                a == b && is_same(one, two)
            }
            (Key::Command { argv: a, refresh: one }, Key::Command { argv: b, refresh: two }) => {
                a == b && one == two
            }
            _ => false,
        }
    }
}

/// Whether two keys have the same text.
pub(crate) fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyPlace<'a> {
    /// A file of this name in systemd's credentials directory.
    Credential(&'a str),
    Variable(&'a str),
    /// A file, relative to the configuration's folder.
    File(&'a str),
    /// A program and its arguments; a program with a slash is relative to that folder, too.
    Command {
        argv: Vec<&'a str>,
        refresh: Duration,
    },
}

/// A key that was found.
pub(super) struct Fetched {
    pub(super) key: Key,
    /// The file it is in, when everybody on the machine can read it.
    pub(super) open_to_all: Option<PathBuf>,
    /// Why it may not work all the same.
    pub(super) doubt: Option<String>,
}

impl KeyPlace<'_> {
    /// Fetches the key, or says why it is not there.
    pub(super) fn fetch(&self, env: &Env, folder: &Path) -> Result<Fetched, String> {
        match self {
            KeyPlace::Variable(name) => {
                let text = env.var(name);
                let text = text.ok_or(format!("the environment variable {name} is not set"))?;
                let key = usable(text).map_err(|why| format!("the key in {name} {why}"))?;
                Ok(Fetched::new(Key::Fixed(key)))
            }
            KeyPlace::Credential(name) => {
                let folder = env.path("CREDENTIALS_DIRECTORY").ok_or(format!(
                    "the credential {name} is not there, as CREDENTIALS_DIRECTORY is not set"
                ))?;
                // systemd decides who can read its credentials.
                Ok(Fetched::new(Key::Fixed(read_file(&folder.join(name))?)))
            }
            KeyPlace::File(name) => {
                let path = folder.join(name);
                let key = read_file(&path)?;
                let open_to_all = is_open_to_all(&path).then(|| path.clone());
                Ok(Fetched { open_to_all, ..Fetched::new(Key::File { path, key }) })
            }
            KeyPlace::Command { argv, refresh } => {
                let mut argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
                if argv[0].contains('/') {
                    argv[0] = folder.join(&argv[0]).display().to_string();
                }
                let doubt = doubt(&argv[0], env);
                Ok(Fetched { doubt, ..Fetched::new(Key::Command { argv, refresh: *refresh }) })
            }
        }
    }
}

impl Fetched {
    fn new(key: Key) -> Fetched {
        Fetched { key, open_to_all: None, doubt: None }
    }

    /// What was fetched, where it is known.
    pub(super) fn known(&self) -> Option<&SecretString> {
        self.key.known()
    }
}

/// Reads the key that is in a file, or says why there is none.
pub(crate) fn read_file(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| format!("the key file {shown} cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    usable(&text).map_err(|why| format!("the key in {shown} {why}"))
}

fn is_open_to_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Why a program may not be there. What only its run can show is not found out.
fn doubt(program: &str, env: &Env) -> Option<String> {
    if program.contains('/') {
        let path = Path::new(program);
        let why = if path.exists() { "is not a program" } else { "does not exist" };
        return (!is_program(path)).then(|| format!("{program} {why}"));
    }
    let mut folders = std::env::split_paths(env.var("PATH")?);
    let found = folders.any(|folder| is_program(&folder.join(program)));
    (!found).then(|| format!("there is no program {program} in PATH"))
}

/// The key that a text is, or what is wrong with it.
pub(crate) fn usable(text: &str) -> Result<SecretString, &'static str> {
    let key = text.trim();
    if key.is_empty() {
        return Err("is empty");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has spaces, line breaks or characters that no key has");
    }
    Ok(SecretString::from(key))
}

/// Whether `text` begins like the keys of well-known providers.
pub(super) fn begins_like_key(text: &str) -> bool {
    const STARTS: [&str; 7] = ["sk-", "sk_", "gsk_", "xai-", "hf_", "AIza", "Bearer "];
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Whether `text` is probably a key that somebody wrote where a name belongs.
pub(super) fn looks_like_key(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let is_variable = text.contains('_') && !text.bytes().any(|byte| byte.is_ascii_lowercase());
    begins_like_key(text) || (text.len() >= 24 && is_word && has_digit && !is_variable)
}

/// A string of the configuration as a message may show it.
pub(super) fn shown(text: &str) -> String {
    if looks_like_key(text) {
        return "this value, which looks like a key,".to_owned();
    }
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        Env::new(1, [("GOOD", "k1\n"), ("BROKEN", "two words")])
    }

    fn fetch(source: KeyPlace<'_>, env: &Env) -> Result<String, String> {
        source
            .fetch(env, Path::new("/nowhere"))
            .map(|got| got.known().unwrap().expose_secret().to_owned())
    }

    #[test]
    fn the_newline_at_the_end_is_no_part_of_a_key() {
        assert_eq!(fetch(KeyPlace::Variable("GOOD"), &env()).unwrap(), "k1");
    }

    #[test]
    fn a_key_that_is_not_there_is_a_reason_that_names_the_place() {
        let why = fetch(KeyPlace::Variable("ABSENT"), &env()).unwrap_err();
        assert_eq!(why, "the environment variable ABSENT is not set");
        let why = fetch(KeyPlace::Credential("openai"), &env()).unwrap_err();
        assert!(why.contains("CREDENTIALS_DIRECTORY"), "{why}");
        let why = fetch(KeyPlace::File("x.key"), &env()).unwrap_err();
        assert!(why.starts_with("the key file /nowhere/x.key cannot be read"), "{why}");
    }

    #[test]
    fn a_reason_never_shows_the_content() {
        let why = fetch(KeyPlace::Variable("BROKEN"), &env()).unwrap_err();
        assert!(!why.contains("two"), "{why}");
    }

    #[test]
    fn a_file_that_everybody_can_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "k2\n").unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let got = KeyPlace::File("key").fetch(&env(), folder.path()).unwrap();
            assert_eq!(got.open_to_all.is_some(), open, "{mode:o}");
            let systemd = Env::new(1, [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
            let got = KeyPlace::Credential("key").fetch(&systemd, folder.path()).unwrap();
            assert!(got.open_to_all.is_none());
        }
    }

    #[test]
    fn a_program_that_is_not_there_or_cannot_run_is_doubted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        let env = Env::new(1, [("PATH", folder.path().to_str().unwrap())]);
        let doubted = |program: &str| doubt(program, &env);
        let full = path.to_str().unwrap();
        assert_eq!(doubted(full), Some(format!("{full} is not a program")));
        assert_eq!(doubted("token"), Some("there is no program token in PATH".to_owned()));
        assert_eq!(doubted("/no/such"), Some("/no/such does not exist".to_owned()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!((doubted(full), doubted("token")), (None, None));
    }

    #[test]
    fn keys_are_told_from_names() {
        for key in ["sk-ant-api03-x", "AIzaSyA1", "gsk_1", "0123456789abcdef0123456789abcdef"] {
            assert!(looks_like_key(key), "{key}");
        }
        for name in ["openai", "AZURE_OPENAI_API_KEY_WEST_2", "keys/openai.key", "my-team-key"] {
            assert!(!looks_like_key(name), "{name}");
        }
    }
}
