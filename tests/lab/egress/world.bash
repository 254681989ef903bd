# Sourced: the outside world of the egress suite, in a network namespace of its own or on the lab's bridge.

world_addresses='5.9.10.11 5.9.10.12 5.9.10.13 10.1.2.3 169.254.169.254 2a01:4f8:10::11 2a01:4f8:10::12 2a01:4f8:10::13 5.9.10.20 2a01:4f8:10::20 fd00:1::3 fd00:ec2::254'

# in_world COMMAND...: where the world is; on a node it is the node's own namespace.
in_world() { if [ -n "${world_namespace:-}" ]; then ip netns exec "$world_namespace" "$@"; else "$@"; fi; }

# world_counter INTERFACE RESOLVER4 RESOLVER6 [MATCH]: counts what arrives from the pod and no rule lists. MATCH tells the pod from others.
world_counter() {
  in_world nft -f - <<N
table inet pinfold-world {
  counter leak { }
  set leaked { typeof ip daddr . meta l4proto . th dport; size 128; flags dynamic; }
  set leaked6 { typeof ip6 daddr . meta l4proto . th dport; size 128; flags dynamic; }
  chain arriving {
    type filter hook prerouting priority raw; policy accept
    iifname "$1" ${4:-} jump from_the_pod
  }
  chain from_the_pod {
    tcp sport 15090 accept
    tcp sport 8888 accept
    ip daddr $2 meta l4proto { tcp, udp } th dport 53 accept
    ip6 daddr $3 meta l4proto { tcp, udp } th dport 53 accept
    ip daddr 5.9.10.11 tcp dport { 80, 443, 5432 } accept
    ip6 daddr 2a01:4f8:10::11 tcp dport { 80, 443, 5432 } accept
    ip daddr 5.9.10.13 tcp dport 2222 accept
    ip6 daddr 2a01:4f8:10::13 tcp dport 2222 accept
    ip daddr 5.9.10.20 tcp dport { 80, 443, 5432 } accept
    ip6 daddr 2a01:4f8:10::20 tcp dport { 80, 443, 5432 } accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
    # The kernel's own answers to what came from here.
    icmp type destination-unreachable accept
    icmpv6 type destination-unreachable accept
    counter name leak
    add @leaked { ip daddr . meta l4proto . th dport }
    add @leaked6 { ip6 daddr . meta l4proto . th dport }
  }
}
N
}
# The counter goes back to zero.
forget_leaks() { in_world nft reset counter inet pinfold-world leak >/dev/null; in_world nft flush set inet pinfold-world leaked; in_world nft flush set inet pinfold-world leaked6; }
no_leak() {
  local leaked
  leaked=$(in_world nft -j list counter inet pinfold-world leak | python3 -c 'import json, sys; print(next(item["counter"]["packets"] for item in json.load(sys.stdin)["nftables"] if "counter" in item))')
  [ "$leaked" = 0 ] || { echo "$leaked packets left that no rule lists"; in_world nft list table inet pinfold-world | grep -A3 elements; forget_leaks; return 1; }
}

# Ends what the functions here started; they may run in a check, which is a shell of its own.
world_ends() { pkill -f "$suite/world.py $scratch/world.log"; pkill -f "$suite/honest_world.py $scratch/packages"; pkill -f "postgres -D $scratch/postgres"; [ -n "${world_namespace:-}" ] || nft delete table inet pinfold-world 2>/dev/null; }

world_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=world -keyout "$scratch/world.key" -out "$scratch/world.crt" \
    -addext basicConstraints=critical,CA:FALSE -addext 'subjectAltName=DNS:*.example.net,DNS:*.wild.example.net' 2>/dev/null && touch "$scratch/world.log"
}

# world_servers RESOLVERS: DNS there, and everything else on every address of the world.
world_servers() {
  in_world python3 "$suite/world.py" "$scratch/world.log" "$scratch/world.crt" "$scratch/world.key" "$1,5.9.10.12,2a01:4f8:10::12" >"$scratch/world.out" 2>"$scratch/world.err" &
  within 10 grep -q ready "$scratch/world.out" || { cat "$scratch/world.err"; return 1; }
}

# packages: servers for honest programs, PostgreSQL among them.
packages() {
  cp "$scratch/world.crt" "$scratch/pkgs.crt" && cp "$scratch/world.key" "$scratch/pkgs.key" || return
  in_world python3 "$suite/honest_world.py" "$scratch/packages" "$scratch/pkgs" 5.9.10.20 2a01:4f8:10::20 >"$scratch/packages.out" 2>"$scratch/packages.err" &
  within 20 grep -q ready "$scratch/packages.out" || { cat "$scratch/packages.err"; return 1; }
  postgres
}

postgres() {
  local bin data=$scratch/postgres
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
  [ -n "$bin" ] || { apt-get install -y -q --no-install-recommends postgresql postgresql-client >/dev/null && bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); } || return
  chmod o+x "$scratch" && mkdir "$data" && cp "$scratch/world.crt" "$data.crt" && cp "$scratch/world.key" "$data.key" && chown -R postgres "$data" "$data.crt" "$data.key" && chmod 600 "$data.key" || return
  setpriv --reuid postgres --regid postgres --clear-groups "$bin/initdb" -D "$data" -A trust -U honest >/dev/null || return
  printf 'host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n' >>"$data/pg_hba.conf"
  in_world setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" -D "$data" -c listen_addresses=5.9.10.20,2a01:4f8:10::20 \
    -c unix_socket_directories= -c ssl=on -c ssl_cert_file="$data.crt" -c ssl_key_file="$data.key" >"$scratch/postgres.log" 2>&1 &
  within 20 grep -q 'ready to accept' "$scratch/postgres.log"
}

