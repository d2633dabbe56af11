//! Requests in the form that real programs have sent: nothing but texts is shortened.

use serde_json::{Value, json};

use super::{asked, call, messages};

fn function(name: &str, strict: bool) -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!({"type": "function", "name": name, "description": "d", "strict": strict,
           "parameters": parameters})
}

/// Codex in its second turn: instructions as items, a namespace of tools, one that is hosted.
fn codex() -> Value {
    let text = |role: &str, texts: &[&str]| {
        let parts: Vec<Value> =
            texts.iter().map(|text| json!({"type": "input_text", "text": text})).collect();
        json!({"type": "message", "id": "msg_1", "role": role, "content": parts})
    };
    json!({
        "model": "default", "stream": true,
        "input": [
            text("developer", &["You are a coding agent."]),
            text("developer", &["<skills>", "<permissions>"]),
            text("user", &["<environment_context>"]),
            text("user", &["List the files"]),
            {"type": "function_call", "status": "completed", "id": "fc_1", "name": "exec_command",
             "arguments": "{\"cmd\":\"ls\"}", "call_id": "call_1"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "a b"},
        ],
        "tools": [
            function("exec_command", false), function("write_stdin", false),
            {"type": "namespace", "name": "multi_agent_v1", "description": "Sub-agents.",
             "tools": [function("close_agent", false), function("spawn_agent", false)]},
            function("get_goal", false),
            {"type": "web_search", "external_web_access": false},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"summary": "auto"},
        "store": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "u",
        "client_metadata": {"session_id": "u", "x-codex-window-id": "u:0"},
    })
}

#[test]
fn codex_gets_its_tools_and_its_conversation() {
    let asked = asked(&codex()).unwrap();
    let offered: Vec<&str> =
        asked.request.tools.iter().map(|tool| tool.function.name.as_str()).collect();
    assert_eq!(offered, ["exec_command", "write_stdin", "close_agent", "spawn_agent", "get_goal"]);
    assert_eq!(asked.dropped, ["prompt_cache_key", "client_metadata", "tools.web_search"]);
    let messages = messages(&asked);
    assert_eq!(messages.as_array().unwrap().len(), 6);
    assert_eq!(messages[1]["content"][1]["text"], "<permissions>");
    assert_eq!(
        messages[4]["tool_calls"],
        json!([call("call_1", "exec_command", "{\"cmd\":\"ls\"}")])
    );
    assert_eq!(messages[5], json!({"role": "tool", "content": "a b", "tool_call_id": "call_1"}));
}

#[test]
fn agents_and_libraries_are_understood_without_a_type_of_message() {
    let agents = json!({
        "include": [], "instructions": "be short", "model": "default", "stream": true,
        "input": [
            {"content": "weather?", "role": "user"},
            {"arguments": "{\"city\":\"Paris\"}", "call_id": "call_1", "name": "weather",
             "type": "function_call", "id": "fc_1", "status": "completed"},
            {"call_id": "call_1", "output": "sunny", "type": "function_call_output"},
        ],
        "tools": [function("weather", true)],
    });
    let asked_by_agents = asked(&agents).unwrap();
    assert!(asked_by_agents.dropped.is_empty());
    let messages_of_agents = messages(&asked_by_agents);
    assert_eq!(messages_of_agents[0], json!({"role": "system", "content": "be short"}));
    assert_eq!(messages_of_agents[3]["content"], "sunny");
    assert_eq!(asked_by_agents.request.tools[0].function.strict, Some(true));
    for input in [
        json!("hi"),
        json!([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]),
        json!([{"content": "hi", "role": "user", "type": "message"}]),
    ] {
        let asked = asked(&json!({"model": "default", "input": input, "stream": false})).unwrap();
        assert_eq!(messages(&asked), json!([{"role": "user", "content": "hi"}]));
    }
}
