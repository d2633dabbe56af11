//! Bodies in the odd forms that servers send, and what is taken from them.

use super::super::formats;
use super::super::gather::tests::{Good, Seen, whole as streamed};
use super::*;
use crate::config::Kind;
use crate::protocol::answer::Finish;

const HEL: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#;
const LO: &str = r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#;
const END: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}"#;

/// A template in which `A`, `B` and `Z` stand for the beginning, the rest and the end of an answer.
fn fill(template: &str) -> String {
    let parts = template
        .split_inclusive(['A', 'B', 'Z'])
        .map(|part| part.replace('A', HEL).replace('B', LO).replace('Z', END));
    parts.collect()
}

fn good(seen: Seen, case: &str) -> Good {
    seen.end.unwrap_or_else(|bad| panic!("{case}: {bad:?}"))
}

fn read_whole(kind: Kind, body: &str) -> Result<String, Fault> {
    match whole(formats::of(kind), body.as_bytes(), &Rc::default()) {
        Ok(answer) => Ok(answer.content.unwrap_or_default()),
        Err(failure) => Err(failure.fault),
    }
}

#[test]
fn pieces_are_read_however_they_are_framed() {
    for template in [
        "data: A\n\ndata: B\n\ndata: Z\n\ndata: [DONE]\n\n",
        "data: A\n\ndata: B\n\ndata: Z[DONE]\n\n",
        "data: A\n\ndata: B\n\ndata: Z [DONE]\n\n",
        "data: A\n\ndata: B\n\ndata: Zdata: [DONE]\n\n",
        "data: AB\n\ndata: Z\n\n",
        "data: A B Z [DONE]",
        "data: A\ndata: B\ndata: Z\ndata: [DONE]\n",
        "data:A\r\ndata:B\r\ndata:Z\r\n",
        "data: A\r\rdata: B\r\rdata: Z\r\r",
        "data: data: A\n\ndata: data: B\n\ndata: data: Z\n\ndata: data: [DONE]\n\n",
        "\u{feff}data: A\n\ndata: \u{feff}B\n\ndata: Z\n\n",
        "A\nB\nZ\n",
        "A\n\nB\n\nZ",
        "[A,\nB,\nZ]",
        "[A,B,Z",
        "data: [A,B]\n\ndata: [Z]\n\n",
        ": ping\n\ndata: \n\ndata: null\n\ndata: {}\n\ndata: A\n\n:\n\ndata: ping\n\ndata: B\n\n\
         event: ping\ndata: 2026-11-20\n\ndata: [PING]\n\ndata: Z\n\n",
        "id: 1\nretry: 5\nevent: message\ndata: A\n\nevent: delta\ndata: B\n\ndata: Z\n\n",
        "event: a\ndata: A\nevent: b\ndata: B\nevent: c\ndata: Z\n",
    ] {
        let answer = good(streamed(Kind::OpenAi, &fill(template)), template);
        assert_eq!(answer.content.as_deref(), Some("Hello"), "{template}");
    }
}

#[test]
fn a_body_that_was_to_be_whole_may_be_all_pieces() {
    for template in ["[A,\nB,\nZ]", "A\nB\nZ\n", "ABZ", "ABZ[DONE]", "\u{feff}[A,B,Z]", "[A,B,Z"] {
        assert_eq!(read_whole(Kind::OpenAi, &fill(template)), Ok("Hello".into()), "{template}");
    }
    let one = HEL.replace("null", "\"stop\"");
    assert_eq!(read_whole(Kind::OpenAi, &one), Ok("Hel".into()));
    let gemini = |text: &str, end: &str| {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}{end}}}]}}"#)
    };
    let (first, last) = (gemini("Hel", ""), gemini("lo", r#","finishReason":"STOP""#));
    let list = format!("[{first},\n{last}]");
    assert_eq!(read_whole(Kind::Google, &list), Ok("Hello".into()));
    let answer = good(streamed(Kind::Google, &list), &list);
    assert_eq!(answer.content.as_deref(), Some("Hello"));
    let claude = [
        r#"{"type":"message_start","message":{"content":[]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    assert_eq!(read_whole(Kind::Anthropic, &claude.join("\n")), Ok("Hello".into()));
    let answer = good(streamed(Kind::Anthropic, &claude.join("\n")), "lines");
    assert_eq!(answer.content.as_deref(), Some("Hello"));
}

#[test]
fn words_that_json_has_not_are_null_in_whole_answers_and_in_events() {
    let claude = r#"{"content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}"#;
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}]},
        "finishReason":"STOP"}]}"#;
    for word in ["NaN", "Infinity", "-Infinity", "None", "undefined"] {
        let with = |json: &str| json.replacen('{', &format!("{{\"score\":[1.5,{word}],"), 1);
        let nested = |json: &str| json.replacen("[{", &format!("[{{\"logprobs\":{word},"), 1);
        for (kind, body) in
            [(Kind::OpenAi, ANSWER), (Kind::Anthropic, claude), (Kind::Google, gemini)]
        {
            assert_eq!(read_whole(kind, &with(body)), Ok("Hello".into()), "{word}");
            assert_eq!(read_whole(kind, &nested(body)), Ok("Hello".into()), "{word}");
        }
        for template in ["data: A\n\ndata: B\n\ndata: Z\n\n", "A\nB\nZ\n", "data: ABZ[DONE]\n\n"] {
            for odd in [with(LO), nested(LO)] {
                let body = fill(&template.replace('B', "?")).replace('?', &odd);
                let answer = good(streamed(Kind::OpenAi, &body), &body);
                assert_eq!(answer.content.as_deref(), Some("Hello"), "{body}");
            }
        }
    }
    let told = ANSWER.replace("Hello", "NaN, Infinity: NaN");
    assert_eq!(read_whole(Kind::OpenAi, &told), Ok("NaN, Infinity: NaN".into()));
    let error = r#"{"error":{"message":"busy","code":503,"score":NaN}}"#;
    assert_eq!(read_whole(Kind::OpenAi, error), Err(Fault::Overloaded));
}

