#!/usr/bin/env bash
# Measures the sidecar's data plane beside haproxy, squid, tinyproxy and a direct connection, in one run: run.sh [--write] [ROUNDS [LEG...]].
# Installs the three from Debian's packages if they are missing (as root), builds the sidecar static and optimized as it is shipped, and
# writes the raw figures of every round to stderr, the tables to stdout, and with --write to docs/performance.md. PINFOLD_SIDECAR=FILE
# measures that program instead of a build.
#
# As root everything runs in namespaces of its own: a pod with clients and proxies, one with the guard's rules, and the outside with the server.
# Everybody else has it all on loopback, and nothing redirected.
set -euo pipefail
cd "$(dirname "$0")/../../.."
write=
[ "${1:-}" != --write ] || { write=1; shift; }
rounds=${1:-5}
[ $# = 0 ] || shift
places=pinfold-bench-$$ server=10.78.0.1:19000

missing=()
for program in haproxy squid tinyproxy ip:iproute2 setpriv:util-linux; do
  command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then apt-get install -y --no-install-recommends "${missing[@]}" >&2; fi

export CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static
built=${CARGO_TARGET_DIR:-target}/$CARGO_BUILD_TARGET/release
[ -n "${PINFOLD_SIDECAR:-}" ] || cargo build --locked --release -p pinfold-sidecar --bin pinfold-sidecar
bench=$(cargo bench --locked -p pinfold-sidecar --bench egress --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
scratch=$(mktemp -d)
install -m 755 "${PINFOLD_SIDECAR:-$built/pinfold-sidecar}" "$scratch/pinfold-sidecar"
strip -s "$scratch/pinfold-sidecar"

finish() {
  for kind in out pod guarded; do ip netns del "$places-$kind" 2>/dev/null || true; done
  rm -rf "$scratch" /dev/shm/pinfoldbench*
}
trap finish EXIT

# pod KIND NUMBER: a namespace with a way to the outside.
pod() {
  local pod=$places-$1 net=10.78.$2
  ip netns add "$pod"
  ip link add eth0 netns "$pod" type veth peer name "$1" netns "$places-out"
  ip -n "$pod" link set lo up
  ip -n "$pod" addr add "$net.2/24" dev eth0
  ip -n "$pod" link set eth0 up
  ip -n "$places-out" addr add "$net.1/24" dev "$1"
  ip -n "$places-out" link set "$1" up
  ip -n "$pod" route add default via "$net.1"
}
prefix=-
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$scratch"
  ip netns add "$places-out"
  ip -n "$places-out" link set lo up
  ip -n "$places-out" addr add ${server%:*}/32 dev lo
  pod pod 1
  pod guarded 2
  ip netns exec "$places-guarded" "$scratch/pinfold-sidecar" guard >&2
  prefix=$places
  # All legs alike, before other people's work: what remains of that is in the figures of a shared machine.
  renice -n -19 $$ >/dev/null
else
  server=127.0.0.1:$((20000 + RANDOM % 10000))
fi
# Two sockets for each tunnel.
ulimit -n "$(ulimit -Hn)"
"$bench" "$scratch/pinfold-sidecar" "$rounds" "$prefix" "$server" "$@" | tee "$scratch/report"

if [ -n "$write" ]; then
  {
    printf 'Measured on %s: %s cores, %s. %s rounds.\n\n' "$(date -u +%F)" "$(nproc)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$rounds"
    cat "$scratch/report"
  } >"$scratch/section"
  sed -i -e '/<!-- egress: begin -->/,/<!-- egress: end -->/{/<!-- egress/!d}' -e "/<!-- egress: begin -->/r $scratch/section" docs/performance.md
fi
