//! The health log, the database, and recovery.

pub mod event;
pub mod line;
