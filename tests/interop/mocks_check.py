"""fallbackd against the simulators aimock and llmposter, over its Unix socket.

For every simulator and every kind of provider, asked for streams and not, there is a model that
answers and one for each way to fail. Checked are the answer, the `error_type` in `attempts` after a fallback, and that the header
for waiting makes a hold that later callers see. Every check prints one line; the exit code is 1 if
one fails. Everything started here is ended here.
"""

import argparse
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

WAIT = 17  # seconds, what the simulators ask for
LONG = "prompt is too long: 250000 tokens > 200000 maximum"
KINDS = {"openai": "/v1", "anthropic": "", "google": "/v1beta"}
# Whether the daemon asks for streams: the value of upstream_stream.
WAYS = {"streamed": "auto", "whole": "never"}

# How to fail: status, message, type and code as an OpenAI-style body has them, what fallbackd calls it.
ERRORS = {
    "busy": (503, "busy", "overloaded_error", None, "overloaded"),
    "broken": (500, "broken", "server_error", None, "server_error"),
    "limited": (429, "slow down", "rate_limit_error", "rate_limit_exceeded", "rate_limited"),
    "nokey": (401, "bad key", "authentication_error", "invalid_api_key", "auth"),
    "missing": (404, "no such model", "not_found_error", "model_not_found", "model_not_found"),
    "toolong": (400, LONG, "invalid_request_error", "context_length_exceeded", "context_too_long"),
}

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


def same(got, expected, whole=None):
    assert got == expected, f"got {got!r}, expected {expected!r}" + (f" in {whole}" if whole else "")


# ------------------------------------------------------------- the two simulators


def aimock_fixtures():
    fixtures = [{"match": {"model": "good"}, "response": {"content": "hello from aimock"}}]
    for case, (status, message, kind, code, _) in ERRORS.items():
        error = {"message": message, "type": kind, "code": code}
        response = {"error": error, "status": status}
        if case == "limited":
            response["retryAfter"] = WAIT
        fixtures.append({"match": {"model": case}, "response": response})
    text = {"content": "never seen"}
    fixtures.append({"match": {"model": "garbled"}, "response": text, "chaos": {"malformedRate": 1}})
    fixtures.append({"match": {"model": "cut"}, "response": text, "chaos": {"disconnectRate": 1}})
    money = {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}
    fixtures.append({"match": {"model": "quota"}, "response": {"error": money, "status": 429}})
    return {"fixtures": fixtures}


def llmposter_fixtures():
    def on(case):
        return {"model": {"regex": f"^{case}$"}}

    fixtures = [{"match": on("good"), "response": {"content": "hello from llmposter"}}]
    for case, (status, message, _, _, _) in ERRORS.items():
        error = {"status": status, "message": message}
        if case == "limited":
            error["headers"] = {"retry-after": str(WAIT)}
        fixtures.append({"match": on(case), "error": error})
    text = {"content": "never seen"}
    corrupt = {"corrupt_body": True}
    fixtures.append({"match": on("garbled"), "response": text, "failure": corrupt})
    fixtures.append({"match": on("refusing"), "refusal": {"reason": "I cannot help with that."}})
    return {"fixtures": fixtures}


def cases(mock, kind, way):
    """The ways to fail that this simulator has for this kind, and what fallbackd calls them."""
    found = {case: error[4] for case, error in ERRORS.items()}
    found["garbled"] = "bad_body"
    if mock == "aimock":
        found["cut"] = "reset"
        if kind == "openai":
            found["quota"] = "quota_exhausted"
    return found


class Running:
    """The processes started here, ended in the end whatever happens."""

    def __init__(self, folder):
        self.folder = folder
        self.all = []

    def start(self, name, command, **more):
        log = open(os.path.join(self.folder, f"{name}.log"), "w+")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **more
        )
        self.all.append(process)
        return process, log

    def mock(self, name, command):
        """Starts a simulator on a free port and gives the address it prints."""
        process, log = self.start(name, command)
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            log.seek(0)
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read())
            if found:
                return found.group(1)
            time.sleep(0.05)
        log.seek(0)
        sys.exit(f"{name} did not start:\n{log.read()}")

    def end(self):
        for process in self.all:
            process.terminate()
        for process in self.all:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


# ------------------------------------------------------------- the daemon


def configuration(folder, mocks):
    lines = [
        "[daemon]",
        f'socket = "{folder}/sock"',
        f'state_dir = "{folder}/state"',
        f'health_log = "{folder}/health.jsonl"',
        "[request]",
        'timeout = "30s"',
        "[retry]",
        'base = "10ms"',
    ]
    for mock, address in mocks.items():
        for (kind, path), (way, streams) in itertools.product(KINDS.items(), WAYS.items()):
            lines += [
                f"[providers.{mock}-{kind}-{way}]",
                f'kind = "{kind}"',
                f'base_url = "{address}{path}"',
                'api_key = { env = "INTEROP_KEY" }',
                f'upstream_stream = "{streams}"',
            ]
            found = ["good", "refusing", *cases(mock, kind, way)]
            for priority, case in enumerate(found, start=1):
                lines += [
                    f"[models.{mock}-{kind}-{way}-{case}]",
                    f'provider = "{mock}-{kind}-{way}"',
                    f'model_id = "{case}"',
                    f"priority = {priority}",
                    "max_tokens = 100",
                    "cost_per_1k_input = 0.001",
                    "cost_per_1k_output = 0.002",
                ]
    first = next(iter(mocks))
    lines += ["[chains]", f'default = ["{first}-openai-whole-good"]']
    return "\n".join(lines) + "\n"


