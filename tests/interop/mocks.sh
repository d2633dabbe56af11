#!/usr/bin/env bash
# Does fallbackd get on with provider simulators that other people wrote? Installs two of them into
# target/interop (kept for the next run): the npm package @copilotkit/aimock and the program of the
# crate llmposter. Then mocks_check.py starts both on loopback, starts the daemon with a
# configuration that points all three kinds of provider at them, and looks at the answers.
#
# The daemon is $FALLBACKD, or else target/debug/fallbackd, which is built first. One simulator
# that cannot be installed is left out with a line "SKIP: ..."; with none nothing is checked.
# Exit 0: all is well or skipped. Exit 1: it is not.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${CARGO_TARGET_DIR:-target}
tools=$build/interop
mkdir -p "$tools"

command -v python3 > /dev/null || { echo "SKIP: no python3"; exit 0; }

aimock=$tools/aimock/node_modules/@copilotkit/aimock/dist/cli.js
if [ ! -f "$aimock" ]; then
    command -v npm > /dev/null && timeout 180 npm install --no-audit --no-fund \
        --prefix "$tools/aimock" @copilotkit/aimock > "$tools/aimock.log" 2>&1 || true
fi
if [ ! -f "$aimock" ] || ! command -v node > /dev/null; then
    echo "SKIP: aimock cannot be installed (see $tools/aimock.log; it needs npm)"
    aimock=
elif ! node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; then
    echo "SKIP: aimock needs node 20 or newer, this is $(node --version)"
    aimock=
fi

llmposter=$tools/bin/llmposter
if [ ! -x "$llmposter" ]; then
    timeout 900 cargo install --quiet --root "$tools" --target-dir "$tools/build" \
        llmposter --version '^0.5' > "$tools/llmposter.log" 2>&1 || true
fi
if [ ! -x "$llmposter" ]; then
    echo "SKIP: llmposter cannot be installed (see $tools/llmposter.log)"
    llmposter=
fi

[ -n "$aimock$llmposter" ] || exit 0

if [ -z "${FALLBACKD:-}" ]; then
    cargo build --bin fallbackd
    FALLBACKD=$build/debug/fallbackd
fi

# A proxy of the machine must not come between.
exec timeout 180 env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy \
    -u all_proxy python3 tests/interop/mocks_check.py \
    --daemon "$FALLBACKD" --aimock "$aimock" --llmposter "$llmposter"
