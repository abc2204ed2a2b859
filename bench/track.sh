#!/bin/sh
# /track requests per second, durable, beside nginx answering `return 200` to the same requests, as a ratio of the
# same run.
#
#   bench/track.sh [BINARY]      default: build/cairn
#
#   BENCH_DIR       where the data goes (default: the directory of temporary files). It should be a disk: on a tmpfs an
#                   fsync costs nothing and the figures say little
#   BENCH_SECONDS   length of one measurement (5)      BENCH_ROUNDS   how many, the median counts (3)
#   BENCH_CONNECTIONS   connections that send one request after the other (64)
#
# Each round measures all cells one after the other, so that a slow moment of the machine hits everyone. Every
# request is acknowledged after its bytes are synced; at the end the server is asked how many events it has, and
# that has to be at least what it acknowledged. Needs wrk and nginx. Writes nothing into the repository.
set -eu
. "$(dirname "$0")/../script/lib.sh"

# shellcheck disable=SC2154 # lib.sh sets root
cairn=${1:-$root/build/cairn}
seconds=${BENCH_SECONDS:-5}
rounds=${BENCH_ROUNDS:-3}
connections=${BENCH_CONNECTIONS:-64}
[ -x "$cairn" ] || die "\"$cairn\" does not exist: script/build makes it"
PATH=$PATH:/usr/sbin
for tool in wrk nginx; do have $tool || die "$tool is missing: apt install $tool"; done

scratch=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/cairn-bench-XXXXXX")
server=
peer=
finish() {
    status=$?
    trap - EXIT INT TERM
    for process in $server $peer; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$scratch"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

member() { printf '%s' "$2" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\",}]*\).*/\1/p"; }

project=$("$cairn" project create --data "$scratch/data" --name Bench --json)
project_id=$(member project_id "$project")
token=$(member token "$project")
secret=$(member secret "$project")
"$cairn" serve --data "$scratch/data" --listen 127.0.0.1:0 >"$scratch/out" 2>"$scratch/log" &
server=$!
address=
for _ in $(seq 100); do
    address=$(sed -n 's/^listening on //p' "$scratch/out")
    [ -z "$address" ] || break
    sleep 0.1
done
[ -n "$address" ] || die "the server does not listen: $(tail -n 3 "$scratch/log")"

# nginx takes no port 0: ask for ports until one is free.
mkdir "$scratch/nginx"
port=$((20000 + $$ % 20000))
for _ in $(seq 50); do
    port=$((port + 1))
    cat >"$scratch/nginx.conf" <<EOF
worker_processes auto;
daemon off;
pid $scratch/nginx/pid;
error_log $scratch/nginx/error.log;
events { worker_connections 4096; }
http {
    access_log off;
    client_max_body_size 20m;
    client_body_temp_path $scratch/nginx/body;
    proxy_temp_path $scratch/nginx/proxy;
    fastcgi_temp_path $scratch/nginx/fastcgi;
    uwsgi_temp_path $scratch/nginx/uwsgi;
    scgi_temp_path $scratch/nginx/scgi;
    keepalive_requests 100000000;
    server {
        listen 127.0.0.1:$port reuseport;
        location / { return 200 "1"; }
    }
}
EOF
    nginx -p "$scratch/nginx" -c "$scratch/nginx.conf" >"$scratch/nginx/out" 2>&1 &
    peer=$!
    sleep 0.5
    kill -0 $peer 2>/dev/null && break
    peer=
done
[ -n "$peer" ] || die "nginx does not start: $(cat "$scratch/nginx/out")"

# measure NAME URL EVENTS: appends the requests per second to the cell's file, and the number of requests to its
# total.
measure() {
    wrk -t1 -c"$connections" -d"${seconds}s" -s "$root/bench/track.lua" "$2" -- "$3" "$token" >"$scratch/wrk" 2>&1 ||
        die "wrk: $(cat "$scratch/wrk")"
    if grep -q 'Non-2xx\|Socket errors' "$scratch/wrk"; then die "$1: $(cat "$scratch/wrk")"; fi
    sed -n 's/^Requests\/sec: *//p' "$scratch/wrk" >>"$scratch/$1"
    sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$scratch/wrk" >>"$scratch/$1.requests"
}
# median FILE
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
range() { sort -n "$1" | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.0f..%.0f", low, high }'; }

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    for events in 1 50; do
        measure "nginx-$events" "http://127.0.0.1:$port" "$events"
        measure "cairn-$events" "$address" "$events"
    done
done

printf '\n%s cores, %s connections, data on %s, %s s a measurement, median of %s (lowest..highest)\n\n' \
    "$(nproc)" "$connections" "$(stat -f -c %T "$scratch")" "$seconds" "$rounds"
printf '%-20s %28s %28s %10s %14s\n' 'events per request' 'cairn requests/s' 'nginx return 200' 'ratio' 'cairn events/s'
for events in 1 50; do
    ours=$(median "$scratch/cairn-$events")
    theirs=$(median "$scratch/nginx-$events")
    printf '%-20s %28s %28s %10s %14s\n' "$events" \
        "$(printf '%.0f (%s)' "$ours" "$(range "$scratch/cairn-$events")")" \
        "$(printf '%.0f (%s)' "$theirs" "$(range "$scratch/nginx-$events")")" \
        "$(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")" "$(awk "BEGIN { printf \"%.0f\", $ours * $events }")"
done

# What was acknowledged has to be there.
acknowledged=$(awk '{ sum += $1 } END { print sum }' "$scratch/cairn-1.requests")
acknowledged=$((acknowledged + 50 * $(awk '{ sum += $1 } END { print sum }' "$scratch/cairn-50.requests")))
answer=$(CAIRN_AUTH_basicAuth="$secret:" "$cairn" workflow run workflows/segment.yml --json \
    --server "queryApi=$address/api/2.0" --input "projectId=$project_id" --input eventName=Benchmark \
    --input "fromDate=$(date -u -d yesterday +%F)" --input "toDate=$(date -u -d tomorrow +%F)" --input unit=month)
stored=$(printf '%s' "$answer" | tr -d '\n' | sed 's/.*"values"//; s/"errors".*//' |
    grep -o '"[0-9-]\{10\}"[[:space:]]*:[[:space:]]*[0-9]*' | sed 's/.*://' | awk '{ sum += $1 } END { print sum + 0 }')
printf '\n%s events acknowledged, %s stored\n' "$acknowledged" "$stored"
[ "$stored" -ge "$acknowledged" ] || die "events are missing"
