//! What programs on TCP must show, when the configuration names no token: the daemon makes one at
//! its first start and keeps it, so that programs keep working over restarts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use crate::config::locate;

/// 256 bits cannot be guessed.
const BYTES: usize = 32;

/// The token that is kept in this folder; made if there is none.
///
/// # Errors
/// When it can be neither read nor written.
pub(super) fn kept(state_dir: &Path) -> io::Result<SecretString> {
    let path = locate::token_file(state_dir);
    match fs::read_to_string(&path) {
        Ok(text) if is_whole(text.trim()) => return Ok(SecretString::from(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let token = made()?;
    let new = path.with_extension("token.new");
    let _ = fs::remove_file(&new);
    // Members of the daemon's group may read it, as they may use its socket.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    Ok(SecretString::from(token))
}

/// Whether it is one of ours, and not half of one.
fn is_whole(text: &str) -> bool {
    text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn made() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    let random = SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_readable_for_the_group_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = kept(folder.path()).unwrap();
        let path = locate::token_file(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let again = kept(folder.path()).unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        assert!(is_whole(first.expose_secret()));
        fs::write(&path, "half").unwrap();
        assert_ne!(kept(folder.path()).unwrap().expose_secret(), first.expose_secret());
    }
}
