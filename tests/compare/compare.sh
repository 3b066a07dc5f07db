#!/bin/sh
# Compares a Drydock cluster with an upstream one by mutants of the recorded conversations.
#
#     compare.sh FIDELITY OPENAPI UPSTREAM_KUBECONFIG DRYDOCK_KUBECONFIG SEED COUNT [PATTERN]
#
# FIDELITY is the folder with replay.py and cases/. Mutants are recorded with upstream, twice, so that those are left
# out which do not agree with themselves, and replayed against Drydock. What differs is printed; mutants stay in the
# folder that the first line names.
set -eu
fidelity=$1 openapi=$2 upstream=$3 drydock=$4 seed=$5 count=$6 pattern=${7:-*}
here=$(dirname "$0")
out=$(mktemp -d)
echo "mutants in $out"
python3 "$here/mutate.py" --cases "$fidelity/cases" --openapi "$openapi" --seed "$seed" --count "$count" --only "$pattern" --out "$out/cases"
player() { python3 "$fidelity/replay.py" --cases "$out/cases" --within 3 --jobs 8 "$@"; }
player --kubeconfig "$upstream" --record >"$out/record.txt" 2>&1 || true
player --kubeconfig "$upstream" --json "$out/again.json" >"$out/again.txt" 2>&1 || true
python3 - "$out" <<'PYTHON'
import json, os, sys
out = sys.argv[1]
unsteady = [name for name, case in json.load(open(f"{out}/again.json")).items() if case["failed"]]
for name in unsteady:
    os.remove(f"{out}/cases/{name}.yaml")
print(len(unsteady), "mutants do not agree with themselves and are left out")
PYTHON
player --kubeconfig "$drydock" -v --json "$out/drydock.json" || true
