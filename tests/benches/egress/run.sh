#!/usr/bin/env bash
# Measures the sidecar's data plane beside haproxy, squid, tinyproxy and a direct connection, in one run on loopback: run.sh [ROUNDS].
# Installs the three from Debian's packages if they are missing (as root), builds the sidecar static and optimized as it is shipped, and
# writes the raw figures of every round to stderr, the tables to stdout.
set -euo pipefail
cd "$(dirname "$0")/../../.."
target=x86_64-unknown-linux-gnu

missing=()
for program in haproxy squid tinyproxy; do command -v "$program" >/dev/null || missing+=("$program"); done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi
# Two sockets for each of 9,500 tunnels, in this process and in each proxy.
ulimit -n 20000
trap 'rm -f /dev/shm/pinfoldbench*' EXIT

export CARGO_BUILD_TARGET=$target CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static
cargo build --locked --release -p pinfold-sidecar --bin pinfold-sidecar
cargo bench --locked -p pinfold-sidecar --bench egress -- "$PWD/target/$target/release/pinfold-sidecar" "${1:-5}"
