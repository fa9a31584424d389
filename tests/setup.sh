#!/bin/bash
# Makes .venv with all that the demo, the tests and the linters need, from tests/requirements.txt (pinned, hashed),
# and the package itself as an editable install. Does nothing when .venv is up to date. `make setup` calls it.
# PYTHON names the interpreter; by default the first that serves of python3, python3.13, python3.12, python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=tests/requirements.txt
stamp=.venv/.ccip-setup

# Prints the real path of an interpreter that CASA has wheels for; fails for any other.
serves() {
    "$1" -c 'import platform, sys
fits = (3, 11) <= sys.version_info < (3, 14) and sys.platform == "linux" and platform.machine() == "x86_64"
print(sys._base_executable if fits else "")
sys.exit(not fits)' 2>/dev/null
}

find_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        serves "$PYTHON" && return
        echo "setup: PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 for Linux on x86_64." >&2
        return 1
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        serves "$name" && return
    done
    echo "setup: found no Python 3.11, 3.12 or 3.13 for Linux on x86_64; name one: make setup PYTHON=/path/of/python3" >&2
    return 1
}

# A Debian or Ubuntu Python comes without ensurepip, which makes the venv's pip.
need_venv_module() {
    local version package
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package="python$version-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing $package"
        apt-get -q update && apt-get -qy install --no-install-recommends "$package"
    else
        echo "setup: $1 cannot make virtual environments; on Debian or Ubuntu: sudo apt-get install $package" >&2
        return 1
    fi
}

mkdir -p build
exec 9>build/setup.lock
flock 9 # two makes at once: the second waits, and then finds everything done

if [ -z "${PYTHON:-}" ] && [ -e "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then
    python=$(cat .venv/.ccip-python)
else
    python=$(find_python)
fi
state=$(sha256sum "$lock" pyproject.toml tests/setup.sh; pwd; echo "$python")
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

need_venv_module "$python"
rm -f "$stamp"
# A .venv of another interpreter, or one that was moved, is made again; otherwise it is brought up to date.
if [ "$(cat .venv/.ccip-python 2>/dev/null)" != "$python" ] || ! .venv/bin/pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
    echo "$python" >.venv/.ccip-python
fi
echo "setup: installing $lock into .venv with $("$python" --version)"
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
echo "$state" >"$stamp"
if ! command -v fitsverify >/dev/null; then
    echo "setup: fitsverify is not installed, so tests that verify FITS files with it are skipped (Debian, Ubuntu: fitsverify)"
fi
echo "setup: .venv is ready"
