//! Programs that speak HTTP with the daemon: what they send, what they get, and what they may not.
//!
//! A real daemon on its real socket, and on TCP where that is what is tested; providers are
//! simulators. Requests are written byte by byte, so that a test says what is on the wire.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod faults;
#[cfg(test)]
#[path = "../it/harness/mod.rs"]
mod harness;
#[cfg(test)]
mod network;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod wire;
