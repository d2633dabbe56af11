//! How answers that come in pieces are cut into events. All formats use server-sent events today.

pub(super) mod sse;
