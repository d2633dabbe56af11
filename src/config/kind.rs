//! The kinds of providers that there are, and what the configuration has to know of each.
//!
//! How each of them is spoken to is none of this module's business: see `provider/formats`.

use super::Auth;

/// A provider's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// OpenAI chat completions, and every server compatible with it.
    OpenAi,
    /// The messages of Anthropic.
    Anthropic,
    /// Gemini, as Google serves it.
    Google,
    /// Amazon Bedrock, in the one form that it has for all its models.
    Bedrock,
}

/// One kind, as the configuration knows it.
struct KindFacts {
    name: &'static str,
    auth: Auth,
    /// The address that most of them have.
    base_url: &'static str,
    /// What people copy along with the address, and what is added by itself.
    endpoints: &'static [&'static str],
}

impl Kind {
    /// All of them, by their order in the documentation.
    pub const ALL: [Kind; 4] = [Kind::OpenAi, Kind::Anthropic, Kind::Google, Kind::Bedrock];

    const fn facts(self) -> KindFacts {
        match self {
            Kind::OpenAi => KindFacts {
                name: "openai",
                auth: Auth::Bearer,
                base_url: "https://api.openai.com/v1",
                endpoints: &["/chat/completions", "/chat"],
            },
            Kind::Anthropic => KindFacts {
                name: "anthropic",
                auth: Auth::XApiKey,
                base_url: "https://api.anthropic.com",
                endpoints: &["/v1/messages", "/v1"],
            },
            Kind::Google => KindFacts {
                name: "google",
                auth: Auth::XGoogApiKey,
                base_url: "https://generativelanguage.googleapis.com/v1beta",
                endpoints: &["/models"],
            },
            Kind::Bedrock => KindFacts {
                name: "bedrock",
                auth: Auth::Bearer,
                base_url: "https://bedrock-runtime.eu-central-1.amazonaws.com",
                endpoints: &["/model"],
            },
        }
    }

    /// All of them with their names.
    pub(super) fn choices() -> [(&'static str, Kind); 4] {
        Kind::ALL.map(|kind| (kind.name(), kind))
    }

    /// Its name in the configuration, in replies and in `extra`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// How its servers take a key, unless they are told otherwise.
    pub(crate) fn auth(self) -> Auth {
        self.facts().auth
    }

    /// The address that most servers of this kind have.
    pub(super) fn base_url(self) -> &'static str {
        self.facts().base_url
    }

    /// The end of an address that is one too much: it is added by itself.
    pub(super) fn superfluous_end(self, base_url: &str) -> Option<&'static str> {
        self.facts().endpoints.iter().find(|end| base_url.ends_with(*end)).copied()
    }
}
