#!/bin/bash
# What the browser tests need beside .venv: Debian's Chromium, Python's playwright to steer it (requirements.txt), and
# axe-core (package-lock.json) under build/browser. Does nothing that is done. `make browser-test` calls it.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "browser-test: please install: ${missing[*]}" >&2
        exit 1
    fi
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}"
fi

mkdir -p build/browser
exec 9>build/browser/setup.lock
flock 9
state=$(sha256sum tests/browser/requirements.txt tests/browser/package-lock.json; cat .venv/.ccip-setup)
[ "$(cat build/browser/.setup 2>/dev/null)" = "$state" ] && exit 0
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r tests/browser/requirements.txt
cp tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc build/browser/
(cd build/browser && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-progress --loglevel=error)
echo "$state" >build/browser/.setup
