//! Usage as real servers tell it.

use serde_json::json;

use super::*;

fn read_value(value: &Value) -> Option<Usage> {
    read(&serde_json::value::to_raw_value(value).unwrap())
}

/// Input, output, cached, written and reasoning tokens.
fn counts(usage: Usage) -> [u64; 5] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ]
}

#[test]
fn counts_are_read_under_every_name_and_in_every_form() {
    for (told, expected) in [
        (
            json!({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}),
            [12, 9, 0, 0, 0],
        ),
        (json!({"input_tokens": 12, "output_tokens": 9}), [12, 9, 0, 0, 0]),
        (json!({"inputTokens": 12, "outputTokens": 9, "totalTokens": 21}), [12, 9, 0, 0, 0]),
        (json!({"promptTokenCount": 12, "candidatesTokenCount": 9}), [12, 9, 0, 0, 0]),
        (json!({"prompt_eval_count": 12, "eval_count": 9, "eval_duration": 77}), [12, 9, 0, 0, 0]),
        (json!({"prompt_n": 12, "predicted_n": 9, "prompt_ms": 1.5}), [12, 9, 0, 0, 0]),
        (json!({"cache_n": 30, "prompt_n": 12, "predicted_n": 9}), [42, 9, 30, 0, 0]),
        (json!({"prompt_tokens": "12", "completion_tokens": "9"}), [12, 9, 0, 0, 0]),
        (json!({"prompt_tokens": 12.0, "completion_tokens": 8.6}), [12, 9, 0, 0, 0]),
        (
            json!({"prompt_tokens": 12, "completion_tokens": null, "total_tokens": 21}),
            [12, 9, 0, 0, 0],
        ),
        (json!({"completion_tokens": 9, "total_tokens": 21}), [12, 9, 0, 0, 0]),
        (
            json!({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": null,
            "prompt_tokens_details": null}),
            [12, 9, 0, 0, 0],
        ),
        (
            json!({"tokens": {"input_tokens": 12, "output_tokens": 9},
            "billed_units": {"input_tokens": 1}}),
            [12, 9, 0, 0, 0],
        ),
        (json!({"billed_units": {"input_tokens": 12.0, "output_tokens": 9}}), [12, 9, 0, 0, 0]),
    ] {
        assert_eq!(read_value(&told).map(counts), Some(expected), "{told}");
    }
}

