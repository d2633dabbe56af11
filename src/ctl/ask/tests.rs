//! What `ask` sends and what it shows, on captured replies.

use clap::Parser;

use super::super::screen::Paper;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: AskArgs,
}

fn args(words: &[&str]) -> AskArgs {
    Line::try_parse_from([&["ask"], words].concat()).unwrap().args
}

/// A chat that was answered, with these fields.
fn chat(fields: Value) -> Chat {
    let usage = json!({"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0,
        "reasoning_tokens": 0});
    let mut chat = json!({"content": null, "tool_calls": null, "finish_reason": "stop",
        "model_used": "m", "provider": "p", "model_id": "m", "task": "default", "primary": "m",
        "fallback_count": 0, "used_fallback": false, "latency_ms": 0, "usage": usage,
        "cost_usd": null, "request_cost_usd": null, "primary_cost_usd": null,
        "cost_estimated": false, "request_id": "r", "attempts": []});
    chat.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    serde_json::from_value(chat).unwrap()
}

fn shown(fields: Value, terminal: bool) -> (String, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let paper = Paper { terminal, ..Paper::default() };
    let mut screen =
        Screen { out: &mut out, paper, notes: &mut notes, notes_paper: Paper::default() };
    let answered = chat(fields).answered;
    print_answer(&answered, &mut screen).unwrap();
    remark(&answered, &mut screen).unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
}

#[test]
fn a_plain_question_sends_nothing_but_the_question() {
    assert_eq!(
        request(&args(&[]), "Hi"),
        json!({"op":"chat","messages":[{"role":"user","content":"Hi"}]})
    );
}

#[test]
fn every_option_becomes_its_field() {
    let args = args(&[
        "--task=code",
        "-m",
        "a",
        "-m",
        "b",
        "--system",
        "Be kind",
        "--max-tokens=9",
        "--temperature=0.5",
        "--timeout=90",
    ]);
    let wanted = json!({
        "op": "chat",
        "messages": [{"role":"system","content":"Be kind"},{"role":"user","content":"Hi"}],
        "task": "code", "models": ["a", "b"], "max_tokens": 9, "temperature": 0.5,
        "timeout": "1m 30s",
    });
    assert_eq!(request(&args, "Hi"), wanted);
}

#[test]
fn values_out_of_range_are_usage_mistakes() {
    for wrong in ["--temperature=2.1", "--temperature=x", "--max-tokens=0", "--timeout=0s"] {
        assert!(Line::try_parse_from(["ask", wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn the_summary_names_who_answered_instead_of_whom() {
    let reply = json!({"model_used":"claude-sonnet-4-6","primary":"gpt-4o","used_fallback":true,
        "latency_ms":812,"cost_usd":0.000963,"cost_estimated":false,"attempts":[
            {"model":"gpt-4o","outcome":"failed","error_type":"overloaded","status":503},
            {"model":"claude-sonnet-4-6","outcome":"answered"}]});
    let wanted = "claude-sonnet-4-6 · 812 ms · $0.000963 · fallback from gpt-4o (overloaded 503)";
    assert_eq!(summary(&chat(reply)), wanted);
    let plain = json!({"model_used":"m","latency_ms":1500,"cost_usd":null,"used_fallback":false});
    assert_eq!(summary(&chat(plain)), "m · 1.5 s");
}

#[test]
fn an_answer_keeps_its_bytes_in_a_pipe_and_loses_escapes_on_a_terminal() {
    let reply = json!({"content":"a\u{1b}[2Jb","finish_reason":"stop"});
    assert_eq!(shown(reply.clone(), false).0, "a\u{1b}[2Jb\n");
    assert_eq!(shown(reply, true).0, "ab\n");
}

#[test]
fn an_answer_that_is_cut_refused_or_empty_says_so() {
    let rows = [
        (json!({"content":"half","finish_reason":"length"}), "half\n", "cut at the token limit"),
        (json!({"content":null,"finish_reason":"refused"}), "", "refused to answer"),
        (json!({"content":"","finish_reason":"stop"}), "", "the answer is empty"),
    ];
    for (reply, out, note) in rows {
        let (printed, notes) = shown(reply, false);
        assert_eq!(printed, out);
        assert!(notes.contains(note), "{notes}");
    }
}
