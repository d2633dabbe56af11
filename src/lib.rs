//! fallbackd keeps the programs of a machine answering when an AI provider fails.
//!
//! Start reading at `ARCHITECTURE.md`; the modules below are listed from the bottom up, and
//! imports only go down.

pub mod domain;

pub mod config;
pub mod protocol;

pub(crate) mod dialects;
pub mod report;

pub mod clock;
pub mod provider;
pub(crate) mod recorder;

pub mod actors;
pub mod server;

pub mod ctl;
pub mod daemon;
pub mod sim;

pub mod demo;
