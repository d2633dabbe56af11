"""What the official SDKs of OpenAI, Anthropic, Google and Amazon make of the simulated providers.

Argument: the JSON line that `simulate.rs` beside this prints, started with `--key k-right`. Every check
prints one line; the exit code is 1 if one fails. Retries are off, so that one call is one call.
"""

import base64
import json
import sys

import anthropic
import botocore.config
import botocore.exceptions
import botocore.session
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types

KEY = "k-right"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n-not-really-").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
FITTING = {"city": "text", "degrees": 0}

failed = 0


def check(name, run):
    """Runs one check and says how it went."""
    global failed
    try:
        run()
        print(f"ok   {name}")
    except Exception as error:  # a failed check must not end the others
        failed += 1
        print(f"FAIL {name}: {type(error).__name__}: {error}")


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def raises(kind, call):
    """The error of exactly this class that the call ends with."""
    try:
        call()
    except Exception as error:
        assert type(error) is kind, f"got {type(error).__name__} ({error}), expected {kind.__name__}"
        return error
    raise AssertionError(f"no error, expected {kind.__name__}")


# ---------------------------------------------------------------- OpenAI


def openai_checks(url):
    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=10)
    stranger = openai.OpenAI(base_url=url, api_key="k-wrong", max_retries=0, timeout=10)
    user = {"role": "user", "content": "hello"}
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}

    def create(model="gpt-4o", messages=(user,), using=client, **more):
        return using.chat.completions.create(model=model, messages=list(messages), **more)

    def plain():
        answer = create(max_completion_tokens=50, temperature=0.3, seed=1)
        same(answer.choices[0].message.content, "[gpt-4o] hello")
        same(answer.choices[0].finish_reason, "stop")
        same((answer.usage.prompt_tokens, answer.usage.completion_tokens), (2, 4))
        same(answer.usage.total_tokens, 6)
        assert answer._request_id.startswith("req_"), answer._request_id

    def limits():
        same(create(max_completion_tokens=1).choices[0].finish_reason, "length")
        same(create(stop=["hel"]).choices[0].message.content, "[gpt-4o] ")

    def tools():
        first = create(tools=[tool], tool_choice="required").choices[0]
        same(first.finish_reason, "tool_calls")
        call = first.message.tool_calls[0]
        same((call.function.name, json.loads(call.function.arguments)), ("weather", FITTING))
        result = {"role": "tool", "tool_call_id": call.id, "content": "4 C"}
        second = create(messages=[user, first.message, result], tools=[tool])
        same(second.choices[0].message.content, "[gpt-4o] 4 C")

    def as_json():
        ask = {"role": "user", "content": "hello as JSON"}
        answer = create(messages=[ask], response_format={"type": "json_object"})
        same(json.loads(answer.choices[0].message.content)["echo"], "hello as JSON")
        wanted = {"name": "weather", "schema": SCHEMA, "strict": True}
        answer = create(response_format={"type": "json_schema", "json_schema": wanted})
        same(json.loads(answer.choices[0].message.content), FITTING)

    def image():
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        text = {"type": "text", "text": "what is this"}
        answer = create(messages=[{"role": "user", "content": [text, picture]}])
        same(answer.choices[0].message.content, "[gpt-4o] what is this")
        assert answer.usage.prompt_tokens > 80, answer.usage.prompt_tokens

    def streamed():
        chunks = list(create(stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        same(text, "[gpt-4o] hello")
        same([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
        same((chunks[-1].choices, chunks[-1].usage.total_tokens), ([], 6))
        assert len(chunks) >= 6, len(chunks)
        same([c for c in create(stream=True) if c.usage], [])

    def streamed_tools():
        with client.chat.completions.stream(
            model="gpt-4o", messages=[user], tools=[tool], tool_choice="required"
        ) as stream:
            call = stream.get_final_completion().choices[0].message.tool_calls[0]
        same((call.function.name, json.loads(call.function.arguments)), ("weather", FITTING))

    def streamed_error():
        error = raises(openai.APIError, lambda: list(create("sim-fails", stream=True)))
        same(error.code, "server_is_overloaded")

    def refusals():
        message = create("sim-refusal").choices[0].message
        assert message.refusal and message.content is None, message
        same(create("sim-blocked").choices[0].finish_reason, "content_filter")

    def wait_hint():
        error = raises(openai.RateLimitError, lambda: create("sim-rate-limited"))
        same(error.response.headers["retry-after"], "7")
        same(error.code, "rate_limit_exceeded")

    errors = [
        ("wrong key", openai.AuthenticationError, "invalid_api_key", lambda: create(using=stranger)),
        ("quota", openai.RateLimitError, "insufficient_quota", lambda: create("sim-quota")),
        ("not found", openai.NotFoundError, "model_not_found", lambda: create("sim-not-found")),
        ("unknown parameter", openai.BadRequestError, "unknown_parameter",
         lambda: create(extra_body={"quality": 1})),
        ("context", openai.BadRequestError, "context_length_exceeded", lambda: create("sim-context")),
        ("reasoning models", openai.BadRequestError, "unsupported_parameter",
         lambda: create("gpt-5", max_tokens=5)),
        ("overloaded", openai.InternalServerError, "server_is_overloaded",
         lambda: create("sim-overloaded")),
        ("server error", openai.InternalServerError, None, lambda: create("sim-server-error")),
    ]
    check("openai plain answer and usage", plain)
    check("openai token limit and stop", limits)
    check("openai tool call and result", tools)
    check("openai JSON object and schema", as_json)
    check("openai image", image)
    check("openai stream and its usage", streamed)
    check("openai streamed tool call", streamed_tools)
    check("openai error within a stream", streamed_error)
    check("openai refusal and filter", refusals)
    check("openai rate limit with retry-after", wait_hint)
    check("openai models", lambda: same(client.models.list().data, []))
    for name, kind, code, call in errors:
        check(f"openai {name}", lambda: same(raises(kind, call).code, code))


# ---------------------------------------------------------------- Anthropic


def anthropic_checks(url):
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=10)
    stranger = anthropic.Anthropic(base_url=url, api_key="k-wrong", max_retries=0, timeout=10)
    user = {"role": "user", "content": "hello"}
    tool = {"name": "weather", "description": "now", "input_schema": SCHEMA}

    def create(model="claude-haiku-4-5", messages=(user,), using=client, max_tokens=50, **more):
        return using.messages.create(
            model=model, messages=list(messages), max_tokens=max_tokens, **more
        )

    def plain():
        answer = create(system="Be short.")
        same(answer.content[0].text, "[claude-haiku-4-5] hello")
        same(answer.stop_reason, "end_turn")
        same((answer.usage.input_tokens, answer.usage.output_tokens), (4, 6))
        assert answer._request_id.startswith("req_"), answer._request_id

    def limits():
        same(create(max_tokens=1).stop_reason, "max_tokens")
        answer = create(stop_sequences=["hel"])
        same((answer.stop_reason, answer.stop_sequence), ("stop_sequence", "hel"))

    def tools():
        first = create(tools=[tool], tool_choice={"type": "any"})
        same(first.stop_reason, "tool_use")
        call = first.content[0]
        same((call.name, call.input), ("weather", FITTING))
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "4 C"}
        spoken = {"role": "assistant", "content": first.content}
        second = create(messages=[user, spoken, {"role": "user", "content": [result]}], tools=[tool])
        same(second.content[0].text, "[claude-haiku-4-5] 4 C")

    def as_json():
        answer = create(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
        same(json.loads(answer.content[0].text), FITTING)

    def image():
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        parts = [{"type": "image", "source": source}, {"type": "text", "text": "what is this"}]
        answer = create(messages=[{"role": "user", "content": parts}])
        same(answer.content[0].text, "[claude-haiku-4-5] what is this")
        assert answer.usage.input_tokens > 80, answer.usage.input_tokens

    def streamed():
        with client.messages.stream(
            model="claude-haiku-4-5", messages=[user], max_tokens=50
        ) as stream:
            pieces = list(stream.text_stream)
            answer = stream.get_final_message()
        same("".join(pieces), "[claude-haiku-4-5] hello")
        assert len(pieces) > 3, pieces
        same((answer.content[0].text, answer.stop_reason), ("".join(pieces), "end_turn"))
        same((answer.usage.input_tokens, answer.usage.output_tokens), (2, 6))

    def streamed_tools():
        with client.messages.stream(
            model="m", messages=[user], max_tokens=50, tools=[tool], tool_choice={"type": "any"}
        ) as stream:
            call = stream.get_final_message().content[0]
        same((call.name, call.input), ("weather", FITTING))

    def streamed_error():
        try:
            list(create("sim-fails", stream=True))
        except anthropic.APIStatusError as error:
            same(error.body["error"]["type"], "overloaded_error")
        else:
            raise AssertionError("no error")

    def refusals():
        answer = create("sim-refusal")
        same((answer.stop_reason, answer.content), ("refusal", []))

    def wait_hint():
        error = raises(anthropic.RateLimitError, lambda: create("sim-rate-limited"))
        same(error.response.headers["retry-after"], "7")

    def quota():
        # The SDK has a class of its own for spend limits, found by the details of the error.
        try:
            create("sim-quota")
        except anthropic.RateLimitError as error:
            same(error.body["error"]["details"]["error_code"], "enforced_spend_limit_reached")
            assert type(error) is not anthropic.RateLimitError, "taken for a rate limit"
        else:
            raise AssertionError("no error")

    errors = [
        ("wrong key", anthropic.AuthenticationError, "authentication_error",
         lambda: create(using=stranger)),
        ("not found", anthropic.NotFoundError, "not_found_error", lambda: create("sim-not-found")),
        ("unknown field", anthropic.BadRequestError, "invalid_request_error",
         lambda: create(extra_body={"quality": 1})),
        ("no messages", anthropic.BadRequestError, "invalid_request_error",
         lambda: create(messages=[])),
        ("context", anthropic.BadRequestError, "invalid_request_error", lambda: create("sim-context")),
        ("overloaded", anthropic.OverloadedError, "overloaded_error",
         lambda: create("sim-overloaded")),
        ("server error", anthropic.InternalServerError, "api_error",
         lambda: create("sim-server-error")),
    ]
    check("anthropic plain answer and usage", plain)
    check("anthropic token limit and stop", limits)
    check("anthropic tool call and result", tools)
    check("anthropic JSON schema", as_json)
    check("anthropic image", image)
    check("anthropic stream and its usage", streamed)
    check("anthropic streamed tool call", streamed_tools)
    check("anthropic error within a stream", streamed_error)
    check("anthropic refusal", refusals)
    check("anthropic rate limit with retry-after", wait_hint)
    check("anthropic spend limit is no rate limit", quota)
    for name, kind, code, call in errors:
        check(f"anthropic {name}", lambda: same(raises(kind, call).body["error"]["type"], code))


# ---------------------------------------------------------------- Google


def google_checks(url):
    host, version = url.rsplit("/", 1)
    options = types.HttpOptions(base_url=host, api_version=version, timeout=10_000)
    client = genai.Client(api_key=KEY, http_options=options)
    stranger = genai.Client(api_key="k-wrong", http_options=options)
    declaration = {"name": "weather", "description": "now", "parameters_json_schema": SCHEMA}
    tool = types.Tool(function_declarations=[declaration])

    def create(model="gemini-2.5-flash", contents="hello", using=client, **config):
        # The SDK would otherwise run functions by itself.
        config.setdefault("automatic_function_calling", {"disable": True})
        return using.models.generate_content(
            model=model, contents=contents, config=types.GenerateContentConfig(**config)
        )

    def plain():
        answer = create(system_instruction="Be short.", temperature=0.3, max_output_tokens=50)
        same(answer.text, "[gemini-2.5-flash] hello")
        same(answer.candidates[0].finish_reason, types.FinishReason.STOP)
        usage = answer.usage_metadata
        same((usage.prompt_token_count, usage.candidates_token_count), (4, 6))
        same(usage.total_token_count, 10)

    def limits():
        same(create(max_output_tokens=1).candidates[0].finish_reason, types.FinishReason.MAX_TOKENS)
        same(create(stop_sequences=["hel"]).text, "[gemini-2.5-flash] ")

    def tools():
        forced = types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode="ANY", allowed_function_names=["weather"]
            )
        )
        first = create(tools=[tool], tool_config=forced)
        call = first.function_calls[0]
        same((call.name, call.args), ("weather", FITTING))
        asked = types.Content(role="user", parts=[types.Part(text="hello")])
        result = types.Part.from_function_response(name="weather", response={"output": "4 C"})
        given = types.Content(role="user", parts=[result])
        second = create(contents=[asked, first.candidates[0].content, given], tools=[tool])
        same(second.text, "[gemini-2.5-flash] 4 C")

    def as_json():
        answer = create(response_mime_type="application/json")
        same(json.loads(answer.text)["echo"], "hello")
        answer = create(response_mime_type="application/json", response_json_schema=SCHEMA)
        same(json.loads(answer.text), FITTING)

    def image():
        picture = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
        answer = create(contents=[picture, "what is this"])
        same(answer.text, "[gemini-2.5-flash] what is this")
        assert answer.usage_metadata.prompt_token_count > 80

    def streamed():
        config = types.GenerateContentConfig(automatic_function_calling={"disable": True})
        answers = list(client.models.generate_content_stream(
            model="gemini-2.5-flash", contents="hello", config=config
        ))
        same("".join(answer.text for answer in answers), "[gemini-2.5-flash] hello")
        assert len(answers) > 3, len(answers)
        same(answers[-1].candidates[0].finish_reason, types.FinishReason.STOP)
        same(answers[-1].usage_metadata.candidates_token_count, 6)

    def streamed_error():
        config = types.GenerateContentConfig(automatic_function_calling={"disable": True})
        ask = lambda: list(client.models.generate_content_stream(
            model="sim-fails", contents="hello", config=config
        ))
        code_of(raises(google_errors.ServerError, ask), (503, "UNAVAILABLE"))

    def blocked():
        answer = create("sim-blocked")
        same(answer.candidates, None)
        same(answer.prompt_feedback.block_reason, types.BlockedReason.PROHIBITED_CONTENT)
        same(create("sim-refusal").candidates[0].finish_reason, types.FinishReason.SAFETY)

    def wait_hint():
        error = raises(google_errors.ClientError, lambda: create("sim-rate-limited"))
        hints = [one.get("retryDelay") for one in error.details["error"]["details"]]
        assert "7s" in hints, hints

    errors = [
        ("wrong key", google_errors.ClientError, (400, "INVALID_ARGUMENT"),
         lambda: create(using=stranger)),
        ("quota", google_errors.ClientError, (429, "RESOURCE_EXHAUSTED"),
         lambda: create("sim-quota")),
        ("not found", google_errors.ClientError, (404, "NOT_FOUND"), lambda: create("sim-not-found")),
        ("context", google_errors.ClientError, (400, "INVALID_ARGUMENT"),
         lambda: create("sim-context")),
        ("bad role", google_errors.ClientError, (400, "INVALID_ARGUMENT"),
         lambda: create(contents=[types.Content(role="system", parts=[types.Part(text="x")])])),
        ("overloaded", google_errors.ServerError, (503, "UNAVAILABLE"),
         lambda: create("sim-overloaded")),
        ("server error", google_errors.ServerError, (500, "INTERNAL"),
         lambda: create("sim-server-error")),
    ]
    check("google plain answer and usage", plain)
    check("google token limit and stop", limits)
    check("google tool call and result", tools)
    check("google JSON and schema", as_json)
    check("google image", image)
    check("google stream and its usage", streamed)
    check("google error within a stream", streamed_error)
    check("google blocked prompt and answer", blocked)
    check("google rate limit with its delay", wait_hint)
    for name, kind, code, call in errors:
        check(f"google {name}", lambda: code_of(raises(kind, call), code))


def code_of(error, expected):
    same((error.code, error.status), expected)


# ---------------------------------------------------------------- Amazon Bedrock


def bedrock_checks(url):
    def client_of(key, secret=None, token=None):
        session = botocore.session.Session()
        session.set_credentials(key, secret or f"secret-of-{key}", token)
        once = botocore.config.Config(
            retries={"total_max_attempts": 1}, read_timeout=10, connect_timeout=10
        )
        return session.create_client(
            "bedrock-runtime", region_name="eu-central-1", endpoint_url=url, config=once
        )

    client, stranger = client_of(KEY), client_of("k-wrong")
    user = {"role": "user", "content": [{"text": "hello"}]}
    spec = {"name": "weather", "inputSchema": {"json": SCHEMA}}
    offer = {"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}}

    def create(model="m", messages=(user,), using=client, **more):
        return using.converse(modelId=model, messages=list(messages), **more)

    def said(answer):
        return answer["output"]["message"]["content"][0]

    def code(call):
        try:
            call()
        except botocore.exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return error.response["Error"]["Code"], status
        raise AssertionError("no error")

    def plain():
        system = [{"text": "Be short."}]
        config = {"maxTokens": 50, "temperature": 0.3}
        answer = create(system=system, inferenceConfig=config)
        same((said(answer)["text"], answer["stopReason"]), ("[m] hello", "end_turn"))
        usage = answer["usage"]
        same((usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]), (4, 3, 7))

    def signed():
        # With the colon of a version, and with the token of a temporary key.
        session = client_of(KEY, token="session/token+1==")
        answer = create("eu.anthropic.claude-haiku-4-5-20251001-v1:0", using=session)
        assert said(answer)["text"].endswith(" hello"), said(answer)
        forged = client_of(KEY, secret="another")
        same(code(lambda: create(using=forged)), ("InvalidSignatureException", 403))

    def limits():
        same(create(inferenceConfig={"maxTokens": 1})["stopReason"], "max_tokens")
        same(create(inferenceConfig={"stopSequences": ["hel"]})["stopReason"], "stop_sequence")

    def tools():
        first = create(toolConfig=offer)
        same(first["stopReason"], "tool_use")
        call = said(first)["toolUse"]
        same((call["name"], call["input"]), ("weather", FITTING))
        result = {"toolUseId": call["toolUseId"], "content": [{"text": "4 C"}]}
        turns = [user, first["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}]
        same(said(create(messages=turns, toolConfig={"tools": offer["tools"]}))["text"], "[m] 4 C")

    def as_json():
        schema = {"schema": json.dumps(SCHEMA), "name": "weather"}
        form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
        same(json.loads(said(create(outputConfig={"textFormat": form}))["text"]), FITTING)

    def image():
        picture = {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}
        parts = [{"image": picture}, {"text": "what is this"}]
        answer = create(messages=[{"role": "user", "content": parts}])
        same(said(answer)["text"], "[m] what is this")

    def stream(model="m", **more):
        return list(client.converse_stream(modelId=model, messages=[user], **more)["stream"])

    def streamed():
        events = stream()
        deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
        same("".join(delta["text"] for delta in deltas), "[m] hello")
        assert len(deltas) > 2, deltas
        same(events[-2]["messageStop"]["stopReason"], "end_turn")
        same(events[-1]["metadata"]["usage"]["totalTokens"], 5)

    def streamed_tools():
        events = stream(toolConfig=offer)
        start = next(e["contentBlockStart"]["start"] for e in events if "contentBlockStart" in e)
        same(start["toolUse"]["name"], "weather")
        deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
        same(json.loads("".join(delta["toolUse"]["input"] for delta in deltas)), FITTING)

    def streamed_error():
        try:
            stream("sim-fails")
        except botocore.exceptions.EventStreamError as error:
            same(error.response["Error"]["Code"], "serviceUnavailableException")
        else:
            raise AssertionError("no error")

    def refusals():
        same(create("sim-blocked")["stopReason"], "guardrail_intervened")
        same(create("sim-refusal")["stopReason"], "content_filtered")

    errors = [
        ("wrong key", "UnrecognizedClientException", 403, lambda: create(using=stranger)),
        ("not found", "ResourceNotFoundException", 404, lambda: create("sim-not-found")),
        ("quota", "ServiceQuotaExceededException", 400, lambda: create("sim-quota")),
        ("no messages", "ValidationException", 400, lambda: create(messages=[])),
        ("context", "ValidationException", 400, lambda: create("sim-context")),
        ("rate limit", "ThrottlingException", 429, lambda: create("sim-rate-limited")),
        ("overloaded", "ServiceUnavailableException", 503, lambda: create("sim-overloaded")),
        ("server error", "InternalServerException", 500, lambda: create("sim-server-error")),
    ]
    check("bedrock plain answer and usage", plain)
    check("bedrock signatures", signed)
    check("bedrock token limit and stop", limits)
    check("bedrock tool call and result", tools)
    check("bedrock JSON schema", as_json)
    check("bedrock image", image)
    check("bedrock stream and its usage", streamed)
    check("bedrock streamed tool call", streamed_tools)
    check("bedrock error within a stream", streamed_error)
    check("bedrock blocked prompt and answer", refusals)
    for name, kind, status, call in errors:
        check(f"bedrock {name}", lambda: same(code(call), (kind, status)))


def main():
    addresses = json.loads(sys.argv[1])
    openai_checks(addresses["openai"])
    anthropic_checks(addresses["anthropic"])
    google_checks(addresses["google"])
    bedrock_checks(addresses["bedrock"])
    print(f"{failed} failed" if failed else "all SDKs agree with the simulator")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
