"""Power cuts of fallbackd: the rounds of tests/power_cut.sh.

A cut is a copy of the image of a mounted file system. So that it is one moment and not a smear, the
image is copied twice, and the copy counts when both are equal: then nothing was written between.
Checked on it, with the daemon started there:

- it serves within 5 s, with its database, and goes on answering
- `costs` says exactly what the `call` lines of the copy's log add up to
- `health` counts exactly the `call` lines of each model
- what was answered more than 2 s before the cut is in the log, with every call that it says

Prints one line per round; the exit code is 1 when one failed.
"""

import argparse
import collections
import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

START_S = 5
SAFE_S = 2
CLIENTS = 4
PRICES = {"a": ("0.0025", "0.01"), "b": ("0.00015", "0.0006"), "c": ("0.000333", "0.00177")}
# One answers, one answers the others' requests, one always fails: calls of every kind are in the log.
MODELS = {"a": "fine", "b": "fine-too", "c": "sim-server-error"}


class Machine:
    """The files of one run, and the processes on them."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.work = pathlib.Path(arguments.work)
        self.disk = self.work / "disk"
        self.image = self.work / "image"
        self.socket = str(self.work / "s")
        self.running = []

    def spawn(self, command, **more):
        """Starts a program whose id is known to the script that cleans up."""
        child = subprocess.Popen(command, **more)
        self.running.append(child)
        with open(self.work / "pids", "a", encoding="ascii") as pids:
            pids.write(f"{child.pid}\n")
        return child

    def kill(self, child):
        child.kill()
        child.wait()
        self.running.remove(child)
        # An id that is free again may be somebody else's.
        (self.work / "pids").write_text("".join(f"{left.pid}\n" for left in self.running))

    def configure(self, base_url):
        text = (
            f'[daemon]\nsocket = "{self.socket}"\nstate_dir = "{self.disk}/state"\n'
            f'health_log = "{self.disk}/log/health.jsonl"\n'
            '[log]\nmax_size = "256KiB"\nkeep = 400\n'
            '[breaker]\nfailures = 4\nopen_for = "300ms"\nopen_for_max = "1s"\n'
            '[retry]\nmax = 0\nbase = "1ms"\ncap = "1ms"\n[health]\nwindow = "1h"\n'
            f'[providers.sim]\nkind = "openai"\nbase_url = "{base_url}"\napi_key = {{ env = "KEY" }}\n'
        )
        for name, (cost_in, cost_out) in PRICES.items():
            text += (
                f'[models.{name}]\nprovider = "sim"\nmodel_id = "{MODELS[name]}"\n'
                f"cost_per_1k_input = {cost_in}\ncost_per_1k_output = {cost_out}\n"
            )
        text += '[chains]\ndefault = ["a", "b"]\nother = ["c", "b", "a"]\n'
        (self.work / "fallbackd.toml").write_text(text)

    def boot(self):
        """Starts the daemon; gives it, and how long it took to answer."""
        began = time.monotonic()
        with open(self.work / "stderr", "wb") as said:
            daemon = self.spawn(
                [self.arguments.daemon, "--config", str(self.work / "fallbackd.toml")],
                env={"KEY": "any-key-will-do", "FALLBACKD_LOG": "error"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
            )
        while True:
            took = time.monotonic() - began
            try:
                assert self.ask({"op": "ping"})["ok"]
                return daemon, took
            except OSError:
                said = (self.work / "stderr").read_text()
                assert daemon.poll() is None, f"the daemon did not start: {said}"
                assert took < 4 * START_S, f"the daemon does not serve: {said}"
                time.sleep(0.01)

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(20)
            stream.connect(self.socket)
            stream.sendall(json.dumps(line).encode() + b"\n")
            return json.loads(stream.makefile().readline())

    def remains(self):
        """Ends what a round left running, all but the simulator, and unmounts."""
        for child in self.running[1:]:
            self.kill(child)
        if os.path.ismount(self.disk):
            self.unmount()

    def mount(self, image):
        subprocess.run(["mount", "-o", "loop", image, self.disk], check=True)

    def unmount(self):
        for _ in range(50):
            if subprocess.run(["umount", self.disk], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError("the file system stays busy")


def load(machine, stop, answered):
    """Asks until told to stop or cut off; remembers when each reply was read."""
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(machine.socket)
            lines = stream.makefile()
            while not stop.is_set():
                task = "other" if random.random() < 0.3 else "default"
                content = "word " * random.randint(1, 60)
                request = {"task": task, "messages": [{"role": "user", "content": content}]}
                stream.sendall(json.dumps(request).encode() + b"\n")
                text = lines.readline()
                if not text.endswith("\n"):
                    return
                answered.append((time.monotonic(), json.loads(text)))
                time.sleep(random.random() * 0.004)
    except OSError:
        return


def cut(image, copy):
    """Copies the image as it is; gives when that began, and whether the copy is one moment."""
    again = copy.with_suffix(".again")
    for _ in range(40):
        began = time.monotonic()
        for target in (copy, again):
            subprocess.run(["cp", "--sparse=always", "--reflink=never", image, target], check=True)
        same = filecmp.cmp(copy, again, shallow=False)
        again.unlink()
        if same:
            return began, True
    return began, False


def nano(dollars):
    return round((dollars or 0) * 1e9)


class Books:
    """What the log on the disk says."""

    def __init__(self, folder):
        self.calls = collections.Counter()
        self.sums = collections.Counter()
        self.requests = {}
        self.of_request = collections.defaultdict(list)
        for path in folder.iterdir():
            # What follows the last line's end is a piece of a line that was being written.
            for text in path.read_bytes().rpartition(b"\n")[0].splitlines():
                self.add(json.loads(text))

    def add(self, line):
        if line["event"] == "request":
            assert line["request_id"] not in self.requests, f"twice in the log: {line}"
            self.requests[line["request_id"]] = line
        if line["event"] != "call":
            return
        cost = nano(line["cost_usd"])
        self.calls[line["model_name"]] += 1
        if line["kind"] in ("shadow", "probe"):
            self.sums[f"{line['kind']}_usd"] += cost
            return
        self.of_request[line["request_id"]].append(cost)
        if line["success"]:
            self.sums["calls"] += 1
            self.sums["fallback_calls"] += line["model_name"] != line["primary"]
            self.sums["paid_usd"] += cost
            self.sums["primary_would_usd"] += nano(line["primary_cost_usd"])
        else:
            self.sums["failed_calls"] += 1
            self.sums["failed_usd"] += cost
        self.sums["input_tokens"] += line["input_tokens"] or 0
        self.sums["output_tokens"] += line["output_tokens"] or 0

    def agree_with(self, machine):
        reply = machine.ask({"op": "costs"})
        assert "incomplete" not in reply, reply
        for name in ("calls", "fallback_calls", "failed_calls", "input_tokens", "output_tokens"):
            assert reply["totals"][name] == self.sums[name], (name, self.sums, reply["totals"])
        for name in ("paid_usd", "primary_would_usd", "failed_usd", "shadow_usd", "probe_usd"):
            assert nano(reply["totals"][name]) == self.sums[name], (name, self.sums, reply["totals"])
            rows = sum(nano(row[name]) for row in reply["rows"])
            assert rows == self.sums[name], ("rows", name, self.sums, reply["rows"])
        health = machine.ask({"op": "health"})
        for name, model in health["models"].items():
            assert model["total_calls"] == self.calls[name], (name, self.calls, model)
        assert health["recorder"]["store"] == "ok", health["recorder"]
        return health["recorder"]

    def lost(self, answered):
        """When the replies were read that the log does not have in full."""
        return [when for when, reply in answered if not self.has(reply)]

    def has(self, reply):
        line = self.requests.get(reply.get("request_id"))
        if line is None:
            return False
        assert line["success"] == reply["ok"], (line, reply)
        costs = self.of_request[reply["request_id"]]
        assert len(costs) == line["calls"], (line, costs)
        assert sum(costs) == nano(line["request_cost_usd"]), (line, costs)
        return True


def agreed_in_the_end(machine):
    """A copy of the last request may still be on its way: its line and its sums come together."""
    last = time.monotonic() + 10
    while True:
        try:
            return Books(machine.disk / "log").agree_with(machine)
        except AssertionError:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)


def one_round(machine):
    """A life, a cut, and the life after it; gives what to print."""
    with open(machine.image, "wb") as image:
        image.truncate(96 << 20)
    # What mkfs leaves to be initialised later would keep the image changing.
    later = "lazy_itable_init=0,lazy_journal_init=0"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", later, machine.image], check=True)
    machine.mount(machine.image)
    daemon, _ = machine.boot()
    stop, answered = threading.Event(), []
    clients = [
        threading.Thread(target=load, args=(machine, stop, answered), daemon=True)
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    life = random.uniform(0.3, 7)
    time.sleep(life)
    copy = machine.work / "copy"
    moment, exact = cut(machine.image, copy)
    machine.kill(daemon)
    stop.set()
    for client in clients:
        client.join(20)
    machine.unmount()

    machine.mount(copy)
    daemon, took = machine.boot()
    assert took < START_S, f"it took {took:.1f} s to start"
    books = Books(machine.disk / "log")
    recorder = books.agree_with(machine)
    before = [(when, reply) for when, reply in answered if when < moment]
    lost = books.lost(before)
    oldest = moment - min(lost, default=moment)
    assert oldest <= SAFE_S, f"lost what was answered {oldest:.2f} s before the cut"
    assert machine.ask({"task": "default", "messages": [{"role": "user", "content": "?"}]})["ok"]
    agreed_in_the_end(machine)
    machine.kill(daemon)
    machine.unmount()
    aside = recorder["store_put_aside"]
    return (
        f"cut after {life:.1f} s{'' if exact else ' (a smear, not one moment)'}: {len(before)} answered, "
        f"the last {len(lost)} lost with {oldest:.2f} s, started in {took:.2f} s"
        + (f", database put aside: {aside}" if aside else "")
    )


def main():
    parser = argparse.ArgumentParser()
    for name in ("daemon", "simulate", "work"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    machine = Machine(parser.parse_args())
    # timeout(1) asks first; an exception unwinds to the cleaning up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    failed = 0
    try:
        simulator = machine.spawn(
            [machine.arguments.simulate], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        machine.configure(json.loads(simulator.stdout.readline())["openai"])
        for number in range(machine.arguments.rounds):
            try:
                print(f"ok   round {number + 1}, {one_round(machine)}", flush=True)
            except Exception as error:  # the next round is a new disk
                failed += 1
                print(f"FAIL round {number + 1}: {type(error).__name__}: {error}", flush=True)
                machine.remains()
                keep, copy = os.environ.get("POWER_CUT_KEEP"), machine.work / "copy"
                if keep and copy.exists():
                    shutil.copy(copy, f"{keep}/round-{number + 1}.img")
    finally:
        machine.remains()
        for child in machine.running[:1]:
            machine.kill(child)
    sys.exit(1 if failed else 0)


main()
