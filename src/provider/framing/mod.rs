//! How bodies are told apart, and those that come in pieces cut into events. All formats use
//! server-sent events today.

pub(super) mod sniff;
pub(super) mod sse;
