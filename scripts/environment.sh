# Sourced by demo and test: makes .venv in the checkout, with the pinned versions, and does nothing when it is there.
# Use: prepare EXTRAS, where EXTRAS is "" or "[dev]". Goes to the root of the checkout.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$name"
            return
        fi
    done
    echo "error: no Python 3.11 or newer with venv and pip was found; install one (on Debian: apt install python3-venv)" >&2
    return 1
}

prepare() {
    local extras=$1 python wanted stamp=.venv/installed
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
        python=$(find_python)
        echo "making .venv with $("$python" --version)" >&2
        "$python" -m venv --clear .venv
    fi
    # What is installed follows from these; the tests' packages contain the demo's.
    wanted=$(cat pyproject.toml scripts/constraints.txt | .venv/bin/python -c \
        'import hashlib, sys; print(sys.version_info[:2], hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    if [ -f "$stamp$extras" ] && [ "$(cat "$stamp$extras")" = "$wanted" ]; then return; fi
    echo "installing the packages of scripts/constraints.txt (minutes, once)" >&2
    rm -f "$stamp" "$stamp[dev]"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c scripts/constraints.txt -e ".$extras"
    printf '%s\n' "$wanted" >"$stamp"
    printf '%s\n' "$wanted" >"$stamp$extras"
}

# Data that a checkout may have beside it.
if [ -z "${ROBUSTSUITE_DATA:-}" ] && [ -d ../shared/data ]; then
    ROBUSTSUITE_DATA=$(cd ../shared/data && pwd)
    export ROBUSTSUITE_DATA
fi
