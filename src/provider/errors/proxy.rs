//! What went wrong on the way through a proxy, told apart from what the provider does.
//!
//! The proxy is named without its credentials. Whatever it does, no model has failed to answer: the
//! connection was never made.

use std::error::Error;

use super::transport::before_answer;
use crate::domain::fault::Fault;
use crate::provider::Failure;

/// The failure of a request that got no answer from `host` through `proxy`.
pub(in crate::provider) fn before_answer_through(
    error: &reqwest::Error,
    host: &str,
    proxy: &str,
) -> Failure {
    let failure = before_answer(error, host);
    let tunnel = tunnel_error(error);
    // Behind the tunnel, or once connected, it is the provider who fails.
    let at_proxy = tunnel.is_some() || failure.fault == Fault::Connect;
    if !at_proxy || failure.fault == Fault::NoNetwork {
        return failure;
    }
    let what = match tunnel.as_deref() {
        Some("proxy authorization required") => return unauthorized(host, proxy),
        Some("unsuccessful") => "the proxy does not connect to it",
        Some("unexpected end of file" | "io error establishing tunnel") => {
            "the proxy closed the connection"
        }
        _ => failure.message.split_once(": ").map_or("the connection failed", |(_, what)| what),
    };
    Failure::new(Fault::Connect, format!("cannot connect to {host} through proxy {proxy}: {what}"))
}

/// The failure of a request that the proxy wants other credentials for.
pub(in crate::provider) fn unauthorized(host: &str, proxy: &str) -> Failure {
    let what = "the proxy wants a name and a password, or other ones (407)";
    let message = format!("cannot connect to {host} through proxy {proxy}: {what}");
    Failure::new(Fault::Connect, message).with_status(407)
}

/// What the tunnel through a proxy says. Its type is private to its library, its text is all there
/// is; a test makes each happen.
fn tunnel_error(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&dyn Error> = error.source();
    while let Some(error) = next {
        if let Some(what) = error.to_string().strip_prefix("tunnel error: ") {
            return Some(what.to_owned());
        }
        next = error.source();
    }
    None
}
