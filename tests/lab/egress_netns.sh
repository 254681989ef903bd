#!/usr/bin/env bash
# The sidecar and its guard on a laptop: one network namespace is the pod, another the world. Plays every row of the attack tables D.1 to D.6 by
# IPv4 and IPv6 as an agent of another UID, then honest programs, then faults; nothing may leave that policy doesn't list.
namespaces_only=1
source "$(dirname "$0")/checks.bash"
needs ip:iproute2 nft:nftables curl:curl wget:wget git:git npm:npm psql:postgresql-client pip3:python3-pip openssl:openssl
suite=$here/egress
source "$suite/world.bash"
uid=64646 agent_uid=10001
sidecar_pid=

in_pod() { ip netns exec $pod_namespace "$@"; }
as_agent() { in_pod setpriv --reuid $agent_uid --regid $agent_uid --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all env -i PATH=/usr/bin:/bin HOME="$scratch/home" LC_ALL=C "$@"; }
metrics() { ip netns exec $world_namespace curl -sS --max-time 5 "http://10.55.0.2:15090/$1"; }

# Several runs may go on beside each other.
world_namespace=pinfold-world-$$ pod_namespace=pinfold-pod-$$
namespaces() {
  local address
  ip netns add $world_namespace && ip -n $world_namespace link set lo up || return
  for address in $world_addresses; do ip -n $world_namespace addr add "$address" dev lo || return; done
  ip netns add $pod_namespace &&
    ip link add world0 netns $world_namespace type veth peer name eth0 netns $pod_namespace &&
    ip -n $world_namespace addr add 10.55.0.1/24 dev world0 && ip -n $world_namespace addr add fd55::1/64 dev world0 nodad && ip -n $world_namespace link set world0 up &&
    ip -n $pod_namespace link set lo up && ip -n $pod_namespace addr add 10.55.0.2/24 dev eth0 && ip -n $pod_namespace addr add fd55::2/64 dev eth0 nodad &&
    ip -n $pod_namespace link set eth0 up && ip -n $pod_namespace route add default via 10.55.0.1 && ip -n $pod_namespace -6 route add default via fd55::1 &&
    mkdir -p /etc/netns/$pod_namespace && printf 'nameserver 10.55.0.1\nnameserver fd55::1\n' >/etc/netns/$pod_namespace/resolv.conf &&
    world_counter world0 10.55.0.1 fd55::1 && world_certificate && world_servers 10.55.0.1,fd55::1
}
sidecar() {
  mkdir -p "$scratch/state" "$scratch/trust" "$scratch/home" && chown $uid "$scratch/state" "$scratch/trust" && chown $agent_uid "$scratch/home" && chmod 755 "$scratch"
  # No function: the process id must be the sidecar's, which these become.
  ip netns exec $pod_namespace setpriv --reuid $uid --regid $uid --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    "$PINFOLD_BIN/pinfold-sidecar" run --policy "$scratch/policy.yaml" --guard required --audit "$scratch/state/audit" --trust "$scratch/trust" --upstream-ca "$scratch/world.crt" \
    --transparent '127.0.0.1:15001,[::1]:15001' --dns '127.0.0.1:15053,[::1]:15053' --proxy '127.0.0.1:15002,[::1]:15002' --gateway '127.0.0.1:15080,[::1]:15080' --admin '0.0.0.0:15090' \
    --drain 1 >>"$scratch/sidecar.log" 2>&1 &
  sidecar_pid=$!
}
stop_sidecar() { [ -z "$sidecar_pid" ] || { kill "$@" "$sidecar_pid" && wait "$sidecar_pid"; sidecar_pid=; } 2>/dev/null; return 0; }
at_end+=(stop_sidecar)
ready() { metrics readyz | grep -qx ok; }

starting() {
  echo "# Start"
  at_end+=(world_ends)
  # Not in `namespaces`, which a check runs in a shell of its own.
  at_end+=('ip netns pids $world_namespace | xargs -r kill; ip netns del $world_namespace; ip netns pids $pod_namespace | xargs -r kill; ip netns del $pod_namespace; rm -rf /etc/netns/$pod_namespace')
  required "a world and a pod, each a network namespace" namespaces
  cp "$suite/policy.yaml" "$scratch/policy.yaml"
  chmod 644 "$scratch/policy.yaml" "$scratch/world.crt"
  check "before the guard there is a way out: the test can fail" reaches_out
  forget_leaks
  required "the guard loads its rules" in_pod "$PINFOLD_BIN/pinfold-sidecar" guard --uid $uid
  check "before the sidecar runs nothing gets out" not reaches_out
  sidecar
  if ! check "the sidecar gets ready" within 15 ready; then
    metrics readyz
    tail -n 20 "$scratch/sidecar.log"
    exit 1
  fi
}
reaches_out() { as_agent timeout 3 python3 -c 'import socket; socket.create_connection(("5.9.10.12", 443), 2)'; }
attacking() {
  local family=$1 resolver=$2
  echo "# Attacks by IPv$family"
  : >"$scratch/world.log"
  stop_sidecar
  rm -rf "$scratch/state/audit"
  sidecar
  required "a fresh sidecar gets ready" within 15 ready
  check "the rows are played" eval 'as_agent PYTHONDONTWRITEBYTECODE=1 python3 "$suite/agent.py" $family $resolver >"$scratch/outcomes-$family"'
  metrics metrics >"$scratch/metrics"
  python3 "$suite/judge.py" "$scratch/outcomes-$family" "$scratch/world.log" "$scratch/state/audit" "$scratch/metrics" >"$scratch/judged-$family"
  local judged=$?
  grep -A3 '^FAILED' "$scratch/judged-$family"
  check "verdict, reason, record and metric of $(wc -l <"$scratch/outcomes-$family") rows" [ $judged = 0 ]
  check "not one packet left that no rule lists" no_leak
  check "pinfold audit verify" "$PINFOLD_BIN/pinfold" audit verify "$scratch/state/audit"
}

