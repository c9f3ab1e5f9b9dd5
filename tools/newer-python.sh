#!/usr/bin/env bash
# usage: tools/newer-python.sh COMMAND...   Runs COMMAND, through bash, in this folder under the Python of a newer Debian.
#
# SUITE  trixie (default): Python 3.13; forky: Python 3.14; or another suite of Debian's
# ROOT   where that system is kept (about 700 MB, made in one or two minutes): default ${TMPDIR:-/tmp}/debian-$SUITE
#
# Needs root, a Debian and its packages. Nothing outside of ROOT is changed (but for debootstrap, which is installed if it is missing). The
# folder that this script's folder is in is seen at the same path, writable: keep the environments of different Pythons apart, by name.
# The status is COMMAND's, or 125 if the system could not be made.
set -euo pipefail

SUITE=${SUITE:-trixie}
ROOT=${ROOT:-${TMPDIR:-/tmp}/debian-$SUITE}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

fail() {
  echo "newer-python.sh: $*" >&2
  exit 125
}

(($# > 0)) || fail "usage: tools/newer-python.sh COMMAND..."
[ "$(id -u)" = 0 ] || fail "only root may make a Debian and change into it"
command -v apt-get >/dev/null || fail "this is no Debian"

make_root() {
  local mirror
  mirror=$(grep -hoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list \
    2>/dev/null | grep -v security | head -n 1 || true)
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap >/dev/null; } \
    || fail "debootstrap could not be installed"
  rm -rf "$ROOT.part"
  mkdir -p "$ROOT.part"
  # A suite that is younger than debootstrap is made as all others are.
  [ -e "/usr/share/debootstrap/scripts/$SUITE" ] || ln -s sid "/usr/share/debootstrap/scripts/$SUITE"
  debootstrap --variant=minbase --include=python3,python3-venv,python3-dev,gcc,g++,make,git,ca-certificates \
    "$SUITE" "$ROOT.part" ${mirror:+"$mirror"} >"$ROOT.log" 2>&1 \
    || { tail -n 3 "$ROOT.log" >&2; fail "no Debian $SUITE could be made (see $ROOT.log)"; }
  rm -rf "$ROOT"
  touch "$ROOT.part/.made"
  mv "$ROOT.part" "$ROOT"
}

# One at a time; what is there is complete, as it is moved into its place at the end.
mkdir -p "$(dirname "$ROOT")"
exec {lock}>"$ROOT.lock"
flock "$lock"
[ -e "$ROOT/.made" ] || make_root
exec {lock}>&-

# How this system reaches the network and its packages, and whom it trusts.
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
  [ ! -e "$file" ] || cp -L "$file" "$ROOT$file"
done

export ROOT top command="$*"
# shellcheck disable=SC2016 # expanded by the inner shells
exec unshare --mount bash -euc '
  mount --bind /proc "$ROOT/proc"
  mount --rbind /dev "$ROOT/dev"
  mkdir -p "$ROOT$top"
  mount --bind "$top" "$ROOT$top"
  unset VIRTUAL_ENV PYTHONPATH PYTHONHOME PIP_FIND_LINKS TMPDIR
  export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  exec chroot "$ROOT" /bin/bash -c "cd \"\$top\" && eval \"\$command\""'
