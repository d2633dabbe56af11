//! What a caller gets, and when, while its provider misbehaves.
//!
//! The real daemon stands between a client on its socket and three misbehaving HTTP servers, one per
//! wire format, with a healthy backup behind each. Every case is played for each format in three
//! ways at once: the caller streams; the caller wants one answer and the daemon streams; nobody
//! streams. Every run asserts the answer, the time it took, and the calls that the providers saw; what
//! must hold in all of them stands in [`fixture::Run::check`]. Limits are those of real use, scaled
//! down.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "../it/harness/mod.rs"]
mod harness;
#[cfg(test)]
mod large;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod silent;
