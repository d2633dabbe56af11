//! Where things are when nobody says: the configuration, the socket, the state, the log.
//!
//! Daemon and command line ask the same functions, so they meet at the same socket without being
//! told. Nothing here creates a file, and a broken configuration is read past: a client must
//! reach a daemon that still runs with the previous one.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Env;

const NAME: &str = "fallbackd";

/// The configuration file: the flag, else the system's for root, else the user's own.
pub fn config_file(flag: Option<PathBuf>, env: &Env) -> PathBuf {
    flag.unwrap_or_else(|| {
        let base = match env.is_root() {
            true => PathBuf::from("/etc"),
            false => user_folder(env, "XDG_CONFIG_HOME", ".config"),
        };
        base.join(NAME).join("fallbackd.toml")
    })
}

/// The socket: the flag, else `FALLBACKD_SOCKET`, else the configuration, else the default.
pub fn socket(flag: Option<PathBuf>, config_flag: Option<PathBuf>, env: &Env) -> PathBuf {
    flag.or_else(|| env.var("FALLBACKD_SOCKET").map(PathBuf::from))
        .or_else(|| socket_of_file(&config_file(config_flag, env)))
        .unwrap_or_else(|| default_socket(env))
}

/// The socket when neither flag, environment nor configuration names one.
pub fn default_socket(env: &Env) -> PathBuf {
    if env.is_root() {
        return system_socket();
    }
    let runtime = env.path("XDG_RUNTIME_DIR");
    let runtime = runtime.unwrap_or_else(|| Path::new("/run/user").join(env.uid().to_string()));
    runtime.join(NAME).join("fallbackd.sock")
}

/// The socket of the system's own daemon.
pub fn system_socket() -> PathBuf {
    Path::new("/run").join(NAME).join("fallbackd.sock")
}

/// The state directory when the configuration names none.
pub fn state_dir(env: &Env) -> PathBuf {
    kept_in(env, "STATE_DIRECTORY", "/var/lib")
}

/// The token that a daemon makes for programs on TCP, in its state directory.
pub fn token_file(state_dir: &Path) -> PathBuf {
    state_dir.join("http.token")
}

/// The health log when the configuration names none.
pub fn health_log(env: &Env) -> PathBuf {
    kept_in(env, "LOGS_DIRECTORY", "/var/log").join("health.jsonl")
}

/// The names that a section of the configuration file defines, in its order, without asking
/// whether the file is right; none when it cannot be read.
pub fn names(path: &Path, section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (document, _) = DeTable::parse_recoverable(&text);
    let section = document.get_ref().get(section).and_then(|table| table.get_ref().as_table());
    section.into_iter().flatten().map(|(name, _)| name.get_ref().to_string()).collect()
}

fn socket_of_file(path: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(path).ok()?;
    let (document, _) = DeTable::parse_recoverable(&text);
    let daemon = document.get_ref().get("daemon")?.get_ref().as_table()?;
    match daemon.get("socket")?.get_ref() {
        DeValue::String(path) => Some(PathBuf::from(&**path)).filter(|path| path.is_absolute()),
        _ => None,
    }
}

/// The folder that systemd gives in `variable`, else the system's for root, else the user's own.
fn kept_in(env: &Env, variable: &str, of_system: &str) -> PathBuf {
    env.first_path(variable).unwrap_or_else(|| match env.is_root() {
        true => Path::new(of_system).join(NAME),
        false => user_folder(env, "XDG_STATE_HOME", ".local/state").join(NAME),
    })
}

/// The folder that a variable of XDG names, else the usual one. A user without a home gets a path
/// that nobody but root can write, and an error that names it.
fn user_folder(env: &Env, variable: &str, below_home: &str) -> PathBuf {
    env.path(variable)
        .unwrap_or_else(|| env.path("HOME").unwrap_or_else(|| PathBuf::from("/")).join(below_home))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Env {
        Env::new(1000, vars)
    }

    #[test]
    fn root_uses_the_places_of_the_system() {
        let root = Env::new(0, [("XDG_STATE_HOME", "/elsewhere")]);
        assert_eq!(config_file(None, &root), Path::new("/etc/fallbackd/fallbackd.toml"));
        assert_eq!(default_socket(&root), Path::new("/run/fallbackd/fallbackd.sock"));
        assert_eq!(state_dir(&root), Path::new("/var/lib/fallbackd"));
        assert_eq!(health_log(&root), Path::new("/var/log/fallbackd/health.jsonl"));
    }

    #[test]
    fn others_use_their_own_folders() {
        let env = user([("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/tmp/run")]);
        let config = Path::new("/home/u/.config/fallbackd/fallbackd.toml");
        assert_eq!(config_file(None, &env), config);
        assert_eq!(default_socket(&env), Path::new("/tmp/run/fallbackd/fallbackd.sock"));
        assert_eq!(state_dir(&env), Path::new("/home/u/.local/state/fallbackd"));
        let log = Path::new("/home/u/.local/state/fallbackd/health.jsonl");
        assert_eq!(health_log(&env), log);
        let bare = default_socket(&user([]));
        assert_eq!(bare, Path::new("/run/user/1000/fallbackd/fallbackd.sock"));
    }

    #[test]
    fn folders_given_by_systemd_win_over_the_defaults() {
        let env = Env::new(0, [("STATE_DIRECTORY", "/s/one:/s/two"), ("LOGS_DIRECTORY", "/l")]);
        assert_eq!(state_dir(&env), Path::new("/s/one"));
        assert_eq!(health_log(&env), Path::new("/l/health.jsonl"));
    }

    #[test]
    fn names_are_read_past_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("c.toml");
        std::fs::write(&config, "[models.b]\nx = = 1\n[models.\"a:1\"]\n[chains]\nt = [\"b\"]\n")
            .unwrap();
        assert_eq!(names(&config, "models"), ["a:1", "b"]);
        assert_eq!(names(&config, "chains"), ["t"]);
        assert!(names(&folder.path().join("none"), "models").is_empty());
    }

    #[test]
    fn the_socket_is_looked_for_from_the_flag_down_to_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("c.toml");
        std::fs::write(&config, "[daemon]\nsocket = \"/conf.sock\"\nbroken = = 3\n").unwrap();
        let env = user([("FALLBACKD_SOCKET", "/env.sock"), ("XDG_RUNTIME_DIR", "/r")]);
        let flag = Some(PathBuf::from("/flag.sock"));
        assert_eq!(socket(flag, Some(config.clone()), &env), Path::new("/flag.sock"));
        assert_eq!(socket(None, Some(config.clone()), &env), Path::new("/env.sock"));
        let env = user([("XDG_RUNTIME_DIR", "/r")]);
        assert_eq!(socket(None, Some(config), &env), Path::new("/conf.sock"));
        let gone = Some(folder.path().join("absent.toml"));
        assert_eq!(socket(None, gone, &env), Path::new("/r/fallbackd/fallbackd.sock"));
    }
}
