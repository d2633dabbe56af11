//! Calls in the forms that servers give them.

use super::*;

fn read(json: &str) -> Vec<SaidCall> {
    list(&mut serde_json::Deserializer::from_str(json)).unwrap()
}

/// Number, id, name, and the arguments in either form.
fn told(json: &str) -> Vec<String> {
    let calls = read(json).into_iter();
    let words = calls.map(|call| {
        let index = call.index.map_or("-".to_owned(), |index| index.to_string());
        let whole = call.whole.map(|whole| format!("={whole}")).unwrap_or_default();
        format!("{index} {} {} {}{whole}", call.id, call.name, call.arguments)
    });
    words.collect()
}

#[test]
fn a_call_is_read_in_every_form() {
    for (json, expected) in [
        (r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#, "0 a f {}"),
        (r#"[{"index":"1","id":5,"function":{"name":"f","arguments":"{}"}}]"#, "1 5 f {}"),
        (r#"[{"index":2.0,"id":null,"function":{"name":"f"}}]"#, "2  f "),
        (r#"[{"index":"x","id":{},"function":{"name":"f","arguments":null}}]"#, "-  f "),
        (r#"{"id":"a","function":{"name":"f","arguments":{"x":1}}}"#, r#"- a f ={"x":1}"#),
        (r#"[{"id":"a","name":"f","arguments":"{\"x\":1}"}]"#, r#"- a f {"x":1}"#),
        (r#"[{"id":"a","function":"f","arguments":{"x":1}}]"#, r#"- a f ={"x":1}"#),
        (r#"[{"id":"a","function":{"name":"f","parameters":{"x":1}}}]"#, r#"- a f ={"x":1}"#),
        (r#"[{"id":"a","type":"tool_use","name":"f","input":{"x":1}}]"#, r#"- a f ={"x":1}"#),
        (r#"[{"id":"a","function":{"name":"f"},"arguments":"{}"}]"#, "- a f {}"),
        (r#"[{"function":{"name":"f","arguments":[1]}}]"#, "-  f =[1]"),
        (r#"[{"index":0,"function":{"arguments":5}}]"#, "0   5"),
        (r#"[{"index":0,"function":{"arguments":true}}]"#, "0   true"),
        (
            r#"[{"function":{"name":"f","arguments":{"n":12345678901234567890123}}}]"#,
            r#"-  f ={"n":12345678901234567890123}"#,
        ),
        (r#"{"0":{"id":"a","function":{"name":"f","arguments":"{}"}}}"#, "0 a f {}"),
        (r#""[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]""#, "- a f {}"),
        (r#"[{"id":"a","function":"{\"name\":\"f\",\"arguments\":{}}"}]"#, "- a f ={}"),
        (r#"[[{"id":"a","function":{"name":"f","arguments":"{}"}}]]"#, "- a f {}"),
    ] {
        assert_eq!(told(json), [expected], "{json}");
    }
}

#[test]
fn several_calls_are_read_and_nothing_is_none() {
    let pair = r#"{"1":{"name":"g","arguments":"{}"},"0":{"name":"f","arguments":"{}"}}"#;
    assert_eq!(told(pair), ["0  f {}", "1  g {}"]);
    let texts = r#"["{\"name\":\"f\"}",{"name":"g"}]"#;
    assert_eq!(told(texts), ["-  f ", "-  g "]);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(read(&deep).is_empty());
    for nothing in ["null", "[]", "{}", "[{}]", "[null]", "false", "\"\"", "0", "[{\"index\":0}]"] {
        assert!(read(nothing).is_empty(), "{nothing}");
    }
}
