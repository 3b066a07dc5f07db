# Sourced by start.sh and stop.sh.

die() {
    printf 'localstack: %s\n' "$*" >&2
    exit 1
}

# "3.11" when $1 is a Python that LocalStack runs on.
python_version() {
    "$1" -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v < (3, 14) or sys.exit(1); print("%d.%d" % v)' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10; do
        if python_version "$candidate" >/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    die "needs Python 3.10 to 3.13. On Debian or Ubuntu: apt-get install -y python3 python3-venv"
}

# Whether process $1 is the LocalStack that start.sh started (and not a later process with the same id).
is_ours() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null || return 1
    [ ! -r "/proc/$1/cmdline" ] || tr '\0' ' ' <"/proc/$1/cmdline" | grep -q 'localstack.runtime.main'
}

# The folder that holds virtual environment and state.
default_home() {
    printf '%s\n' "${DRYDOCK_LOCALSTACK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/drydock/localstack}"
}
