#!/usr/bin/env bash
# An agent's pod as the webhook makes it, on a real node: injected whatever its author writes, the only way out, and nothing gets out when
# parts of it fail. Plays every row of the attack tables from the agent's container, by IPv4 and IPv6, then honest programs.
source "$(dirname "$0")/checks.bash"
needs python3.11:python3 pgrep:procps curl:curl wget:wget git:git npm:npm pip3:python3-pip psql:postgresql-client gpgv:gpgv
suite=$here/egress
source "$suite/world.bash"
system=(-n pinfold-system)
namespace=lab-egress
alice=(--as alice)
bridge=10.244.0.1 bridge6=fd10:244::1
cni=/etc/cni/net.d/10-lab.conflist

remove() {
  kubectl delete namespace $namespace --ignore-not-found --timeout=60s
  kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration pinfold --ignore-not-found
  kubectl delete clusterrole lab-egress-lead --ignore-not-found
  kubectl kustomize --load-restrictor LoadRestrictionsNone "$scratch/confined" | kubectl delete --ignore-not-found -f -
  kubectl delete -k "$root/manifests/crds" --ignore-not-found
  local address
  for address in $world_addresses; do ip addr del "$address" dev cni0; done
  [ ! -e "$scratch/cni" ] || cp "$scratch/cni" $cni
}
apply() { kubectl apply -f - "$@"; }
deploy() { kubectl kustomize --load-restrictor LoadRestrictionsNone "$scratch/confined" | kubectl apply -f -; }
agent() { kubectl exec -n $namespace agent -c agent -- "$@"; }
python() { agent /usr/bin/python3.11 "$@"; }
metrics() { curl -sS --max-time 5 "http://$address:15090/$1"; }
ready() { metrics readyz | grep -qx ok; }
intact() { metrics metrics | grep -qx "pinfold_guard_intact $1"; }
volume() { echo "$lab_dir/kubelet/pods/$(field .metadata.uid pod -n $namespace agent)/volumes/kubernetes.io~empty-dir/$1"; }
# The sidecar's process: that of its container's cgroup. (The UID alone may be that of another sidecar on this machine.)
sidecar_process() {
  local container one
  container=$(field '.status.initContainerStatuses[?(@.name=="pinfold-sidecar")].containerID' pod -n $namespace agent)
  for one in $(pgrep -u 64646 -f 'pinfold-sidecar run'); do
    grep -q "${container##*/}" /proc/"$one"/cgroup && { echo "$one"; return; }
  done
}
# changed_from PID: the kubelet has started another.
changed_from() {
  local now
  now=$(sidecar_process)
  [ -n "$now" ] && [ "$now" != "$1" ]
}