#[test]
fn what_is_no_answer_at_all_is_still_a_bad_body() {
    for body in
        ["overloaded", "<html>", "{}", "[]", "null", "{\"a\":1}", "{\"choices\":[{\"del", ""]
    {
        assert_eq!(read_whole(Kind::OpenAi, body), Err(Fault::BadBody), "{body}");
    }
    assert_eq!(read_whole(Kind::OpenAi, &fill("[A,B]")), Err(Fault::StreamCut));
    assert_eq!(read_whole(Kind::OpenAi, &fill("A\n{\"choi")), Err(Fault::BadBody));
    let limited = r#"[{"error":{"message":"slow down","code":"rate_limit_exceeded"}}]"#;
    assert_eq!(read_whole(Kind::OpenAi, limited), Err(Fault::RateLimited));
    for stream in ["data: overloaded\n\n", "data: A\n\ndata: overloaded\n\n", "{\"a\":1}\n"] {
        let bad = streamed(Kind::OpenAi, &fill(stream)).end.unwrap_err();
        assert_eq!(bad.fault, Fault::BadBody, "{stream}");
    }
}

#[test]
fn what_comes_unreadable_after_a_finish_takes_nothing_away() {
    for rest in [
        "data: {\"choi\n\n",
        "data: overloaded\n\n",
        "data: {\"choices\":7}\n\n",
        "data: <html></html>\n\n",
        "data: [1,2\n\ndata: [DONE]\n\n",
        "data: \u{0}\u{1}\n\n",
        "event: error\ndata: closing\n\n",
    ] {
        let body = fill("data: A\n\ndata: B\n\ndata: Z\n\n") + rest;
        assert_eq!(good(streamed(Kind::OpenAi, &body), rest).content.as_deref(), Some("Hello"));
    }
    let long = format!("data: {}\n\n", "x".repeat(100_000));
    let body = fill("data: A\n\ndata: Z\n\n") + &long;
    assert_eq!(good(streamed(Kind::OpenAi, &body), "long").content.as_deref(), Some("Hel"));
    let error = r#"data: {"error":{"message":"busy","code":503}}"#;
    let body = fill("data: A\n\ndata: Z\n\n") + error;
    assert_eq!(streamed(Kind::OpenAi, &body).end.unwrap_err().fault, Fault::Overloaded);
}

#[test]
fn an_error_event_is_one_whether_or_not_it_is_json() {
    for (data, fault) in [
        (r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, Fault::RateLimited),
        (r#"{"message":"m","code":"rate_limit_exceeded"}"#, Fault::RateLimited),
        ("the server is overloaded", Fault::Overloaded),
    ] {
        let body = format!("event: error\ndata: {data}\n\n");
        assert_eq!(streamed(Kind::OpenAi, &body).end.unwrap_err().fault, fault, "{data}");
    }
}

#[test]
fn an_error_that_says_that_all_is_well_is_none_wherever_it_stands() {
    for fine in ["null", "false", "0", "\"\"", "{}", "[]", "{\"message\":\"\"}", "{\"code\":0}"] {
        let with = |json: &str| json.replacen('{', &format!("{{\"error\":{fine},"), 1);
        let in_choice = |json: &str| json.replacen("[{", &format!("[{{\"error\":{fine},"), 1);
        for chunk in [with(END), in_choice(END)] {
            let body = format!("data: {HEL}\n\ndata: {chunk}\n\n");
            let answer = good(streamed(Kind::OpenAi, &body), &body);
            assert_eq!(answer.content.as_deref(), Some("Hel"));
        }
        for body in [with(ANSWER), in_choice(ANSWER)] {
            assert_eq!(read_whole(Kind::OpenAi, &body), Ok("Hello".into()), "{body}");
        }
        let claude = r#"{"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}"#;
        assert_eq!(read_whole(Kind::Anthropic, &with(claude)), Ok("Hi".into()));
        let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}"#;
        assert_eq!(read_whole(Kind::Google, &with(gemini)), Ok("Hi".into()));
    }
    let resp = |code: u32| {
        ANSWER.replacen(
            '{',
            &format!("{{\"base_resp\":{{\"status_code\":{code},\"status_msg\":\"\"}},"),
            1,
        )
    };
    assert_eq!(read_whole(Kind::OpenAi, &resp(0)), Ok("Hello".into()));
    assert!(read_whole(Kind::OpenAi, &resp(1002)).is_err());
}

