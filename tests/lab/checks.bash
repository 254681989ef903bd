# Sourced by the scripts here: the lab, the binaries, one line a check. See README.md. A script that sets `namespaces_only` before gets no lab.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
lab=${PINFOLD_LAB:-$root/../shared/lab}
lab_dir=${PINFOLD_LAB_DIR:-/tmp/pinfold-lab}
scratch=$(mktemp -d)
passed=0 failed=0
at_end=() # commands, the last one first

finish() {
  local i
  for ((i = ${#at_end[@]} - 1; i >= 0; i--)); do eval "${at_end[i]}"; done
  rm -rf "$scratch"
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ] || exit 1
}
trap finish EXIT

# check WHAT COMMAND...: passes if the command does; what it prints is shown only if it doesn't.
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$what"
    printf '%s\n' "$output" | tail -n 30 | sed 's/^/        /'
    return 1
  fi
}

# Ends the script when nothing that follows could mean anything.
required() { check "$@" || { failed=$((failed > 0 ? failed : 1)); exit 1; }; }

# within SECONDS COMMAND...: until it passes.
within() {
  local end=$((SECONDS + $1)) output
  shift
  until output=$("$@" 2>&1); do
    [ $SECONDS -lt $end ] || { printf '%s\n' "$output"; return 1; }
    sleep 0.2
  done
  printf '%s\n' "$output"
}

not() { ! "$@"; }

# same WANTED FOUND
same() { [ "$1" = "$2" ] || { printf 'wanted: %s\nfound:  %s\n' "$1" "$2"; return 1; }; }

# has TEXT PART...
has() {
  local text=$1 part
  shift
  for part; do [[ $text == *"$part"* ]] || { printf 'no `%s` in:\n%s\n' "$part" "$text"; return 1; }; done
}

# lacks TEXT PART...
lacks() {
  local text=$1 part
  shift
  for part; do [[ $text != *"$part"* ]] || { printf '`%s` found, which must not be there\n' "$part"; return 1; }; done
}

# metric URL NAME [LABEL="VALUE"...]: the sum of what has these labels.
metric() {
  local url=$1 name=$2
  shift 2
  curl -sSf --max-time 10 "$url" | awk -v name="$name" -v labels="$*" '
    BEGIN { count = split(labels, wanted, " ") }
    index($0, name "{") == 1 || index($0, name " ") == 1 {
      for (i = 1; i <= count; i++) if (!index($0, wanted[i])) next
      sum += $NF
    }
    END { printf "%d\n", sum }'
}

at_least() { [ "$2" -ge "$1" ] || { printf 'wanted at least %s, found %s\n' "$1" "$2"; return 1; }; }

# field JSONPATH KIND NAME...
field() { local path=$1; shift; kubectl get "$@" -o "jsonpath={$path}"; }

# needs PROGRAM:PACKAGE...: installs Debian's packages of the programs that are missing.
needs() {
  local one missing=()
  for one; do command -v "${one%%:*}" >/dev/null || missing+=("${one#*:}"); done
  [ ${#missing[@]} = 0 ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 ||
    { echo "can't install ${missing[*]}"; exit 2; }
}

[ "$(id -u)" = 0 ] || { echo "the lab needs root"; exit 2; }
[ -n "${namespaces_only:-}" ] || [ -x "$lab/up" ] || { echo "no lab at $lab: set PINFOLD_LAB to the directory with up, down and image"; exit 2; }
if [ -z "${PINFOLD_BIN:-}" ]; then
  target=x86_64-unknown-linux-gnu
  (cd "$root" && CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static \
    cargo build --locked --target $target -p pinfold -p pinfold-webhook -p pinfold-sidecar) || exit 2
  PINFOLD_BIN=$root/target/$target/debug
fi
PINFOLD_BIN=$(realpath -e "$PINFOLD_BIN") || exit 2
if [ -z "${namespaces_only:-}" ] && [ "${KUBECONFIG:-}" != "$lab_dir/admin.kubeconfig" ]; then # else .ci/run has started it
  if [ -e "$lab_dir" ] && [ ! -e "$lab_dir/kubelet.pid" ]; then
    echo "$lab_dir is a lab without a node, and can't get one: end it with $lab/down"
    exit 2
  fi
  # A lab that somebody else started stays up.
  [ -e "$lab_dir" ] || at_end+=('"$lab/down"')
  environment=$("$lab/up") || exit 2
  eval "$environment"
fi
