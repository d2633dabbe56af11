//! What a server refuses of our own additions is left out, and remembered.

use super::streams::{DONE, FINISH, HEAD, answer_all, text};
use super::*;

fn refusal(param: &str) -> String {
    let error = json!({"error": {"message": format!("Unsupported: {param}"), "param": param,
        "type": "invalid_request_error", "code": "unsupported_parameter"}});
    response("400 Bad Request", "connection: close\r\n", &error.to_string())
}

#[tokio::test]
async fn a_server_that_refuses_stream_options_or_streams_is_asked_again_without_and_remembered() {
    let plain =
        response("200 OK", "connection: close\r\ncontent-type: application/json\r\n", ANSWER);
    let stream = HEAD.to_owned() + &text("Hi.") + FINISH + DONE;
    let (server, base) = answer_all(vec![
        refusal("stream_options"),
        stream,
        refusal("stream"),
        plain.clone(),
        plain,
    ])
    .await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..3 {
        assert_eq!(call(&http, &model).await.ok().unwrap().content.as_deref(), Some("Hi."));
    }
    let asked: Vec<[bool; 2]> = server
        .await
        .unwrap()
        .iter()
        .map(|request| [r#""stream":true"#, "stream_options"].map(|word| request.contains(word)))
        .collect();
    let expected = [[true, true], [true, false], [true, false], [false, false], [false, false]];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn our_own_temperature_is_taken_back_and_a_callers_is_not() {
    let stream = HEAD.to_owned() + &text("Hi.") + FINISH + DONE;
    let answers = vec![refusal("temperature"), stream.clone(), stream, refusal("temperature")];
    let (server, base) = answer_all(answers).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..2 {
        assert!(call(&http, &model).await.is_ok());
        assert_eq!(http.learned("m"), ["refuses temperature"]);
    }
    let own = fixtures::request(json!({"temperature": 0.5, "messages": [{"role": "user",
        "content": "Hi"}]}));
    let failure = end(http.call(fixtures::call(&model, &own))).await.err().unwrap();
    assert_eq!(failure.fault, Fault::UnsupportedParam);
    let requests = server.await.unwrap();
    let given: Vec<_> = requests.iter().map(|text| text.contains("temperature")).collect();
    assert_eq!(given, [true, false, false, true]);
    http.update(&[Arc::clone(&model)], LIMIT).unwrap();
    assert!(http.learned("m").is_empty(), "a reload forgets it");
}

#[tokio::test]
async fn thoughts_of_others_that_are_refused_are_left_out_at_once() {
    let stream = HEAD.to_owned() + &text("Hi.") + FINISH + DONE;
    let (server, base) =
        answer_all(vec![refusal("reasoning_details"), stream.clone(), stream]).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    let request = fixtures::request(json!({"messages": [{"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "x", "reasoning_details": [{"data": "planted"}]},
        {"role": "user", "content": "Hi"}]}));
    for _ in 0..2 {
        let answer = end(http.call(fixtures::call(&model, &request))).await;
        assert_eq!(answer.ok().unwrap().content.as_deref(), Some("Hi."));
    }
    assert_eq!(http.learned("m"), ["refuses thoughts in a history"]);
    let requests = server.await.unwrap();
    let given: Vec<_> = requests.iter().map(|text| text.contains("planted")).collect();
    assert_eq!(given, [true, false, false]);
}

#[tokio::test]
async fn a_limit_by_the_wrong_name_is_given_by_the_other() {
    let stream = HEAD.to_owned() + &text("Hi.") + FINISH + DONE;
    let (server, base) = answer_all(vec![refusal("max_tokens"), stream]).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_ok());
    assert_eq!(http.learned("m"), ["refuses max_tokens"]);
    let requests = server.await.unwrap();
    assert!(requests[0].contains("\"max_tokens\":64"), "{}", requests[0]);
    assert!(requests[1].contains("\"max_completion_tokens\":64"), "{}", requests[1]);
}

#[tokio::test]
async fn other_refusals_are_passed_on_without_a_second_call() {
    let (server, base) = answer_all(vec![refusal("seed")]).await;
    let model = model(Kind::OpenAi, &base);
    let failure = call(&http(&[Arc::clone(&model)]), &model).await.err().unwrap();
    assert_eq!(failure.fault, Fault::UnsupportedParam);
    server.await.unwrap();
}

/// The request that a call with its own limit of 64 tokens makes, less what is our own.
async fn asked_twice(refusal: String, learned: &[&str]) -> Vec<String> {
    let stream = HEAD.to_owned() + &text("Hi.") + FINISH + DONE;
    let whole =
        response("200 OK", "connection: close\r\ncontent-type: application/json\r\n", ANSWER);
    let good = if learned == ["refuses to stream"] { whole } else { stream };
    let (server, base) = answer_all(vec![refusal, good.clone(), good]).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    for _ in 0..2 {
        assert_eq!(call(&http, &model).await.ok().unwrap().content.as_deref(), Some("Hi."));
        assert_eq!(http.learned("m"), learned);
    }
    server.await.unwrap()
}

#[tokio::test]
async fn a_refusal_within_a_200_is_one_too_whole_or_as_an_event() {
    let error = |message: &str| json!({"error": {"message": message}}).to_string();
    let forms = |message: &str| {
        let json = "connection: close\r\ncontent-type: application/json\r\n";
        [
            response("200 OK", json, &error(message)),
            format!("{HEAD}data: {}\n\n", error(message)),
            format!("{HEAD}event: error\ndata: {}\n\n", error(message)),
            response("500 Internal Server Error", json, &error(message)),
        ]
    };
    for (message, learned) in [
        ("temperature is not supported by this model", "refuses temperature"),
        ("sampling parameters are not supported", "refuses temperature"),
        ("stream must be false", "refuses to stream"),
        ("stream=true is not supported", "refuses to stream"),
        ("unknown field stream_options", "refuses stream_options"),
        ("max_tokens must be <= 32", "refuses more than 32 tokens of answer"),
    ] {
        for refusal in forms(message) {
            asked_twice(refusal, &[learned]).await;
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_too_large_is_lowered_and_remembered() {
    let too_large = json!({"error": {"message": "max_tokens must be at most 32"}});
    let refusal = response("400 Bad Request", "connection: close\r\n", &too_large.to_string());
    let requests = asked_twice(refusal, &["refuses more than 32 tokens of answer"]).await;
    for (request, limit) in requests.iter().zip([64, 32, 32]) {
        assert!(request.contains(&format!("\"max_tokens\":{limit},")), "{request}");
    }
}

#[tokio::test]
async fn a_server_that_always_finds_something_new_to_refuse_is_left_after_a_few_calls() {
    let refusals: Vec<String> = (0..9)
        .map(|at| {
            let text = format!("max_tokens must be at most {}", 60 - at);
            let error = json!({ "error": { "message": text } });
            response("400 Bad Request", "connection: close\r\n", &error.to_string())
        })
        .collect();
    let (server, base) = answer_all(refusals).await;
    let model = model(Kind::OpenAi, &base);
    let http = http(&[Arc::clone(&model)]);
    assert!(call(&http, &model).await.is_err());
    assert!(http.learned("m").is_empty(), "what did not help is no lesson");
    assert!(!server.is_finished());
    server.abort();
}
