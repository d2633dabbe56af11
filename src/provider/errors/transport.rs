//! What went wrong when there is no HTTP answer: from a client's error to a fault and plain words.
//!
//! The HTTP client wraps its causes several layers deep, and prints the whole address, query and
//! all. So the chain of causes is searched for the kinds that matter and the message is written
//! here; nothing of the client's own text is shown.

use std::error::Error;
use std::io;

use crate::domain::fault::Fault;
use crate::provider::Failure;
use crate::provider::resolve::ResolveError;

/// Out of file descriptors, for this process and for the system.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

/// What the chain of causes holds.
#[derive(Default)]
struct Causes<'a> {
    io: Option<&'a io::Error>,
    tls: Option<&'a rustls::Error>,
    http: Option<&'a hyper::Error>,
    resolve: Option<&'a ResolveError>,
}

/// The failure of a request that got no answer from `host`.
pub(in crate::provider) fn before_answer(error: &reqwest::Error, host: &str) -> Failure {
    let causes = Causes::of(error);
    let (fault, what) = causes.local().or_else(|| causes.tls()).unwrap_or_else(|| {
        if error.is_connect() { causes.connecting(error) } else { causes.sending(error) }
    });
    let subject = match fault {
        Fault::NoNetwork => "this machine cannot connect to",
        Fault::Reset | Fault::BadBody => "no answer from",
        _ => "cannot connect to",
    };
    Failure::new(fault, format!("{subject} {host}: {what}"))
}

/// Whether the connection broke before any byte of the answer.
pub(in crate::provider) fn is_reset(error: &reqwest::Error, host: &str) -> bool {
    before_answer(error, host).fault == Fault::Reset
}

/// The failure of an answer that began and did not end.
pub(in crate::provider) fn within_answer(error: &reqwest::Error, status: u16) -> Failure {
    let what = match Causes::of(error).http {
        Some(http) if http.is_parse() => "the answer is not valid HTTP",
        _ => "the connection broke in the middle of the answer",
    };
    Failure::new(Fault::BadBody, what).with_status(status)
}

/// The failure of a stream that began and did not end.
pub(in crate::provider) fn within_stream(error: &reqwest::Error, status: u16) -> Failure {
    let mut failure = within_answer(error, status);
    if !Causes::of(error).http.is_some_and(hyper::Error::is_parse) {
        failure.fault = Fault::StreamCut;
    }
    failure
}

impl<'a> Causes<'a> {
    fn of(error: &'a reqwest::Error) -> Causes<'a> {
        let mut causes = Causes::default();
        let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            causes.note(error);
            // An io error that wraps another one names only the other one's cause as its source.
            let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match wrapped {
                Some(inner) => Some(inner as &(dyn Error + 'static)),
                None => error.source(),
            };
        }
        causes
    }

    fn note(&mut self, error: &'a (dyn Error + 'static)) {
        if let Some(io) = error.downcast_ref() {
            self.io = Some(io);
        } else if let Some(tls) = error.downcast_ref() {
            self.tls = Some(tls);
        } else if let Some(http) = error.downcast_ref() {
            self.http = Some(http);
        } else if let Some(resolve) = error.downcast_ref() {
            self.resolve = Some(resolve);
        }
    }

    /// Reasons that lie with this machine.
    fn local(&self) -> Option<(Fault, String)> {
        use io::ErrorKind as Kind;
        let io = self.io?;
        let descriptors = io.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code));
        let what = match io.kind() {
            _ if descriptors => "out of file descriptors; raise LimitNOFILE or `ulimit -n`",
            _ if self.resolve.is_some_and(ResolveError::is_unreachable) => {
                "no name server can be reached"
            }
            Kind::NetworkUnreachable | Kind::HostUnreachable => "there is no route",
            Kind::NetworkDown => "the network is down",
            Kind::AddrNotAvailable => "no local address is available",
            _ => return None,
        };
        Some((Fault::NoNetwork, what.to_owned()))
    }

    fn tls(&self) -> Option<(Fault, String)> {
        self.tls.map(|tls| {
            let what = match tls {
                rustls::Error::InvalidCertificate(why) => {
                    format!("its certificate is not valid: {why:?}")
                }
                other => format!("the TLS handshake failed: {other}"),
            };
            (Fault::Tls, what)
        })
    }

    fn connecting(&self, error: &reqwest::Error) -> (Fault, String) {
        use io::ErrorKind as Kind;
        match (self.resolve, self.io.map(io::Error::kind)) {
            (Some(ResolveError::Refused), _) => {
                (Fault::BadEndpoint, ResolveError::Refused.to_string())
            }
            (Some(ResolveError::Lookup(_)), _) => (Fault::Connect, "the name is not known".into()),
            _ if error.is_timeout() => {
                (Fault::Connect, "no connection within timeouts.connect".into())
            }
            (_, Some(Kind::ConnectionRefused)) => (Fault::Connect, "connection refused".into()),
            (_, Some(Kind::UnexpectedEof)) => {
                (Fault::Tls, "the connection was closed during the TLS handshake".into())
            }
            (_, Some(kind)) => (Fault::Connect, kind.to_string()),
            (_, None) => (Fault::Connect, "the connection failed".into()),
        }
    }

    fn sending(&self, error: &reqwest::Error) -> (Fault, String) {
        match self.http {
            _ if error.is_builder() => (Fault::BadEndpoint, "the address is not usable".into()),
            Some(http) if http.is_parse() => {
                (Fault::BadBody, "what came back is not HTTP; check base_url".into())
            }
            _ => (Fault::Reset, "the connection was closed before an answer".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    fn local(code: i32) -> Option<Fault> {
        let error = io::Error::from_raw_os_error(code);
        let causes = Causes { io: Some(&error), ..Causes::default() };
        causes.local().map(|(fault, _)| fault)
    }

    #[test]
    fn reasons_of_this_machine_are_no_network() {
        for (code, name) in [
            (23, "ENFILE"),
            (24, "EMFILE"),
            (99, "EADDRNOTAVAIL"),
            (100, "ENETDOWN"),
            (101, "ENETUNREACH"),
            (113, "EHOSTUNREACH"),
        ] {
            assert_eq!(local(code), Some(Fault::NoNetwork), "{name}");
        }
        for (code, name) in [(104, "ECONNRESET"), (110, "ETIMEDOUT"), (111, "ECONNREFUSED")] {
            assert_eq!(local(code), None, "{name}");
        }
    }

    #[test]
    fn a_resolver_out_of_reach_is_no_network_and_an_unknown_name_is_not() {
        let failed = |text: &str| {
            let resolve = ResolveError::Lookup(io::Error::other(text.to_owned()));
            let io = io::Error::other("x");
            let causes = Causes { io: Some(&io), resolve: Some(&resolve), ..Causes::default() };
            causes.local().map(|(fault, _)| fault)
        };
        let again = "failed to lookup address information: Temporary failure in name resolution";
        assert_eq!(failed(again), Some(Fault::NoNetwork));
        let unknown = "failed to lookup address information: Name or service not known";
        assert_eq!(failed(unknown), None);
    }

    #[test]
    fn a_bad_certificate_is_called_one() {
        let error = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let causes = Causes { tls: Some(&error), ..Causes::default() };
        let (fault, what) = causes.tls().unwrap();
        assert_eq!((fault, what.as_str()), (Fault::Tls, "its certificate is not valid: Expired"));
    }
}
