//! What a request brings that came by another front than lines of JSON.

use std::time::Duration;

/// What a front that speaks another protocol than ours adds to a request.
///
/// A request that has any is taken as its program wrote it: defaults of `[request]` are not filled
/// in, and its stream says who speaks.
#[derive(Clone, Debug, Default)]
pub struct FrontTerms {
    /// How long its program waits, for chains that have no deadline of their own.
    pub patience: Option<Duration>,
    /// Whether a name that nothing goes by stands for the default chain.
    pub unknown_is_default: bool,
}
