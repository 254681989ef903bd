#!/usr/bin/env bash
# The DNS gate as programs meet it: dig, getent, python, curl and busybox ask on port 53 of a network namespace, and dnsperf asks it and its upstream in one
# run. `tests/lab/dns_netns.sh SECONDS` measures longer. Installs what it needs.
namespaces_only=1
source "$(dirname "$0")/checks.bash"
needs dig:bind9-dnsutils dnsperf:dnsperf ip:iproute2 curl:curl
seconds=${1:-5}
namespace=pinfold-dns-$$
inside() { ip netns exec $namespace "$@"; }
gate=127.0.0.1 upstream=127.0.0.2

world() {
  rustc --edition 2024 -O -o "$scratch/upstream" "$here/dns/upstream.rs" &&
    ip netns add $namespace && inside ip link set lo up &&
    mkdir -p /etc/netns/$namespace &&
    printf 'nameserver %s\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n' $gate >/etc/netns/$namespace/resolv.conf &&
    printf '127.0.0.1 localhost\n127.0.0.9 pod.example\n' >/etc/netns/$namespace/hosts || return
  cat >"$scratch/policy.yaml" <<'YAML'
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: measured}
spec:
  egress:
    dns: {maxQps: 1000000, searchSuffixes: [ns.svc.cluster.local, svc.cluster.local, cluster.local]}
    allow:
    - {host: api.example, ports: [443], protocol: tls}
    - {host: pod.example, ports: [443], protocol: tls}
    - {host: other.example, ports: [443], protocol: tls}
    - {host: "*.wild.example", ports: [443], protocol: tls}
YAML
}
# In the background. Not by `inside`, whose process would be a shell; the output of a check must not be held open.
serve() { ip netns exec $namespace "$@" >>"$scratch/log" 2>&1 & at_end+=("kill $!"); }
# How many questions came to the upstream so far.
asked() { local a b c d; IFS=. read -r a b c d < <(inside dig +short @${1:-$upstream} count.test A); echo $(((a << 24) + (b << 16) + (c << 8) + d)); }
ask() { inside dig +tries=1 +time=5 "$@"; }

programs() {
  echo "# Programs"
  local found before
  check "dig, UDP" same 93.184.216.34 "$(ask +short api.example A)"
  check "dig, TCP" same 93.184.216.34 "$(ask +short +tcp api.example A)"
  check "dig, over IPv6" same 93.184.216.34 "$(ask +short @::1 api.example A)"
  check "dig, one connection, many questions" same 3 "$(ask +short +tcp +keepopen api.example A other.example A api.example A | wc -l)"
  check "dig without EDNS" same 93.184.216.34 "$(ask +short +noedns api.example A)"
  check "dig with a cookie, DNSSEC and 0x20" same 93.184.216.34 "$(ask +short +cookie +dnssec aPi.eXample A)"
  check "getent through a search list of three" has "$(inside getent ahosts api.example)" 93.184.216.34
  check "getent, EDNS" has "$(inside env RES_OPTIONS=edns0 getent ahosts other.example)" 93.184.216.34
  check "python" same 93.184.216.34 "$(inside python3 -c 'import socket; print(socket.getaddrinfo("api.example", 443)[0][4][0])')"
  ! command -v busybox >/dev/null || check "busybox nslookup" has "$(inside busybox nslookup api.example 2>&1)" 93.184.216.34
  check "curl resolves, and is stopped only by there being no way out" has "$(inside curl -sS --max-time 2 https://api.example 2>&1)" "port 443"
  before=$(asked)
  found=$(ask secret.evil.example A)
  check "a denied name is REFUSED, and dig says why" has "$found" "status: REFUSED" "EDE: 18" "host (spec.egress.allow)" "secret.evil.example"
  for type in TXT ANY NULL PTR AXFR CAA SRV SOA; do
    check "$type is refused" not grep -q 'status: NOERROR\|XFR size' <<<"$(ask api.example $type 2>&1)"
  done
  check "CH version.bind is refused" has "$(ask version.bind CH TXT)" "status: REFUSED"
  check "getent finds no denied name" not inside getent ahosts secret.evil.example
  check "nothing of this came to the upstream" same "$before" "$(asked)"
}

# figures: queries a second and the ones lost, of one run of dnsperf.
measured() { inside dnsperf -s "$1" -d "$2" -l "$seconds" -c 8 -q 64 >"$scratch/perf" 2>&1 && awk '/Queries lost/ {lost = $3} /Queries per second/ {rate = $4} /Average Latency/ {latency = $4} END {printf "%d %d %d\n", rate, lost, latency * 1000000}' "$scratch/perf"; }
performance() {
  echo "# dnsperf, $seconds seconds each, beside the upstream itself"
  local what server rate lost latency direct before
  echo "api.example A" >"$scratch/allowed"
  echo "secret.evil.example A" >"$scratch/denied"
  printf 'api.example.ns.svc.cluster.local A\napi.example.svc.cluster.local A\napi.example.cluster.local A\napi.example A\n' >"$scratch/search"
  read -r direct lost latency < <(measured $upstream "$scratch/allowed")
  printf 'direct: %d/s, %d µs\n' "$direct" "$latency"
  before=$(asked)
  for what in allowed denied search; do
    read -r rate lost latency < <(measured $gate "$scratch/$what")
    printf '%s: %d/s, %d.%02d of direct, %d µs\n' $what "$rate" $((rate / direct)) $((rate * 100 / direct % 100)) "$latency"
    check "$what: no query is lost" same 0 "$lost"
  done
  check "cached answers and denials ask the upstream next to nothing" at_least "$(($(asked) - before))" 50
}

# Servers that the policy names, in place of those of resolv.conf; never on loopback, where an agent could answer.
resolvers() {
  echo "# Resolvers of the policy"
  local server=192.0.2.53 gate=127.0.0.4 before
  inside ip addr add $server/32 dev lo
  serve "$scratch/upstream" $server:53
  sed "s/dns: {/dns: {resolvers: ['$server:53'], /" "$scratch/policy.yaml" >"$scratch/own.yaml"
  serve "$PINFOLD_BIN/pinfold-sidecar" run --policy "$scratch/own.yaml" --dns $gate:53 --proxy off --gateway off --admin $gate:15090 --ready-file "$scratch/ready-own"
  check "the gate answers" within 15 test -s "$scratch/ready-own"
  before=$(asked $server)
  check "an allowed name is answered" same 93.184.216.34 "$(ask +short @$gate other.example A)"
  check "by the policy's server" not same "$before" "$(asked $server)"
  check "a denied name is REFUSED" has "$(ask @$gate secret.evil.example A)" "status: REFUSED"
  sed -i "s/resolvers: \[[^]]*\], //" "$scratch/own.yaml"
  check "without the field it follows resolv.conf again" within 15 grep -q '"generation":2' "$scratch/log"
  before=$(asked $server)
  check "an allowed name is answered still" same 93.184.216.34 "$(ask +short @$gate api.example A)"
  check "and not by that server" same "$before" "$(asked $server)"
}

at_end+=('ip netns del $namespace; rm -rf /etc/netns/$namespace')
required "a namespace with an upstream" world
serve "$scratch/upstream" $upstream:53
serve "$PINFOLD_BIN/pinfold-sidecar" run --policy "$scratch/policy.yaml" --dns "$gate:53,[::1]:53" --resolver $upstream:53 --proxy off --gateway off --admin $gate:15090 \
  --ready-file "$scratch/ready"
required "the gate answers" within 15 test -s "$scratch/ready"
programs
resolvers
performance
