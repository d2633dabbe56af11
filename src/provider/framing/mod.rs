//! How bodies are told apart and unpacked, and those that come in pieces cut into events. All formats
//! use server-sent events today.

pub(super) mod glued;
pub(super) mod mend;
pub(super) mod sniff;
pub(super) mod sse;
pub(super) mod unpack;
