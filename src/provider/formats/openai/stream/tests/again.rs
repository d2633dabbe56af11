//! Calls and messages in forms that are not OpenAI's, and what is told a second time.

use serde_json::Value;

use super::*;

/// Id, name and arguments of every call.
fn calls(chunks: &[Value]) -> Vec<[String; 3]> {
    good(chunks).calls
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn numbered(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    let mut call = call(id, name, arguments);
    call["index"] = json!(index);
    call
}

/// The last chunk of a server that says everything once more.
fn last(delta: Option<Value>, message: Value) -> Value {
    let mut chunk = finish("stop");
    match delta {
        Some(delta) => chunk["choices"][0]["delta"] = delta,
        None => drop(chunk["choices"][0].as_object_mut().unwrap().remove("delta")),
    }
    chunk["choices"][0]["message"] = message;
    chunk
}

const ONE: &str = r#"{"x":1}"#;
const TWO: &str = r#"{"x":2}"#;

#[test]
fn calls_of_every_form_are_read_in_streams_and_in_whole_answers() {
    for told in [
        json!([{"index": "0", "id": "c", "function": {"name": "f", "arguments": ONE}}]),
        json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": ONE}}),
        json!({"0": {"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}}),
        json!([{"id": "c", "name": "f", "arguments": ONE}]),
        json!([{"id": "c", "name": "f", "arguments": {"x": 1}}]),
        json!([{"index": null, "id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]),
        json!([{"index": 0, "id": "c", "function": {"name": "f", "input": {"x": 1}}}]),
    ] {
        let expected = [["c", "f", ONE].map(str::to_owned)];
        let said = json!({ "tool_calls": told });
        assert_eq!(calls(&[delta(said.clone()), finish("stop")]), expected, "{said}");
        let whole = json!({"choices": [{"message": said, "finish_reason": "tool_calls"}]});
        let read = crate::provider::lenient::whole(
            crate::provider::formats::of(Kind::OpenAi),
            whole.to_string().as_bytes(),
            &std::rc::Rc::default(),
        );
        let read = read.map_err(|failure| failure.message).ok().unwrap().tool_calls;
        assert_eq!((&*read[0].id, &*read[0].function.arguments), ("c", ONE), "{whole}");
    }
    let five = json!({"tool_calls": [{"index": "0", "id": 5, "function": {"name": "f"}}]});
    let pieces = ["{\"x\":", "1"].map(|text| {
        delta(json!({"tool_calls": [{"index": "0", "id": 5, "function": {"arguments": text}}]}))
    });
    let end = delta(json!({"tool_calls": [{"index": 0, "arguments": "}"}]}));
    let [first, second] = pieces;
    let chunks = [delta(five), first, second, end, finish("stop")];
    assert_eq!(calls(&chunks), [["5", "f", ONE].map(str::to_owned)]);
}

#[test]
fn a_piece_of_arguments_that_looks_like_a_number_is_a_piece() {
    let piece = |arguments: Value| {
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}))
    };
    let chunks = [
        delta(json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]})),
        piece(json!("{\"x\":")),
        piece(json!(1)),
        piece(json!(null)),
        piece(json!("}")),
        finish("tool_calls"),
    ];
    assert_eq!(calls(&chunks), [["c", "f", ONE].map(str::to_owned)]);
}

#[test]
fn an_empty_object_at_the_end_takes_no_arguments_back() {
    let piece = |arguments: Value| {
        delta(json!({"tool_calls": [{"index": 0, "id": "c", "function":
            {"name": "f", "arguments": arguments}}]}))
    };
    for (first, second) in [(json!({"x": 1}), json!({})), (json!({}), json!({"x": 1}))] {
        let chunks = [piece(first), piece(second), finish("tool_calls")];
        assert_eq!(calls(&chunks), [["c", "f", ONE].map(str::to_owned)]);
    }
}

#[test]
fn content_that_is_no_text_is_written_as_one() {
    for (content, expected) in
        [(json!(42), "42"), (json!(true), "true"), (json!({"a": 1}), r#"{"a":1}"#)]
    {
        let answer = good(&[delta(json!({ "content": content })), finish("stop")]);
        assert_eq!(answer.content.as_deref(), Some(expected));
    }
    let text = json!({"choices": [{"index": "0", "text": "Hi", "finish_reason": null}]});
    assert_eq!(good(&[text, finish("stop")]).content.as_deref(), Some("Hi"));
    let nothing = json!({"choices": [{"index": 0, "delta": [], "finish_reason": "stop"}]});
    let answer = good(&[delta(json!({"content": "Hi", "refusal": false})), nothing]);
    assert_eq!(answer.content.as_deref(), Some("Hi"));
}

#[test]
fn whole_calls_of_one_list_stay_apart_though_they_are_called_the_same() {
    let list = |calls: Vec<Value>| delta(json!({ "tool_calls": calls }));
    for (first, second) in [
        (numbered(0, "c", "f", ONE), numbered(0, "c", "f", TWO)),
        (numbered(0, "c", "f", ONE), numbered(0, "c", "f", ONE)),
        (numbered(0, "", "f", ONE), numbered(0, "", "f", ONE)),
        (call("c", "f", ONE), call("c", "f", TWO)),
        (call("c", "f", "{}"), call("c", "f", "{}")),
        (numbered(0, "c", "f", ONE), numbered(1, "c", "f", TWO)),
    ] {
        let all = list(vec![first.clone(), second.clone()]);
        let once = calls(&[all.clone(), finish("tool_calls")]);
        assert_eq!(once.len(), 2, "{all}");
        let same = once[0][0] == once[1][0] && once[0][0] != "made up";
        assert!(!same, "by its id the result of a call is known: {all}");
        assert_eq!(once[1][2], second["function"]["arguments"].as_str().unwrap());
        assert_eq!(calls(&[all.clone(), all, finish("tool_calls")]).len(), 2);
    }
}

#[test]
fn pieces_of_one_call_in_one_list_are_one() {
    for pieces in [
        vec![numbered(0, "c", "f", "{\"x\":"), numbered(0, "c", "f", "1}")],
        vec![numbered(0, "c", "f", ""), numbered(0, "c", "f", ONE)],
        vec![numbered(0, "c", "f", "{}"), numbered(0, "c", "f", ONE)],
        vec![call("c", "f", "{\"x\":"), call("", "", "1}")],
        vec![call("c", "f", "{\"x\":"), call("c", "f", "1}")],
    ] {
        let chunk = delta(json!({ "tool_calls": pieces }));
        let expected = [["c", "f", ONE].map(str::to_owned)];
        assert_eq!(calls(&[chunk.clone(), finish("tool_calls")]), expected, "{chunk}");
    }
}

#[test]
fn what_a_last_message_tells_again_is_not_doubled_and_what_it_has_more_is_taken() {
    let begun = [delta(json!({"content": "Hel"})), delta(json!({"reasoning_content": "h"}))];
    for empty in [Some(json!({})), Some(json!({"content": ""})), Some(json!([])), None] {
        for (text, expected) in [("Hello", "Hello"), ("Hel", "Hel"), ("", "Hel"), ("Other", "Hel")]
        {
            let message = json!({"role": "assistant", "content": text, "reasoning_content": "hm"});
            let mut chunks = begun.to_vec();
            chunks.push(last(empty.clone(), message));
            let answer = good(&chunks);
            assert_eq!(answer.content.as_deref(), Some(expected), "{text} {empty:?}");
            assert_eq!(answer.thoughts.as_deref(), Some("hm"));
        }
    }
    let whole = last(Some(json!({})), json!({"content": "Hello"}));
    assert_eq!(good(&[whole]).content.as_deref(), Some("Hello"));
}

#[test]
fn calls_of_a_last_message_are_taken_where_they_are_not_known() {
    let (one, two) = (call("a", "f", ONE), call("b", "f", TWO));
    let begun = |call: &Value| {
        let mut call = call.clone();
        call["index"] = json!(0);
        delta(json!({ "tool_calls": [call] }))
    };
    let half = call("a", "f", "{\"x\"");
    let renamed = call("z", "f", ONE);
    for (known, told, expected) in [
        (vec![], vec![&one, &two], vec![ONE, TWO]),
        (vec![&one], vec![&one], vec![ONE]),
        (vec![&one], vec![&one, &two], vec![ONE, TWO]),
        (vec![&one], vec![&renamed], vec![ONE]),
        (vec![&half], vec![&one], vec![ONE]),
        (vec![&one], vec![], vec![ONE]),
        (vec![&one], vec![&one, &one], vec![ONE, ONE]),
    ] {
        let mut chunks: Vec<Value> = known.into_iter().map(begun).collect();
        chunks.push(last(Some(json!({})), json!({"content": null, "tool_calls": told})));
        let found: Vec<String> = calls(&chunks).into_iter().map(|[.., text]| text).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_message_in_every_chunk_may_be_a_piece_or_all_so_far() {
    let message = |text: &str| json!({"choices": [{"message": {"content": text}}]});
    let grown = [message("Hel"), message("Hello"), finish("stop")];
    assert_eq!(good(&grown).content.as_deref(), Some("Hello"));
    let pieces = [message("Hel"), message("lo"), finish("stop")];
    assert_eq!(good(&pieces).content.as_deref(), Some("Hello"));
    let repeated = [message("Hello "), message("Hello"), finish("stop")];
    assert_eq!(good(&repeated).content.as_deref(), Some("Hello "));
    let both = |piece: &str, all: &str| json!({"choices": [{"delta": {"content": piece}, "message": {"content": all}}]});
    let beside = [both("Hel", "Hel"), both("lo", "Hello"), finish("stop")];
    assert_eq!(good(&beside).content.as_deref(), Some("Hello"));
}