#[test]
fn a_character_in_two_halves_is_one_and_a_lone_half_is_replaced() {
    let delta = |text: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let end = format!("data: {END}\n\n");
    for (deltas, expected) in [
        (&["a\\ud83d", "\\udc4bb"][..], "a👋b"),
        (&["\\ud83d", "\\udc4b\\ud83d", "\\udc4b"], "👋👋"),
        (&["a\\ud83d", "b"], "a\u{fffd}b"),
        (&["a", "\\udc4bb"], "a\u{fffd}b"),
        (&["a\\ud83d"], "a\u{fffd}"),
        (&["\\ud83d\\udc4b"], "👋"),
        (&["a\\\\ud83d"], "a\\ud83d"),
    ] {
        let body: String = deltas.iter().map(|text| delta(text)).chain([end.clone()]).collect();
        let seen = streamed(Kind::OpenAi, &body);
        assert_eq!(good(seen, expected).content.as_deref(), Some(expected));
    }
    let lone = ANSWER.replace("Hello", "a\\ud83d");
    assert_eq!(read_whole(Kind::OpenAi, &lone), Ok("a\u{fffd}".into()));
    let mut bytes = ANSWER.replace("Hello", "a?b").into_bytes();
    let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
    bytes[at] = 0xff;
    let answer = whole(formats::of(Kind::OpenAi), &bytes, &Rc::default()).ok().unwrap();
    assert_eq!(answer.content.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn usage_is_taken_from_where_a_format_has_none() {
    let timed = END.replacen('{', "{\"timings\":{\"prompt_n\":12,\"predicted_n\":9},", 1);
    let body = format!("data: {HEL}\n\ndata: {timed}\n\n");
    assert_eq!(good(streamed(Kind::OpenAi, &body), "timings").usage.unwrap().input_tokens, 12);
    // The newest of them.
    let early = HEL.replacen('{', "{\"timings\":{\"prompt_n\":12,\"predicted_n\":1},", 1);
    let body = format!("data: {early}\n\ndata: {timed}\n\n");
    assert_eq!(good(streamed(Kind::OpenAi, &body), "timings").usage.unwrap().output_tokens, 9);
    // Zeros at the end take nothing back.
    let spent =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";
    let zeros = spent.replace(":5", ":0").replace(":2", ":0");
    let body = format!("data: {HEL}\n\ndata: {END}\n\n{spent}{zeros}");
    assert_eq!(good(streamed(Kind::OpenAi, &body), "zeros").usage.unwrap().input_tokens, 5);
    let body = ANSWER.replacen('{', "{\"prompt_eval_count\":12,\"eval_count\":9,", 1);
    let answer = whole(formats::of(Kind::OpenAi), body.as_bytes(), &Rc::default()).ok().unwrap();
    assert_eq!(answer.usage.unwrap().output_tokens, 9);
}

#[test]
fn finishes_are_read_as_words_numbers_or_nothing() {
    for (finish, expected) in [
        ("\"STOP\"", Ok(Finish::Stop)),
        ("\"eos\"", Ok(Finish::Stop)),
        ("\"flummoxed\"", Ok(Finish::Stop)),
        ("7", Ok(Finish::Stop)),
        ("\"MAX_TOKENS\"", Ok(Finish::Length)),
        ("\"time_limit\"", Ok(Finish::Length)),
        ("\"content_filter_hate\"", Ok(Finish::Refused)),
        ("\"network_error\"", Err(Fault::StreamCut)),
        ("\"insufficient_system_resource\"", Err(Fault::Overloaded)),
        ("\"MALFORMED_FUNCTION_CALL\"", Err(Fault::ModelGlitch)),
        ("\"\"", Err(Fault::StreamCut)),
        ("\" \"", Err(Fault::StreamCut)),
        ("null", Err(Fault::StreamCut)),
        ("false", Err(Fault::StreamCut)),
    ] {
        let body = format!("data: {HEL}\n\ndata: {}\n\n", END.replace("\"stop\"", finish));
        let end = streamed(Kind::OpenAi, &body).end;
        assert_eq!(end.map(|good| good.finish).map_err(|bad| bad.fault), expected, "{finish}");
    }
}
