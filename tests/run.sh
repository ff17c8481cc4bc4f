#!/usr/bin/env bash
# Every check there is, on a fresh Debian machine with Rust. Usage: tests/run.sh [STEP]...
# Steps, all of them by default: tools fmt clippy layers tidy unit simulation integration corpus lab docs licences
set -euo pipefail
cd "$(dirname "$0")/.."

steps=(tools fmt clippy layers tidy unit simulation integration corpus lab docs licences)
[ $# -eq 0 ] || steps=("$@")

say() { printf '%s\n' "$*" >&2; }

elapsed() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else say "needs root, and there is no sudo; run as root: $*"; return 1
  fi
}

# Command and the Debian package that brings it.
packages() {
  cat <<LIST
cc build-essential
ip iproute2
nft nftables
ping iputils-ping
conntrack conntrack
iperf3 iperf3
jq jq
miniupnpd miniupnpd
ss iproute2
tcpdump tcpdump
wg wireguard-tools
setpriv util-linux
LIST
}

run_tools() {
  PATH=$PATH:/usr/sbin:/sbin
  local missing=() command package
  while read -r command package; do
    command -v "$command" >/dev/null || missing+=("$package")
  done < <(packages)
  if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
      say "missing: ${missing[*]} (Debian's names); install them with this system's package manager"
      return 1
    fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
  if ! command -v cargo-nextest >/dev/null; then
    say "building cargo-nextest, once, some minutes"
    cargo install --locked --quiet cargo-nextest
  fi
  if [ ! -r /dev/net/tun ] || [ ! -w /dev/net/tun ]; then
    say "no access to /dev/net/tun, which the labs need: modprobe tun; chmod 666 /dev/net/tun (as root)"
    return 1
  fi
}

run_fmt() { cargo fmt --all --check; }

run_clippy() { cargo clippy --workspace --all-targets --quiet -- -D warnings; }

# The dataplane without its shell is pure computation: it builds alone and brings no runtime.
run_layers() {
  cargo check --quiet -p warren-dataplane --no-default-features
  if cargo tree -p warren-dataplane --no-default-features --edges normal --prefix none | grep '^tokio '; then
    say "warren-dataplane without its feature \`io\` depends on tokio"
    return 1
  fi
}

# Always the whole workspace, so that every step uses the same build.
nextest() { cargo nextest run --workspace --no-tests pass --cargo-quiet "$@"; }

run_tidy() { nextest -E 'binary(tidy)'; }
run_unit() { nextest -E 'not binary(tidy) and not binary(it) and not package(warren-sim) and not package(warren-fuzz)'; }
run_simulation() { nextest -E 'package(warren-sim)'; }
run_integration() { nextest -E 'binary(it)'; }
run_corpus() { nextest -E 'package(warren-fuzz)'; }
run_lab() { nextest --profile lab; }

run_docs() {
  cargo test --workspace --doc --quiet
  RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --workspace --no-deps --document-private-items --quiet
}

run_licences() {
  if command -v cargo-deny >/dev/null; then cargo deny --log-level error check licenses bans sources
  else say "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
  fi
}

# Not `run_$step || …`: there the shell would pass over failures inside the function.
step=none
trap '[ $? -eq 0 ] || say "[$(elapsed)] FAILED: $step"' EXIT
for step in "${steps[@]}"; do
  declare -F "run_$step" >/dev/null || { say "no step $step"; exit 2; }
  say "[$(elapsed)] $step"
  "run_$step"
done
say "[$(elapsed)] all passed"
