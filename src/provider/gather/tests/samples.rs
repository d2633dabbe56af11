//! Streams in the shapes that real servers send, short enough to be run a million times.

use crate::config::Kind;
use crate::provider::framing::eventstream::message;

/// The samples of a format.
pub(super) fn of(kind: Kind) -> Vec<Vec<u8>> {
    let samples = match kind {
        Kind::OpenAi => &OPENAI[..],
        Kind::Anthropic => &ANTHROPIC[..],
        Kind::Google => &GOOGLE[..],
        Kind::Bedrock => return BEDROCK.iter().map(|sample| framed(sample)).collect(),
    };
    samples.iter().map(|sample| sample.as_bytes().to_vec()).collect()
}

/// The messages of a sample; one whose name begins with a small `e` and a colon is an exception.
fn framed(sample: &[(&str, &str)]) -> Vec<u8> {
    let frame = |(name, data): &(&str, &str)| match name.strip_prefix("e:") {
        Some(name) => message("exception", name, data),
        None => message("event", name, data),
    };
    sample.iter().flat_map(frame).collect()
}

const BEDROCK: [&[(&str, &str)]; 4] = [
    &[
        ("messageStart", "{\"role\":\"assistant\",\"p\":\"ab\"}"),
        (
            "contentBlockDelta",
            "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Grüße 👋\"},\"p\":\"a\"}",
        ),
        ("contentBlockStop", "{\"contentBlockIndex\":0}"),
        ("messageStop", "{\"stopReason\":\"end_turn\"}"),
        ("metadata", "{\"usage\":{\"inputTokens\":5,\"outputTokens\":2},\"metrics\":{}}"),
    ],
    // A thought, then a tool.
    &[
        ("contentBlockDelta", "{\"delta\":{\"reasoningContent\":{\"text\":\"hm\"}}}"),
        (
            "contentBlockStart",
            "{\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\"}}}",
        ),
        (
            "contentBlockDelta",
            "{\"contentBlockIndex\":1,\"delta\":{\"toolUse\":{\"input\":\"{}\"}}}",
        ),
        ("messageStop", "{\"stopReason\":\"tool_use\"}"),
    ],
    // An exception after text.
    &[
        ("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"half\"}}"),
        ("e:throttlingException", "{\"message\":\"slow\"}"),
    ],
    // No finish.
    &[("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"half\"}}")],
];

const OPENAI: [&str; 7] = [
    // The service itself, with usage.
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße \"},\"finish_reason\":null}],\"obfuscation\":\"aG\"}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"👋\"},\"finish_reason\":null}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n\
     data: [DONE]\n\n",
    // Comments, CRLF, a byte order mark, no space, no end marker.
    "\u{feff}: OPENROUTER PROCESSING\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n\
     : OPENROUTER PROCESSING\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\r\n\r\n",
    // Two tool calls in fragments.
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"g\"}},{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
    // Lines that end with CR, one event over two data lines.
    "data: {\"choices\":\rdata: [{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"length\"}]}\r\rdata: [DONE]\r\r",
    // An error after text.
    "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n\
     data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":503}}\n\ndata: [DONE]\n\n",
    // No finish, only the marker.
    "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\ndata: [DONE]\n\n",
    // Not JSON.
    "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\ndata: {\"choices\":[{\"del\n\ndata: [DONE]\n\n",
];

const ANTHROPIC: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n\
     event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
     event: ping\ndata: {\"type\": \"ping\"}\n\n\
     event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hé\"}     }\n\n\
     event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
     event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
     event: message_stop\ndata: {\"type\":\"message_stop\"  }\n\n",
    // Thinking, then a tool, with CRLF.
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\r\n\r\n\
     data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\r\n\r\n\
     data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}}\r\n\r\n\
     data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\r\n\r\n\
     data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\r\n\r\n\
     data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":3}}\r\n\r\n\
     data: {\"type\":\"message_stop\"}\r\n\r\n",
    // An error after the start.
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n\
     event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
    // The end without message_stop.
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n\
     data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n",
];

const GOOGLE: [&str; 5] = [
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Größ\"}],\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 6}}\r\n\r\n\
     data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"er 👋\"}],\"role\": \"model\"},\"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 6,\"candidatesTokenCount\": 2,\"thoughtsTokenCount\": 20}}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true}]}}]}\n\n\
     data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"}]},\"finishReason\":\"STOP\"}]}\n\n",
    "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":6}}\n\n",
    // An error over several lines, without a field, within a list.
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"half\"}]}}]}\n\n\
     [{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}]\n",
    // A list of responses.
    "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n,\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}\n]",
];
