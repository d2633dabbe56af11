#!/usr/bin/env bash
# What does it cost to stream from a provider for a caller who wants one answer? nginx gives one fixed
# answer of 46 words, as JSON below /v1 and as a stream of 50 events below /sse. Two daemons ask for it,
# one with upstream_stream = "never", one with "auto", and take turns under the same load, so that
# whatever else the machine does meets both.
#
#   benches/streams.sh [ROUNDS [SECONDS]]        default: 5 rounds of 4 s
#
# Prints each run's JSON line and a summary with medians: the daemon's CPU time per reply with 32
# connections, and the latency with one. The events come in one packet; a real provider sends them one by
# one, which costs the daemon a wake-up each. Needs nginx. Builds the release profile. Ends only what
# it started.
set -euo pipefail

rounds=${1:-5}
seconds=${2:-4}
port=${BENCH_PORT:-18474}
cd "$(dirname "$0")/.."
command -v nginx >/dev/null || { echo "SKIP: benches/streams.sh: nginx is not installed" >&2; exit 0; }

load=${BENCH_LOAD:-$(cargo bench --no-run --bench load --message-format=json |
    sed -n 's/.*"name":"load".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)}
[ -n "${BENCH_DAEMON:-}" ] || cargo build --release --bin fallbackd
daemon=${BENCH_DAEMON:-${CARGO_TARGET_DIR:-target}/release/fallbackd}

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

words=(A gateway keeps programs answering when one fails: it asks the next model, remembers who is ill, and
    tells you what happened. This sentence is here to give the answer an ordinary length of text, no more
    and no less than what most of them have.)
head='{"id":"chatcmpl-0123456789abcdefghij","object":"chat.completion.chunk","created":1763600000,"model":"bench-1","service_tier":"default","choices":'
usage='{"prompt_tokens":34,"completion_tokens":46,"total_tokens":80}'
stream=$(
    printf 'data: %s[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n' "$head"
    for word in "${words[@]}"; do
        printf 'data: %s[{"index":0,"delta":{"content":"%s "},"finish_reason":null}]}\n\n' "$head" "$word"
    done
    printf 'data: %s[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' "$head"
    printf 'data: %s[],"usage":%s}\n\ndata: [DONE]\n' "$head" "$usage"
)
whole=$(printf '{"id":"chatcmpl-0123456789abcdefghij","object":"chat.completion","created":1763600000,"model":"bench-1","choices":[{"index":0,"message":{"role":"assistant","content":"%s "},"finish_reason":"stop"}],"usage":%s}' \
    "${words[*]}" "$usage")

# nginx takes no text longer than 4 KiB, but several of them.
stream+=$'\n\n' pieces='' names=''
for ((at = 0; at < ${#stream}; at += 3000)); do
    pieces+="set \$piece$at '${stream:at:3000}'; "
    names+="\${piece$at}"
done

cat >"$work/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.err warn;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    server {
        listen 127.0.0.1:$port backlog=4096;
        location /v1/ { default_type application/json; return 200 '$whole'; }
        location /sse/ { default_type text/event-stream; $pieces return 200 "$names"; }
    }
}
CONF
nginx -e "$work/nginx.err" -c "$work/nginx.conf" &
pids+=($!)

# start NAME PATH STREAM: starts a daemon for this; sets pid_NAME
start() {
    local name=$1
    {
        printf '[daemon]\nsocket = "%s/%s"\nstate_dir = "%s/%s.state"\nhealth_log = "%s/%s.jsonl"\n' \
            "$work" "$name" "$work" "$name" "$work" "$name"
        printf '[providers.nginx]\nkind = "openai"\nbase_url = "http://127.0.0.1:%s/%s"\n' "$port" "$2"
        printf 'upstream_stream = "%s"\n[models.m]\nprovider = "nginx"\nmodel_id = "m"\n' "$3"
    } >"$work/$name.toml"
    FALLBACKD_LOG=warn "$daemon" --config "$work/$name.toml" &
    pids+=($!)
    printf -v "pid_$name" '%s' $!
    "$load" --socket "$work/$name" --wait 10 --requests 1 --connections 1 --warmup 0 --seconds 5 >/dev/null
}
start never v1 never
start auto sse auto

median() {
    grep -o "\"$2\":[0-9.]*" "$1" | cut -d: -f2 | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for ((round = 0; round < rounds; round++)); do
    for name in never auto; do
        pid=pid_$name
        "$load" --socket "$work/$name" --seconds "$seconds" --connections 32 --pid "${!pid}" |
            tee -a "$work/$name.crowd"
        "$load" --socket "$work/$name" --seconds "$seconds" --connections 1 --pid "${!pid}" |
            tee -a "$work/$name.alone"
    done
done

echo
base=$(median "$work/never.crowd" cpu_us_per_reply)
for name in never auto; do
    cpu=$(median "$work/$name.crowd" cpu_us_per_reply)
    echo "$name: $cpu us CPU of the daemon per reply, ratio" \
        "$(awk "BEGIN { printf \"%.2f\", $cpu / $base }");" \
        "with one connection p50 $(median "$work/$name.alone" p50_us) us"
done
