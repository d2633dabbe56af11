//! The whole thing from outside: the real daemon as a process, on a real socket, with simulated
//! providers behind it.
//!
//! One file per theme, names are claims. What can be shown at a lower level is shown there; here
//! is what only the parts together can show: sockets, processes, files, signals, and what people
//! type. Every test has a daemon and a folder of its own, so they run side by side.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod events;
#[cfg(test)]
mod gone;
#[cfg(test)]
mod hardship;
#[cfg(test)]
mod health_log;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod managed;
#[cfg(test)]
mod ops;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod socket_file;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod why;
