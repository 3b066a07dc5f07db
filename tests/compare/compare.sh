#!/bin/sh
# Compares a Drydock cluster with an upstream one by conversations.
#
#     compare.sh FIDELITY UPSTREAM_KUBECONFIG DRYDOCK_KUBECONFIG cases [PATTERN]
#     compare.sh FIDELITY UPSTREAM_KUBECONFIG DRYDOCK_KUBECONFIG mutants OPENAPI SEED COUNT [PATTERN]
#
# FIDELITY is the folder with replay.py and cases/. The conversations are those beside this script, or mutants of
# those of FIDELITY. They are recorded with upstream, twice, so that those are left out which do not agree with
# themselves, and replayed against Drydock, whose cluster should have no nodes. What differs is printed; everything
# stays in the folder that the first line names.
set -eu
fidelity=$1 upstream=$2 drydock=$3 what=$4
shift 4
here=$(dirname "$0")
out=$(mktemp -d)
echo "conversations in $out"
within=3
case $what in
cases)
    cp -r "$here/cases" "$out/cases"
    within=20
    set -- "${1:-*}"
    ;;
mutants)
    python3 "$here/mutate.py" --cases "$fidelity/cases" --openapi "$1" --seed "$2" --count "$3" --only "${4:-*}" --out "$out/cases"
    set -- '*'
    ;;
*)
    echo "neither cases nor mutants: $what" >&2
    exit 2
    ;;
esac
pattern=$1
player() { python3 "$fidelity/replay.py" --cases "$out/cases" --within "$within" --jobs 8 "$@" "$pattern"; }
player --kubeconfig "$upstream" --record >"$out/record.txt" 2>&1 || true
player --kubeconfig "$upstream" --json "$out/again.json" >"$out/again.txt" 2>&1 || true
python3 - "$out" <<'PYTHON'
import json, os, sys
out = sys.argv[1]
unsteady = [name for name, case in json.load(open(f"{out}/again.json")).items() if case["failed"]]
for name in unsteady:
    os.remove(f"{out}/cases/{name}.yaml")
print(len(unsteady), "do not agree with themselves and are left out")
PYTHON
player --kubeconfig "$drydock" -v --json "$out/drydock.json" || true
