#!/usr/bin/env bash
# The sidecar in a pod of a real node, as tests/lab/sidecar/agent-pod.yaml declares it: start order, allowed and denied requests of an agent,
# credentials, metrics, and policy that arrives by a mounted ConfigMap.
source "$(dirname "$0")/checks.bash"
namespace=acme-agents
token=token-that-the-agent-never-sees-$RANDOM$RANDOM
bridge=10.244.0.1
servers=() # their process ids

remove() {
  kubectl delete namespace $namespace --ignore-not-found
  [ ${#servers[@]} = 0 ] || kill "${servers[@]}"
}
agent() { kubectl exec -n $namespace ci-repair -c agent -- "$@"; }
# Debian's busybox crashes on wget's -T.
fetch() { timeout 15 kubectl exec -n $namespace ci-repair -c agent -- wget -qO- "$@"; }
metrics_of() { metric "http://$address:15090/metrics" "$@"; }
policy() { sed "s/PORT/$port/g; s/TLS/$tls/" "$here/sidecar/policy.yaml"; }
configmap() { kubectl create configmap ci-repair-policy -n $namespace --from-file=ci-repair.yaml=/dev/stdin --dry-run=client -o yaml | kubectl apply -f -; }
secret() { kubectl create secret generic ci-repair-tokens -n $namespace --from-literal=github="$1" --from-literal=github-actions=x --from-file=ca="$lab_dir/ca.crt" --dry-run=client -o yaml | kubectl apply -f -; }

# refused URL: 403 for wget, and nothing arrives.
refused() {
  local output before
  before=$(wc -l <"$scratch/upstream.log")
  if output=$(fetch "$1" 2>&1); then echo "answered: $output"; return 1; fi
  has "$output" "403 Forbidden" && same "$before" "$(wc -l <"$scratch/upstream.log")"
}
# reason URL: the reason in the sidecar's answer, which wget doesn't show.
reason() {
  local host=${1#http://}
  host=${host%%/*}
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$host" | kubectl exec -i -n $namespace ci-repair -c agent -- nc -w 5 127.0.0.1 15002 |
    sed -n 's/.*"reason":"\([^"]*\)".*/\1/p'
}

setup() {
  "$lab/image" pinfold-sidecar:0.1.0 '["/pinfold-sidecar"]' "$PINFOLD_BIN/pinfold-sidecar=pinfold-sidecar" &&
    kubectl create namespace $namespace &&
    policy | configmap && secret "$token" &&
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$here/sidecar" | kubectl apply -f -
}

starting() {
  echo "# Start"
  touch "$scratch/upstream.log"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=upstream.lab -keyout "$scratch/upstream.key" -out "$scratch/upstream.csr" 2>/dev/null
  openssl x509 -req -in "$scratch/upstream.csr" -CA "$lab_dir/ca.crt" -CAkey "$lab_dir/ca.key" -days 2 -extfile <(echo subjectAltName=DNS:upstream.lab) \
    -out "$scratch/upstream.crt" 2>/dev/null
  python3 "$here/upstream.py" $bridge "$scratch/upstream.log" "$scratch/upstream.crt" "$scratch/upstream.key" >"$scratch/ports" 2>"$scratch/upstream.err" &
  servers+=($!)
  python3 "$here/names.py" $bridge upstream.lab=$bridge other.lab=$bridge rebound.lab=$bridge,169.254.169.254 metadata.lab=169.254.169.254 >"$scratch/names" &
  servers+=($!)
  at_end+=('remove >/dev/null 2>&1')
  required "an upstream and a DNS server on the bridge" within 10 test -s "$scratch/ports" -a -s "$scratch/names"
  read -r port tls <"$scratch/ports"
  required "image, policy, tokens and the example's pod go in" setup
  if ! check "agent and sidecar get ready" kubectl wait -n $namespace pod/ci-repair --for=condition=Ready --timeout=60s; then
    kubectl describe pod -n $namespace ci-repair | tail -n 30
    kubectl logs -n $namespace ci-repair -c pinfold-sidecar --tail=50
    exit 1
  fi
  address=$(field .status.podIP pod -n $namespace ci-repair)
  check "the agent started after the sidecar" agent_started_last
}
agent_started_last() {
  local sidecar agent
  sidecar=$(field '.status.initContainerStatuses[?(@.name=="pinfold-sidecar")].state.running.startedAt' pod -n $namespace ci-repair)
  agent=$(field '.status.containerStatuses[?(@.name=="agent")].state.running.startedAt' pod -n $namespace ci-repair)
  [ -n "$sidecar" ] && [[ ! $agent < $sidecar ]] || { echo "sidecar $sidecar, agent $agent"; return 1; }
}

asking() {
  echo "# What the agent gets"
  check "an allowed path, by name" same "this is /open/a" "$(fetch "http://upstream.lab:$port/open/a")"
  check "an allowed path, by a name of the pod's hosts file" same "this is /open/c" "$(fetch "http://alias.lab:$port/open/c")"
  check "an allowed path, by address" same "this is /open/b" "$(fetch "http://$bridge:$port/open/b")"
  check "another path: 403" refused "http://upstream.lab:$port/closed"
  check "another name of the same server: 403" refused "http://other.lab:$port/open/a"
  check "another port: 403" refused "http://upstream.lab:1/open/a"
  check "the API server: 403" refused "http://$bridge:6443/"
  check "cloud metadata: 403" refused "http://169.254.169.254/latest/meta-data/"
  check "cloud metadata, behind an allowed name: 403" refused "http://metadata.lab/latest/meta-data/"
  check "an allowed name with one address too many: 403" refused "http://rebound.lab:$port/open/a"
  check "the sidecar's own admin port: 403" refused "http://127.0.0.1:15090/metrics"
  check "the reason is in the answer" same "path host port address resolve" \
    "$(for url in "upstream.lab:$port/closed" "other.lab:$port/open/a" "upstream.lab:1/open/a" metadata.lab/ nowhere.lab/; do reason "http://$url"; done | xargs)"
  check "a named upstream by TLS, with the credential that the sidecar adds" credential "$token"
  check "the agent has the token in no file of its own, nor in its environment" no_token
}
# The agent's NO_PROXY keeps the gateway out of the proxy; busybox takes no notice of it, hence -Y off.
credential() {
  fetch -Y off http://127.0.0.1:15080/upstreams/named/credential && has "$(tail -n 1 "$scratch/upstream.log")" '"/credential"' "Bearer $1"
}
no_token() {
  agent sh -c '[ ! -e /var/run/pinfold ] && [ ! -e /etc/pinfold ]' && lacks "$(agent env)" "$token"
}

showing() {
  echo "# What shows, from outside the pod"
  check "metrics: allowed and denied requests" at_least 2 "$(metrics_of pinfold_egress_connections_total 'decision="allow"')"
  check "metrics: denials by reason" same "2 2 3" \
    "$(for reason in path host port; do metrics_of pinfold_egress_connections_total "reason=\"$reason\""; done | xargs)"
  check "ready, healthy" eval 'curl -sSf "http://$address:15090/readyz" && curl -sSf "http://$address:15090/healthz"'
  check "proxy and gateway are for the pod alone" eval 'not curl -sS --max-time 3 "http://$address:15002/" && not curl -sS --max-time 3 "http://$address:15080/"'
  check "the log is JSON lines, with the denials and without the token" log_is_clean
}
log_is_clean() {
  local log
  log=$(kubectl logs -n $namespace ci-repair -c pinfold-sidecar)
  has "$log" '"reason":"path"' && lacks "$log" "$token" && python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <<<"$log"
}

reloading() {
  echo "# Policy by ConfigMap, tokens by Secret, as the kubelet swaps them"
  local start=$SECONDS
  policy | sed 's,/open/,/closed/,' | configmap >/dev/null
  check "a changed ConfigMap is in force" within 90 fetch "http://upstream.lab:$port/closed/now"
  echo "        after $((SECONDS - start)) s"
  check "what it no longer allows is refused" refused "http://upstream.lab:$port/open/a"
  check "metrics: one reload, one digest" same "1 1" "$(metrics_of pinfold_policy_reloads_total 'result="success"') $(metrics_of pinfold_policy_info)"
  policy | sed 's,egress:,egres:,' | configmap >/dev/null
  check "a ConfigMap with a mistake is counted and told" within 90 mistake_told
  check "and the policy before it stays" same "this is /closed/still" "$(fetch "http://upstream.lab:$port/closed/still")"
  policy | configmap >/dev/null
  check "a mended ConfigMap is in force" within 90 fetch "http://upstream.lab:$port/open/again"
  secret "$token-rotated" >/dev/null
  check "a rotated token is used" within 90 credential "$token-rotated"
}
mistake_told() {
  at_least 1 "$(metrics_of pinfold_policy_reloads_total 'result="error"')" && has "$(kubectl logs -n $namespace ci-repair -c pinfold-sidecar)" 'egres'
}

ending() {
  echo "# End"
  local uid
  uid=$(field .metadata.uid pod -n $namespace ci-repair)
  check "pinfold audit verify of the ledger in the pod's volume" "$PINFOLD_BIN/pinfold" audit verify "$lab_dir/kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/state/audit"
  check "no token in it" lacks "$(cat "$lab_dir/kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/state/audit"/*)" "$token"
  kubectl get pod -n $namespace ci-repair --watch -o 'jsonpath={.status.initContainerStatuses[0].state.terminated.exitCode}{"\n"}' >"$scratch/codes" &
  local watch=$!
  check "the pod ends in time" kubectl delete pod -n $namespace ci-repair --timeout=30s
  kill $watch
  check "and its sidecar with 0" grep -qx 0 "$scratch/codes"
}

starting
asking
showing
reloading
ending
