#!/usr/bin/env bash
# Do existing programs get on with the HTTP front? Installs official SDKs into target/interop (kept
# for the next run), starts the simulator and a daemon on loopback, and lets the scripts of
# tests/interop/front/ talk to it over its Unix socket and over TCP.
#
# The daemon is $FALLBACKD, or else target/debug/fallbackd, which is built first. Prints one line per
# check. What cannot be installed is left out with a line "SKIP: ...". Exit 0: all is well or
# skipped. Exit 1: it is not.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${CARGO_TARGET_DIR:-target}
tools=$build/interop
venv=$tools/front-venv
mkdir -p "$tools"

command -v python3 > /dev/null || { echo "SKIP: no python3"; exit 0; }
if ! "$venv/bin/python" -c 'import openai, anthropic' 2> /dev/null; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" 2> "$tools/front.log" || ! timeout 300 "$venv/bin/pip" install \
        --quiet --disable-pip-version-check openai anthropic httpx > "$tools/front.log" 2>&1; then
        echo "SKIP: the SDKs cannot be installed (see $tools/front.log)"
        exit 0
    fi
fi

node_tools=$tools/front-node
if command -v npm > /dev/null && [ ! -d "$node_tools/node_modules/openai" ]; then
    timeout 180 npm install --no-audit --no-fund --prefix "$node_tools" openai undici \
        > "$tools/front-node.log" 2>&1 || true
fi
node=
if [ -d "$node_tools/node_modules/openai" ] && command -v node > /dev/null; then
    node=$node_tools
else
    echo "SKIP: openai-node cannot be installed (see $tools/front-node.log; it needs npm)"
fi

if [ -z "${FALLBACKD:-}" ]; then
    cargo build --bin fallbackd
    FALLBACKD=$build/debug/fallbackd
fi
cargo build --quiet --example simulate

# A proxy of the machine must not come between.
exec timeout 300 env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy \
    -u all_proxy "$venv/bin/python" tests/interop/front/run.py \
    --daemon "$FALLBACKD" --simulate "$build/debug/examples/simulate" --node "$node"
