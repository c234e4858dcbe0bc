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

# ---- what the steps' conditions and reasons are made of

installed() { # package ...
    for package; do [ "$(dpkg-query -W -f '${db:Status-Status}' "$package")" = installed ] || return 1; done
}
is() { # path owner:group:mode
    [ "$(stat -c %U:%G:%a "$1")" = "$2" ]
}
since() { # service file: the service was started after the file was changed
    [ "$(stat -c %Z "$2")" -le "$(date -d "$(systemctl show -p ActiveEnterTimestamp --value "$1")" +%s)" ]
}
others_sites() { # whether this Apache has sites besides Debian's first page and ours
    find /etc/apache2/sites-enabled -mindepth 1 ! -name 000-default.conf ! -name pairscope.conf 2>/dev/null | grep -q .
}
todays_lists() { # apt's lists are of today: by the archive's own dates, which they bear, or because they were asked for within a day and are the same
    lists=/var/lib/apt/lists fetched=/run/pairscope-provision.lists
    ls $lists/*_Packages* || return
    [ -z "$(find /etc/apt/sources.list /etc/apt/sources.list.d -newer $lists/partial 2>/dev/null)" ] || return
    # Not by apt's cache: whatever reads the lists renews that. An archive may rest for days: it says so (304), and nothing in the lists shows that it was asked.
    [ "${did-}" != linux_sources ] || of_lists >$fetched
    [ -n "$(find $lists -maxdepth 1 -type f -name '*_*' -mtime -1)" ] ||
        { [ -n "$(find $fetched -mtime -1)" ] && [ "$(cat $fetched)" = "$(of_lists)" ]; }
}
of_lists() { stat -c '%n %s %Y' /var/lib/apt/lists/*_*; }
reached() { # what is reached over the network besides ssh, the site and Debian's first page, and the firewall's rules do not let in yet
    ss -Hltunp | awk -v site="$port" -v first="$(others_sites && echo no || echo yes)" '
        { n = split($5, part, ":"); number = part[n]; name = ""; address = substr($5, 1, length($5) - length(number) - 1) }
        # the loopback, by any of its names; link-local addresses, and multicast ones, which are of one link as well
        address ~ /^(\[?::ffff:)?127\./ || address ~ /^\[?::1\]?$/ || address ~ /%lo\]?$/ { next }
        address ~ /^(\[?::ffff:)?(169\.254|22[4-9]|23[0-9])\./ || address ~ /^\[?(fe[89ab].|ff..):/ { next }
        match($0, /\(\("[^"]*"/) { name = substr($0, RSTART + 3, RLENGTH - 4) }
        # resolvers that answer their neighbours on the link: mDNS, LLMNR (RFC 6762, RFC 4795)
        number == 5353 || number == 5355 { next }
        $1 == "tcp" && (number == 22 || number == site || number == 111) { next }
        # a client of DHCP, NTP, portmap, or an answer that is waited for
        $1 == "udp" && (number ~ /^(68|111|123|323|546)$/ || number >= 32768) { next }
        name == "apache2" && number == 80 && first == "yes" { next }
        { print number "/" $1, name }' | sort -un | while read -r number name; do
        ! ufw show added 2>/dev/null | grep -q -e " $number\$" -e " ${number%/*}\$" || continue
        printf '%s%s (%s)' "${more-}" "$number" "${name:-unknown}"
        more=', '
    done
}
fullest() { # path ...: the one whose disk has the least room
    df -k --output=avail,target "$@" | tail -n +2 | sort -n | head -n 1 | awk '{ print $2 }'
}
may_filter() { # whether this machine may change its packet filter: CAP_NET_ADMIN, which some containers have not
    [ $((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 12 & 1)) = 1 ]
}
shared() { # the other databases of this MariaDB
    mariadb -N -e "SELECT GROUP_CONCAT(schema_name SEPARATOR ', ') FROM information_schema.schemata
        WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'pairscope') AND
        (schema_name <> 'test' OR EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'test'))" 2>/dev/null | grep -vx NULL
}

# ---- whether this machine fits

[ "$(id -u)" = 0 ] || fail "this needs root: it installs packages and makes users. Run it with sudo."
[ -r /etc/os-release ] || fail "there is no /etc/os-release: this is no Debian and no Ubuntu. The guide in deploy/README.md says what to do by hand."
# shellcheck source=/dev/null
. /etc/os-release
case " ${ID:-} ${ID_LIKE:-} " in
*" debian "* | *" ubuntu "*) ;;
*) fail "this is ${PRETTY_NAME:-an unknown system}; expected Debian or Ubuntu. deploy/README.md notes where other systems differ. Nothing was changed." ;;
esac
old=''
case ${ID:-} in
debian) [ "${VERSION_ID:-99}" -ge 12 ] 2>/dev/null || old=yes ;;
ubuntu) [ "${VERSION_ID%%.*}" -ge 24 ] 2>/dev/null || old=yes ;;
*) ! [ -x /usr/bin/python3 ] || /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || old=yes ;;
esac
[ -z "$old" ] || fail "this is ${PRETTY_NAME:-$ID}, whose Python is older than 3.11; expected Debian 12, Ubuntu 24.04, or newer. Nothing was changed."
[ -d /run/systemd/system ] || fail "systemd does not run here, and services are started by it. In a container without systemd use script/lamp."
port=${PAIRSCOPE_PORT:-$(sed -n 's/^port *= *\([0-9]*\).*/\1/p' /etc/pairscope/box.toml 2>/dev/null)}
port=${port:-8080}
case $port in
*[!0-9]* | '') fail "PAIRSCOPE_PORT is '$port'; expected a number from 1 to 65535" ;;
esac
{ [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || fail "PAIRSCOPE_PORT is $port; expected a number from 1 to 65535"
site=${PAIRSCOPE_SITE:-http://localhost:$port}
for place in /opt /var /etc; do
    free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
    need=600000
    [ ! -d /opt/pairscope/venv ] || need=100000
    [ "$place" != /etc ] || need=20000
    [ "$free" -ge "$need" ] || fail "the disk of $place has $((free / 1024)) MiB left; expected at least $((need / 1024)). Nothing was changed."
done
holder=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
case $holder in
'' | apache2\ *) ;;
*) fail "port $port is held by $holder. Stop that, or choose another: PAIRSCOPE_PORT=8081 deploy/provision.sh. Nothing was changed." ;;
esac
if [ -n "$holder" ] && ! grep -qsE "^Listen (127\.0\.0\.1:)?$port\$" /etc/apache2/conf-available/pairscope-port.conf; then
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
# shellcheck source=deploy/steps.sh
. "$here/steps.sh"
# Another apt-get may still be at work: the nightly upgrade, or what an interrupted run of this left behind. Each waits for it.
export APT_CONFIG=/run/pairscope-provision.apt
echo 'DPkg::Lock::Timeout "300";' >"$APT_CONFIG"
# A package whose installation was interrupted keeps every other one from being installed; so does one that is newer than
# what needs it, where an upgrade ended between the two.
if ! apt-get -qq check >/dev/null 2>&1 || [ -n "$(dpkg --audit)" ]; then
    say "  mending  packages that were left half installed"
    dpkg --configure -a >/dev/null 2>&1
    apt-get -y --no-remove --fix-broken install >/dev/null 2>&1
fi
log=/run/pairscope-provision.log # fixed names: a killed run leaves nothing that the next does not take over
rm -f "$log"
( umask 077 && : >"$log" )
changes=0 left=0 now='' did=''
trap 'rm -f "$log" "$APT_CONFIG"' EXIT
trap 'say; say "pairscope: interrupted in: $now. Run it again: it goes on where it stopped." >&2; exit 130' HUP INT TERM
for step in $STEPS; do
    eval "now=\$title_$step"
    if "done_$step"; then
        say "  ok       $now"
        continue
    fi
    reason=$("leave_$step")
    if [ -n "$reason" ]; then
        say "  left     $now"
        say "           $reason."
        left=$((left + 1))
        continue
    fi
    [ ! -t 1 ] || printf '  ...      %s\r' "$now"
    ( exec 9>&-; "do_$step" ) >"$log" 2>&1
    status=$?
    [ $status != 0 ] || did=$step
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
        for place in / /opt /var /etc /tmp; do
            [ "$(df -Pk "$place" | awk 'NR == 2 { print $4 }')" -ge 4096 ] || fail "the disk of $place is full, so the step '$now' failed. Make room and run this again: what is done stays done."
        done
        # pip takes back what it had begun: there is room again.
        ! grep -q 'No space left on device' "$log" || fail "the disk of $(fullest / /opt /var /etc /tmp) was full, so the step '$now' failed. Make room and run this again: what is done stays done."
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
[ $left = 0 ] || say "Left as they are: $left steps, each with its reason above."
say "Pairscope stands at $site: $changes changes."
