#!/usr/bin/env bash
# Fetches peers for the bench into a directory, as an ordinary user, and prints the variables that point to them.
# Usage: eval "$(get_peers.sh DIRECTORY)". Debian's unstable packages of wireguard-go and nebula, from the mirror
# this machine uses already and checked by its own keys; boringtun-cli and gotatun from their crates.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: get_peers.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
directory=$(cd "$1" && pwd)
apt=$directory/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$directory/bin"

# The first Debian mirror of the machine's own sources, in either of apt's two formats.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed -n 's/^deb \(\[[^]]*\] \)\?\(http[^ ]*\/debian\/\?\) .*/\2/p'
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\(http[^ ]*\/debian\/\?\)\( .*\)\?$/\1/p'; } | head -1)
if [ -n "$mirror" ]; then
  keys=$(ls /usr/share/keyrings/debian-archive-keyring.* 2>/dev/null | head -1)
  echo "deb [signed-by=$keys] $mirror sid main" >"$apt/sources.list"
  options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User= -qq)
  apt-get "${options[@]}" update >&2
  for package in wireguard-go nebula; do
    (cd "$apt" && apt-get "${options[@]}" download "$package" >&2 && dpkg-deb -x "$package"_*.deb "$directory/$package")
  done
  echo "export WGGO=$directory/wireguard-go/usr/bin/wireguard-go"
  echo "export NEBULA=$directory/nebula/usr/bin/nebula NEBULA_CERT=$directory/nebula/usr/bin/nebula-cert"
else
  echo "no Debian mirror in this machine's apt sources: wireguard-go and nebula are left out" >&2
fi

for crate in boringtun-cli gotatun-cli; do
  cargo install --quiet --locked --root "$directory" "$crate" >&2 || echo "$crate does not build here" >&2
done
[ ! -x "$directory/bin/boringtun-cli" ] || echo "export BORINGTUN=$directory/bin/boringtun-cli"
[ ! -x "$directory/bin/gotatun" ] || echo "export GOTATUN=$directory/bin/gotatun"
