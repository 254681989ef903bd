#!/usr/bin/env bash
# The webhook as a pod of a real node, registered by `service`: attacks, honest work that runs, restarts, absence, what is left of it all.
source "$(dirname "$0")/checks.bash"
system=(-n pinfold-system)
label=app.kubernetes.io/name=pinfold-webhook
alice=(--as alice --as-group acme:devs)
controller=(--as system:serviceaccount:lab-krate:krate-controller)
marker=value-that-no-log-may-have-$RANDOM$RANDOM

remove() {
  kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration pinfold --ignore-not-found
  kubectl uncordon n1
  kubectl label node n1 pool-
  kubectl delete namespace lab-acme lab-globex lab-plain lab-krate --ignore-not-found
  kubectl delete clusterrole lab-lead --ignore-not-found
  kubectl delete -k "$here/webhook" --ignore-not-found
  kubectl delete -k "$root/manifests/crds" --ignore-not-found
}

webhook_pod() { kubectl get pods "${system[@]}" -l $label --field-selector=status.phase=Running -o "jsonpath={.items[0].metadata.name}"; }
metrics_url() { echo "http://$(field .status.podIP pod "${system[@]}" "$(webhook_pod)"):8080/metrics"; }
metrics_of() { metric "$(metrics_url)" "$@"; }
available() { kubectl wait "${system[@]}" deployment/pinfold-webhook --for=condition=Available --timeout="$1"; }
ca_published() {
  local kind bundles
  for kind in validating mutating; do
    bundles=$(kubectl get ${kind}webhookconfiguration pinfold -o 'jsonpath={range .webhooks[*]}{.clientConfig.caBundle}{"\n"}{end}')
    ! grep -qx '' <<<"$bundles" || { echo "$kind: an entry without caBundle"; return 1; }
  done
}
apply() { kubectl apply -f - "$@"; }
pod() { # pod NAME NAMESPACE [MORE OF SPEC]
  printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"%s"},"spec":{"terminationGracePeriodSeconds":1,"containers":[%s]%s}}' \
    "$1" "$2" '{"name":"c","image":"docker.io/library/busybox:1","command":["sleep","3600"]}' "${3:-}"
}
job() { # job NAME RUN POOL
  printf '{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"%s","namespace":"lab-acme","labels":{"krate.a5c.ai/dispatch-run":"%s"}},
    "spec":{"template":{"metadata":{"labels":{"krate.a5c.ai/dispatch-run":"%s"}},"spec":{"restartPolicy":"Never","nodeSelector":{"pool":"%s"},
    "tolerations":[{"key":"pool","value":"%s","effect":"NoSchedule"}],
    "containers":[{"name":"c","image":"docker.io/library/busybox:1","command":["sh","-c","true"]}]}}}}' "$1" "$2" "$2" "$3" "$3"
}
role_binding() { # role_binding NAME KIND ROLE
  printf '{"apiVersion":"krate.a5c.ai/v1alpha1","kind":"AgentRoleBinding","metadata":{"name":"%s","namespace":"lab-acme"},"spec":{"subject":
    {"kind":"service-account","name":"agent-coder"},"scope":{"kind":"namespace","name":"lab-acme"},"roleRef":{"kind":"%s","name":"%s"}}}' "$@"
}
ingress() { # ingress NAME SECRET
  printf '{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"%s","namespace":"lab-acme","annotations":{"note":"%s",
    "nginx.ingress.kubernetes.io/auth-secret":"%s"}},"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}}' "$1" "$marker" "$2"
}

# refused RULE PATH MANIFEST KUBECTL-ARGUMENTS...: by Pinfold, saying rule, path and fix.
refused() {
  local rule=$1 path=$2 manifest=$3 output
  shift 3
  if output=$(apply "$@" <<<"$manifest" 2>&1); then echo "admitted: $output"; return 1; fi
  grep -o 'PF-[A-Z]*-[0-9]* \$' <<<"$output" >>"$scratch/findings"
  has "$output" "denied the request: " "$rule $path" "; fix: "
}
# unanswered KUBECTL-ARGUMENTS...: refused because nobody answers the API server.
unanswered() {
  local output
  if output=$(kubectl "$@" 2>&1); then echo "admitted: $output"; return 1; fi
  has "$output" "failed calling webhook"
}

setup() {
  "$lab/image" pinfold-webhook:0.1.0 '["/pinfold-webhook"]' "$PINFOLD_BIN/pinfold-webhook=pinfold-webhook" &&
    kubectl apply -k "$root/manifests/crds" &&
    kubectl wait --for=condition=Established crd --all --timeout=60s &&
    kubectl label node n1 pool=untrusted --overwrite &&
    kubectl apply -k "$here/webhook"
}

