#!/usr/bin/env bash
# How much does the daemon add to a call? nginx gives one fixed OpenAI-style answer; a closed loop of
# 32 connections asks it directly and through the daemon in turn, first with every process where the
# system puts it, then with the daemon alone on core 0 and everybody else on core 1.
#
#   benches/nginx.sh [ROUNDS [SECONDS]]        default: 5 rounds of 5 s
#
# Prints each run's JSON line and a summary with medians. Compare ratios and CPU time per reply;
# replies per second depend on whatever else the machine does. Needs nginx (installed if missing and
# root). Builds the release profile. Ends only what it started.
set -euo pipefail

rounds=${1:-5}
seconds=${2:-5}
port=${BENCH_PORT:-18473}
connections=32
root=$(cd "$(dirname "$0")/.." && pwd)

skip() { echo "SKIP: benches/nginx.sh: $*" >&2; exit 0; }

if ! command -v nginx >/dev/null; then
    [ "$(id -u)" = 0 ] || skip "nginx is not installed, and only root can install it"
    { apt-get update && apt-get install -y --no-install-recommends nginx-light; } >/dev/null 2>&1 ||
        skip "nginx-light cannot be installed"
    # The package may have started a server of its own; it is not ours and serves other ports.
fi
command -v taskset >/dev/null || skip "taskset (util-linux) is not installed"

cd "$root"
# The load generator first: building it also builds a daemon, with features that only tests want.
load=${BENCH_LOAD:-$(cargo bench --no-run --bench load --message-format=json |
    sed -n 's/.*"name":"load".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)}
[ -x "$load" ] || { echo "benches/nginx.sh: the load generator was not built" >&2; exit 1; }
[ -n "${BENCH_DAEMON:-}" ] || cargo build --release --bin fallbackd
daemon=${BENCH_DAEMON:-$root/target/release/fallbackd}

work=$(mktemp -d)
nginx_pid='' daemon_pid=''
stop() {
    local pid=$1
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}
finish() { stop "$daemon_pid"; stop "$nginx_pid"; rm -rf "$work"; }
trap finish EXIT

text='A gateway keeps programs answering when a provider fails: it asks the next model, remembers who is ill, and tells you what happened. This sentence is here to give the answer an ordinary length of text.'
answer='{"id":"chatcmpl-0123456789abcdefghijklmnopqrs","object":"chat.completion","created":1763600000,"model":"bench-1","choices":[{"index":0,"message":{"role":"assistant","content":"'$text'","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":42,"total_tokens":76,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default"}'

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
        location / { default_type application/json; return 200 '$answer'; }
    }
}
CONF

model() {
    printf '[models.%s]\nprovider = "nginx"\nmodel_id = "bench-%s"\npriority = %s\n' "$1" "$2" "$2"
    printf 'cost_per_1k_input = 0.0025\ncost_per_1k_output = 0.01\n'
}
{
    printf '[daemon]\nsocket = "%s/s"\nstate_dir = "%s/state"\nhealth_log = "%s/health.jsonl"\n' \
        "$work" "$work" "$work"
    printf '[providers.nginx]\nkind = "openai"\nbase_url = "http://127.0.0.1:%s/v1"\n' "$port"
    model first 1; model second 2; model third 3
    printf '[chains]\ndefault = ["first", "second", "third"]\n'
} >"$work/fallbackd.toml"

# start_nginx [PREFIX...]
start_nginx() {
    stop "$nginx_pid"
    "$@" nginx -e "$work/nginx.err" -c "$work/nginx.conf" &
    nginx_pid=$!
    on_load --direct "http://127.0.0.1:$port/v1/chat/completions" --wait 5 --requests 1 \
        --connections 1 --warmup 0 --seconds 5 >/dev/null
}

# start_daemon [PREFIX...]; sets start_ms, from the start of the process to its first answer
start_daemon() {
    stop "$daemon_pid"
    local began=${EPOCHREALTIME/[.,]/}
    FALLBACKD_LOG=warn "$@" "$daemon" --config "$work/fallbackd.toml" &
    daemon_pid=$!
    on_load --socket "$work/s" --wait 10 --requests 1 --connections 1 --warmup 0 --seconds 5 \
        >/dev/null
    local ended=${EPOCHREALTIME/[.,]/}
    start_ms=$(((ended - began) / 1000)).$((((ended - began) % 1000) / 100))
}

load_prefix=()
on_load() { "${load_prefix[@]}" "$load" "$@"; }

rss() { awk '/^VmRSS:/ { print $2 }' "/proc/$daemon_pid/status"; }
# field FILE NAME: the median of a field over the lines of a file
median() {
    grep -o "\"$2\":[0-9.]*" "$1" | cut -d: -f2 | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# compare NAME: alternates direct and through the daemon
compare() {
    local name=$1 round
    for ((round = 0; round < rounds; round++)); do
        on_load --direct "http://127.0.0.1:$port/v1/chat/completions" --seconds "$seconds" \
            --connections "$connections" --pid "$nginx_worker" | tee -a "$work/$name.direct"
        on_load --socket "$work/s" --seconds "$seconds" --connections "$connections" \
            --pid "$daemon_pid" | tee -a "$work/$name.through"
    done
    local direct through
    direct=$(median "$work/$name.direct" replies_per_s)
    through=$(median "$work/$name.through" replies_per_s)
    {
        echo "$name: direct $direct replies/s, through the daemon $through, ratio" \
            "$(awk "BEGIN { printf \"%.3f\", $through / $direct }")"
        echo "$name: daemon $(median "$work/$name.through" cpu_us_per_reply) us CPU per reply;" \
            "load generator $(median "$work/$name.through" load_cpu_us_per_reply) us (direct" \
            "$(median "$work/$name.direct" load_cpu_us_per_reply) us)"
        echo "$name: p50 $(median "$work/$name.through" p50_us) us, p99" \
            "$(median "$work/$name.through" p99_us) us (direct" \
            "$(median "$work/$name.direct" p50_us), $(median "$work/$name.direct" p99_us))"
    } >>"$work/summary"
}

worker_of() { sleep 0.2; cat "/proc/$1/task/$1/children" | awk '{ print $1 }'; }

start_nginx
nginx_worker=$(worker_of "$nginx_pid")
for _ in 1 2 3; do
    start_daemon
    echo "start to first answer: $start_ms ms; resident memory then $(rss) KiB" |
        tee -a "$work/summary"
done
compare free
sleep 2
echo "resident memory after the load: $(rss) KiB" >>"$work/summary"

if [ "$(nproc)" -ge 2 ]; then
    load_prefix=(taskset -c 1)
    start_nginx taskset -c 1
    nginx_worker=$(worker_of "$nginx_pid")
    start_daemon taskset -c 0
    compare pinned
fi

# Memory comes back: levels after the same crowd again and again.
start_daemon
echo "crowds: resident memory before $(rss) KiB" >>"$work/summary"
for _ in 1 2 3; do
    on_load --socket "$work/s" --connections 500 --requests 5000 --seconds 10 --warmup 0 \
        --pid "$daemon_pid"
    sleep 2
    echo "crowds: $(rss) KiB after 500 connections at once" >>"$work/summary"
    on_load --socket "$work/s" --connections 1 --outstanding 200 --requests 2000 --seconds 10 \
        --warmup 0 --pid "$daemon_pid"
    sleep 2
    echo "crowds: $(rss) KiB after 200 requests at once on one connection" >>"$work/summary"
done

echo
cat "$work/summary"
