//! The wire format of the socket: what clients send and what they get back.

pub mod answer;
pub mod calendar;
pub mod chains;
pub mod chat;
pub mod content;
pub mod control;
pub mod costs;
pub mod event;
pub mod field;
pub mod front;
pub mod health;
pub mod id;
pub mod log;
pub mod provider_data;
pub mod reload;
pub mod reply;
pub mod request;
mod schema;
pub mod span;
pub mod status;
pub mod surrogate;
pub mod why;

/// Version of the protocol, as `ping` tells it.
pub const PROTOCOL: u32 = 1;
