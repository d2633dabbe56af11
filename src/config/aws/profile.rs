//! A profile in the files that Amazon's own tools share.
//!
//! Two files, one format: sections in brackets, `name = value`, comments behind `#` or `;`. The one
//! for keys calls a profile `[NAME]`, the one for settings `[profile NAME]`. Only what says where a
//! key is matters here: keys, a token that takes a role, or a program. Other roles and single sign-on
//! are left to that program.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{AwsKeys, SESSION, WebIdentity};

/// No such file is longer.
const LONGEST: u64 = 1024 * 1024;

/// A profile, by its name and the two files it may be in.
#[derive(Clone, PartialEq)]
pub(crate) struct AwsProfile {
    pub(crate) name: String,
    pub(crate) credentials: PathBuf,
    pub(crate) config: PathBuf,
}

/// What a profile holds, as its files are now.
pub(crate) enum InProfile {
    Keys(AwsKeys),
    /// A command line that prints keys.
    Command(String),
    /// A role that is taken with a token.
    WebIdentity(WebIdentity),
}

impl AwsProfile {
    /// Looks into the files as they are now.
    ///
    /// # Errors
    /// Says, in words that name no secret, why there is no key.
    pub(crate) fn find(&self) -> Result<InProfile, String> {
        let name = &self.name;
        let mut said = section(&read(&self.config)?, |title| {
            title.strip_prefix("profile").map(str::trim) == Some(name)
                || (name == "default" && title == "default")
        });
        let keys = section(&read(&self.credentials)?, |title| title == name);
        said.extend(keys);
        said.retain(|_, value| !value.is_empty());
        let places = format!("{} or {}", self.credentials.display(), self.config.display());
        if let (Some(id), Some(secret)) =
            (said.get("aws_access_key_id"), said.get("aws_secret_access_key"))
        {
            return Ok(InProfile::Keys(AwsKeys {
                id: id.clone(),
                secret: secret.as_str().into(),
                token: said.get("aws_session_token").map(|token| token.as_str().into()),
            }));
        }
        if let (Some(file), Some(role)) =
            (said.get("web_identity_token_file"), said.get("role_arn"))
        {
            let session = said.get("role_session_name").map_or(SESSION, String::as_str);
            return Ok(InProfile::WebIdentity(WebIdentity {
                token_file: PathBuf::from(file),
                role: role.clone(),
                session: session.to_owned(),
            }));
        }
        match said.get("credential_process") {
            Some(command) => Ok(InProfile::Command(command.clone())),
            None if said.is_empty() => Err(format!("there is no profile {name} in {places}")),
            None => Err(format!(
                "the profile {name} in {places} has neither keys nor a credential_process \
                 (for other roles and single sign-on: credential_process = aws configure \
                 export-credentials --format process --profile OTHER)"
            )),
        }
    }
}

/// The text of a file; empty when it is not there.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path);
    match file.and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// What stands in the sections with such a title; the last word wins.
fn section(text: &str, wanted: impl Fn(&str) -> bool) -> HashMap<String, String> {
    let (mut found, mut inside) = (HashMap::new(), false);
    for line in text.lines() {
        // What is indented belongs to a setting above, and is none of ours.
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if is_nested || line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = wanted(title.trim());
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            let value = [" #", " ;", "\t#", "\t;"]
                .iter()
                .fold(value, |value, comment| value.split(comment).next().unwrap_or(value));
            found.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn find(name: &str, credentials: &str, config: &str) -> Result<InProfile, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (credentials, config) = (file("credentials", credentials), file("config", config));
        AwsProfile { name: name.to_owned(), credentials, config }.find()
    }

    fn keys(found: Result<InProfile, String>) -> (String, String, Option<String>) {
        match found.unwrap() {
            InProfile::Keys(keys) => {
                let token = keys.token.map(|token| token.expose_secret().to_owned());
                (keys.id, keys.secret.expose_secret().to_owned(), token)
            }
            _ => panic!("no keys"),
        }
    }

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id=A1\n\
        aws_secret_access_key=s/1=\n\n[ work ]\nAWS_ACCESS_KEY_ID = A2 ; new\n\
        aws_secret_access_key = s2\naws_session_token = t2\n";

    #[test]
    fn a_profile_is_found_in_the_file_for_keys() {
        let own = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        let (id, secret, token) = keys(find("default", CREDENTIALS, ""));
        assert_eq!(((id, secret), token), (own("A1", "s/1="), None));
        let (id, secret, token) = keys(find("work", CREDENTIALS, ""));
        assert_eq!(((id, secret), token.as_deref()), (own("A2", "s2"), Some("t2")));
    }

    #[test]
    fn the_file_for_settings_says_profile_before_the_name_and_the_other_file_wins() {
        let config = "[profile work]\nregion = eu-central-1\naws_access_key_id = old\n\
            aws_secret_access_key = old\ns3 =\n  max_concurrent_requests = 20\n[work]\n\
            aws_session_token = not mine\n";
        assert_eq!(keys(find("work", "", config)).0, "old");
        assert_eq!(keys(find("work", CREDENTIALS, config)).0, "A2");
        let process = "[profile p]\ncredential_process = /bin/keys --json \"a b\"\n";
        let found = find("p", "", process).unwrap();
        assert!(matches!(found, InProfile::Command(line) if line == "/bin/keys --json \"a b\""));
        let token = "[profile w]\nrole_arn = arn:x\nweb_identity_token_file = /t\n";
        let InProfile::WebIdentity(found) = find("w", "", token).unwrap() else { panic!("w") };
        assert_eq!((&*found.role, found.token_file), ("arn:x", PathBuf::from("/t")));
        assert!(find("w", "", "[profile w]\nrole_arn = arn:x\n").is_err());
    }

    #[test]
    fn what_is_missing_is_said_without_a_secret() {
        let why = find("gone", CREDENTIALS, "").err().unwrap();
        assert!(why.starts_with("there is no profile gone in "), "{why}");
        let why = find("sso", "", "[profile sso]\nsso_session = x\n").err().unwrap();
        assert!(why.contains("export-credentials"), "{why}");
        let half = "[half]\naws_secret_access_key = planted\n";
        let why = find("half", half, "").err().unwrap();
        assert!(!why.contains("planted"), "{why}");
    }
}
