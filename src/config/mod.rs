//! The configuration file, each mistake explained.

mod types;

pub use types::*;
