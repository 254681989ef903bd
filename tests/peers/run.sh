#!/usr/bin/env bash
# The sidecar between programs that others wrote; see README.md. No root. PINFOLD_BIN: a directory with pinfold and pinfold-sidecar, else they are built.
set -euo pipefail
[ -z "${PINFOLD_BIN:-}" ] || PINFOLD_BIN=$(realpath -e "$PINFOLD_BIN")
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

for program in python3 node npm curl wget git openssl; do
  command -v $program >/dev/null || { echo "peers: $program is needed and not there"; exit 2; }
done
if [ -z "${PINFOLD_BIN:-}" ]; then
  (cd "$root" && cargo build --locked -p pinfold -p pinfold-sidecar)
  PINFOLD_BIN=$root/target/debug
fi

# Installed once for each state of the pins.
pins=$(cat package.json package-lock.json requirements.txt | sha256sum | cut -c1-16)
cache=${PINFOLD_ASSETS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pinfold}/peers-$pins
if [ ! -e "$cache/complete" ]; then
  echo "peers: installing MCP's own programs to $cache, about a minute"
  rm -rf "$cache"
  mkdir -p "$cache"
  cp package.json package-lock.json "$cache"
  (cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
  touch "$cache/complete"
fi
exec env PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" main.py "$cache" "$PINFOLD_BIN"
