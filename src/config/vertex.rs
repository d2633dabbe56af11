//! Vertex AI: Gemini and Claude as Google's cloud serves them, told by their address.
//!
//! The formats are those of Google and of Anthropic; paths and keys differ. An address ends with
//! the publisher, whoever serves it: a gateway before Vertex has the same paths.

use reqwest::Url;

use super::Kind;

const CLAUDE: &str = "/publishers/anthropic";
const GEMINI: &str = "/publishers/google";

/// Whether an address is one of Vertex AI. Its keys are tokens of Google's cloud.
pub(crate) fn is_vertex(base_url: &str) -> bool {
    let Ok(url) = Url::parse(base_url) else { return false };
    ends_with(&url, CLAUDE) || ends_with(&url, GEMINI) || is_host(&url)
}

/// What is wrong with an address of Vertex AI for this kind of provider, and what to do.
pub(super) fn refusal(url: &Url, kind: Kind) -> Option<(&'static str, String)> {
    let wanted = match kind {
        Kind::Anthropic => CLAUDE,
        Kind::Google => GEMINI,
        _ => return None,
    };
    let hint = format!("end it with {wanted}; what follows is added to every call");
    let publisher = url.path().find("/publishers/").map(|at| &url.path()[at..]);
    match publisher {
        Some(path) if path.trim_end_matches('/') == wanted => None,
        Some(path) if path.starts_with(&format!("{wanted}/")) => {
            Some(("goes too far into the API", hint))
        }
        Some(_) => Some(("of another publisher than the kind of this provider", hint)),
        // Gemini models of one's own are below `…/locations/LOCATION/endpoints/ID`.
        None if kind == Kind::Anthropic && is_host(url) => Some(("without its publisher", hint)),
        None => None,
    }
}

fn ends_with(url: &Url, end: &str) -> bool {
    url.path().trim_end_matches('/').ends_with(end)
}

fn is_host(url: &Url) -> bool {
    is_vertex_host(url.host_str().unwrap_or_default())
}

/// Whether a host is one of Google's cloud for models.
pub(super) fn is_vertex_host(host: &str) -> bool {
    host.strip_suffix(".googleapis.com").is_some_and(|name| {
        name == "aiplatform" || name.ends_with("-aiplatform") || name.starts_with("aiplatform.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertex_is_known_by_its_hosts_and_by_its_paths() {
        for address in [
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google",
            "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/l",
            "https://aiplatform.eu.rep.googleapis.com/v1",
            "http://127.0.0.1:1/v1/projects/p/locations/l/publishers/anthropic/",
        ] {
            assert!(is_vertex(address), "{address}");
        }
        for address in [
            "https://generativelanguage.googleapis.com/v1beta",
            "https://api.anthropic.com",
            "https://aiplatform.googleapis.com.example.org/v1",
            "https://example.org/publishers/mistralai",
        ] {
            assert!(!is_vertex(address), "{address}");
        }
    }

    #[test]
    fn an_address_must_end_with_the_publisher_of_its_kind() {
        let wrong = |path: &str, kind| {
            let url = format!("https://aiplatform.googleapis.com/v1/projects/p/locations/l{path}");
            refusal(&Url::parse(&url).unwrap(), kind).map(|(problem, _)| problem)
        };
        use Kind::{Anthropic, Google};
        assert_eq!(wrong("/publishers/anthropic", Anthropic), None);
        assert_eq!(wrong("/publishers/google/", Google), None);
        assert_eq!(wrong("", Google), None);
        assert_eq!(wrong("", Anthropic), Some("without its publisher"));
        let far = Some("goes too far into the API");
        assert_eq!(wrong("/publishers/anthropic/models", Anthropic), far);
        assert_eq!(wrong("/publishers/google/models/g:generateContent", Google), far);
        assert!(wrong("/publishers/google", Anthropic).is_some());
        assert!(wrong("/publishers/anthropic", Google).is_some());
    }
}
