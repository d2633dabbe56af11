//! The whole daemon between a client's socket and providers that misbehave: which fault each
//! answer is, and what follows from it.
//!
//! A real `fallbackd` process, real HTTP, and simulated providers of all three kinds. Waits and
//! circuits to the millisecond are tested on paused time in the library; here it is shown that a
//! provider's own words lead to them.

#[cfg(test)]
mod any_refusal;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod mapping;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod world;