#[test]
fn what_was_read_from_a_cache_or_written_is_a_part_of_the_prompt() {
    let openai = json!({"prompt_tokens": 100, "completion_tokens": 9});
    for (more, expected) in [
        (json!({"prompt_tokens_details": {"cached_tokens": 40}}), [100, 9, 40, 0, 0]),
        (
            json!({"prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 50}}),
            [100, 9, 40, 50, 0],
        ),
        (
            json!({"prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60}),
            [100, 9, 40, 0, 0],
        ),
        (json!({"cached_tokens": 40}), [100, 9, 40, 0, 0]),
        (
            json!({"cache_read_input_tokens": 40, "cache_creation_input_tokens": 50}),
            [100, 9, 40, 50, 0],
        ),
        (json!({"cache_write_tokens": 50}), [100, 9, 0, 50, 0]),
        (json!({"cached_tokens": 900}), [100, 9, 100, 0, 0]),
    ] {
        let mut told = openai.clone();
        told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(read_value(&told).map(counts), Some(expected), "{told}");
    }
    for (told, expected) in [
        // Anthropic, and Bedrock: beside it.
        (
            json!({"input_tokens": 10, "output_tokens": 9, "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 50}),
            [100, 9, 40, 50, 0],
        ),
        (
            json!({"input_tokens": 10, "output_tokens": 9, "cache_creation":
            {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}}),
            [60, 9, 0, 50, 0],
        ),
        (
            json!({"inputTokens": 10, "outputTokens": 9, "totalTokens": 109,
            "cacheReadInputTokens": 40, "cacheWriteInputTokens": 50}),
            [100, 9, 40, 50, 0],
        ),
        // OpenAI's other API: within it.
        (
            json!({"input_tokens": 100, "output_tokens": 9,
            "input_tokens_details": {"cached_tokens": 40}}),
            [100, 9, 40, 0, 0],
        ),
        (
            json!({"input_tokens": 100, "output_tokens": 9, "total_tokens": 109,
            "cache_read_input_tokens": 40}),
            [100, 9, 40, 0, 0],
        ),
        (
            json!({"promptTokenCount": 100, "candidatesTokenCount": 9, "cachedContentTokenCount": 40}),
            [100, 9, 40, 0, 0],
        ),
    ] {
        assert_eq!(read_value(&told).map(counts), Some(expected), "{told}");
    }
    let hour = json!({"input_tokens": 10, "output_tokens": 9, "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}});
    assert_eq!(read_value(&hour).unwrap().long_write_tokens, 30);
}

#[test]
fn thoughts_are_a_part_of_the_answer_wherever_they_are_counted() {
    let details = |thoughts: u64| json!({"reasoning_tokens": thoughts});
    for (told, expected) in [
        (
            json!({"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40,
            "completion_tokens_details": details(20)}),
            [10, 30, 0, 0, 20],
        ),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 60,
            "completion_tokens_details": details(20)}),
            [10, 50, 0, 0, 20],
        ),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 55,
            "completion_tokens_details": details(20)}),
            [10, 45, 0, 0, 20],
        ),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5,
            "completion_tokens_details": details(20)}),
            [10, 25, 0, 0, 20],
        ),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 30, "reasoning_tokens": 20}),
            [10, 30, 0, 0, 20],
        ),
        (
            json!({"input_tokens": 10, "output_tokens": 30,
            "output_tokens_details": {"thinking_tokens": 20}}),
            [10, 30, 0, 0, 20],
        ),
        (
            json!({"promptTokenCount": 10, "candidatesTokenCount": 30, "thoughtsTokenCount": 20}),
            [10, 50, 0, 0, 20],
        ),
        (
            json!({"promptTokenCount": 10, "candidatesTokenCount": 30, "thoughtsTokenCount": 20,
            "totalTokenCount": 40}),
            [10, 30, 0, 0, 20],
        ),
        (
            json!({"promptTokenCount": 6, "thoughtsTokenCount": 20, "totalTokenCount": 31,
            "toolUsePromptTokenCount": 5}),
            [11, 20, 0, 0, 20],
        ),
    ] {
        assert_eq!(read_value(&told).map(counts), Some(expected), "{told}");
    }
}

#[test]
fn zeros_nonsense_and_nothing_are_unknown() {
    for told in [
        json!(null),
        json!("many"),
        json!([1, 2]),
        json!({}),
        json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        json!({"prompt_tokens": -1}),
        json!({"prompt_tokens": "few", "completion_tokens": true}),
        json!({"prompt_tokens": 1e30, "completion_tokens": 1}),
        json!({"prompt_tokens": 5, "completion_tokens": MOST_TOKENS + 1}),
        json!({"prompt_tokens": 5, "completion_tokens": 1, "cached_tokens": u64::MAX}),
    ] {
        assert_eq!(read_value(&told), None, "{told}");
    }
}