class Client:
    """One connection to the daemon: a line there, a line back."""

    def __init__(self, path, process, log):
        end = time.monotonic() + 20
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end or process.poll() is not None:
                    log.seek(0)
                    sys.exit(f"fallbackd did not open its socket:\n{log.read()[-3000:]}")
                time.sleep(0.05)
        self.rest = b""

    def ask(self, **request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.line()

    def line(self):
        end = time.monotonic() + 40
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.socket], [], [], max(0.0, end - time.monotonic()))
            assert ready, "no reply within 40 s"
            received = self.socket.recv(65536)
            assert received, "the daemon closed the connection"
            self.rest += received
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def chat(self, *models, **more):
        messages = [{"role": "user", "content": "hi"}]
        return self.ask(models=list(models), messages=messages, **more)


# ------------------------------------------------------------- the checks


def answers(client, who):
    reply = client.chat(f"{who}-good")
    same(reply.get("ok"), True, reply)
    same(reply["content"], f"hello from {who.split('-')[0]}")
    same((reply["finish_reason"], reply["fallback_count"]), ("stop", 0), reply)


def streams(client, who):
    """What is streamed is the answer."""
    model = f"{who}-good"
    messages = [{"role": "user", "content": "hi"}]
    events = [client.ask(models=[model], messages=messages, stream=True)]
    while "event" in events[-1]:
        events.append(client.line())
    reply = events.pop()
    same(reply.get("ok"), True, reply)
    same(events[0], {"id": None, "event": "start", "model_used": model})
    text = "".join(event["content"] for event in events if event["event"] == "delta")
    same(text, reply["content"])


def falls_back(client, who, case, error_type):
    bad, good = f"{who}-{case}", f"{who}-good"
    reply = client.chat(bad, good)
    same(reply.get("ok"), True, reply)
    same((reply["model_used"], reply["used_fallback"]), (good, True), reply)
    found = {one.get("error_type") for one in reply["attempts"] if one["model"] == bad}
    same(found, {error_type}, reply)


def holds(client, who, address):
    """After a 429 with a wait the model is left alone, and callers hear for how long."""
    bad = f"{who}-limited"
    before = calls(who, address)
    reply = client.chat(bad)
    same((reply["ok"], reply["error"]["code"]), (False, "no_model_available"), reply)
    wait = reply["error"]["retry_after_ms"]
    assert wait and 1_000 < wait <= WAIT * 1000, reply
    same(reply["attempts"][0]["reason"], "rate_limited", reply)
    same(calls(who, address), before)


def calls(who, address):
    """How many calls the simulator saw; only aimock tells."""
    if not who.startswith("aimock"):
        return None
    with urllib.request.urlopen(f"{address}/__aimock/journal?limit=1", timeout=10) as reply:
        return int(reply.headers["X-Total-Count"])


def refuses(client, who):
    bad, good = f"{who}-refusing", f"{who}-good"
    reply = client.chat(bad, good)
    same((reply.get("ok"), reply.get("finish_reason")), (True, "refused"), reply)
    reply = client.chat(bad, good, on_refusal="fallback")
    same((reply.get("ok"), reply.get("model_used")), (True, good), reply)
    same(reply["attempts"][0]["error_type"], "refused", reply)


def run(client, mocks):
    for mock, address in mocks.items():
        for kind, way in itertools.product(KINDS, WAYS):
            who = f"{mock}-{kind}-{way}"
            check(f"{who} answers", lambda: answers(client, who))
            check(f"{who} is streamed to the caller", lambda: streams(client, who))
            for case, error_type in cases(mock, kind, way).items():
                name = f"{who} {case} is {error_type}"
                check(name, lambda: falls_back(client, who, case, error_type))
            check(f"{who} is held after a 429", lambda: holds(client, who, address))
            if mock == "llmposter":
                check(f"{who} refuses", lambda: refuses(client, who))


def main():
    parser = argparse.ArgumentParser()
    for name in ("--daemon", "--aimock", "--llmposter"):
        parser.add_argument(name, default="")
    wanted = parser.parse_args()
    # So that what was started here is ended when the time is up, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    with tempfile.TemporaryDirectory() as folder:
        running = Running(folder)
        try:
            mocks = {}
            for name, content, command in [
                ("aimock", aimock_fixtures(), ["node", wanted.aimock, "--log-level", "info"]),
                ("llmposter", llmposter_fixtures(), [wanted.llmposter]),
            ]:
                if not getattr(wanted, name):
                    continue
                # JSON is YAML, too.
                path = os.path.join(folder, f"{name}.{'json' if name == 'aimock' else 'yaml'}")
                with open(path, "w") as file:
                    json.dump(content, file)
                mocks[name] = running.mock(name, [*command, "-p", "0", "-f", path])
            config = os.path.join(folder, "fallbackd.toml")
            with open(config, "w") as file:
                file.write(configuration(folder, mocks))
            key = {**os.environ, "INTEROP_KEY": "k-interop"}
            process, log = running.start(
                "fallbackd", [wanted.daemon, "--config", config], env=key
            )
            run(Client(f"{folder}/sock", process, log), mocks)
        finally:
            running.end()
    print(f"{failed} failed" if failed else "fallbackd gets on with the simulators of others")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
