#!/bin/sh
# Sets up Pairscope on this machine, or brings it up to date: Apache with mod_wsgi, MariaDB, the pool, the lab. As root, on Debian or
# Ubuntu, from a checkout anywhere. What is done already is left alone: a second run changes nothing, an interrupted one is
# run again. Each step is explained in deploy/README.md and the guides beside it.
#
# usage: deploy/provision.sh
#
# PAIRSCOPE_PORT     the port of the site; default: what this box has chosen before, or 8080
# PAIRSCOPE_SITE     the address under which people open it, for the login link; default: http://localhost:PORT
# PAIRSCOPE_UPGRADE  no: the system's packages are not upgraded
#
# Exit status: 0 all stands, 1 a step failed or the machine does not fit; why is said.

set -u
cd "$(dirname "$0")/.." || exit 1
source=$PWD
here=$source/deploy
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

say() { printf '%s\n' "$*"; }
fail() { say "pairscope: $*" >&2; exit 1; }

# ---- what the steps' conditions are made of

installed() { # package ...
    for package; do [ "$(dpkg-query -W -f '${db:Status-Status}' "$package")" = installed ] || return 1; done
}
is() { # path owner:group:mode
    [ "$(stat -c %U:%G:%a "$1")" = "$2" ]
}
since() { # service file: the service was started after the file was changed
    [ "$(stat -c %Z "$2")" -le "$(date -d "$(systemctl show -p ActiveEnterTimestamp --value "$1")" +%s)" ]
}

# ---- whether this machine fits

[ "$(id -u)" = 0 ] || fail "this needs root: it installs packages and makes users. Run it with sudo."
. /etc/os-release || fail "there is no /etc/os-release: this is no Debian and no Ubuntu. The guide in deploy/README.md says what to do by hand."
case " ${ID:-} ${ID_LIKE:-} " in
*" debian "* | *" ubuntu "*) ;;
*) fail "this is ${PRETTY_NAME:-an unknown system}; expected Debian or Ubuntu. deploy/README.md notes where other systems differ." ;;
esac
[ -d /run/systemd/system ] || fail "systemd does not run here, and services are started by it. In a container without systemd use script/lamp."
port=${PAIRSCOPE_PORT:-$(sed -n 's/^port *= *\([0-9]*\).*/\1/p' /etc/pairscope/box.toml 2>/dev/null)}
port=${port:-8080}
case $port in
*[!0-9]* | '') fail "PAIRSCOPE_PORT is '$port'; expected a number from 1 to 65535" ;;
esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "PAIRSCOPE_PORT is $port; expected a number from 1 to 65535"
site=${PAIRSCOPE_SITE:-http://localhost:$port}
for place in /opt /var /etc; do
    free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
    need=$([ "$place" = /etc ] && echo 20000 || echo 600000)
    [ "$free" -ge "$need" ] || fail "the disk of $place has $((free / 1024)) MiB left; expected at least $((need / 1024)). Nothing was changed."
done
holder=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
case $holder in
'' | apache2\ *) ;;
*) fail "port $port is held by $holder. Stop that, or choose another: PAIRSCOPE_PORT=8081 deploy/provision.sh. Nothing was changed." ;;
esac
if [ -n "$holder" ] && ! grep -qs "^Listen $port\$" /etc/apache2/conf-available/pairscope-port.conf; then
    fail "port $port is held by another site of this machine's Apache. Choose another: PAIRSCOPE_PORT=8081 deploy/provision.sh. Nothing was changed."
fi
holder80=$(ss -Hltnp 'sport = :80' 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
if ! command -v apache2 >/dev/null; then
    case $holder80 in
    '' | apache2\ *) ;;
    *) fail "port 80 is held by $holder80, and Apache, once installed, wants it too. Stop that, or install apache2 and take 'Listen 80' out of /etc/apache2/ports.conf yourself. Nothing was changed." ;;
    esac
fi
if command -v mariadb >/dev/null && systemctl -q is-active mariadb && ! mariadb -e 'SELECT 1' >/dev/null 2>&1; then
    fail "MariaDB does not let root in: its root has a password. Put it into /root/.my.cnf, mode 0600, as
    [client]
    password=...
and run this again. Nothing was changed."
fi

# ---- the steps

exec 9>/run/lock/pairscope-provision
flock -n 9 || fail "another provisioning runs on this machine; wait for it."
. "$here/steps.sh"
# Another apt-get may still be at work: the nightly upgrade, or what an interrupted run of this left behind. Each waits for it.
APT_CONFIG=$(mktemp /tmp/pairscope-apt.XXXXXX)
export APT_CONFIG
echo 'DPkg::Lock::Timeout "300";' >"$APT_CONFIG"
apt-get -qq check >/dev/null 2>&1
# A package whose installation was interrupted keeps every other one from being installed.
if [ -n "$(dpkg --audit)" ]; then
    say "  mending  packages that were left half installed"
    dpkg --configure -a >/dev/null 2>&1
fi
log=$(mktemp /tmp/pairscope-provision.XXXXXX)
changes=0 now=''
trap 'rm -f "$log" "$APT_CONFIG"' EXIT
trap 'say; say "pairscope: interrupted in: $now. Run it again: it goes on where it stopped." >&2; exit 130' INT TERM
for step in $STEPS; do
    eval "now=\$title_$step"
    if "done_$step"; then
        say "  ok       $now"
        continue
    fi
    [ ! -t 1 ] || printf '  ...      %s\r' "$now"
    ( exec 9>&-; "do_$step" ) >"$log" 2>&1
    status=$?
    tries=0
    # A service that was told to reload does it a moment later.
    while [ $status = 0 ] && ! "done_$step" && [ $tries -lt 75 ]; do
        tries=$((tries + 1))
        sleep 0.2
    done
    if ! "done_$step"; then
        say "  FAILED   $now"
        tail -n 25 "$log" | sed 's/^/    /'
        say
        fail "the step '$now' failed (status $status); what it said stands above. Mend that and run it again: what is done stays done.
The step is explained in deploy/: look for $(printf %s "$step" | tr _ -)"
    fi
    say "  changed  $now"
    changes=$((changes + 1))
    if [ "$step" = pool_operator ]; then
        say
        grep -o 'http[^ ]*' "$log" | sed 's/^/    log in once: /'
    fi
done
say
say "Pairscope stands at $site: $changes changes."