starting() {
  echo "# Start"
  at_end+=('remove >/dev/null 2>&1')
  required "image, CRDs and manifests go in" setup
  if ! check "the pod gets ready" available 90s; then
    kubectl "${system[@]}" describe pods | tail -n 12
    kubectl "${system[@]}" logs -l $label --tail=10 | cut -c1-300
    exit 1
  fi
  check "ready means that every entry has its CA" ca_published
  required "the first namespaces of agents, and what is in them" within 15 kubectl apply -f "$here/webhook/stage.yaml"
  required "their default ServiceAccounts, written through the webhook" within 30 kubectl get serviceaccount default -n lab-acme
}

attacking() {
  echo "# Attacks, as alice"
  check "cluster-admin for an agent, through the controller of AgentRoleBindings" \
    refused PF-RBAC-003 '$.spec.roleRef' "$(role_binding a1 ClusterRole cluster-admin)" "${alice[@]}"
  check "another organization's Secret, through an Ingress" \
    refused PF-SEC-001 "\$.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']" "$(ingress a2 lab-globex/prod-db)" "${alice[@]}"
  check "a fork's work on the trusted pool, as recorded by the controller" \
    refused PF-TRU-001 '$.spec.template.spec.nodeSelector' "$(job a3 run-fork trusted)" "${controller[@]}"
  check "the trusted pool, from a namespace without agents" \
    refused PF-TRU-001 '$.spec.nodeSelector' "$(pod a4 lab-plain ',"nodeSelector":{"pool":"trusted"}')" "${alice[@]}"
  check "nothing of it is stored" same "" "$(kubectl get agentrolebindings,ingresses,jobs,pods -n lab-acme -o name; kubectl get pods -n lab-plain -o name)"
}

working() {
  echo "# Honest work"
  check "a role that alice holds, for an agent" apply "${alice[@]}" <<<"$(role_binding h1 Role pod-reader)"
  check "an Ingress with its own password file" apply "${alice[@]}" <<<"$(ingress h2 basic)"
  check "an agent with its organization's Secret" apply "${alice[@]}" <<<"$(pod h3 lab-acme | sed 's/"command"/"envFrom":[{"secretRef":{"name":"model-key"}}],"command"/')"
  check "it runs, with the key" within 30 kubectl exec -n lab-acme h3 -- sh -c '[ "$key" = in-acme-alone ]'
  check "a fork's Job on the untrusted pool" apply "${controller[@]}" <<<"$(job h4 run-fork untrusted)"
  check "its pod, made by the Job controller, runs to its end" kubectl wait -n lab-acme job/h4 --for=condition=Complete --timeout=60s
  check "main's Job on the trusted pool" apply "${controller[@]}" <<<"$(job h5 run-main trusted)"
  check "its pod waits, because there is no such node" within 20 unschedulable h5
  kubectl label node n1 pool=trusted --overwrite >/dev/null
  check "and runs to its end once there is" kubectl wait -n lab-acme job/h5 --for=condition=Complete --timeout=60s
  kubectl label node n1 pool=untrusted --overwrite >/dev/null
  check "a Deployment of agents" kubectl create deployment h6 -n lab-acme --image=docker.io/library/busybox:1 "${alice[@]}" -- sleep 3600
  check "its pod, made by the ReplicaSet controller, is available" kubectl wait -n lab-acme deployment/h6 --for=condition=Available --timeout=60s
  check "a pod elsewhere" apply "${alice[@]}" <<<"$(pod h7 lab-plain)"
}
unschedulable() { has "$(field '.items[0].status.conditions[?(@.type=="PodScheduled")].reason' pods -n lab-acme -l job-name="$1")" Unschedulable; }

showing() {
  echo "# What shows"
  check "an Event of each denial" within 15 denials_told
  check "metrics, from the pod's address: each finding that kubectl printed, once" findings_counted
  check "metrics: no panic, no lost record" same "0 0" "$(for name in panics_total audit_failures_total; do metrics_of pinfold_$name; done | xargs)"
  check "the log is JSON lines and has the denials" log_of_denials
  # A watch that expires and is taken up again is the API server's daily business.
  check "the rights of the manifests are enough: nothing was forbidden" lacks "$(log_of)" forbidden Forbidden
  check "no value of a Secret, token or annotation in the log" no_values_in_log
}
denials_told() {
  local told
  told=$(kubectl get events -A -o 'jsonpath={range .items[?(@.reason=="Denied")]}{.metadata.namespace} {.message}{"\n"}{end}')
  has "$told" 'lab-acme PF-RBAC-003 $.spec.roleRef' 'lab-acme PF-SEC-001 ' 'lab-acme PF-TRU-001 ' 'lab-plain PF-TRU-001 '
}
findings_counted() {
  local rule
  for rule in PF-RBAC-003 PF-SEC-001 PF-TRU-001; do
    same "$rule $(grep -c "^$rule " "$scratch/findings")" "$rule $(metrics_of pinfold_admission_denials_total "rule=\"$rule\"" 'mode="enforce"')" || return 1
  done
}
log_of() { kubectl logs "${system[@]}" "$(webhook_pod)"; }
log_of_denials() {
  log_of | python3 -c '
import json, sys
text = sys.stdin.read()
for line in text.splitlines(): json.loads(line)
for part in ("PF-RBAC-003", "PF-SEC-001", "PF-TRU-001"): assert part in text, part'
}
no_values_in_log() {
  local token
  token=$(kubectl create token pinfold-webhook "${system[@]}" | cut -d. -f1)
  lacks "$(log_of)" "$marker" in-acme-alone in-globex-alone "PRIVATE KEY" "$token"
}

