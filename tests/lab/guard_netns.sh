#!/usr/bin/env bash
# The guard by itself: a pod and the outside, each a network namespace. What leaves the pod is counted outside, whatever the sidecar says; then
# rules and routes are taken away one by one. Numbers in brackets are rows of the attack tables (research, D.1 to D.6).
namespaces_only=1
source "$(dirname "$0")/checks.bash"
needs ip:iproute2 nft:nftables curl:curl python3:python3
suite=$here/guard
python=/usr/bin/python3
uid=64646
pod=pinfold-gpod-$$ out=pinfold-gout-$$
sidecar_pid=

in_pod() { ip netns exec $pod "$@"; }
outside() { ip netns exec $out "$@"; }
# as UID COMMAND...: without any capability, as a container is run.
as() { local who=$1; shift; in_pod setpriv --reuid "$who" --regid "$who" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"; }
guard() { in_pod "$PINFOLD_BIN/pinfold-sidecar" guard --loopback-port 8123 "$@"; }
admin() { outside curl -sS --max-time 5 "http://10.77.0.2:15090/$1"; }
ready() { admin readyz | grep -qx ok; }
broken() { admin readyz | grep -q "$1"; }
intact() { admin metrics | grep -qx "pinfold_guard_intact $1"; }
sysctl_pod() { in_pod sh -c "echo $2 >/proc/sys/net/$1"; }

# leaked: packets from the pod that nobody there asked the sidecar or a client outside for.
leaked() { outside nft -j list counter inet outside leak | $python -c 'import json, sys; print(next(i["counter"]["packets"] for i in json.load(sys.stdin)["nftables"] if "counter" in i))'; }
forget() { outside nft reset counter inet outside leak >/dev/null; outside nft flush set inet outside what; outside nft flush set inet outside what6; }
nothing_left() {
  local count
  count=$(leaked)
  [ "$count" = 0 ] || { echo "$count packets left"; outside nft list table inet outside | grep -A4 'elements'; forget; return 1; }
}

# By namespace: a check runs in a shell of its own, and a function in the background is a shell whose process id isn't the program's.
remove() { ip netns pids $pod | xargs -r kill; ip netns pids $out | xargs -r kill; ip netns del $pod; ip netns del $out; } 2>/dev/null
at_end+=(remove)
namespaces() {
  ip netns add $out && ip netns add $pod &&
    ip link add eth0 netns $pod type veth peer name pod netns $out &&
    ip -n $out addr add 10.77.0.1/24 dev pod && ip -n $out addr add fd77::1/64 dev pod nodad && ip -n $out addr add fe80::1/64 dev pod nodad &&
    ip -n $out link set lo up && ip -n $out link set pod up &&
    ip -n $pod addr add 10.77.0.2/24 dev eth0 && ip -n $pod addr add fd77::2/64 dev eth0 nodad && ip -n $pod link set lo up && ip -n $pod link set eth0 up mtu 1450 &&
    ip -n $pod route add default via 10.77.0.1 && ip -n $pod -6 route add default via fd77::1 && sysctl_pod ipv4/ping_group_range '0 2147483647' || return
  outside nft -f - <<'N'
table inet outside {
  counter leak { }
  set what { typeof ip daddr . meta l4proto . th dport; size 64; flags dynamic; }
  set what6 { typeof ip6 daddr . meta l4proto . th dport; size 64; flags dynamic; }
  chain arriving {
    type filter hook prerouting priority raw; policy accept
    iifname != "pod" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
    tcp sport { 15090, 8888 } accept
    icmp type echo-reply accept
    icmpv6 type echo-reply accept
    ip daddr 10.77.0.1 tcp dport 8080 accept
    ip6 daddr fd77::1 tcp dport 8080 accept
    counter name leak
    add @what { ip daddr . meta l4proto . th dport }
    add @what6 { ip6 daddr . meta l4proto . th dport }
  }
}
N
}
servers() { # servers NAME COMMAND...: runs it until the end of the script
  local name=$1
  shift
  "$@" >"$scratch/$name.out" 2>"$scratch/$name.err" &
  within 10 grep -q ready "$scratch/$name.out"
}
# Not by `as`: a function in the background would be a shell, whose process id is not the sidecar's.
start_sidecar() {
  ip netns exec $pod setpriv --reuid $uid --regid $uid --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$PINFOLD_BIN/pinfold-sidecar" run --policy "$scratch/policy.yaml" --guard required --transparent '127.0.0.1:15001,[::1]:15001' --dns '127.0.0.1:15053,[::1]:15053' \
    --proxy '127.0.0.1:15002,[::1]:15002' --gateway 127.0.0.1:15080 --admin 0.0.0.0:15090 --resolver 10.77.0.1:5353 --audit "$scratch/audit" --drain 1 "$@" >>"$scratch/sidecar.log" 2>&1 &
  sidecar_pid=$!
}
stop_sidecar() { [ -z "$sidecar_pid" ] || { kill "$@" "$sidecar_pid" && wait "$sidecar_pid"; sidecar_pid=; } 2>/dev/null; return 0; }
at_end+=(stop_sidecar)

# attempts UID FAMILY [routed]: one check for each, then what was counted.
attempts() {
  local who=$1 family=$2 row name result found own=10.77.0.2 to=10.77.0.1
  [ "$family" = 4 ] || own=fd77::2 to=fd77::1
  forget
  while IFS='|' read -r row name result found; do
    check "[$row] UID $who, IPv$family: $name: $found" same ok "$result"
  done < <(as "$who" $python "$suite/attempts.py" "$family" $to $own "${@:3}" 2>&1 || echo "?|attempts.py|BAD|failed")
  check "[63-68, 80] UID $who, IPv$family: nothing left the pod" nothing_left
}
sneak() { as 10001 $python -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('10.77.0.1', 443)); s.send(b'x')"; }
fetch() { outside $python -c "
import socket, sys
s = socket.create_connection((sys.argv[1], 8888), 3); s.sendall(b'big'); n = 0
while part := s.recv(65536): n += len(part)
print(n)" "$1"; }
honest() { as 10001 curl -sS --max-time 5 --proxytunnel --proxy "http://127.0.0.1:15002" "http://$1:8080/" --http0.9 | grep -q '^peer '; }
refused_for_guard() {
  local said
  said=$(as 10001 curl -sS --max-time 5 --proxytunnel --proxy http://127.0.0.1:15002 http://10.77.0.1:8080/ -o /dev/null -w 'status %{http_connect}' 2>&1)
  has "$said" 'status 503' && tail -n 5 "$scratch/sidecar.log" | grep -q '"reason":"guard"'
}
state() { in_pod nft list table inet pinfold; ip -n $pod rule; ip -n $pod -6 rule; ip -n $pod route show table 15001; ip -n $pod -6 route show table 15001; }

loading() {
  echo "# Loading"
  required "a pod and the outside" namespaces
  required "servers outside" servers outside outside $python "$suite/servers.py" 8080 443
  required "an agent's own server" servers agent as 10001 $python "$suite/servers.py" 8888 9999u
  required "servers of other containers on loopback" servers other as 65534 $python "$suite/servers.py" 7777 8123
  forget
  sneak
  check "before the guard a packet leaves: the test can fail" at_least 1 "$(leaked)"
  check "without NET_ADMIN it says so and ends with 1" no_right
  check "a port that must stay closed is refused with 2" exits 2 guard --loopback-port 15090
  required "the guard loads rules and routes" guard
  forget
  state >"$scratch/first"
  check "[77] between guard and sidecar nothing gets out" not sneak
  check "[77] and nothing is counted" nothing_left
  check "loaded again it is the same" loaded_again
  check "--dry-run, loaded by nft, is what netlink loaded" same_as_nft
}
no_right() { local text; text=$(as 0 "$PINFOLD_BIN/pinfold-sidecar" guard 2>&1); [ $? = 1 ] && has "$text" NET_ADMIN; }
exits() { local wanted=$1; shift; "$@"; same "$wanted" $?; }
loaded_again() { guard && state >"$scratch/second" && diff "$scratch/first" "$scratch/second"; }
same_as_nft() {
  guard --dry-run >"$scratch/dry.nft" && in_pod nft list table inet pinfold >"$scratch/ours" && at_least 60 "$(wc -l <"$scratch/ours")" &&
    in_pod nft delete table inet pinfold && in_pod nft -f "$scratch/dry.nft" && in_pod nft list table inet pinfold >"$scratch/theirs" && diff "$scratch/ours" "$scratch/theirs" && guard
}

serving() {
  echo "# Serving"
  cp "$suite/policy.yaml" "$scratch/policy.yaml" && mkdir -p "$scratch/audit" && chown $uid "$scratch/audit" && chmod 755 "$scratch" && chmod 644 "$scratch/policy.yaml"
  start_sidecar
  required "the sidecar sees the rules and is ready" within 10 ready || tail -n 20 "$scratch/sidecar.log"
  check "and says so in its metric" intact 1
  check "check-guard ends with 0" as $uid "$PINFOLD_BIN/pinfold-sidecar" check-guard
  check "[69] check-guard of an agent is refused" not as 10001 "$PINFOLD_BIN/pinfold-sidecar" check-guard
  local who family
  for family in 4 6; do
    # An agent; root without capabilities, as in a debug container [79]; nobody.
    for who in 10001 0 65534; do attempts $who $family; done
  done
  check "the sidecar itself gets out, for an agent, IPv4" within 5 honest 10.77.0.1
  check "the sidecar itself gets out, for an agent, IPv6" within 5 honest '[fd77::1]'
  inbound
}
inbound() {
  check "a connection from outside to an agent's server works, a megabyte of it, IPv4" same 1000000 "$(fetch 10.77.0.2)"
  check "a connection from outside to an agent's server works, a megabyte of it, IPv6" same 1000000 "$(fetch fd77::2)"
  check "UDP from outside is not answered: it would be a way out" not outside timeout 3 $python -c "
import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect(('10.77.0.2', 9999)); s.send(b'x'); s.recv(9)"
  check "the pod is measured from outside: metrics by its address" ready
  check "none of that left more than replies" nothing_left
}

# Connections that come and go are told apart by the agent's port alone once they are redirected: 64,512 there are, for all of the last two minutes.
churning() {
  echo "# Connections that come and go"
  local said before
  before=$(times_broken)
  said=$(churn 20 2000) # above what filled all ports, below what the rules refuse
  check "[churn] honest ones get through beside them: $said" mostly_honest "$said"
  check "[churn] what has ended is soon forgotten" at_least "$(tracked)" 25000
  check "[churn] the guard was intact all the time" same "$before" "$(times_broken)"
  check "[churn] a few seconds later nothing of it is left" within 6 tracked_at_most 1000
  # As a kernel without timeouts is given them.
  required "rules without timeouts" plainer
  said=$(churn 15)
  check "[churn] without timeouts who exceeds the rate is refused at once: $said" eval '[[ "$said" =~ refused\ [1-9][0-9]{2} ]]'
  check "[churn] without timeouts the guard was intact" same "$before" "$(times_broken)"
  check "[churn] and afterwards honest ones get through at once" within 2 honest 10.77.0.1
  check "[churn] the guard again" guard
  check "[churn] nothing of it left the pod" nothing_left
}
churn() { as 10001 $python "$suite/churn.py" "$1" 5.9.10.12/0 10.77.0.1/8080 ${2:-}; }
# mostly_honest SAID: at least 19 of 20.
mostly_honest() { local good failed; read -r good failed < <(sed -n 's/.*honest \([0-9]*\) failed \([0-9]*\).*/\1 \2/p' <<<"$1"); at_least $((failed * 19 + 20)) "$good"; }
# Those that are remembered still: what /proc counts is wiped now and then only.
tracked() { in_pod cat /proc/net/nf_conntrack | wc -l; }
tracked_at_most() { at_least "$(tracked)" "$1"; }
plainer() {
  guard --dry-run | sed -e '/^\tct timeout /,/^\t}/d' -e 's/ct timeout set "[a-z_]*" //' -e 's/over 8000.second burst 8000/over 300\/second burst 3000/' >"$scratch/plain.nft" &&
    grep -q 'over 300/second burst 3000' "$scratch/plain.nft" && not grep -q 'ct timeout' "$scratch/plain.nft" && in_pod nft -f "$scratch/plain.nft"
}

breaking() {
  echo "# Without rules"
  in_pod nft flush ruleset
  check "[74, 75] rules flushed from outside: the sidecar says so within 3 s" within 3 broken 'guard is broken'
  check "and its metric" intact 0
  check "and check-guard ends with 1" exits 1 as $uid "$PINFOLD_BIN/pinfold-sidecar" check-guard
  forget
  attempts 10001 4 routed
  attempts 10001 6 routed
  attempts 0 4 routed
  check "[75] requests are refused, with the reason" refused_for_guard
  check "[75] also over IPv6 nothing left by its probes" nothing_left
  check "the guard again" guard
  check "and it serves again within 3 s" within 3 ready
  check "for an agent" honest 10.77.0.1
  check "both changes are in the audit ledger" changes_recorded

  echo "# Without routes"
  local version
  for version in -4 -6; do ip -n $pod $version rule del pref 3; ip -n $pod $version rule del pref 4; done
  check "routes taken away: the sidecar says so within 3 s" within 3 broken 'routes are gone'
  attempts 10001 4
  attempts 10001 6
  check "the guard again" guard
  check "and it serves again" within 3 ready

  echo "# Rules in part"
  local said
  said=$(times_broken)
  in_pod nft flush chain inet pinfold egress
  # SECONDS are whole: this is three and a bit.
  check "a chain emptied: the sidecar says so" within 4 more_than "$said" times_broken
  forget
  check "and it is closed, not open" not sneak
  check "nothing left" nothing_left
  check "the guard again" guard
  check "and it serves again" within 3 ready
}
times_broken() { grep -c 'guard is broken' "$scratch/sidecar.log"; }
more_than() { at_least $(($1 + 1)) "$($2)"; }
changes_recorded() { at_least 2 "$(grep -h '"event":"guard"' "$scratch"/audit/*.jsonl | wc -l)"; }

allowed_one() {
  as 10001 $python -c "
import socket
try:
    s = socket.create_connection(('10.77.0.1', 8080), 1); s.sendall(b'x'); print(s.recv(4).decode())
except ConnectionRefusedError:
    print('refused')"
}
ending() {
  echo "# Without a sidecar"
  check "with a sidecar an allowed connection is answered" same peer "$(allowed_one)"
  stop_sidecar -KILL
  forget
  check "[78] the sidecar killed: an allowed connection is refused at once" same refused "$(allowed_one)"
  check "[78] and nothing leaves" nothing_left
  start_sidecar
  check "a new one serves" within 10 ready

  echo "# Other pods"
  local filter
  for filter in 2 1; do
    sysctl_pod ipv4/conf/all/rp_filter $filter
    check "rp_filter $filter: the guard loads" guard
    check "rp_filter $filter: connections from outside work" same 1000000 "$(fetch 10.77.0.2)"
    check "rp_filter $filter: the sidecar is ready" within 3 ready
  done
  sysctl_pod ipv4/conf/all/rp_filter 0
  check "rp_filter loose again: routes could hold UID 0 and don't, which the sidecar says" within 3 broken 'UID 0 '
  check "and the guard mends" guard
  check "so it serves" within 3 ready
  full
  ip -n $pod link add extra type veth peer name extra0 netns $out && ip -n $out link set extra0 up && ip -n $pod addr add 10.78.0.2/24 dev extra && ip -n $pod link set extra up
  check "an interface that came later is noticed: it has no route of its own" within 3 broken 'by extra'
  ip -n $pod link del extra
  check "and once it is gone all is well" within 3 ready
  stop_sidecar
  without_ipv6
}
# Connection tracking is full: the kernel drops what it can't track. The bound is the machine's, so it is lowered for a moment only.
full() {
  local bound=/proc/sys/net/netfilter/nf_conntrack_max before
  [ -w $bound ] || return 0
  before=$(cat $bound)
  at_end+=("echo $before >$bound")
  forget
  echo 1 >$bound
  sneak 2>/dev/null
  as 10001 curl -sS --max-time 1 http://8.8.8.8/ >/dev/null 2>&1
  echo "$before" >$bound
  check "[68] connection tracking full: nothing leaves" nothing_left
  check "[68] and afterwards all is well" within 5 ready
}
# In a namespace of its own, which its process 1, a shell, shares with the guard as a machine's programs do.
machine() {
  local text
  text=$(unshare --net --pid --fork --mount-proc sh -c '"$0" guard; code=$?; nft list tables | grep -q pinfold && exit 9; exit $code' "$PINFOLD_BIN/pinfold-sidecar" 2>&1)
  [ $? = 2 ] && has "$text" "the machine's own" --whole-machine
}
without_ipv6() {
  in_pod sh -c 'for one in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$one"; done'
  local said
  said=$(guard 2>&1)
  check "a pod without IPv6: the guard loads, and says what it left out" has "$said" 'no IPv6' 'are loaded'
  start_sidecar
  check "a pod without IPv6: the sidecar gets ready" within 10 ready
  attempts 10001 4
}

check "the machine's own namespace is left alone" machine
loading
serving
churning
breaking
ending
