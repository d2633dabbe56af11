#!/usr/bin/env bash
# What does it cost to stream from a provider for a caller who wants one answer? Three daemons ask the
# same simulated provider for the same answer of 43 tokens: in one piece (upstream_stream = "never"),
# as a stream whose events come in one packet, and as one whose tokens come one by one. They take
# turns, so that whatever else the machine does meets all three.
#
#   benches/streams.sh [ROUNDS [SECONDS]]        default: 5 rounds of 4 s
#
# Prints each run's JSON line and medians. Compare the CPU time per reply of the daemon, and the latency
# with one connection; replies per second are those of the simulator. Builds the release profile of
# the daemon; load generator and simulator are not measured and need no optimisation. Ends only what
# it started.
set -euo pipefail

rounds=${1:-5}
seconds=${2:-4}
cd "$(dirname "$0")/.."
build=${CARGO_TARGET_DIR:-target}

# The executable that a cargo command builds under this name.
built() {
    local name=$1
    shift
    "$@" --message-format=json | sed -n 's/.*"name":"'"$name"'".*"executable":"\([^"]*\)".*/\1/p' |
        tail -n 1
}
load=$(built load cargo build --bench load)
simulate=$(built simulate cargo build --example simulate)
[ -n "${BENCH_DAEMON:-}" ] || cargo build --release --bin fallbackd
daemon=${BENCH_DAEMON:-$build/release/fallbackd}

work=$(mktemp -d)
pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

# The simulator ends when its standard input does.
coproc SIMULATOR { exec "$simulate"; }
read -r -t 20 addresses <&"${SIMULATOR[0]}"
base_url=$(sed -n 's/.*"openai":"\([^"]*\)".*/\1/p' <<<"$addresses")

# start NAME MODEL SETTING: starts a daemon whose only model this is; sets pid_NAME
start() {
    local name=$1
    {
        printf '[daemon]\nsocket = "%s/%s"\nstate_dir = "%s/%s.state"\nhealth_log = "%s/%s.jsonl"\n' \
            "$work" "$name" "$work" "$name" "$work" "$name"
        printf '[providers.sim]\nkind = "openai"\nbase_url = "%s"\napi_key = { env = "BENCH_KEY" }\n%s\n' \
            "$base_url" "$3"
        printf '[models.m]\nprovider = "sim"\nmodel_id = "%s"\n' "$2"
    } >"$work/$name.toml"
    BENCH_KEY=k FALLBACKD_LOG=warn "$daemon" --config "$work/$name.toml" &
    pids+=($!)
    printf -v "pid_$name" '%s' $!
    "$load" --socket "$work/$name" --wait 10 --requests 1 --connections 1 --warmup 0 --seconds 5 >/dev/null
}
start never sim-text 'upstream_stream = "never"'
start packet sim-text ''
start drip sim-drip ''

median() {
    grep -o "\"$2\":[0-9.]*" "$1" | cut -d: -f2 | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for ((round = 0; round < rounds; round++)); do
    for name in never packet drip; do
        pid=pid_$name
        "$load" --socket "$work/$name" --seconds "$seconds" --connections 32 --pid "${!pid}" |
            tee -a "$work/$name.crowd"
        "$load" --socket "$work/$name" --seconds "$seconds" --connections 1 --pid "${!pid}" |
            tee -a "$work/$name.alone"
    done
done

echo
base=$(median "$work/never.crowd" cpu_us_per_reply)
for name in never packet drip; do
    cpu=$(median "$work/$name.crowd" cpu_us_per_reply)
    echo "$name: $cpu us CPU of the daemon per reply, ratio" \
        "$(awk "BEGIN { printf \"%.2f\", $cpu / $base }");" \
        "with one connection p50 $(median "$work/$name.alone" p50_us) us"
done