restarting() {
  echo "# Restarts"
  local load code
  python3 "$here/create_continuously.py" "$(kubectl config view -o 'jsonpath={.clusters[0].cluster.server}')" "$lab_dir" "$scratch/stop" >"$scratch/load" 2>&1 &
  load=$!
  check "rollout restart" rolled_over
  touch "$scratch/stop"
  wait $load
  code=$?
  check "agent pods created all the time meanwhile: $(head -n 1 "$scratch/load")" same 0 $code
  [ ! -s "$scratch/load" ] || sed -n '2,$p' "$scratch/load"
  check "a denial, and kill -9 of the process: the container starts again and the ledger has lost nothing" killed
}
rolled_over() {
  local old
  old=$(webhook_pod)
  kubectl rollout restart "${system[@]}" deployment/pinfold-webhook && kubectl rollout status "${system[@]}" deployment/pinfold-webhook --timeout=120s &&
    kubectl wait "${system[@]}" pod/"$old" --for=delete --timeout=60s
}
killed() {
  local name id pid
  refused PF-RBAC-003 '$.spec.roleRef' "$(role_binding before-the-kill ClusterRole cluster-admin)" "${alice[@]}" || return
  name=$(webhook_pod)
  id=$(field '.status.containerStatuses[0].containerID' pod "${system[@]}" "$name")
  pid=$(ctr -n k8s.io tasks ls | awk -v id="${id#containerd://}" '$1 == id { print $2 }')
  [ -n "$pid" ] || { echo "no process of $name"; return 1; }
  kill -9 "$pid"
  within 60 restarted "$name" && within 60 kubectl run probe -n lab-acme --image=docker.io/library/busybox:1 --dry-run=server "${alice[@]}" && verified before-the-kill
}
restarted() { same "1 true" "$(field '.status.containerStatuses[0].restartCount' pod "${system[@]}" "$1") $(field '.status.containerStatuses[0].ready' pod "${system[@]}" "$1")"; }

# verified TEXT: the ledger in the pod's volume is intact and has that.
verified() {
  local uid directory
  uid=$(field .metadata.uid pod "${system[@]}" "$(webhook_pod)")
  directory="$lab_dir/kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/state/audit"
  "$PINFOLD_BIN/pinfold" audit verify "$directory" && { grep -q "$1" -r "$directory" || { echo "no $1"; return 1; }; }
}

leaving() {
  echo "# Away"
  kubectl cordon n1 >/dev/null # what would replace it has no node
  check "the pod is deleted" kubectl delete pods "${system[@]}" -l $label --timeout=60s
  check "refused: an agent pod" unanswered run away -n lab-acme --image=docker.io/library/busybox:1 --dry-run=server "${alice[@]}"
  check "refused: a namespace" unanswered create namespace lab-away --dry-run=server
  check "refused: a ClusterRoleBinding" unanswered create clusterrolebinding away --clusterrole=view --user=u --dry-run=server
  check "refused: a pod elsewhere that could name the trusted pool" unanswered apply --dry-run=server -f - <<<"$(pod away lab-plain ',"nodeSelector":{"pool":"trusted"}')"
  check "goes on: kube-system, where a pod even starts" pod_in_kube_system
  check "goes on: a pod elsewhere, a Secret of agents" eval 'apply "${alice[@]}" <<<"$(pod away lab-plain)" && kubectl create secret generic away -n lab-acme'
  check "refused: a shell in an agent" unanswered exec -n lab-acme h3 -- sh -c true
  check "goes on: agents that run" same True "$(field '.status.conditions[?(@.type=="Ready")].status' pod -n lab-acme h3)"
  check "goes on: deleting an agent" kubectl delete pod h3 -n lab-acme --timeout=30s
  kubectl uncordon n1 >/dev/null
  required "the node is back: ready without anybody's help" available 90s
  check "and decides: an agent is created" within 15 apply "${alice[@]}" <<<"$(pod back lab-acme)"
  check "what was created meanwhile runs" kubectl wait -n lab-plain pod/away --for=condition=Ready --timeout=60s
  check "and denies" refused PF-RBAC-003 '$.spec.roleRef' "$(role_binding after-the-absence ClusterRole cluster-admin)" "${alice[@]}"
  check "pinfold audit verify of the ledger in the pod's volume" verified after-the-absence
}
# It tolerates everything, cordons too.
pod_in_kube_system() {
  pod away kube-system ',"tolerations":[{"operator":"Exists"}]' | apply && kubectl wait -n kube-system pod/away --for=condition=Ready --timeout=30s &&
    kubectl delete pod away -n kube-system
}

starting
attacking
working
showing
restarting
leaving