check "docs/egress-attacks.md lists what is played" diff <(python3 "$suite/page.py" <"$suite/page-head.md") "$root/docs/egress-attacks.md"
starting
attacking 4 10.55.0.1
attacking 6 fd55::1

honest() {
  echo "# Honest programs"
  required "servers for them" packages
  local family line
  for family in 4 6; do
    as_agent PYTHONDONTWRITEBYTECODE=1 PATH="$PATH" python3 "$suite/honest.py" "$scratch/world.crt" $family >"$scratch/honest-$family"
    while read -r line; do
      case $line in ok*) check "${line#ok      }" true ;; FAILED*) check "${line#FAILED  }" eval 'grep -A3 -F "$line" "$scratch/honest-$family"; false' ;; esac
    done <"$scratch/honest-$family"
  done
  check "not one packet left that no rule lists" no_leak
}

# What an agent tries in each fault: allowed and not, by name and by address, TCP, UDP and DNS. Nothing of it may be answered.
tries() {
  as_agent PYTHONDONTWRITEBYTECODE=1 timeout 60 python3 - "$suite" <<'P'
import socket, sys
sys.path.insert(0, sys.argv[1])
import wire
def attempt(what, run):
    try:
        print("ANSWERED", what, run())
    except OSError:
        pass
def tcp(address, port):
    with socket.create_connection((address, port), 1) as client:
        client.settimeout(1)
        client.sendall(wire.hello([b"api.example.net"]))
        answer = client.recv(100)
        if not answer or answer[0] == 21:
            raise OSError
        return answer
def udp(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect((address, port))
        client.send(b"x")
        return client.recv(100)
for address in ("5.9.10.11", "5.9.10.12", "2a01:4f8:10::11", "2a01:4f8:10::12", "10.55.0.1", "fd55::1", "169.254.169.254"):
    for port in (443, 80, 22):
        attempt((address, port), lambda: tcp(address, port))
    attempt((address, "udp"), lambda: udp(address, 9999))
    attempt((address, "dns"), lambda: wire.ask(address, wire.query(wire.question("evil.example.org", 1)), wait=1) and None or (_ for _ in ()).throw(OSError()))
P
}
nothing_gets_out() { local found; found=$(tries); [ -z "$found" ] || { echo "$found"; return 1; }; }
intact() { metrics metrics | grep -qx "pinfold_guard_intact $1"; }

faults() {
  echo "# Faults"
  forget_leaks
  stop_sidecar -9
  check "the sidecar killed: nothing is answered" nothing_gets_out
  check "the sidecar killed: nothing leaves" no_leak
  sidecar
  check "started again, it serves" within 15 ready
  check "and its ledger is whole" "$PINFOLD_BIN/pinfold" audit verify "$scratch/state/audit"

  ip netns exec $pod_namespace nft flush ruleset
  check "rules flushed from outside: nothing is answered" nothing_gets_out
  check "rules flushed: nothing leaves" no_leak
  check "rules flushed: the metric says so" within 5 intact 0
  check "rules flushed: not ready, with the reason" eval 'metrics readyz | grep -qi guard'
  check "rules flushed: recorded" eval 'grep -q "guard" "$scratch"/state/audit/*.jsonl'
  in_pod "$PINFOLD_BIN/pinfold-sidecar" guard --uid $uid
  check "the guard again: intact and ready without a restart" within 10 ready

  ip -n $pod_namespace rule flush && ip -n $pod_namespace rule add pref 32766 lookup main && ip -n $pod_namespace rule add pref 0 lookup local
  check "routes gone, rules there: nothing leaves" eval 'nothing_gets_out; no_leak'
  in_pod "$PINFOLD_BIN/pinfold-sidecar" guard --uid $uid
  check "mended" within 10 ready

  in_world nft insert rule inet pinfold-world arriving meta l4proto '{ tcp, udp }' th dport 53 drop
  check "DNS upstream gone: SERVFAIL or a quick refusal, no hang" dns_gone
  check "DNS upstream gone: nothing leaves" no_leak
  in_world nft delete rule inet pinfold-world arriving handle "$(in_world nft -a list chain inet pinfold-world arriving | sed -n 's/.*dport 53 drop # handle //p')"
  check "DNS upstream back: resolves" within 15 eval 'as_agent getent hosts db.example.net'

  mv "$scratch/policy.yaml" "$scratch/policy.away"
  check "policy removed: not ready, with the reason" within 40 eval 'metrics readyz | grep -qi policy'
  check "policy removed: nothing is answered" nothing_gets_out
  mv "$scratch/policy.away" "$scratch/policy.yaml"
  check "policy back: ready" within 10 ready || { metrics readyz; tail -n 3 "$scratch/sidecar.log"; }
  check "not one packet left that no rule lists" no_leak
}
dns_gone() {
  local start=$SECONDS
  as_agent PYTHONDONTWRITEBYTECODE=1 timeout 15 python3 -c '
import sys; sys.path.insert(0, sys.argv[1])
import wire
print(wire.parse(wire.ask("10.55.0.1", wire.query(wire.question("slow.example.net", 1)), wait=12))[0])' "$suite" | grep -qx 'SERVFAIL' && [ $((SECONDS - start)) -le 8 ]
}

honest
faults
