//! Claims about lines: what is understood, and how mistakes are named.

use proptest::prelude::*;

use super::*;

fn mistake(line: &str) -> (ErrorCode, String) {
    let mistake = read(line.as_bytes()).unwrap_err();
    (mistake.error.code, mistake.error.message)
}

fn bad(line: &str, expected: &str) {
    let (code, message) = mistake(line);
    assert_eq!(code, ErrorCode::BadRequest, "{message}");
    assert!(message.contains(expected), "{message:?} does not say {expected:?}");
}

const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

#[test]
fn a_chat_line_is_the_default_operation() {
    let line = format!(r#"{{"id":7,{HI},"timeout":"30s","temperature":0,"stop":"x"}}"#);
    let (id, op) = read(line.as_bytes()).unwrap();
    assert_eq!(id, Id::Number(7));
    let Op::Chat(chat) = op else { panic!("{op:?}") };
    assert_eq!(chat.timeout, Some(Duration::from_secs(30)));
    assert_eq!((chat.bytes, chat.stop.len()), (line.len(), 1));
}

#[test]
fn the_limit_of_an_answer_has_two_names() {
    for limits in [
        r#""max_completion_tokens":7"#,
        r#""max_tokens":7,"max_completion_tokens":7"#,
        r#""max_tokens":7,"max_completion_tokens":null"#,
    ] {
        let read = read(format!("{{{HI},{limits}}}").as_bytes());
        let Op::Chat(chat) = read.unwrap().1 else { panic!("not a chat") };
        assert_eq!(chat.max_tokens, Some(7), "{limits}");
    }
}

#[test]
fn what_an_assistant_or_a_tool_did_not_say_may_stay_in_a_history() {
    let line = r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null},
        {"role":"assistant"},{"role":"tool","tool_call_id":"c","content":null}]}"#;
    assert!(read(line.as_bytes()).is_ok());
}

#[test]
fn null_is_as_good_as_leaving_a_field_out() {
    let line = format!(
        r#"{{{HI},"id":null,"op":null,"task":null,"max_tokens":null,"temperature":null,
        "stop":null,"tools":null,"tool_choice":null,"timeout":null,"stream":null,"plan":null,
        "on_refusal":null,"extra":null,"models":null,"max_cost_usd":null,"response_format":null}}"#
    );
    assert!(read(line.as_bytes()).is_ok(), "{:?}", read(line.as_bytes()));
}