# Two families in each pod; the lab's network has one.
two_families() {
  cp $cni "$scratch/cni" &&
    sed -i 's|"subnet":"10.244.0.0/24","rangeStart":"10.244.0.10","routes":\[{"dst":"0.0.0.0/0"}\]|"ranges":[[{"subnet":"10.244.0.0/24","rangeStart":"10.244.0.10"}],[{"subnet":"fd10:244::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]|' $cni &&
    grep -q fd10 $cni && ip addr replace $bridge6/64 dev cni0 nodad
}
attacker_image() {
  local files
  printf '#!/bin/sh\nexec node /usr/lib/node_modules/npm/bin/npm-cli.js "$@"\n' >"$scratch/npm" && chmod 755 "$scratch/npm"
  mapfile -t files < <(python3 "$suite/toolbox.py") && [ ${#files[@]} -gt 0 ] || return
  "$lab/image" pinfold-attacker:1 '["/usr/bin/python3.11"]' "${files[@]}" "$scratch/npm=usr/bin/npm" "$scratch/world.crt=world.crt" "$suite=suite"
}
setup() {
  mkdir "$scratch/confined" && cp "$here"/confined/*.yaml "$scratch/confined/" && cp "$suite/policy.yaml" "$scratch/confined/attacked.yaml" &&
    sed -i "s|../../../manifests|$(realpath --relative-to "$scratch/confined" "$root/manifests")|" "$scratch/confined/kustomization.yaml" &&
    "$lab/image" pinfold-webhook:0.1.0 '["/pinfold-webhook"]' "$PINFOLD_BIN/pinfold-webhook=pinfold-webhook" &&
    "$lab/image" pinfold-sidecar:0.1.0 '["/pinfold-sidecar"]' "$PINFOLD_BIN/pinfold-sidecar=pinfold-sidecar" &&
    attacker_image &&
    kubectl apply -k "$root/manifests/crds" && kubectl wait --for=condition=Established crd --all --timeout=60s &&
    deploy && kubectl wait "${system[@]}" deployment/pinfold-webhook --for=condition=Available --timeout=90s
}
outside() {
  local one
  # Replaced, for an aborted run may have left them.
  for one in $world_addresses; do
    case $one in *:*) ip addr replace "$one" dev cni0 nodad ;; *) ip addr replace "$one" dev cni0 ;; esac || return
  done
  world_certificate && world_servers $bridge,$bridge6
}

starting() {
  echo "# Start"
  at_end+=(world_ends)
  at_end+=('remove >/dev/null 2>&1')
  required "two address families for pods" two_families
  required "a world on the bridge" outside
  required "images, CRDs, webhook with injection" setup
  required "servers for honest programs" packages
  required "a namespace of agents, and alice" within 20 kubectl apply -f "$here/confined/stage.yaml"
  required "her ServiceAccount" within 30 kubectl get serviceaccount default -n $namespace
}

injecting() {
  echo "# Injection"
  required "alice's pod goes in as she wrote it" apply "${alice[@]}" <"$here/confined/agent.yaml"
  check "the guard comes first, then the sidecar" same "pinfold-guard pinfold-sidecar" "$(field '.spec.initContainers[*].name' pod -n $namespace agent)"
  if ! check "agent and sidecar get ready" kubectl wait -n $namespace pod/agent --for=condition=Ready --timeout=60s; then
    kubectl describe pod -n $namespace agent | tail -n 30
    kubectl logs -n $namespace agent -c pinfold-guard --tail=20
    kubectl logs -n $namespace agent -c pinfold-sidecar --tail=20
    exit 1
  fi
  address=$(field '.status.podIPs[0].ip' pod -n $namespace agent)
  world_counter cni0 $bridge $bridge6 "ether saddr $(ip neigh show "$address" dev cni0 | grep -o '..:..:..:..:..:..')"
  check "the agent started after the sidecar" agent_started_last
  check "the sidecar enforces the digest of the annotation" has "$(metrics metrics | grep pinfold_policy_info)" "$(field '.metadata.annotations.pinfold\.dev/policy-digest' pod -n $namespace agent)"
  check "only the guard has NET_ADMIN" same "NET_ADMIN" "$(field '.spec.initContainers[*].securityContext.capabilities.add[*]' pod -n $namespace agent)"
  check "the agent's container has no more rights than it needs" same "false true ALL" \
    "$(field '.spec.containers[0].securityContext.allowPrivilegeEscalation' pod -n $namespace agent) $(field '.spec.containers[0].securityContext.readOnlyRootFilesystem' pod -n $namespace agent) $(field '.spec.containers[0].securityContext.capabilities.drop[*]' pod -n $namespace agent)"
  check "it mounts nothing of the sidecar's" lacks "$(field '.spec.containers[0].volumeMounts[*].name' pod -n $namespace agent)" pinfold-policy pinfold-state pinfold-secrets
}
agent_started_last() {
  local sidecar agent
  sidecar=$(field '.status.initContainerStatuses[?(@.name=="pinfold-sidecar")].state.running.startedAt' pod -n $namespace agent)
  agent=$(field '.status.containerStatuses[?(@.name=="agent")].state.running.startedAt' pod -n $namespace agent)
  [ -n "$sidecar" ] && [[ ! $agent < $sidecar ]] || { echo "sidecar $sidecar, agent $agent"; return 1; }
}

attacking() {
  local family=$1 resolver=$2 judged
  echo "# Attacks by IPv$family"
  : >"$scratch/world.log"
  check "the rows are played" eval 'python /suite/agent.py $family $resolver >"$scratch/outcomes-$family"'
  metrics metrics >"$scratch/metrics"
  python3 "$suite/judge.py" "$scratch/outcomes-$family" "$scratch/world.log" "$(volume pinfold-state)/audit" "$scratch/metrics" >"$scratch/judged-$family"
  judged=$?
  grep -A3 '^FAILED' "$scratch/judged-$family"
  check "verdict, reason, record and metric of $(wc -l <"$scratch/outcomes-$family") rows" [ $judged = 0 ]
  check "not one packet left that no rule lists" no_leak
  check "pinfold audit verify" "$PINFOLD_BIN/pinfold" audit verify "$(volume pinfold-state)/audit"
}

template() { # template KIND APIVERSION: a workload whose template tries to keep the sidecar out
  local pod='{"metadata":{"labels":{"app":"out","inject":"false","sidecar.istio.io/inject":"false"},"annotations":{"inject":"disabled","linkerd.io/inject":"disabled"}},
    "spec":{"securityContext":{"runAsUser":10001},"containers":[{"name":"c","image":"docker.io/library/busybox:1","command":["sleep","3600"]}]}}'
  local name=out-${1,,} never=${pod/\"spec\":\{/\"spec\":\{\"restartPolicy\":\"Never\",}
  case $1 in
    Job) printf '{"apiVersion":"%s","kind":"Job","metadata":{"name":"%s","namespace":"%s"},"spec":{"template":%s}}' "$2" "$name" $namespace "$never" ;;
    CronJob) printf '{"apiVersion":"%s","kind":"CronJob","metadata":{"name":"%s","namespace":"%s"},"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":%s}}}}' "$2" "$name" $namespace "$never" ;;
    ReplicationController) printf '{"apiVersion":"%s","kind":"%s","metadata":{"name":"%s","namespace":"%s"},"spec":{"replicas":1,"selector":{"app":"out"},"template":%s}}' "$2" "$1" "$name" $namespace "$pod" ;;
    *) printf '{"apiVersion":"%s","kind":"%s","metadata":{"name":"%s","namespace":"%s"},"spec":{"selector":{"matchLabels":{"app":"out"}},"template":%s}}' "$2" "$1" "$name" $namespace "$pod" ;;
  esac
}
# every_pod_confined KIND APIVERSION: a pod of that workload comes, and it has the sidecar.
every_pod_confined() {
  local kind=$1 pods
  apply "${alice[@]}" <<<"$(template "$@")" || return
  [ "$kind" != CronJob ] || kubectl create job -n $namespace from-cron --from=cronjob/out-cronjob "${alice[@]}" || return
  within 30 eval "kubectl get pods -n $namespace -l app=out -o name | grep -q ." || return
  pods=$(kubectl get pods -n $namespace -l app=out -o 'jsonpath={range .items[*]}{.spec.initContainers[*].name}{"\n"}{end}' | sort -u)
  kubectl delete "$kind" -n $namespace "out-${kind,,}" --wait=true --timeout=60s >/dev/null
  kubectl delete pods,jobs -n $namespace -l app=out --now >/dev/null 2>&1
  kubectl delete job -n $namespace from-cron --ignore-not-found >/dev/null 2>&1
  same "pinfold-guard pinfold-sidecar" "$pods"
}
# refused RULE KUBECTL-ARGUMENTS... <MANIFEST: by Pinfold, saying rule and fix.
refused() {
  local rule=$1 output
  shift
  if output=$(kubectl "$@" "${alice[@]}" 2>&1); then echo "admitted: $output"; return 1; fi
  has "$output" "$rule" "; fix: "
}
changed() { kubectl create --dry-run=client -o json -f "$here/confined/agent.yaml" | python3 -c 'import json, sys
pod = json.load(sys.stdin)
pod["metadata"]["name"] = "changed"
for field in ("dnsPolicy", "dnsConfig"):
    del pod["spec"][field]
exec(sys.argv[1], {"pod": pod, "spec": pod["spec"], "container": pod["spec"]["containers"][0]})
print(json.dumps(pod))' "$1"; }
variant() { refused "$1" apply -f - <<<"$(changed "$2")"; }

honest() {
  echo "# Honest programs in the pod"
  local family line
  for family in 4 6; do
    python /suite/honest.py /world.crt $family >"$scratch/honest-$family"
    while read -r line; do
      case $line in ok*) check "${line#ok      }" true ;; FAILED*) check "${line#FAILED  }" eval 'grep -A3 -F "$line" "$scratch/honest-$family"; false' ;; esac
    done <"$scratch/honest-$family"
    check "all programs have run by IPv$family" [ "$(grep -c '^ok' "$scratch/honest-$family")" = 26 ]
  done
  check "not one packet left that no rule lists" no_leak
}

undoing() {
  echo "# Keeping it out, taking it off"
  local kind
  for kind in Deployment:apps/v1 ReplicaSet:apps/v1 StatefulSet:apps/v1 DaemonSet:apps/v1 Job:batch/v1 CronJob:batch/v1 ReplicationController:v1; do
    check "${kind%%:*}: labels and annotations of others' injectors keep nothing out" every_pod_confined "${kind%%:*}" "${kind#*:}"
  done
  check "a label that sounds like ours" variant PF-RBAC-008 'pod["metadata"]["labels"] = {"pinfold.dev/inject": "false"}'
  check "a pod that names its own container so" variant PF-POD-001 'spec["initContainers"] = [{"name": "pinfold-sidecar", "image": "busybox", "restartPolicy": "Always"}]'
  check "a volume that is named so" variant PF-POD-001 'spec["volumes"] = [{"name": "pinfold-policy", "emptyDir": {}}]'
  check "a port of the sidecar" variant PF-POD-005 'container["ports"] = [{"containerPort": 15001}]'
  check "the sidecar's UID" variant PF-POD-003 'container["securityContext"] = {"runAsUser": 64646}'
  check "root" variant PF-POD-003 'container["securityContext"] = {"runAsUser": 0, "runAsNonRoot": False}'
  check "no UID at all" variant PF-POD-003 'spec.pop("securityContext")'
  check "NET_ADMIN" variant PF-POD-002 'container["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}'
  check "privileged" variant PF-POD-002 'container["securityContext"] = {"privileged": True}'
  check "the host's network" variant PF-POD-002 'spec["hostNetwork"] = True'
  check "a shared process namespace" variant PF-POD-004 'spec["shareProcessNamespace"] = True'
  check "names of its own choice" variant PF-POD-007 'spec["hostAliases"] = [{"ip": "5.9.10.12", "hostnames": ["api.example.net"]}]'
  check "exec into the sidecar" refused PF-POD-006 exec -n $namespace agent -c pinfold-sidecar -- /pinfold-sidecar --version
  check "attach to the sidecar" refused PF-POD-006 attach -n $namespace agent -c pinfold-sidecar
  check "port-forward" refused PF-POD-006 port-forward -n $namespace pod/agent :15080
  check "an ephemeral container with the sidecar's UID" refused PF-POD-003 patch -n $namespace pod agent --subresource ephemeralcontainers --type=strategic \
    -p '{"spec":{"ephemeralContainers":[{"name":"debug","image":"busybox:1","securityContext":{"runAsUser":64646}}]}}'
  check "an ephemeral container in the sidecar's process namespace" refused PF-POD-004 patch -n $namespace pod agent --subresource ephemeralcontainers --type=strategic \
    -p '{"spec":{"ephemeralContainers":[{"name":"debug","image":"busybox:1","targetContainerName":"pinfold-sidecar","securityContext":{"runAsUser":10001}}]}}'
  check "a Service that leads to the gateway" refused PF-POD-008 create service clusterip out -n $namespace --tcp=80:15080
  check "another policy, written into the annotation" refused PF-RBAC-008 annotate pod -n $namespace agent --overwrite pinfold.dev/policy='{}'
  check "the sidecar's image" refused PF-POD-001 set image -n $namespace pod/agent pinfold-sidecar=busybox:1
}

policing() {
  echo "# Policy of a running pod"
  check "a name that no rule lists" not lookup late.example.net
  sed -i 's|^    - {host: db.example.net|    - {host: late.wild.example.net, ports: [443], protocol: tls}\n&|; s|{host: slow.example.net, ports: \[443\], protocol: tls}|{host: slow.example.net, ports: [8443], protocol: tls}|' "$scratch/confined/attacked.yaml"
  deploy >/dev/null
  local before
  before=$(field '.metadata.annotations.pinfold\.dev/policy-digest' pod -n $namespace agent)
  check "the changed policy comes to the pod's annotation" within 100 eval '[ "$(field ".metadata.annotations.pinfold\.dev/policy-digest" pod -n $namespace agent)" != "$before" ]'
  check "and is in force in the sidecar" within 100 eval 'metrics metrics | grep pinfold_policy_info | grep -q "$(field ".metadata.annotations.pinfold\.dev/policy-digest" pod -n $namespace agent)"'
  check "still ready" ready
}
lookup() { python -c 'import sys; sys.path.insert(0, "/suite"); sys.dont_write_bytecode = True
import wire; sys.exit(not wire.addresses("10.244.0.1", sys.argv[1], 1)[1])' "$1"; }

tries='import socket, sys
sys.path.insert(0, "/suite"); sys.dont_write_bytecode = True
import wire
def attempt(what, run):
    try: print("ANSWERED", what, run())
    except OSError: pass
def tcp(address, port):
    with socket.create_connection((address, port), 1) as client:
        client.settimeout(1); client.sendall(wire.hello([b"api.example.net"])); answer = client.recv(100)
        if not answer or answer[0] == 21: raise OSError
        return answer
for address in ("5.9.10.11", "5.9.10.12", "2a01:4f8:10::11", "2a01:4f8:10::12", "10.244.0.1", "169.254.169.254"):
    for port in (443, 80, 22, 6443): attempt((address, port), lambda: tcp(address, port))
    attempt((address, "dns"), lambda: wire.ask(address, wire.query(wire.question("api.example.net", 1)), wait=1))'
nothing_gets_out() { local found; found=$(python -c "$tries") || return; [ -z "$found" ] || { echo "$found"; return 1; }; }

faults() {
  echo "# Faults"
  forget_leaks
  local pid inside
  pid=$(sidecar_process)
  required "the sidecar's process" [ -n "$pid" ]
  kill -STOP "$pid" # so that it can't come back before the agent has tried
  check "the sidecar stopped: nothing gets out" eval 'nothing_gets_out && no_leak'
  kill -9 "$pid"
  check "the sidecar killed: the kubelet starts it again" within 60 eval 'changed_from "$pid" && ready'
  check "it serves again" within 30 lookup api.example.net
  check "its ledger is whole" "$PINFOLD_BIN/pinfold" audit verify "$(volume pinfold-state)/audit"
  check "out of memory: killed, nothing gets out, and it comes back" out_of_memory
  inside=$(pgrep -u 10001 -f 'time.sleep' | head -n 1)
  nsenter -t "$inside" -n nft flush ruleset
  check "rules flushed from outside: nothing gets out" eval 'nothing_gets_out && no_leak'
  check "and it says so" within 10 intact 0
  check "and the pod isn't ready" within 60 eval '[ "$(field ".status.conditions[?(@.type==\"Ready\")].status" pod -n $namespace agent)" = False ]'
}
out_of_memory() {
  local pid group
  pid=$(sidecar_process)
  [ -n "$pid" ] || return
  group=/sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' /proc/"$pid"/cgroup)
  [ -w "$group/memory.limit_in_bytes" ] || { echo "no memory cgroup of the sidecar: $group"; return 1; }
  # No more than it has: the kernel kills at the next page that it can't reclaim.
  local limit
  limit=$(cat "$group/memory.usage_in_bytes")
  until echo "$limit" >"$group/memory.limit_in_bytes"; do limit=$((limit + (256 << 10))); done 2>/dev/null
  nothing_gets_out_of_a_storm
  within 90 eval "changed_from $pid && ready" && no_leak
}
nothing_gets_out_of_a_storm() { python -c 'import socket
held = []
for _ in range(400):
    try:
        client = socket.create_connection(("127.0.0.1", 15002), 1); client.sendall(b"CONNECT api.example.net:443 HTTP/1.1\r\n" + b"X: " + b"x" * 9000); held.append(client)
    except OSError: pass' >/dev/null 2>&1; return 0; }

ending() {
  echo "# End"
  kubectl get pod -n $namespace agent --watch -o 'jsonpath={.status.initContainerStatuses[1].state.terminated.exitCode}{"\n"}' >"$scratch/codes" &
  local watch=$!
  check "the pod ends in time" kubectl delete pod -n $namespace agent --timeout=30s
  kill $watch
  check "and its sidecar with 0" grep -qx 0 "$scratch/codes"
}

starting
injecting
attacking 4 $bridge
attacking 6 $bridge6
honest
undoing
policing
faults
ending
