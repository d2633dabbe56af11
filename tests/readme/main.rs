//! Everything that README.md and the pages below docs/ show is tried here.
//!
//! A fenced block behind a comment such as `<!-- test: python-client -->` is an example: programs
//! and shell lines run against a real daemon, lines of the protocol are sent to one and the answers
//! compared, snippets of configuration are read. Links and anchors must lead somewhere. What people
//! copy is what was tried.
//!
//! `fixture` starts the daemon, with simulated providers behind it; `page` finds the blocks.

#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod links;
#[cfg(test)]
mod page;
#[cfg(test)]
mod programs;
#[cfg(test)]
#[allow(dead_code, reason = "the other tests look at lines on their way, these at lines on a page")]
#[path = "../it/harness/shape.rs"]
mod shape;
