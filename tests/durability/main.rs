//! What survives: the real daemon, killed and damaged in every way that files allow.
//!
//! Each test runs the built program against a simulated provider, does something unkind, starts it
//! again, and then does the accounts: what clients were told, what the log says and what the
//! daemon says it knows must agree to the nano-dollar. `FALLBACKD_KILLS=200` kills it that often
//! instead of 20 times.

#[cfg(test)]
mod books;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk_full;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod week;