#[test]
fn usage_is_found_in_every_place() {
    let spent = json!({"prompt_tokens": 12, "completion_tokens": 9});
    for body in [
        json!({"usage": spent}),
        json!({"usage": null, "x_groq": {"usage": spent}}),
        json!({"choices": [{"usage": spent}]}),
        json!({"choices": [{"message": {"content": "x", "usage": spent}}]}),
        json!({"message": {"usage": spent}}),
        json!({"usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 9}}),
        json!({"meta": {"tokens": {"input_tokens": 12, "output_tokens": 9}}}),
        json!({"meta": {"billed_units": {"input_tokens": 12, "output_tokens": 9}}}),
        json!({"timings": {"prompt_n": 12, "predicted_n": 9}}),
        json!({"prompt_eval_count": 12, "eval_count": 9, "done": true}),
        json!({"token_usage": spent}),
        json!({"usage": {"prompt_tokens": 0, "completion_tokens": 0},
            "timings": {"prompt_n": 12, "predicted_n": 9}}),
    ] {
        let found = elsewhere(body.to_string().as_bytes()).map(counts);
        assert_eq!(found, Some([12, 9, 0, 0, 0]), "{body}");
    }
    let metrics = json!({"inputTokenCount": 12, "outputTokenCount": 9, "invocationLatency": 7});
    for body in [
        json!({"amazon-bedrock-invocationMetrics": metrics}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}),
        json!({"metrics": metrics}),
        json!({"data": {"usage": spent}}),
        json!({"result": {"usage": spent}}),
        json!({"output": {"usage": spent}}),
        json!({"body": {"response": {"usage": spent}}}),
        json!({"choices": [{"delta": {"content": "x"}, "metadata": {"usage": spent}}]}),
        json!({"response_metadata": {"token_usage": spent}}),
        json!({"statistics": {"prompt_tokens_count": 1, "prompt_tokens": 12, "generated_tokens": 9}}),
        json!({"usage": [spent]}),
        json!({"usage": [{"prompt_tokens": 1, "completion_tokens": 1}, spent, null]}),
        json!({"usage": {"total": spent}}),
        json!({"usage": spent.to_string()}),
        json!({"usages": [{"model": "m", "usage": spent}]}),
    ] {
        let found = elsewhere(body.to_string().as_bytes()).map(counts);
        assert_eq!(found, Some([12, 9, 0, 0, 0]), "{body}");
    }
    // What a model wrote is no bill.
    for body in [
        json!({"message": {"content": {"usage": spent}}}),
        json!({"choices": [{"message": {"tool_calls": [{"function": {"arguments": spent}}]}}]}),
        json!({"content": [{"type": "tool_use", "input": spent}]}),
        json!({"limits": {"max_tokens": 5, "prompt_tokens": 7}}),
    ] {
        assert_eq!(elsewhere(body.to_string().as_bytes()), None, "{body}");
    }
    for body in ["{\"usage\":null}", "{\"max_tokens\":5}", "\"tokens\"", "{\"tokens\":", ""] {
        assert_eq!(elsewhere(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn only_fields_with_names_of_counts_make_a_body_worth_a_look() {
    for (json, expected) in [
        (r#"{"choices":[{"delta":{"content":"Hel"}}],"usage":null}"#, false),
        (r#"{"choices":[{"delta":{"content":"my tokens: 5"}}]}"#, false),
        (r#"{"prompt_tokens" : 5}"#, true),
        (r#"{"promptTokenCount":5}"#, true),
        (r#"{"prompt_eval_count":5}"#, true),
        (r#"{"predicted_n":5}"#, true),
        (r#"{"billed_units":{"input_tokens":5}}"#, true),
        ("", false),
    ] {
        assert_eq!(has_counts(json.as_bytes()), expected, "{json}");
    }
}

#[test]
fn what_the_provider_asks_for_is_read_in_every_form() {
    for (cost, nano) in [
        (json!({"cost": 0.00123}), Some(1_230_000)),
        (json!({"cost": "0.00123"}), Some(1_230_000)),
        (json!({"cost": "$0.00123 "}), Some(1_230_000)),
        (json!({"total_cost": 0.5}), Some(500_000_000)),
        (json!({"estimated_cost": 1e-9}), Some(1)),
        (json!({"cost": {"input_tokens_cost": 1, "total_cost": 2}}), Some(2_000_000_000)),
        (json!({"cost": 0}), Some(0)),
        (json!({"cost": null, "total_cost": 0.5}), Some(500_000_000)),
        (json!({"cost": -1}), None),
        (json!({"cost": "free"}), None),
        (json!({}), None),
    ] {
        let mut told = json!({"prompt_tokens": 12, "completion_tokens": 9});
        told.as_object_mut().unwrap().extend(cost.as_object().unwrap().clone());
        let read = read_value(&told).unwrap().told_cost;
        assert_eq!(read, nano.map(Nano), "{told}");
    }
}
