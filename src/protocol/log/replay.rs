//! What lines of the log carry for a restart, beside what people read.

use serde::{Deserialize, Serialize};

use crate::domain::model::StoredModel;
use crate::domain::time::Wall;

/// What has to be known to count a call again after a restart, beside what people read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallReplay {
    /// Tells models of one name apart.
    pub identity: Identity,
    /// Start of the ten seconds that it was counted in.
    pub bucket: Wall,
    /// The circuit, if the call changed anything about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredModel>,
}

/// What has to be known to bring a circuit back after a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BreakerReplay {
    /// Tells models of one name apart.
    pub identity: Identity,
    /// The circuit as it was stored.
    pub stored: StoredModel,
}

/// A hash of a model's address and of its provider's name for it: short enough for every line of
/// the log, and the same in every version of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Identity(u64);

impl Identity {
    /// The identity of a model at this address under this name there.
    pub fn of(base_url: &str, model_id: &str) -> Identity {
        // A newline is in neither of the two, so that they cannot run into each other.
        Identity(fnv1a(base_url.bytes().chain([b'\n']).chain(model_id.bytes())))
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> String {
        format!("{:016x}", identity.0)
    }
}

impl TryFrom<String> for Identity {
    type Error = String;
    fn try_from(text: String) -> Result<Identity, String> {
        u64::from_str_radix(&text, 16)
            .map(Identity)
            .map_err(|_| format!("no identity: {text:.40?}"))
    }
}

/// FNV-1a in 64 bits. Nobody gains by making two addresses collide, so a hash that is fixed for
/// ever is worth more than a strong one.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
