//! Files that a configuration is made of, read with a limit: a path may name something without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longest file that is read, in bytes: many times what anybody writes by hand.
const LONGEST: u64 = 16 << 20;

/// All of a file.
///
/// # Errors
///
/// What the system says, or that the file is too large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        let most = LONGEST >> 20;
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_an_error_and_does_not_fill_the_memory() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 16 MiB");
    }
}
