#!/bin/sh
# Takes away what deploy/provision.sh has set up. Apache, MariaDB, Python and ufw stay installed, as do other sites and databases.
#
# usage: deploy/unprovision.sh --yes [--purge]
#
# Without --purge the data stay: the database, /var/lib/pairscope and /etc/pairscope/box.toml, so that provisioning again goes on with them.
# Exit status: 0 it is gone, 1 it could not be done; why is said.

set -u
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
say() { printf '%s\n' "$*"; }
fail() { say "pairscope: $*" >&2; exit 1; }
sure='' purge=''
for word; do
    case $word in
    --yes) sure=1 ;;
    --purge) purge=1 ;;
    *) fail "unknown argument '$word'; expected --yes and, to lose the data as well, --purge" ;;
    esac
done
[ "$(id -u)" = 0 ] || fail "this needs root. Run it with sudo."
[ -n "$sure" ] || fail "this takes Pairscope off this machine${purge:+, with its data}. If you want that: $0 --yes${purge:+ --purge}"
port=$(sed -n 's/^port *= *\([0-9]*\).*/\1/p' /etc/pairscope/box.toml 2>/dev/null)

if command -v a2dissite >/dev/null; then
    a2dissite -q pairscope >/dev/null 2>&1
    a2disconf -q pairscope-port pairscope-load >/dev/null 2>&1
    rm -f /etc/apache2/sites-available/pairscope.conf /etc/apache2/conf-available/pairscope-port.conf \
        /etc/apache2/conf-available/pairscope-load.conf
    # A graceful restart ends the pool and the lab in order.
    systemctl -q is-active apache2 && systemctl reload apache2
fi
# Until the pool has ended, its user cannot go. Live would wait a minute for a next one that does not come; it is told again at each look,
# since Apache, until it has read that the site is gone, starts another.
for user in web pool lab migrate; do
    tries=0
    while pgrep -u "pairscope-$user" >/dev/null 2>&1; do
        [ $user != web ] || pkill -TERM -u pairscope-web -f 'pairscope\.live$'
        tries=$((tries + 1))
        # Daemons that leave may stay for ten minutes. After 15 s what they have in hand is cut off: there is no next one.
        [ $user$tries != web75 ] || pkill -KILL -u pairscope-web -f '^leaving:'
        [ $tries -lt 150 ] || fail "processes of pairscope-$user do not end: $(pgrep -u "pairscope-$user" | tr '\n' ' ')"
        sleep 0.2
    done
done
if command -v mariadb >/dev/null && mariadb -e 'SELECT 1' >/dev/null 2>&1; then
    mariadb -e "DROP USER IF EXISTS 'pairscope-web'@'localhost', 'pairscope-pool'@'localhost', 'pairscope-migrate'@'localhost'"
    [ -z "$purge" ] || mariadb -e 'DROP DATABASE IF EXISTS pairscope'
fi
if [ -e /etc/mysql/mariadb.conf.d/90-pairscope.cnf ]; then
    rm -f /etc/mysql/mariadb.conf.d/90-pairscope.cnf /etc/mysql/mariadb.conf.d/91-pairscope-passwords.cnf
    systemctl -q is-active mariadb && systemctl restart mariadb
fi
[ -z "$port" ] || ! command -v ufw >/dev/null || ufw delete allow "$port/tcp" >/dev/null 2>&1
rm -rf /opt/pairscope /run/pairscope /var/log/pairscope /usr/local/bin/pairscope
if [ -e /etc/systemd/system/apache2.service.d/pairscope.conf ]; then
    rm -f /etc/systemd/system/apache2.service.d/pairscope.conf
    rmdir /etc/systemd/system/apache2.service.d 2>/dev/null
    systemctl daemon-reload
fi
rm -f /etc/tmpfiles.d/pairscope.conf /etc/logrotate.d/pairscope
find /etc/pairscope -mindepth 1 ! -name box.toml -delete 2>/dev/null
rm -f /var/lib/pairscope/operator /var/lib/pairscope/site
[ -z "$purge" ] || rm -rf /etc/pairscope /var/lib/pairscope
for user in web pool lab migrate; do
    # With the data stays the number of their owner.
    [ -z "$purge" ] || ! id -u "pairscope-$user" >/dev/null 2>&1 || userdel "pairscope-$user"
done
say "Pairscope is gone from this machine${purge:+, with its data}."
