#!/bin/sh
# What `vagrant provision` runs in the guest, as root: deploy/provision.sh from the synced checkout.
set -eu
export PAIRSCOPE_SITE="http://localhost:${PAIRSCOPE_HOST_PORT:-8080}" PAIRSCOPE_PORT=8080
exec sh /vagrant/deploy/provision.sh
