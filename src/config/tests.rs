//! What a valid configuration turns into.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::domain::price::Nano;

const PROVIDER: &str = r#"
    [providers.openai]
    kind = "openai"
    base_url = "https://api.openai.com/v1/"
    api_key = { env = "OPENAI_API_KEY" }
"#;

fn env() -> Env {
    let vars = [("OPENAI_API_KEY", "planted-key\n"), ("XDG_RUNTIME_DIR", "/run/user/7")];
    Env::new(7, vars)
}

fn read(text: &str) -> Loaded {
    parse(text, "f.toml", &env()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn with_model(keys: &str) -> Loaded {
    read(&format!("{PROVIDER}\n[models.m]\nprovider = \"openai\"\nmodel_id = \"m-1\"\n{keys}"))
}

fn warnings(loaded: &Loaded) -> Vec<&str> {
    loaded.warnings.iter().map(|warning| warning.message.as_str()).collect()
}

#[test]
fn an_empty_file_is_valid_and_has_the_documented_defaults() {
    let loaded = read("");
    let config = &loaded.config;
    assert_eq!(warnings(&loaded), ["no model is configured"]);
    assert_eq!(config.daemon.socket, Path::new("/run/user/7/fallbackd/fallbackd.sock"));
    assert_eq!(config.daemon.socket_mode, 0o660);
    assert_eq!(config.limits.line_bytes, 8 << 20);
    assert_eq!(config.limits.requests_per_uid, None);
    assert_eq!(config.request.max_tokens, Some(1000));
    assert_eq!(config.request.timeout, Duration::from_secs(300));
    assert_eq!(config.retention, Duration::from_secs(48 * 3600));
    assert_eq!(config.log.max_size, 64 << 20);
    assert_eq!(config.store.max_size, 256 << 20);
    assert!(config.chains.is_empty());
}

#[test]
fn the_default_file_says_the_same_as_the_defaults_of_the_code() {
    let shipped = read(include_str!("../../config/fallbackd.toml")).config;
    let empty = with_model("").config;
    assert_eq!(format!("{:?}", shipped.limits), format!("{:?}", empty.limits));
    assert_eq!(format!("{:?}", shipped.daemon), format!("{:?}", empty.daemon));
    assert_eq!(format!("{:?}", shipped.request), format!("{:?}", empty.request));
    assert_eq!(format!("{:?}", shipped.log), format!("{:?}", empty.log));
    assert_eq!(shipped.retention, empty.retention);
    let (shipped, empty) = (&shipped.models[0], &empty.models[0]);
    assert_eq!(shipped.breaker, empty.breaker);
    assert_eq!(shipped.probe_nearest, empty.probe_nearest);
    assert_eq!(format!("{:?}", shipped.timeouts), format!("{:?}", empty.timeouts));
    assert_eq!(format!("{:?}", shipped.retry), format!("{:?}", empty.retry));
    assert_eq!(format!("{:?}", shipped.health), format!("{:?}", empty.health));
}

#[test]
fn the_shipped_pool_has_its_models_and_prices() {
    let config = read(include_str!("../../config/fallbackd.toml")).config;
    let pool: Vec<_> = config
        .models
        .iter()
        .map(|m| (&*m.name, m.priority, m.price.unwrap().input.dollars()))
        .collect();
    let expected = [
        ("gpt-4o", 1, 0.0025),
        ("claude-sonnet-4-6", 2, 0.003),
        ("gpt-4o-mini", 3, 0.00015),
        ("claude-haiku-4-5", 4, 0.001),
    ];
    assert_eq!(pool, expected);
    let chain: Vec<_> = config.chains["document_analysis"].models.iter().map(|m| &**m).collect();
    assert_eq!(chain, ["claude-sonnet-4-6", "gpt-4o", "gpt-4o-mini"]);
}

#[test]
fn a_model_takes_from_the_sections_what_it_does_not_say() {
    let loaded = with_model(
        "[models.m.breaker]\nfailures = 0\nwhen_all_open = \"fail\"\n\
         [models.m.retry]\nmax = 0\n[models.m.health]\nmin_calls = 9\n\
         [breaker]\nopen_for = \"1m\"\nfailures = 7\n[timeouts]\nattempt = \"9s\"",
    );
    let model = &loaded.config.models[0];
    assert_eq!(model.breaker.failures, 0, "a rule that is switched off");
    assert_eq!(model.breaker.open_for, Duration::from_secs(60));
    assert!(!model.probe_nearest);
    assert_eq!((model.retry.max, model.retry.cap), (0, Duration::from_secs(8)));
    assert_eq!((model.health.min_calls, model.health.degraded_below), (9, 0.8));
    assert_eq!(model.timeouts.attempt, Duration::from_secs(9));
}

#[test]
fn a_price_without_a_price_for_the_cache_takes_that_of_the_input() {
    let loaded = with_model("cost_per_1k_input = 0.00015\ncost_per_1k_output = 1");
    let price = loaded.config.models[0].price.unwrap();
    assert_eq!(price.input, Nano(150_000));
    assert_eq!(price.output, Nano(1_000_000_000));
    assert_eq!(price.cached, price.input);
    assert_eq!(with_model("").config.models[0].price, None);
}

#[test]
fn what_is_written_into_a_cache_costs_a_quarter_more_with_anthropic_unless_it_is_said() {
    for (kind, said, dollars) in [
        ("openai", "", 0.003),
        ("anthropic", "", 0.00375),
        ("openai", "cost_per_1k_cache_write = 0.005", 0.005),
        ("anthropic", "cost_per_1k_cache_write = 0.003", 0.003),
    ] {
        let provider = PROVIDER.replace("kind = \"openai\"", &format!("kind = \"{kind}\""));
        let provider = provider.replace("/v1/", "");
        let loaded = read(&format!(
            "{provider}\n[models.m]\nprovider = \"openai\"\nmodel_id = \"x\"\n\
             cost_per_1k_input = 0.003\ncost_per_1k_output = 0.015\n{said}"
        ));
        let price = loaded.config.models[0].price.unwrap();
        assert_eq!(price.cache_write.dollars(), dollars, "{kind} {said}");
    }
}

#[test]
fn what_a_provider_says_of_costs_and_of_ends_counts_only_where_it_is_asked_to() {
    let provider = |keys: &str| {
        let loaded = read(&format!(
            "{PROVIDER}\n{keys}\n[models.m]\nprovider = \"openai\"\nmodel_id = \"x\""
        ));
        let provider = &loaded.config.models[0].provider;
        [provider.trusts_cost, provider.done_ends_stream]
    };
    assert_eq!(provider(""), [false, false]);
    assert_eq!(provider("trust_cost = true\ndone_ends_stream = true"), [true, true]);
}

#[test]
fn a_model_without_prices_takes_those_listed_for_exactly_its_model_id() {
    let model = |id: &str, keys: &str| {
        let text = format!("{PROVIDER}\n[models.m]\nprovider = \"openai\"\nmodel_id = \"{id}\"\n");
        let loaded = read(&format!("{text}{keys}"));
        let report = about_prices(&loaded.config);
        let model = &loaded.config.models[0];
        (model.price.map(|price| price.output.0), model.price_is_listed, report)
    };
    let (output, listed, report) = model("gpt-4o", "");
    assert_eq!((output, listed), (Some(10_000_000), true));
    assert_eq!(report, "prices from the built-in list of 2026-11-20: m\n");
    let own = model("gpt-4o", "cost_per_1k_input = 0\ncost_per_1k_output = 0");
    assert_eq!(own, (Some(0), false, String::new()));
    for other in ["gpt-4o-2024-05-13", "GPT-4o", "openai/gpt-4o"] {
        let (output, listed, report) = model(other, "");
        assert_eq!((output, listed), (None, false), "{other}");
        assert_eq!(report, "without prices, so that their costs are not counted: m\n");
    }
}

#[test]
fn keys_are_fetched_and_never_shown() {
    let loaded = with_model("");
    let provider = &loaded.config.models[0].provider;
    assert_eq!(provider.keys[0].known().unwrap().expose_secret(), "planted-key");
    assert_eq!(provider.base_url, "https://api.openai.com/v1");
    assert_eq!(provider.max_tokens_field, MaxTokensField::MaxCompletionTokens);
    assert!(!format!("{loaded:?}").contains("planted"));
}

#[test]
fn a_model_without_its_key_is_a_warning_and_misconfigured() {
    let text = format!("{PROVIDER}\n[models.m]\nprovider = \"openai\"\nmodel_id = \"m-1\"");
    let loaded = parse(&text, "f.toml", &Env::new(7, [])).unwrap();
    let reason = "the environment variable OPENAI_API_KEY is not set";
    let misconfigured = loaded.config.models[0].provider.misconfigured.as_deref();
    assert_eq!(misconfigured, Some(reason));
    assert!(warnings(&loaded)[0].contains(reason));
    assert_eq!(
        summary(&loaded),
        "ok: 1 model, 0 chains, 1 of the models cannot be called, 1 warning"
    );
}

#[test]
fn the_missing_key_of_a_provider_that_no_model_uses_is_not_worth_a_word() {
    let unused = "[providers.x]\nkind = \"google\"\nbase_url = \"https://example.com\"";
    assert_eq!(warnings(&read(unused)), ["no model is configured"]);
}

/// The first warning and its hint, about a provider that a model uses.
fn first_warning(provider: &str) -> (String, String) {
    let model = "[models.m]\nprovider = \"x\"\nmodel_id = \"m\"";
    let loaded = read(&format!("[providers.x]\n{provider}\n{model}"));
    let first = loaded.warnings.into_iter().next();
    first.map(|warning| (warning.message, warning.hint)).unwrap_or_default()
}

#[test]
fn a_provider_without_a_key_is_told_the_ways_that_it_has() {
    for (provider, way) in [
        ("kind = \"bedrock\"\nregion = \"eu-central-1\"", "add credentials = \"env\", \"profile"),
        ("kind = \"openai\"\nbase_url = \"https://a.example\"", "add api_key = { env = "),
        (
            "kind = \"google\"\nbase_url = \"https://aiplatform.googleapis.com/v1/projects/p/\
             locations/global/publishers/google\"",
            "add api_key = { command = [",
        ),
    ] {
        let (message, hint) = first_warning(provider);
        assert!(message.contains("no api_key is configured"), "{message}");
        assert!(hint.starts_with(way), "{hint}");
    }
}

#[test]
fn an_address_that_probably_does_not_work_is_a_warning_and_no_mistake() {
    let key = "api_key = { env = \"OPENAI_API_KEY\" }";
    let gemini = "https://generativelanguage.googleapis.com";
    for (kind, url, problem) in [
        ("google", gemini.to_owned(), "without the version of the API"),
        ("google", format!("{gemini}/v1beta/openai"), "is where Gemini speaks OpenAI's form"),
        (
            "openai",
            "https://api.anthropic.com".to_owned(),
            "Anthropic does not speak OpenAI's form there",
        ),
        ("google", format!("{gemini}/v1beta"), ""),
    ] {
        let (message, _) =
            first_warning(&format!("kind = \"{kind}\"\nbase_url = \"{url}\"\n{key}"));
        let wanted = if problem.is_empty() { "" } else { "providers.x.base_url: " };
        assert_eq!(message, format!("{wanted}{problem}"), "{kind} {url}");
    }
}

#[test]
fn how_a_key_is_sent_follows_from_kind_and_place() {
    let auth = |kind: &str, url: &str, more: &str| {
        let text = format!(
            "[providers.x]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n{more}\n\
             [models.m]\nprovider = \"x\"\nmodel_id = \"m\""
        );
        let provider = read(&text).config.models[0].provider.clone();
        (provider.auth, provider.misconfigured.is_some())
    };
    let key = "api_key = { env = \"OPENAI_API_KEY\" }";
    assert_eq!(auth("openai", "https://a.example", key), (Auth::Bearer, false));
    assert_eq!(auth("anthropic", "https://a.example", key), (Auth::XApiKey, false));
    assert_eq!(auth("google", "https://a.example", key), (Auth::XGoogApiKey, false));
    assert_eq!(auth("openai", "http://localhost:1/v1", ""), (Auth::None, false));
    assert_eq!(auth("openai", "http://[::1]:1/v1", key), (Auth::Bearer, false));
    assert_eq!(auth("openai", "https://a.example", ""), (Auth::Bearer, true));
    assert_eq!(auth("openai", "https://a.example", "auth = \"none\""), (Auth::None, false));
    let azure = format!("{key}\nauth = \"api-key\"");
    assert_eq!(auth("openai", "https://a.example", &azure), (Auth::ApiKey, false));
}

#[test]
fn keys_of_later_versions_are_taken_with_a_warning_unless_they_change_nothing() {
    let loaded = with_model(
        "[providers.y]\nkind = \"openai\"\nbase_url = \"http://[::1]\"\n\
         upstream_stream = \"never\"\n[shadow]\nrate = 0.2\ncompare = false\n\
         [timeouts]\nidle = \"15s\"\nfirst_token = \"3s\"\n[store]\nmax_size = \"1GiB\"\n\
         [costs]\ntimezone = \"local\"\n[breaker]\nprobe = \"live\"\n\
         [chains.t]\nmodels = [\"m\"]\nhedge_after = \"2s\"\n[log]\ncontent = true",
    );
    let names: Vec<_> =
        warnings(&loaded).iter().map(|text| text.split(':').next().unwrap()).collect();
    let expected = ["log.content"];
    assert_eq!(names, expected);
}

#[test]
fn chains_keep_their_order_and_their_deadline() {
    let loaded = with_model(
        "[models.n]\nprovider = \"openai\"\nmodel_id = \"n\"\npriority = 1\n\
         [chains]\na = [\"m\", \"n\"]\nb = { models = [\"n\"], timeout = \"7s\" }",
    );
    let config = loaded.config;
    let order: Vec<_> = config.models.iter().map(|model| &*model.name).collect();
    assert_eq!(order, ["n", "m"], "a model without a priority comes last");
    let chain: Vec<_> = config.chains["a"].models.iter().map(|name| &**name).collect();
    assert_eq!(chain, ["m", "n"]);
    assert_eq!(config.chains["b"].timeout, Some(Duration::from_secs(7)));
}

#[test]
fn what_a_model_adds_to_its_body_becomes_json() {
    let loaded = with_model("extra = { a = [1, 2.5, \"x\"], b = { c = true } }");
    let extra = serde_json::to_value(&loaded.config.models[0].extra).unwrap();
    assert_eq!(extra, serde_json::json!({"a": [1, 2.5, "x"], "b": {"c": true}}));
}

#[test]
fn key_files_are_looked_for_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.key"), "from-file\n").unwrap();
    let path = folder.path().join("c.toml");
    let text = with_file_key("x.key");
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path, &env()).unwrap();
    let key = loaded.config.models[0].provider.keys[0].known().unwrap();
    assert_eq!(key.expose_secret(), "from-file");
}

fn with_file_key(file: &str) -> String {
    format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"https://a.example\"\n\
         api_key = {{ file = \"{file}\" }}\n[models.m]\nprovider = \"p\"\nmodel_id = \"m\""
    )
}
