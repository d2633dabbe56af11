#!/usr/bin/env bash
# Is our simulator faithful? The official Python SDKs of the four providers talk to it, and what
# they understand is compared with what it meant. Installs the SDKs into target/interop/sdk-venv
# (kept for the next run), starts the simulator on loopback and ends it again.
#
# Prints one line per check. Exit 0: all agree, or a line "SKIP: ..." says why nothing was checked.
# Exit 1: they disagree.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIP: $1"
    exit 0
}

build=${CARGO_TARGET_DIR:-target}
tools=$build/interop
venv=$tools/sdk-venv
mkdir -p "$tools"

command -v python3 > /dev/null || skip "no python3"
if ! "$venv/bin/python" -c 'import openai, anthropic, google.genai, botocore' 2> /dev/null; then
    rm -rf "$venv"
    python3 -m venv "$venv" 2> "$tools/sdk.log" || skip "no virtual environment (see $tools/sdk.log)"
    timeout 300 "$venv/bin/pip" install --quiet --disable-pip-version-check \
        openai anthropic google-genai botocore > "$tools/sdk.log" 2>&1 \
        || skip "the SDKs cannot be installed (see $tools/sdk.log)"
fi

cargo build --quiet --example simulate

# The simulator ends when its standard input does, so it cannot outlive this script.
coproc SIMULATOR { exec "$build/debug/examples/simulate" --key k-right; }
read -r -t 20 addresses <&"${SIMULATOR[0]}" || { echo "the simulator did not start"; exit 1; }

# A proxy of the machine must not come between.
timeout 120 env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy -u all_proxy \
    "$venv/bin/python" tests/interop/sdk_check.py "$addresses"