#[test]
fn every_mistake_names_its_field_and_what_was_expected() {
    bad(&format!(r#"{{{HI},"temprature":1}}"#), "unknown field `temprature`");
    bad(&format!(r#"{{{HI},"max_tokens":0}}"#), "`max_tokens`: invalid value");
    bad(&format!(r#"{{{HI},"max_tokens":"9"}}"#), "`max_tokens`: invalid type: string");
    bad(&format!(r#"{{{HI},"max_tokens":-1}}"#), "expected a whole number from 1 to 4294967295");
    bad(&format!(r#"{{{HI},"seed":1.5}}"#), "expected a whole number of 64 bits");
    bad(&format!(r#"{{{HI},"max_cost_usd":"1"}}"#), "expected a number (");
    bad(&format!(r#"{{{HI},"temperature":2.5}}"#), "expected a number from 0 to 2");
    bad(&format!(r#"{{{HI},"timeout":0}}"#), "`timeout`");
    bad(&format!(r#"{{{HI},"timeout":"soon"}}"#), "such as 30s or a number of seconds");
    bad(&format!(r#"{{{HI},"stop":["a","b","c","d","e"]}}"#), "up to four strings");
    bad(&format!(r#"{{{HI},"models":[]}}"#), "`models`");
    bad(&format!(r#"{{{HI},"models":["a","b","a"]}}"#), "twice");
    bad(&format!(r#"{{{HI},"stream":"yes"}}"#), "expected a boolean");
    bad(&format!(r#"{{{HI},"on_interrupt":"stop"}}"#), "`resume` or `fail`");
    bad(&format!(r#"{{{HI},"extra":{{"b":{{"model":"x"}}}}}}"#), "`extra.b.model`");
    bad(r#"{"messages":[]}"#, "at least one message");
    bad(r#"{}"#, "missing field `messages`");
    bad(r#"{"messages":[{"role":"sytem","content":"x"}]}"#, "`messages[0].role`");
    bad(r#"{"messages":[{"role":"user"}]}"#, "`messages[0]`: expected `content`");
    bad(r#"{"messages":[{"role":"tool","content":"x"}]}"#, "needs `tool_call_id`");
    bad(&format!(r#"{{{HI},"model":"m","task":"t"}}"#), "leave `task` and `models` out");
    bad(&format!(r#"{{{HI},"model":"m","models":["m"]}}"#), "leave `task` and `models` out");
    bad(&format!(r#"{{{HI},"max_tokens":5,"max_completion_tokens":6}}"#), "of another value");
    bad(
        &format!(r#"{{{HI},"max_completion_tokens":0}}"#),
        "`max_completion_tokens`: invalid value",
    );
    bad(
        &format!(r#"{{{HI},"extra":{{"b":{{"maxOutputTokens":9}}}}}}"#),
        "`extra.b.maxOutputTokens`",
    );
    bad(r#"{"messages":[{"role":"user","content":7}]}"#, "a string or a list of parts");
    bad(r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "content[0]");
    bad(r#"{"messages":[{"role":"user","content":[{"type":"audio"}]}]}"#, "nothing to show");
    bad(r#"{"op":"breaker","model":"m","set":"ajar"}"#, "`set`: unknown variant `ajar`");
    bad(r#"{"op":"events","types":["checkpoint"]}"#, "`types[0]`: unknown variant");
    bad(r#"{"op":"ping","window":"1h"}"#, "unknown field `window`");
    bad(r#"[1,2]"#, "expected a JSON object");
    bad(r#""chat""#, "expected a JSON object");
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_not_a_request() {
    assert_eq!(mistake("{\"id\":1,").0, ErrorCode::InvalidJson);
    assert_eq!(mistake("hello").0, ErrorCode::InvalidJson);
    assert_eq!(mistake(&format!("{{{HI}}} trailing")).0, ErrorCode::InvalidJson);
    assert_eq!(read(b"{\"a\":\"\xff\"}").unwrap_err().error.code, ErrorCode::InvalidJson);
    assert_eq!(mistake(r#"{"op":"dance"}"#).0, ErrorCode::UnknownOp);
}

#[test]
fn half_a_character_is_read_as_the_replacement_character() {
    let line = r#"{"messages":[{"role":"user","content":"bad \ud83d text"}],"task":"\udc00"}"#;
    let Op::Chat(chat) = read(line.as_bytes()).unwrap().1 else { panic!("not a chat") };
    let said: Vec<&str> = chat.messages[0].content.iter().flat_map(|c| c.texts()).collect();
    assert_eq!((said, chat.task.as_deref()), (vec!["bad \u{fffd} text"], Some("\u{fffd}")));
    let order = control(r#"{"id":"\ud83d","op":"breaker","model":"m\ud83d","set":"auto"}"#);
    let ControlOp::Breaker(order) = order else { panic!("not a breaker order") };
    assert_eq!(order.model, "m\u{fffd}");
    bad(r#"{"messages":[{"role":"user","content":"\ud83d"}],"seed":"x"}"#, "`seed`");
}

#[test]
fn a_mistake_is_answered_under_its_id() {
    let id = |line: &str| read(line.as_bytes()).unwrap_err().id;
    assert_eq!(id(r#"{"id":"a","messages":3}"#), Id::Text("a".into()));
    assert_eq!(id(r#"{"messages":3,"id":-4}"#), Id::Negative(-4));
    assert_eq!(id(r#"{"messages":3,"id":{}}"#), Id::Null);
}

#[test]
fn deep_nesting_is_a_mistake_and_no_crash() {
    let deep = format!("{{{HI},\"extra\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(deep.as_bytes()).is_err());
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(deep.as_bytes()).is_err());
}

/// As many as fit into a line: comparing each with each would not end today.
#[test]
fn a_line_full_of_models_is_read() {
    let names: Vec<String> = (0..600_000).map(|number| format!("\"m{number}\"")).collect();
    let line = format!("{{{HI},\"models\":[{}]}}", names.join(","));
    assert!(read(line.as_bytes()).is_ok());
}

#[test]
fn values_are_not_repeated_in_errors() {
    let (_, message) = mistake(&format!(r#"{{{HI},"seed":"my \"secret\" prompt"}}"#));
    assert!(!message.contains("secret"), "{message}");
    assert!(message.contains("`seed`"), "{message}");
}

#[test]
fn the_other_operations_are_understood() {
    assert!(matches!(control(r#"{"op":"ping","id":1}"#), ControlOp::Ping));
    assert!(matches!(control(r#"{"op":"chains"}"#), ControlOp::Chains));
    assert!(matches!(control(r#"{"op":"health","window":"1h"}"#),
        ControlOp::Health { window: Some(hour) } if hour == Duration::from_secs(3600)));
    let of_connection = |line: &str| match read(line.as_bytes()).unwrap().1 {
        Op::Connection(op) => op,
        other => panic!("{other:?}"),
    };
    assert!(matches!(of_connection(r#"{"op":"events","types":["call","order"]}"#),
        ConnectionOp::Events { types } if types == [EventType::Call, EventType::Order]));
    assert!(matches!(
        of_connection(r#"{"op":"cancel","target":"x"}"#),
        ConnectionOp::Cancel { target: Id::Text(_) }
    ));
    let order = r#"{"op":"breaker","model":"m","set":"open","for":"10m"}"#;
    let ControlOp::Breaker(order) = control(order) else { panic!("not a breaker order") };
    assert_eq!((order.set, order.during), (BreakerSet::Open, Some(Duration::from_secs(600))));
}

fn control(line: &str) -> ControlOp {
    match read(line.as_bytes()).unwrap().1 {
        Op::Control(op) => op,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_longer_than_a_year_is_refused_and_told_how_to_have_no_end() {
    let order = |time: &str| format!(r#"{{"op":"breaker","model":"m","set":"open","for":{time}}}"#);
    for time in ["\"1y\"", "\"366d\"", "31622400"] {
        assert!(read(order(time).as_bytes()).is_ok(), "{time}");
    }
    for time in ["\"99999999999h\"", "\"366d 1s\"", "31622401", "1e18"] {
        let (code, message) = mistake(&order(time));
        assert_eq!(code, ErrorCode::BadRequest, "{time}");
        assert!(message.contains("at most 366 days; leave `for` out"), "{message}");
    }
}

#[test]
fn needs_are_read_off_the_messages() {
    let needs = |line: &str| match read(line.as_bytes()).unwrap().1 {
        Op::Chat(chat) => chat.needs(Some(10)),
        other => panic!("{other:?}"),
    };
    let plain = needs(&format!("{{{HI}}}"));
    assert!(!plain.tools && !plain.images && !plain.json_schema && !plain.prefill);
    let image = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"?"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}"#;
    assert!(needs(image).images);
    let tools = format!(r#"{{{HI},"tools":[{{"type":"function","function":{{"name":"f"}}}}]}}"#);
    assert!(needs(&tools).tools);
    let schema = format!(
        r#"{{{HI},"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{{}}}}}}}}"#
    );
    assert!(needs(&schema).json_schema);
    assert!(needs(r#"{"messages":[{"role":"assistant","content":"So"}]}"#).prefill);
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&line);
    }
}
