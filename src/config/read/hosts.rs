//! Well-known hosts, and addresses of them that cannot work.
//!
//! A host of one kind under another, or without the path that all its calls have, is nearly always
//! an address that was copied from another program. It is no mistake, since hosts change and
//! learn: a warning says what the host is known for.

use reqwest::Url;

use crate::config::Kind;
use crate::config::vertex::is_vertex_host;

/// Where servers of OpenAI's kind have their API.
const PATHS: [(&str, &str); 11] = [
    ("api.openai.com", "/v1"),
    ("api.mistral.ai", "/v1"),
    ("api.groq.com", "/openai/v1"),
    ("openrouter.ai", "/api/v1"),
    ("api.x.ai", "/v1"),
    ("api.together.xyz", "/v1"),
    ("api.fireworks.ai", "/inference/v1"),
    ("api.cerebras.ai", "/v1"),
    ("api.moonshot.ai", "/v1"),
    ("dashscope.aliyuncs.com", "/compatible-mode/v1"),
    ("dashscope-intl.aliyuncs.com", "/compatible-mode/v1"),
];

/// The port of Ollama, whose older API has no path.
const OLLAMA: u16 = 11434;

/// What is probably wrong with an address for this kind of provider, and what to do.
pub(super) fn doubt(url: &Url, kind: Kind) -> Option<(String, String)> {
    let (host, path) = (url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'));
    let owner = owner(host);
    match (owner, kind) {
        (Some(Owner::Kind(Kind::Google)), Kind::Google) => google(path),
        // Whoever stands before Gemini has its paths.
        (None, Kind::Google) if path.ends_with("/openai") => google(path),
        (Some(owner), Kind::OpenAi) if owner != Owner::Kind(Kind::OpenAi) => imitated(owner, path),
        (Some(Owner::Kind(own)), kind) if own != kind => Some((
            format!("the host is one of kind \"{}\"", own.name()),
            format!("set kind = \"{}\"", own.name()),
        )),
        (Some(Owner::Vertex), Kind::Bedrock) => Some((
            "the host is one of Vertex AI".to_owned(),
            "set kind = \"google\" or \"anthropic\"".to_owned(),
        )),
        (_, Kind::OpenAi) => {
            let known = PATHS.iter().find(|(known, _)| *known == host).map(|(_, wanted)| *wanted);
            let local = (url.port() == Some(OLLAMA)).then_some("/v1");
            let wanted = known.or(local).filter(|wanted| !path.starts_with(wanted))?;
            Some((
                format!("without {wanted}, which all addresses of this host have"),
                format!("end it with {wanted}"),
            ))
        }
        _ => None,
    }
}

/// Whose API a host serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Kind(Kind),
    Vertex,
}

fn owner(host: &str) -> Option<Owner> {
    match () {
        () if is_vertex_host(host) => Some(Owner::Vertex),
        () if host.starts_with("bedrock-runtime") && host.contains(".amazonaws.com") => {
            Some(Owner::Kind(Kind::Bedrock))
        }
        () if host.ends_with(".openai.azure.com") => Some(Owner::Kind(Kind::OpenAi)),
        () => {
            let mut all = Kind::ALL.into_iter();
            all.find(|kind| kind.base_url().split('/').nth(2) == Some(host)).map(Owner::Kind)
        }
    }
}

fn google(path: &str) -> Option<(String, String)> {
    match path.strip_suffix("/openai") {
        Some(_) => Some((
            "is where Gemini speaks OpenAI's form".to_owned(),
            "remove /openai, or set kind = \"openai\"".to_owned(),
        )),
        None if is_version(path) => None,
        None => {
            Some(("without the version of the API".to_owned(), "end it with /v1beta".to_owned()))
        }
    }
}

