//! Where a provider's key comes from, and fetching it.
//!
//! A key never stands in the configuration itself: it is named as a systemd credential, an
//! environment variable or a file. What cannot be fetched is a reason in words, not a mistake:
//! the daemon then runs with its other models. Reasons name places, never contents.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Env;

/// No key is longer; a file beyond this is some other file.
const LONGEST: u64 = 16 * 1024;

/// Where a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPlace<'a> {
    /// A file of this name in systemd's credentials directory.
    Credential(&'a str),
    Variable(&'a str),
    /// A file, relative to the configuration's folder.
    File(&'a str),
}

/// A key that was found.
pub(super) struct Fetched {
    pub(super) key: SecretString,
    /// The file it is in, when everybody on the machine can read it.
    pub(super) open_to_all: Option<PathBuf>,
}

impl KeyPlace<'_> {
    /// Fetches the key, or says why it is not there.
    pub(super) fn fetch(self, env: &Env, folder: &Path) -> Result<Fetched, String> {
        match self {
            KeyPlace::Variable(name) => {
                let text = env.var(name);
                let text = text.ok_or(format!("the environment variable {name} is not set"))?;
                let key = usable(text).map_err(|why| format!("the key in {name} {why}"))?;
                Ok(Fetched { key, open_to_all: None })
            }
            KeyPlace::Credential(name) => {
                let folder = env.path("CREDENTIALS_DIRECTORY").ok_or(format!(
                    "the credential {name} is not there, as CREDENTIALS_DIRECTORY is not set"
                ))?;
                // systemd decides who can read its credentials.
                Ok(Fetched { open_to_all: None, ..from_file(&folder.join(name))? })
            }
            KeyPlace::File(name) => from_file(&folder.join(name)),
        }
    }
}

fn from_file(path: &Path) -> Result<Fetched, String> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| format!("the key file {shown} cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    let key = usable(&text).map_err(|why| format!("the key in {shown} {why}"))?;
    let open_to_all = (mode & 0o004 != 0).then(|| path.to_owned());
    Ok(Fetched { key, open_to_all })
}

fn usable(text: &str) -> Result<SecretString, &'static str> {
    let key = text.trim();
    if key.is_empty() {
        return Err("is empty");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has spaces, line breaks or characters that no key has");
    }
    Ok(SecretString::from(key))
}

/// Whether `text` is probably a key that somebody wrote where a name belongs.
pub(super) fn looks_like_key(text: &str) -> bool {
    const STARTS: [&str; 7] = ["sk-", "sk_", "gsk_", "xai-", "hf_", "AIza", "Bearer "];
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let is_variable = text.contains('_') && !text.bytes().any(|byte| byte.is_ascii_lowercase());
    STARTS.iter().any(|start| text.starts_with(start))
        || (text.len() >= 24 && is_word && has_digit && !is_variable)
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
    use secrecy::ExposeSecret;

    use super::*;

    fn env() -> Env {
        Env::new(1, [("GOOD", "k1\n"), ("BROKEN", "two words")])
    }

    fn fetch(source: KeyPlace<'_>, env: &Env) -> Result<String, String> {
        source.fetch(env, Path::new("/nowhere")).map(|got| got.key.expose_secret().to_owned())
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
    fn keys_are_told_from_names() {
        for key in ["sk-ant-api03-x", "AIzaSyA1", "gsk_1", "0123456789abcdef0123456789abcdef"] {
            assert!(looks_like_key(key), "{key}");
        }
        for name in ["openai", "AZURE_OPENAI_API_KEY_WEST_2", "keys/openai.key", "my-team-key"] {
            assert!(!looks_like_key(name), "{name}");
        }
    }
}
