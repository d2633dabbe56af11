//! Vertex AI, as a server with its paths and its errors.

use super::*;
use crate::config::Auth;
use crate::sim::Simulator;

const PLACE: &str = "/v1/projects/p/locations/europe-west1/publishers";

fn on_vertex(kind: Kind, base: &str, publisher: &str) -> Arc<Model> {
    let base = format!("{base}{PLACE}/{publisher}");
    let provider = config::ProviderConfig { auth: Auth::Bearer, ..fixtures::provider(kind, &base) };
    let model_id = "m-1@20251101".to_owned();
    Arc::new(Model { model_id, ..fixtures::model(provider) })
}

fn sim(kind: Kind) -> (Simulator, String) {
    let sim = Simulator::start(kind).unwrap();
    sim.require_key(KEY);
    let base = format!("http://{}", sim.address());
    (sim, base)
}

#[tokio::test]
async fn claude_is_asked_with_its_model_in_the_path_and_its_version_in_the_body() {
    let (sim, base) = sim(Kind::Anthropic);
    let model = on_vertex(Kind::Anthropic, &base, "anthropic");
    let answer = call(&http(&[Arc::clone(&model)]), &model).await.ok().unwrap();
    assert!(answer.content.unwrap().contains("Hi"));
    let seen = &sim.calls()[0];
    let path = format!("{PLACE}/anthropic/models/m-1@20251101:streamRawPredict");
    assert_eq!((seen.path.as_str(), seen.model.as_str()), (path.as_str(), "m-1@20251101"));
    assert_eq!(seen.body["anthropic_version"], "vertex-2023-10-16");
    assert!(seen.body.get("model").is_none() && seen.body["stream"] == true);
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((seen.header("anthropic-version"), seen.header("x-api-key")), (None, None));
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_has_its_own_method() {
    let (sim, base) = sim(Kind::Anthropic);
    let model = on_vertex(Kind::Anthropic, &base, "anthropic");
    let provider = config::ProviderConfig { streams: false, ..(*model.provider).clone() };
    let model = Arc::new(Model { provider: Arc::new(provider), ..(*model).clone() });
    assert!(call(&http(&[Arc::clone(&model)]), &model).await.is_ok());
    assert!(sim.calls()[0].path.ends_with("/anthropic/models/m-1@20251101:rawPredict"));
}

#[tokio::test]
async fn gemini_is_asked_below_its_publisher_without_ids_of_calls() {
    let (sim, base) = sim(Kind::Google);
    let model = on_vertex(Kind::Google, &base, "google");
    let http = http(&[Arc::clone(&model)]);
    let request = fixtures::request(json!({"messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"id": "fc-7", "type": "function",
            "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "fc-7", "content": "{\"sun\": true}"}]}));
    let outcome = end(http.call(fixtures::call(&model, &request))).await;
    assert!(outcome.is_ok(), "{:?}", outcome.err());
    let seen = &sim.calls()[0];
    let path = format!("{PLACE}/google/models/m-1@20251101:streamGenerateContent?alt=sse");
    assert_eq!(seen.path, path);
    assert!(!seen.body.to_string().contains("fc-7"), "{}", seen.body);
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

/// Status, code and text of errors, and what they are.
const ERRORS: [(u16, &str, &str, Fault); 7] = [
    (
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth \
          2 access token, login cookie or other valid authentication credential.",
        Fault::Auth,
    ),
    (
        403,
        "PERMISSION_DENIED",
        "Permission 'aiplatform.endpoints.predict' denied on resource \
          '//aiplatform.googleapis.com/projects/p/locations/l/publishers/google/models/g' (or it \
          may not exist).",
        Fault::Auth,
    ),
    (
        404,
        "NOT_FOUND",
        "Publisher Model `projects/p/locations/l/publishers/google/models/g` \
          was not found or your project does not have access to it. Please ensure you are using \
          a valid model version.",
        Fault::ModelNotFound,
    ),
    (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", Fault::RateLimited),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for aiplatform.googleapis.com/\
          online_prediction_input_tokens_per_minute_per_base_model with base model: \
          anthropic-claude-sonnet-4-5. Please submit a quota increase request.",
        Fault::RateLimited,
    ),
    (503, "UNAVAILABLE", "The service is currently unavailable.", Fault::Overloaded),
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (2000000) exceeds the maximum number of \
          tokens allowed (1048576).",
        Fault::ContextTooLong,
    ),
];

#[tokio::test]
async fn errors_are_understood_in_googles_shape_alone_and_in_a_list() {
    for (status, name, message, fault) in ERRORS {
        let error = json!({"error": {"code": status, "message": message, "status": name}});
        for body in [error.clone(), json!([error])] {
            for (kind, publisher) in [(Kind::Google, "google"), (Kind::Anthropic, "anthropic")] {
                let text = response(&format!("{status} X"), "", &body.to_string());
                let (server, base) = answer_once(text).await;
                let model = on_vertex(kind, &base, publisher);
                let http = http(&[Arc::clone(&model)]);
                let failure = call(&http, &model).await.err().unwrap();
                server.await.unwrap();
                assert_eq!(failure.fault, fault, "{body}");
            }
        }
    }
}
