#!/usr/bin/env bash
# Stops the LocalStack that start.sh started. Succeeds when there is none.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

port=4566
home=$(default_home)
run_dir=
while [ $# -gt 0 ]; do
    case $1 in
    --port | --run-dir | --home)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --port) port=$2 ;;
        --run-dir) run_dir=$2 ;;
        --home) home=$2 ;;
        esac
        shift 2
        ;;
    *)
        printf 'usage: localstack/stop.sh [--port PORT] [--run-dir DIR] [--home DIR]\n' >&2
        exit 2
        ;;
    esac
done
run_dir=${run_dir:-$home/run-$port}
pid=$(cat "$run_dir/pid" 2>/dev/null || true)
rm -f "$run_dir/pid"
is_ours "$pid" || exit 0

kill "$pid" 2>/dev/null || exit 0
for _ in $(seq 50); do
    is_ours "$pid" || exit 0
    sleep 0.1
done
kill -9 "$pid" 2>/dev/null || true
