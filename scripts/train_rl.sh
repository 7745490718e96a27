#!/usr/bin/env bash
# Train what is unfinished of the long trainings: scripts/train_rl.sh [RECIPE ...], one process with one thread each, one after
# the other (JOBS=2: two at a time). It may be killed at any time: called again, every run goes on from its last checkpoint.
# OUT: folder of the runs (runs/rl); SEEDS: one run for each ("0 1 2"); NICE: of the processes (5).
# Where they stand: scripts/train_rl.sh --status
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$here/.venv/bin
export OUT=${OUT:-runs/rl} NICE=${NICE:-5} OMP_NUM_THREADS=1 MUJOCO_GL=${MUJOCO_GL:-egl} bin
mkdir -p "$OUT"

if [[ ${1:-} == --status ]]; then
    exec "$bin/python" "$here/scripts/rl_status.py" "$OUT"
fi
recipes=("$@")
if [[ ${#recipes[@]} == 0 ]]; then
    recipes=(hopper-ppo hopper-sappo)
fi

one() {
    local recipe=$1 seed=$2 name=$1-$2 resume=()
    [[ -e $OUT/$name/records.parquet ]] && return 0
    [[ -e $OUT/$name/recipe.json ]] && resume=(--resume)
    # A run that another call is at is left to it.
    flock --nonblock --conflict-exit-code 0 "$OUT/.$name.lock" \
        nice -n "$NICE" "$bin/robustsuite" train "$recipe" --seed "$seed" --out "$OUT" --name "$name" "${resume[@]}" \
        >>"$OUT/$name.log" 2>&1 || echo "$name failed; see $OUT/$name.log" >&2
}
export -f one

for seed in ${SEEDS:-0}; do
    for recipe in "${recipes[@]}"; do printf '%s %s\n' "$recipe" "$seed"; done
done | xargs --max-procs="${JOBS:-1}" --max-lines=1 bash -c 'one $0 $1'
