//! Decisions only: plain data and functions with the time as an argument.
//!
//! No clock, no IO, no async and no logging in here; a test enforces it. Everything that this
//! project exists for can be read in this folder and tested with a number for the time.

pub mod accept;
pub mod bill;
pub mod breaker;
pub mod ceiling;
pub mod compare;
pub mod fault;
pub mod histogram;
pub mod hold;
pub mod ledger;
pub mod minute;
pub mod model;
pub mod need;
pub mod network;
pub mod pace;
pub mod price;
pub mod rank;
pub mod reason;
pub mod rebuilds;
pub mod renewal;
pub mod route;
pub mod shadow;
pub mod splice;
pub mod time;
pub mod turns;
pub mod window;
