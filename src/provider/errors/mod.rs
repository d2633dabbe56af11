//! What went wrong with a call: failures before an answer, error bodies in every shape, and which
//! fault they are. Text of a provider is cleaned here before anybody sees it.

pub(super) mod classify;
pub(super) mod falsy;
pub(super) mod hint;
pub(super) mod page;
pub(super) mod proxy;
pub(super) mod redact;
pub(super) mod shape;
pub(super) mod topic;
pub(super) mod transport;
