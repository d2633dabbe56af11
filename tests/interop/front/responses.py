"""The official Python SDK of OpenAI with Responses, and the Agents SDK where it is installed.

Every answer and every event is held against the SDK's own types. Retries are off, so that one call
is one call.
"""

import asyncio
import importlib.util
import json
import sys

import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

try:
    import httpx2 as httpx  # what newer versions of the SDK use
except ImportError:
    import httpx

SOCKET, PORT, TOKEN = sys.argv[1:4]
KINDS = ["gpt", "claude", "gemini"]
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
SPACE = {"type": "namespace", "name": "tools_v1", "description": "Tools.", "tools": [WEATHER]}

http = httpx.Client(transport=httpx.HTTPTransport(uds=SOCKET))
client = openai.OpenAI(base_url="http://x/v1", api_key="none", http_client=http, max_retries=0)
failed = 0


class Person(BaseModel):
    name: str
    age: int


def check(name, run, *arguments):
    """Runs one check and says how it went."""
    global failed
    title = f"{name} {' '.join(arguments)}".rstrip()
    try:
        run(*arguments)
        print(f"ok   responses {title}", flush=True)
    except Exception as error:  # a failed check must not end the others
        failed += 1
        print(f"FAIL responses {title}: {type(error).__name__}: {error}", flush=True)


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def error_of(kind, call):
    """The error of exactly this class that the call ends with."""
    try:
        call()
    except Exception as error:
        assert type(error) is kind, f"got {type(error).__name__} ({error}), expected {kind.__name__}"
        return error
    raise AssertionError(f"no error, expected {kind.__name__}")


def valid(raw):
    """The answer, after every field was held against the SDK's own types."""
    Response.model_validate_json(raw.http_response.read())
    return raw.parse()


# ---------------------------------------------------------------- whole answers


def plain(model):
    raw = client.responses.with_raw_response.create(
        model=model, input="hello", instructions="be short", metadata={"a": "b"}, store=True
    )
    answer = valid(raw)
    assert answer.output_text.endswith("hello"), answer.output_text
    same((answer.status, answer.instructions, answer.metadata), ("completed", "be short", {"a": "b"}))
    same(answer._request_id, answer.id.removeprefix("resp_"))
    usage = answer.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0, usage
    same(usage.total_tokens, usage.input_tokens + usage.output_tokens)
    same(raw.headers["x-fallbackd-dropped"], "metadata")


def structured(model):
    answer = client.responses.parse(model=model, input="who?", text_format=Person)
    assert isinstance(answer.output_parsed, Person), answer.output_parsed
    same(answer.text.format.name, "Person")


def tools(model):
    question = {"role": "user", "content": "weather in Paris?"}
    raw = client.responses.with_raw_response.create(
        model=model, input=[question], tools=[WEATHER, {"type": "web_search"}], tool_choice="required"
    )
    first = valid(raw)
    (call,) = [item for item in first.output if item.type == "function_call"]
    same((call.name, json.loads(call.arguments)), ("weather", {"city": "text"}))
    same(raw.headers["x-fallbackd-dropped"], "tools.web_search")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        model=model, input=[question, *first.output, result], tools=[WEATHER]
    )
    assert second.output_text.endswith("sunny"), second.output_text


def namespace(model):
    choice = {"type": "function", "name": "weather"}
    raw = client.responses.with_raw_response.create(
        model=model, input="weather?", tools=[SPACE], tool_choice=choice
    )
    call = valid(raw).output[-1]
    same((call.namespace, call.name), ("tools_v1", "weather"))


def cut_short(model):
    answer = client.responses.create(model=model, input="a long text " * 20, max_output_tokens=16)
    same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    assert answer.output_text, "no text"


# ---------------------------------------------------------------- streams


def events(**request):
    """All events of a stream, each held against the SDK's own types."""
    types = TypeAdapter(ResponseStreamEvent)
    found = []
    with client.responses.with_streaming_response.create(stream=True, **request) as raw:
        for line in raw.iter_lines():
            if line.startswith("data: "):
                found.append(types.validate_json(line.removeprefix("data: ")))
    same([event.sequence_number for event in found], list(range(len(found))))
    return found


def streamed(model):
    told = events(model=model, input="hello")
    text = "".join(event.delta for event in told if event.type == "response.output_text.delta")
    last = told[-1]
    same(last.type, "response.completed")
    same(last.response.output_text, text)
    assert last.response.usage.total_tokens > 0, last.response.usage
    with client.responses.stream(model=model, input="hello") as stream:
        for _ in stream:
            pass
        same(stream.get_final_response().output_text, text)


