"""The official Python SDK of OpenAI with Chat Completions."""

import sys

import openai

SOCKET, PORT, TOKEN = sys.argv[1:4]
HI = [{"role": "user", "content": "hi there"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
failed = 0


def clients():
    """Over the socket, with whichever library the SDK was built on, and over TCP."""
    try:
        import httpx2 as http
    except ImportError:
        import httpx as http
    over = http.Client(transport=http.HTTPTransport(uds=SOCKET))
    yield "socket", openai.OpenAI(base_url="http://x/v1", api_key="none", http_client=over)
    yield "tcp", openai.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key=TOKEN)


def check(name, run, *arguments):
    global failed
    try:
        run(*arguments)
        print(f"ok   chat {name}", flush=True)
    except Exception as error:  # a failed check must not end the others
        failed += 1
        print(f"FAIL chat {name}: {type(error).__name__}: {error}", flush=True)


def plain(client, model):
    answer = client.chat.completions.create(model=model, messages=HI)
    assert answer.choices[0].message.content.endswith("hi there"), answer
    assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0
    assert answer._request_id, "the SDK finds the name of the request"


def streamed(client, model):
    options = {"include_usage": True}
    text, finish, usage = "", None, None
    for chunk in client.chat.completions.create(
        model=model, messages=HI, stream=True, stream_options=options
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text.endswith("hi there") and finish == "stop" and usage.total_tokens > 0


def tools(client, model):
    first = client.chat.completions.create(
        model=model, messages=HI, tools=TOOLS, tool_choice="required"
    )
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and first.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    history = [*HI, first.choices[0].message, result]
    second = client.chat.completions.create(model=model, messages=history, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop" and second.choices[0].message.content


def structured(client, model):
    schema = {"type": "object", "properties": {"name": {"type": "string"}},
              "required": ["name"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "who", "schema": schema, "strict": True}}
    answer = client.chat.completions.create(model=model, messages=HI, response_format=form)
    assert "name" in answer.choices[0].message.content, answer


def lists(client):
    names = [model.id for model in client.models.list()]
    assert "outage" in names and "gpt" in names, names
    assert client.models.retrieve("gpt").id == "gpt"


def outage(client):
    raw = client.chat.completions.with_raw_response.create(model="outage", messages=HI)
    assert raw.parse().model == "claude"
    assert raw.headers["x-fallbackd-attempts"] == "busy=overloaded;claude=answered"


def refused(client, model, kind):
    once = client.with_options(max_retries=0)
    try:
        once.chat.completions.create(model=model, messages=HI)
    except kind as error:
        return error
    raise AssertionError("it was answered")


def broken(client):
    chunks = list(client.chat.completions.create(model="broken", messages=HI, stream=True))
    whole = client.chat.completions.create(model="drip", messages=HI)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


def differs(client):
    try:
        list(client.chat.completions.create(model="differs", messages=HI, stream=True))
    except openai.APIError as error:
        assert "broke off" in str(error), error
        return
    raise AssertionError("half an answer was taken for a whole one")


def main():
    for way, client in clients():
        for model in ("gpt", "claude", "gemini"):
            for what in (plain, streamed, tools, structured):
                check(f"{way} {what.__name__} {model}", what, client, model)
        check(f"{way} lists of models", lists, client)
        check(f"{way} outage", outage, client)
        check(f"{way} broken stream, equal backup", broken, client)
        check(f"{way} broken stream, differing backup", differs, client)
        check(f"{way} unknown model", refused, client, "nosuch", openai.NotFoundError)
        check(f"{way} context", refused, client, "long", openai.BadRequestError)
        check(f"{way} policy", refused, client, "policy", openai.BadRequestError)
        check(f"{way} dead chain", refused, client, "limited", openai.InternalServerError)
    wrong = openai.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="wrong")
    check("wrong token", refused, wrong, "gpt", openai.AuthenticationError)
    sys.exit(1 if failed else 0)


main()
