#!/usr/bin/env bash
# Runs LocalStack (EC2 and what belongs to it) without Docker, from PyPI in a virtual environment.
# Prints the endpoint when it answers. Loopback only. See README.md; stop.sh stops it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

usage() {
    cat <<'TEXT'
usage: localstack/start.sh [--port PORT] [--run-dir DIR] [--home DIR] [--install-only]

  --port PORT      where it listens on 127.0.0.1 (default 4566)
  --run-dir DIR    where its log, process id and state go (default HOME/run-PORT)
  --home DIR       where the virtual environment is kept (default $DRYDOCK_LOCALSTACK_HOME,
                   else ~/.cache/drydock/localstack)
  --install-only   install or update the virtual environment, start nothing

DRYDOCK_LOCALSTACK_TIMEOUT  seconds to wait until it answers (default 120)
PYTHON                      the Python to use
TEXT
}

port=4566
home=$(default_home)
run_dir=
install_only=
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
    --install-only) install_only=1 && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
done
case $port in '' | *[!0-9]*) die "--port $port is not a number" ;; esac
run_dir=${run_dir:-$home/run-$port}
mkdir -p "$home" "$run_dir"
home=$(cd "$home" && pwd)
run_dir=$(cd "$run_dir" && pwd)
venv=$home/venv
log=$run_dir/localstack.log
endpoint=http://127.0.0.1:$port

# A virtual environment, by whatever this machine has for that.
make_venv() {
    local python=$1
    rm -rf "$venv"
    "$python" -m venv "$venv" >"$home/install.log" 2>&1 && return 0
    rm -rf "$venv"
    "$python" -m virtualenv "$venv" >>"$home/install.log" 2>&1 && return 0
    rm -rf "$venv"
    # Debian without python3-venv: virtualenv brings its own pip.
    if "$python" -m pip --version >/dev/null 2>&1 &&
        "$python" -m pip install --quiet --target "$home/virtualenv" virtualenv >>"$home/install.log" 2>&1 &&
        PYTHONPATH=$home/virtualenv "$python" -m virtualenv "$venv" >>"$home/install.log" 2>&1; then
        return 0
    fi
    rm -rf "$venv"
    die "cannot make a virtual environment (see $home/install.log). On Debian or Ubuntu: apt-get install -y python3-venv"
}

# Installs the pins unless this very list is installed already. One caller at a time.
install() {
    local python want
    python=$(find_python)
    want="$(python_version "$python") $(cksum <"$here/requirements.txt")"
    [ "$(cat "$venv/drydock-installed" 2>/dev/null || true)" = "$want" ] && return 0
    printf 'localstack: installing into %s (some minutes, once)\n' "$venv" >&2
    make_venv "$python"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" \
        >>"$home/install.log" 2>&1 ||
        { tail -n 20 "$home/install.log" >&2 && die "pip failed; the whole log is $home/install.log"; }
    printf '%s\n' "$want" >"$venv/drydock-installed"
}

answers() {
    "$venv/bin/python" - "$endpoint/_localstack/health" <<'PY' 2>/dev/null
import json, sys, urllib.request
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2) as reply:
    sys.exit(0 if "ec2" in json.load(reply).get("services", {}) else 1)
PY
}

# Whether somebody listens on the port already.
taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

run() {
    local pid
    pid=$(cat "$run_dir/pid" 2>/dev/null || true)
    if is_ours "$pid"; then
        wait_until_it_answers "$pid"
        return 0
    fi
    if taken; then
        answers || die "port $port is taken by another program; choose one with --port"
        # Somebody's own, in Docker perhaps.
        printf '%s\n' "$endpoint"
        return 0
    fi
    cd "$run_dir"
    # GATEWAY_LISTEN keeps it on loopback; DNS_ADDRESS=0 keeps it off port 53.
    env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u AWS_ENDPOINT_URL -u AWS_PROFILE \
        DNS_ADDRESS=0 GATEWAY_LISTEN=127.0.0.1:"$port" FILESYSTEM_ROOT="$run_dir/state" \
        SERVICES=ec2,iam,sts,route53,s3 EAGER_SERVICE_LOADING=1 STRICT_SERVICE_LOADING=1 \
        DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 PYTHONDONTWRITEBYTECODE= PERSISTENCE=0 \
        nohup "$venv/bin/python" -m localstack.runtime.main >"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    printf '%s\n' "$pid" >"$run_dir/pid"
    wait_until_it_answers "$pid"
}

wait_until_it_answers() {
    local pid=$1 deadline=$((SECONDS + ${DRYDOCK_LOCALSTACK_TIMEOUT:-120}))
    until answers; do
        kill -0 "$pid" 2>/dev/null ||
            { tail -n 20 "$log" >&2 && rm -f "$run_dir/pid" && die "it ended while starting; the whole log is $log"; }
        [ $SECONDS -lt $deadline ] || die "no answer on $endpoint in time; its log is $log"
        sleep 0.3
    done
    printf '%s\n' "$endpoint"
}

exec 9>"$home/lock"
if command -v flock >/dev/null; then flock 9; fi
install
[ -z "$install_only" ] || exit 0
run