/// Whether a path is formed like `/v1beta`.
fn is_version(path: &str) -> bool {
    path.strip_prefix("/v1").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Servers of other kinds that speak OpenAI's form too, at another path.
fn imitated(owner: Owner, path: &str) -> Option<(String, String)> {
    let (whose, kind, end) = match owner {
        Owner::Vertex => ("Vertex AI", "google", "/endpoints/openapi"),
        Owner::Kind(Kind::Anthropic) => ("Anthropic", "anthropic", "/v1"),
        Owner::Kind(Kind::Google) => ("Gemini", "google", "/v1beta/openai"),
        Owner::Kind(Kind::Bedrock) => ("Bedrock", "bedrock", "/openai/v1"),
        Owner::Kind(Kind::OpenAi) => return None,
    };
    let speaks = match owner {
        Owner::Kind(Kind::Google) => path.ends_with("/openai"),
        _ => path.ends_with(end),
    };
    (!speaks).then(|| {
        (
            format!("{whose} does not speak OpenAI's form there"),
            format!("set kind = \"{kind}\", or end it with {end}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(base: &str, kind: Kind) -> String {
        doubt(&Url::parse(base).unwrap(), kind).map(|(_, hint)| hint).unwrap_or_default()
    }

    #[test]
    fn a_host_of_one_kind_under_another_is_doubted() {
        use Kind::{Anthropic, Bedrock, Google, OpenAi};
        let anthropic = "https://api.anthropic.com";
        let gemini = "https://generativelanguage.googleapis.com";
        let amazon = "https://bedrock-runtime.eu-central-1.amazonaws.com";
        let vertex = "https://aiplatform.googleapis.com/v1/projects/p/locations/global";
        for (base, kind, wanted) in [
            (anthropic.to_owned(), OpenAi, "kind = \"anthropic\", or end it with /v1"),
            (format!("{anthropic}/v1"), OpenAi, ""),
            (anthropic.to_owned(), Anthropic, ""),
            (anthropic.to_owned(), Google, "kind = \"anthropic\""),
            ("https://api.openai.com/v1".to_owned(), Anthropic, "kind = \"openai\""),
            ("https://x.openai.azure.com/openai/v1".to_owned(), Google, "kind = \"openai\""),
            (format!("{gemini}/v1beta"), Google, ""),
            (format!("{gemini}/v1/"), Google, ""),
            (gemini.to_owned(), Google, "end it with /v1beta"),
            (format!("{gemini}/v1beta/openai"), Google, "remove /openai"),
            ("https://gateway.example/gemini/openai".to_owned(), Google, "remove /openai"),
            ("https://gateway.example/gemini".to_owned(), Google, ""),
            (format!("{gemini}/v1beta/openai"), OpenAi, ""),
            (format!("{gemini}/v1beta"), OpenAi, "kind = \"google\""),
            (amazon.to_owned(), OpenAi, "kind = \"bedrock\""),
            (format!("{amazon}/openai/v1"), OpenAi, ""),
            (amazon.to_owned(), Anthropic, "kind = \"bedrock\""),
            (format!("{vertex}/endpoints/openapi"), OpenAi, ""),
            (vertex.to_owned(), OpenAi, "kind = \"google\""),
            (vertex.to_owned(), Bedrock, "kind = \"google\" or \"anthropic\""),
        ] {
            let hint = hint(&base, kind);
            assert!(hint.contains(wanted) && hint.is_empty() == wanted.is_empty(), "{base} {hint}");
        }
    }

    #[test]
    fn a_path_that_all_calls_have_is_missed_where_it_is_known() {
        for (base, wanted) in [
            ("https://api.openai.com", "end it with /v1"),
            ("https://api.groq.com/v1", "end it with /openai/v1"),
            ("http://localhost:11434", "end it with /v1"),
            ("https://api.openai.com/v1", ""),
            ("https://openrouter.ai/api/v1", ""),
            ("https://api.deepseek.com", ""),
            ("http://localhost:8080", ""),
            ("https://gateway.example", ""),
        ] {
            assert_eq!(hint(base, Kind::OpenAi), wanted, "{base}");
        }
    }
}
