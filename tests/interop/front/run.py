"""Starts simulator and daemon, runs every script of this folder against them, ends both.

A script gets the socket, the port and the token as arguments, prints one line per check, and exits
with 1 if one failed.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TOKEN = "token-of-the-checks-0123456789abcdef"

CONFIG = """
[daemon]
socket = "{folder}/d.sock"
state_dir = "{folder}/state"
health_log = "{folder}/health.jsonl"
[http]
listen = "127.0.0.1:{port}"
token = {{ env = "HTTP_TOKEN" }}
[retry]
max = 0
[breaker]
failures = 1000
[health]
degraded_below = 0
[shadow]
rate = 0
[providers.openai]
kind = "openai"
base_url = "{openai}"
api_key = {{ env = "KEY" }}
[providers.anthropic]
kind = "anthropic"
base_url = "{anthropic}"
api_key = {{ env = "KEY" }}
[providers.google]
kind = "google"
base_url = "{google}"
api_key = {{ env = "KEY" }}
"""

# Name, provider, and what the simulator does with the model of this id.
MODELS = [
    ("gpt", "openai", "gpt"), ("claude", "anthropic", "claude"), ("gemini", "google", "gemini"),
    ("text", "openai", "sim-text"), ("drip", "openai", "sim-drip"), ("cut", "openai", "sim-cut"),
    ("busy", "openai", "sim-overloaded"), ("limited", "openai", "sim-rate-limited"),
    ("long", "openai", "sim-context"), ("policy", "openai", "sim-policy"),
    ("other", "anthropic", "claude-other"),
]

CHAINS = """
[chains]
default = ["gpt", "claude", "gemini"]
outage = ["busy", "claude", "gemini"]
broken = ["cut", "drip"]
differs = ["cut", "other"]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configure(folder, port, urls):
    text = CONFIG.format(folder=folder, port=port, **urls)
    for name, provider, model_id in MODELS:
        text += f'[models.{name}]\nprovider = "{provider}"\nmodel_id = "{model_id}"\n'
        text += "cost_per_1k_input = 1\ncost_per_1k_output = 1\n"
    path = pathlib.Path(folder, "fallbackd.toml")
    path.write_text(text + CHAINS)
    return path


def wait_for(path, daemon):
    for _ in range(500):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                return
        assert daemon.poll() is None, "the daemon ended at once"
        time.sleep(0.02)
    raise AssertionError("the daemon does not serve")


def main():
    parser = argparse.ArgumentParser()
    for name in ("daemon", "simulate"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--node", default="")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        simulator = subprocess.Popen(
            [arguments.simulate], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        urls = json.loads(simulator.stdout.readline())
        port = free_port()
        config = configure(folder, port, urls)
        env = {"KEY": "any", "HTTP_TOKEN": TOKEN, "FALLBACKD_LOG": "warn", "HOME": folder}
        daemon = subprocess.Popen([arguments.daemon, "--config", config], env=env)
        try:
            path = f"{folder}/d.sock"
            wait_for(path, daemon)
            wanted = [path, str(port), TOKEN]
            for script in sorted(HERE.glob("*.py")):
                if script.name != pathlib.Path(__file__).name:
                    failed += subprocess.run([sys.executable, script, *wanted]).returncode != 0
            for script in sorted(HERE.glob("*.mjs")) if arguments.node else []:
                env = os.environ | {"MODULES": os.path.abspath(arguments.node)}
                failed += subprocess.run(["node", script, *wanted], env=env).returncode != 0
        finally:
            for child in (daemon, simulator):
                child.terminate()
                child.wait()
    sys.exit(1 if failed else 0)


main()
