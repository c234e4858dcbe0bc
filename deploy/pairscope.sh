#!/bin/sh
# pairscope COMMAND ...: the command line of this box, installed as /usr/local/bin/pairscope. By root, each command runs as the
# user whose business it is. `pairscope --help` lists them.

set -eu
settings=web user=pairscope-web
case ${1:-} in
migrate) settings=migrate user=pairscope-migrate ;;
esac
export PAIRSCOPE_SETTINGS="${PAIRSCOPE_SETTINGS:-/etc/pairscope/$settings.toml}" PYTHONDONTWRITEBYTECODE=1
# Where people open it, for login links; Vagrant writes it.
[ -n "${PAIRSCOPE_SITE:-}" ] || PAIRSCOPE_SITE=$(cat /var/lib/pairscope/site 2>/dev/null) || PAIRSCOPE_SITE=''
export PAIRSCOPE_SITE
set -- /opt/pairscope/venv/bin/pairscope "$@"
[ "$(id -u)" = 0 ] && [ -n "$user" ] && set -- setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
exec "$@"
