//! What the surroundings of the process say: environment variables and the user.
//!
//! It is a value, so that tests bring their own and nothing below reads the real environment. It
//! holds keys of providers and therefore never prints itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// The surroundings of a process.
#[derive(Clone)]
pub struct Env {
    uid: u32,
    vars: BTreeMap<String, String>,
}

impl Env {
    /// The surroundings of this process. Variables that are not UTF-8 count as absent.
    pub fn of_process() -> Env {
        let uid = Uid::effective();
        let mut env = Env::new(uid.as_raw(), []);
        env.vars.extend(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        );
        if env.var("HOME").is_none()
            && let Ok(Some(user)) = User::from_uid(uid)
            && let Ok(home) = user.dir.into_os_string().into_string()
        {
            env.vars.insert("HOME".to_owned(), home);
        }
        env
    }

    /// Surroundings made up for a test or a demo.
    pub fn new<'a>(uid: u32, vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Env {
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Env { uid, vars: vars.collect() }
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether the effective user is root.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// A variable's value; one that is set to nothing counts as absent.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that holds an absolute path, as the XDG rules ask for.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.var(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The first path of a list such as systemd's `STATE_DIRECTORY`.
    pub fn first_path(&self, name: &str) -> Option<PathBuf> {
        let first = self.var(name)?.split(':').next()?;
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    }
}

/// Shows no variable, since many hold keys.
impl fmt::Debug for Env {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Env").field("uid", &self.uid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_never_show_in_debug_output() {
        let env = Env::new(7, [("OPENAI_API_KEY", "planted")]);
        assert!(!format!("{env:?}").contains("planted"));
        assert_eq!(env.var("OPENAI_API_KEY"), Some("planted"));
    }

    #[test]
    fn an_empty_or_relative_path_counts_as_absent() {
        let env = Env::new(7, [("A", ""), ("B", "here"), ("C", "/x:/y")]);
        assert_eq!(env.var("A"), None);
        assert_eq!(env.path("B"), None);
        assert_eq!(env.first_path("C"), Some(PathBuf::from("/x")));
    }
}
