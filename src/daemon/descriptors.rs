//! Room for a thousand clients and as many upstream connections.
//!
//! Many systems start programs with a soft limit of 1,024 descriptors and a hard limit far above
//! it, for the sake of programs that use `select`. This one does not.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on descriptors to the hard one.
pub(super) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "cannot raise the limit on descriptors");
    }
}
