//! Marks for the prompt's cache, and parts that are no text.

use super::*;

fn caching() -> Model {
    let mut provider = fixtures::provider(Kind::Anthropic, "https://api.anthropic.com");
    provider.caches_prompts = true;
    model(provider)
}

fn cached(asked: Value) -> Value {
    let request = request(asked);
    fixtures::tree(body(&call(&caching(), &request), Asking::WHOLE))
}

fn text(text: &str, mark: bool) -> Value {
    let mut part = json!({"type": "text", "text": text});
    if mark {
        part["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
    }
    part
}

#[test]
fn what_stays_the_same_is_marked_where_the_owner_wants_it() {
    let asked = json!({"messages": [{"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"}], "tools": tools()});
    let body = cached(asked.clone());
    let usual = json!({"type": "ephemeral"});
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "Be short.", "cache_control": usual}])
    );
    assert!(body["tools"][0].get("cache_control").is_none());
    assert_eq!(body["tools"][1]["cache_control"], usual);
    assert!(!body["messages"].to_string().contains("cache_control"));
    assert_eq!(written(asked)["system"], "Be short.");
    let bare = cached(json!({"messages": [{"role": "user", "content": "Hi"}]}));
    assert!(!bare.to_string().contains("cache_control") && bare.get("system").is_none());
}

#[test]
fn a_callers_marks_are_passed_on_instead() {
    let mut offered = tools();
    offered[0]["cache_control"] = json!({"type": "ephemeral"});
    let body = cached(json!({"messages": [
        {"role": "system", "content": [text("One.", true), text("Two.", false)]},
        {"role": "user", "content": [text("Long.", true), text("Short.", false)]}],
        "tools": offered}));
    assert_eq!(body["system"], json!([text("One.", true), text("Two.", false)]));
    assert_eq!(body["messages"][0]["content"], json!([text("Long.", true), text("Short.", false)]));
    assert_eq!(body["tools"][0]["cache_control"], json!({"type": "ephemeral"}));
    assert!(body["tools"][1].get("cache_control").is_none());
}

#[test]
fn of_more_than_four_marks_the_last_are_sent() {
    let parts: Vec<Value> = (0..6).map(|n| text(&n.to_string(), true)).collect();
    let body = written(json!({"messages": [{"role": "system", "content": [text("s", true)]},
        {"role": "user", "content": parts}]}));
    assert_eq!(body["system"], "s");
    let marked = body["messages"][0]["content"].as_array().unwrap().iter();
    let marked: Vec<bool> = marked.map(|block| block.get("cache_control").is_some()).collect();
    assert_eq!(marked, [false, false, true, true, true, true]);
}

#[test]
fn files_are_documents_and_what_cannot_be_sent_is_told() {
    let file = |data: &str, name: &str| json!({"type": "file", "file": {"file_data": data, "filename": name}});
    let body = written(json!({"messages": [{"role": "user", "content": [
        file("data:application/pdf;base64,AA==", "a.pdf"),
        file("data:text/csv;base64,SGk=", "a.csv"),
        file("data:image/png;base64,AA==", "a.png"),
        file("https://example.com/a.pdf", "b.pdf"),
        file("data:application/zip;base64,AA==", "a.zip"),
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}]}));
    let left_out = |what: &str| {
        text(&format!("[{what} was left out: this model does not take it here]"), false)
    };
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "document", "title": "a.pdf", "source":
                {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
            {"type": "document", "title": "a.csv", "source":
                {"type": "text", "media_type": "text/plain", "data": "Hi"}},
            {"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            {"type": "document", "title": "b.pdf", "source":
                {"type": "url", "url": "https://example.com/a.pdf"}},
            left_out("the file \"a.zip\""), left_out("a file"), left_out("a recording")])
    );
}
