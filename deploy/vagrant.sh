#!/bin/sh
# What `vagrant provision` runs in the guest, as root: deploy/provision.sh from the synced checkout.
set -eu
# Which address people will open is known once the machine is up: the Vagrantfile makes the operator's link then.
install -d -m 0755 /var/lib/pairscope
touch /var/lib/pairscope/operator
PAIRSCOPE_SITE=$(cat /var/lib/pairscope/site 2>/dev/null) || PAIRSCOPE_SITE=http://localhost:8080
export PAIRSCOPE_SITE PAIRSCOPE_PORT=8080
exec sh /vagrant/deploy/provision.sh
