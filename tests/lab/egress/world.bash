# Sourced: the outside world of the egress suite in a network namespace of its own, `pinfold-world`.

world_addresses='5.9.10.11 5.9.10.12 5.9.10.13 10.1.2.3 169.254.169.254 2a01:4f8:10::11 2a01:4f8:10::12 2a01:4f8:10::13 5.9.10.20 2a01:4f8:10::20 fd00:1::3 fd00:ec2::254'

# world: the namespace, its servers on every address, and a counter of what should never arrive.
world() {
  ip netns add pinfold-world && at_end+=('ip netns del pinfold-world') && ip -n pinfold-world link set lo up || return
  local address
  for address in $world_addresses 10.55.0.1 fd55::1; do ip -n pinfold-world addr add "$address" dev lo nodad 2>/dev/null || ip -n pinfold-world addr add "$address" dev lo || return; done
  ip -n pinfold-world addr del 10.55.0.1/32 dev lo && ip -n pinfold-world addr del fd55::1/128 dev lo
  ip netns exec pinfold-world nft -f - <<'N' || return
table inet world {
  counter leak { }
  set leaked { typeof ip daddr . meta l4proto . th dport; size 128; flags dynamic; }
  set leaked6 { typeof ip6 daddr . meta l4proto . th dport; size 128; flags dynamic; }
  chain arriving {
    type filter hook prerouting priority raw; policy accept
    iifname "world0" jump from_the_pod
  }
  chain from_the_pod {
    tcp sport 15090 accept
    tcp sport 8888 accept
    ip daddr 10.55.0.1 meta l4proto { tcp, udp } th dport 53 accept
    ip6 daddr fd55::1 meta l4proto { tcp, udp } th dport 53 accept
    ip daddr 5.9.10.11 tcp dport { 80, 443, 5432 } accept
    ip6 daddr 2a01:4f8:10::11 tcp dport { 80, 443, 5432 } accept
    ip daddr 5.9.10.13 tcp dport 2222 accept
    ip daddr 5.9.10.20 tcp dport { 80, 443, 5432 } accept
    ip6 daddr 2a01:4f8:10::20 tcp dport { 80, 443, 5432 } accept
    ip6 daddr 2a01:4f8:10::13 tcp dport 2222 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
    counter name leak
    add @leaked { ip daddr . meta l4proto . th dport }
    add @leaked6 { ip6 daddr . meta l4proto . th dport }
  }
}
N
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=world -keyout "$scratch/world.key" -out "$scratch/world.crt" \
    -addext 'subjectAltName=DNS:*.example.net,DNS:*.wild.example.net' 2>/dev/null || return
  touch "$scratch/world.log"
  world_servers
}

# packages: servers for honest programs, PostgreSQL among them.
packages() {
  cp "$scratch/world.crt" "$scratch/pkgs.crt" && cp "$scratch/world.key" "$scratch/pkgs.key" || return
  ip netns exec pinfold-world python3 "$suite/honest_world.py" "$scratch/packages" "$scratch/pkgs" 5.9.10.20 2a01:4f8:10::20 >"$scratch/packages.out" 2>"$scratch/packages.err" &
  packages_pid=$!
  at_end+=('kill $packages_pid 2>/dev/null')
  within 20 grep -q ready "$scratch/packages.out" || { cat "$scratch/packages.err"; return 1; }
  postgres
}

postgres() {
  local bin data=$scratch/postgres
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
  [ -n "$bin" ] || { apt-get install -y -q --no-install-recommends postgresql postgresql-client >/dev/null && bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); } || return
  mkdir "$data" && cp "$scratch/world.crt" "$data.crt" && cp "$scratch/world.key" "$data.key" && chown -R postgres "$data" "$data.crt" "$data.key" && chmod 600 "$data.key" || return
  setpriv --reuid postgres --regid postgres --clear-groups "$bin/initdb" -D "$data" -A trust -U honest >/dev/null || return
  printf 'host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n' >>"$data/pg_hba.conf"
  ip netns exec pinfold-world setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" -D "$data" -c listen_addresses=5.9.10.20,2a01:4f8:10::20 \
    -c unix_socket_directories= -c ssl=on -c ssl_cert_file="$data.crt" -c ssl_key_file="$data.key" >"$scratch/postgres.log" 2>&1 &
  postgres_pid=$!
  at_end+=('kill $postgres_pid 2>/dev/null; wait $postgres_pid 2>/dev/null')
  within 20 grep -q 'ready to accept' "$scratch/postgres.log"
}

world_servers() {
  # Its DNS binds the bridge's address before the pod's link is there.
  ip netns exec pinfold-world sysctl -qw net.ipv4.ip_nonlocal_bind=1 net.ipv6.ip_nonlocal_bind=1
  ip netns exec pinfold-world python3 "$suite/world.py" "$scratch/world.log" "$scratch/world.crt" "$scratch/world.key" 10.55.0.1,fd55::1,5.9.10.12,2a01:4f8:10::12 >"$scratch/world.out" 2>"$scratch/world.err" &
  world_pid=$!
  at_end+=('kill $world_pid 2>/dev/null')
  within 10 grep -q ready "$scratch/world.out"
}