def streamed_structured(model):
    with client.responses.stream(model=model, input="who?", text_format=Person) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, Person)


def streamed_tools(model):
    request = {"model": model, "input": "weather?", "tools": [WEATHER], "tool_choice": "required"}
    told = events(**request)
    done = [event.item for event in told if event.type == "response.output_item.done"]
    same([item.type for item in done if item.type != "reasoning"], ["function_call"])
    pieces = [e.delta for e in told if e.type == "response.function_call_arguments.delta"]
    same("".join(pieces), done[-1].arguments)
    same(told[-1].response.output, done)


# ---------------------------------------------------------------- what goes wrong


def outage():
    for answer in (
        client.responses.create(model="outage", input="hello").output_text,
        events(model="outage", input="hello")[-1].response.output_text,
    ):
        assert answer.endswith("hello"), answer
    raw = client.responses.with_raw_response.create(model="outage", input="hello")
    same(raw.headers["x-fallbackd-fallback-count"], "1")


def over_tcp():
    url = f"http://127.0.0.1:{PORT}/v1"
    other = openai.OpenAI(base_url=url, api_key=TOKEN, max_retries=0)
    assert other.responses.create(model="gpt", input="hello").output_text.endswith("hello")
    *_, last = other.responses.create(model="claude", input="hello", stream=True)
    same(last.type, "response.completed")


def nobody():
    for stream in (False, True):
        error = error_of(
            openai.InternalServerError,
            lambda: client.responses.create(model="limited", input="hello", stream=stream),
        )
        same(error.status_code, 503)
        assert int(error.response.headers["retry-after"]) >= 1


def broken():
    told = []

    def hear():
        for event in client.responses.create(model="differs", input="hello", stream=True):
            told.append(event)

    # The SDK raises for the connection that is cut, not for the event.
    try:
        hear()
    except Exception as error:
        assert isinstance(error, (openai.APIError, httpx.HTTPError)), type(error)
    else:
        raise AssertionError("the stream ended as if it were whole")
    same(told[-1].type, "response.failed")
    same((told[-1].response.status, told[-1].response.error.code), ("failed", "server_error"))
    assert not any(event.type.endswith(("done", "completed")) for event in told)


def refused():
    for request in (
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
    ):
        error = error_of(
            openai.BadRequestError,
            lambda: client.responses.create(model="gpt", input="hello", **request),
        )
        same((error.param, error.type), (list(request)[-1], "invalid_request_error"))
    error_of(openai.NotFoundError, lambda: client.responses.create(model="nobody", input="hello"))
    error_of(openai.NotFoundError, lambda: client.responses.retrieve("resp_1"))


# ---------------------------------------------------------------- the Agents SDK


def agents(model):
    from agents import (
        Agent,
        ModelSettings,
        OpenAIResponsesModel,
        Runner,
        function_tool,
        set_tracing_disabled,
    )

    set_tracing_disabled(True)

    @function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    async def run():
        async_http = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=SOCKET))
        asynchronous = openai.AsyncOpenAI(
            base_url="http://x/v1", api_key="none", http_client=async_http, max_retries=0
        )
        agent = Agent(
            name="a",
            instructions="be short",
            model=OpenAIResponsesModel(model=model, openai_client=asynchronous),
            tools=[weather],
            model_settings=ModelSettings(tool_choice="required"),
        )
        whole = await Runner.run(agent, "weather?")
        streaming = Runner.run_streamed(agent, "weather?")
        async for _ in streaming.stream_events():
            pass
        return whole.final_output, streaming.final_output

    for answer in asyncio.run(run()):
        assert answer.endswith("sunny in text"), answer


for kind in KINDS:
    check("plain", plain, kind)
    check("structured", structured, kind)
    check("tools in two turns", tools, kind)
    check("a namespace of tools", namespace, kind)
    check("cut short", cut_short, kind)
    check("streamed", streamed, kind)
    check("streamed and structured", streamed_structured, kind)
    check("streamed tools", streamed_tools, kind)
check("over TCP", over_tcp)
check("an outage of the primary", outage)
check("nobody answers", nobody)
check("a stream that is cut", broken)
check("what is refused", refused)
if importlib.util.find_spec("agents"):
    for kind in KINDS:
        check("agents with a tool", agents, kind)
else:
    print("SKIP: the Agents SDK is not installed", flush=True)
sys.exit(1 if failed else 0)
