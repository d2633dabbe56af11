//! What the demo is played on: three simulated providers, a private folder, a configuration that
//! knows both, and a client of the daemon in between.
//!
//! The folder is the owner's alone and goes when its handle does, with socket, log and database.
//! Nothing here knows the story.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::Value;

use super::Trouble;
use super::client::{ChatReply, Client};
use crate::config::{self, Config, Env, Kind, Loaded};
use crate::domain::price::Nano;
use crate::sim::{Behaviour, Simulator};

const CONFIG: &str = include_str!("demo.toml");
const KEY_NAME: &str = "FALLBACKD_DEMO_KEY";
const KEY: &str = "demo-key";

/// How long a model thinks when all is well.
const THINKING: [(&str, u64); 5] = [
    ("gpt-4o", 60),
    ("gpt-4o-mini", 25),
    ("claude-sonnet-4-6", 80),
    ("claude-haiku-4-5", 30),
    ("gemini-2.5-flash", 40),
];

pub(super) struct SimulatedProviders {
    pub(super) openai: Simulator,
    pub(super) anthropic: Simulator,
    pub(super) google: Simulator,
}

impl SimulatedProviders {
    /// Starts all three, in good health.
    pub(super) fn start() -> Result<SimulatedProviders, Trouble> {
        let providers = SimulatedProviders {
            openai: Simulator::start(Kind::OpenAi).map_err(Trouble::Simulator)?,
            anthropic: Simulator::start(Kind::Anthropic).map_err(Trouble::Simulator)?,
            google: Simulator::start(Kind::Google).map_err(Trouble::Simulator)?,
        };
        for provider in providers.all() {
            provider.require_key(KEY);
        }
        providers.recover()?;
        Ok(providers)
    }

    pub(super) fn all(&self) -> [&Simulator; 3] {
        [&self.openai, &self.anthropic, &self.google]
    }

    /// Ends every outage. Only the models that exist to misbehave go on doing so.
    pub(super) fn recover(&self) -> Result<(), Trouble> {
        for provider in self.all() {
            provider.well();
            provider.up().map_err(Trouble::Simulator)?;
            for (model, millis) in THINKING {
                provider.set_for(model, Behaviour::delay(Duration::from_millis(millis)));
            }
        }
        let soon = Duration::from_millis(20);
        self.openai.set_for("always-503", Behaviour::overloaded().after(soon));
        self.google.set_for("always-429", Behaviour::rate_limited(Some("20")).after(soon));
        self.anthropic.set_for("never-answers", Behaviour::Hang);
        Ok(())
    }

    /// How many calls have reached them since their start.
    pub(super) fn calls(&self) -> u64 {
        self.all().iter().map(|provider| provider.counts().calls).sum()
    }

    /// A configuration for a daemon that asks them and keeps its files in `folder`.
    pub(super) fn config(&self, folder: &Path, socket: &Path) -> Result<Config, Trouble> {
        let mut config = self.load()?.config;
        config.daemon.socket = socket.to_owned();
        config.daemon.state_dir = folder.join("state");
        config.daemon.health_log = folder.join("health.jsonl");
        Ok(config)
    }

    fn load(&self) -> Result<Loaded, Trouble> {
        let text = CONFIG
            .replace("{openai}", &self.openai.base_url())
            .replace("{anthropic}", &self.anthropic.base_url())
            .replace("{google}", &self.google.base_url());
        let env = Env::new(geteuid().as_raw(), [(KEY_NAME, KEY)]);
        config::parse(&text, "demo.toml", &env).map_err(Trouble::Config)
    }
}

/// A folder for the demo's files, removed with them at the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one where temporary files belong, for nobody but ourselves.
    pub(super) fn create() -> Result<Folder, Trouble> {
        let name = format!("fallbackd-demo-{:08x}", fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Folder(path)),
            Err(cause) => Err(Trouble::Folder { path, cause }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files, where it does little harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the lock file that a daemon leaves beside its socket, if it was made for the demo and
/// nobody has taken it since.
pub(super) struct LockFile(Option<PathBuf>);

impl LockFile {
    /// To be called before the daemon starts.
    pub(super) fn beside(socket: &Path) -> LockFile {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        LockFile((!path.exists()).then_some(path))
    }

    /// To be called when the daemon has stopped.
    pub(super) fn remove(self) -> io::Result<()> {
        let Some(path) = self.0 else { return Ok(()) };
        let file = File::open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        fs::remove_file(path)
    }
}

/// What a scenario has at hand.
pub(super) struct Fixture {
    pub(super) providers: SimulatedProviders,
    pub(super) client: Client,
    pub(super) tally: Tally,
}

/// What all answers so far cost, in dollars.
#[derive(Default)]
pub(super) struct Tally {
    /// Requests that got an answer.
    pub(super) answered: usize,
    /// Those answered by another model than the first of their chain.
    pub(super) by_fallback: usize,
    /// What these fallbacks cost.
    pub(super) paid: Nano,
    /// What they would have cost at the first model's prices.
    pub(super) primary_would: Nano,
}

impl Fixture {
    /// Sends a chat and reads its reply.
    pub(super) async fn ask(&mut self, request: Value) -> Result<ChatReply, Trouble> {
        self.client.send(request).await?;
        self.reply().await
    }

    /// Sends a chat that streams; gives the events before its reply, too.
    pub(super) async fn stream(
        &mut self,
        mut request: Value,
    ) -> Result<(Vec<Value>, ChatReply), Trouble> {
        request["stream"] = true.into();
        self.client.send(request).await?;
        let mut events = Vec::new();
        loop {
            let line = self.client.next().await?;
            if line.get("event").is_some() {
                events.push(line);
                continue;
            }
            let reply = ChatReply::read(line)?;
            self.tally.add(&reply);
            return Ok((events, reply));
        }
    }

    /// The next reply to a chat.
    pub(super) async fn reply(&mut self) -> Result<ChatReply, Trouble> {
        let reply = ChatReply::read(self.client.next().await?)?;
        self.tally.add(&reply);
        Ok(reply)
    }
}

impl Tally {
    fn add(&mut self, reply: &ChatReply) {
        let Some(answered) = reply.answered() else { return };
        self.answered += 1;
        if answered.used_fallback {
            self.by_fallback += 1;
            self.paid += answered.request_cost_usd.unwrap_or_default();
            self.primary_would += answered.primary_cost_usd.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_embedded_configuration_is_valid_and_warns_of_nothing() {
        let providers = SimulatedProviders::start().unwrap();
        let loaded = providers.load().unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }

    #[test]
    fn the_folder_is_private_and_goes_with_its_handle() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::create().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_file_goes_only_if_it_was_not_there_before_and_nobody_holds_it() {
        let folder = Folder::create().unwrap();
        let (socket, lock) = (folder.path().join("s"), folder.path().join("s.lock"));
        let ours = || LockFile::beside(&socket);
        let (first, second) = (ours(), ours());
        let held = File::create(&lock).unwrap();
        held.lock().unwrap();
        assert!(first.remove().is_err() && lock.exists());
        held.unlock().unwrap();
        ours().remove().unwrap();
        assert!(lock.exists(), "it was there before");
        second.remove().unwrap();
        assert!(!lock.exists());
    }
}
