//! What costs look like to people: sums in words, tables, plots, a page.
//!
//! Drawn for the daemon's weekly reports and for `fallbackctl costs` alike, from the type that
//! travels ([`crate::protocol::costs::Costs`]). Nothing here asks the ledger.

pub mod csv;
pub mod html;
pub mod money;
mod plot;
pub mod story;
