#!/bin/sh
# What `vagrant provision` runs in the guest, as root: deploy/provision.sh from the synced checkout.
set -eu
# Which address people will open is known once the machine is up: the Vagrantfile makes the operator's link then.
install -d -m 0755 /var/lib/pairscope
touch /var/lib/pairscope/operator
# The box is for its owner: what jobs were given and made is shown without a login. box.toml keeps another choice.
install -d -m 0755 /etc/pairscope
grep -qs '^public_outputs' /etc/pairscope/box.toml || echo 'public_outputs = true' >>/etc/pairscope/box.toml
# The classic programs of the lab can so be run in C, too.
grep -qs '^compiler' /etc/pairscope/box.toml || echo 'compiler = true' >>/etc/pairscope/box.toml
PAIRSCOPE_SITE=$(cat /var/lib/pairscope/site 2>/dev/null) || PAIRSCOPE_SITE=http://localhost:8080
export PAIRSCOPE_SITE PAIRSCOPE_PORT=8080
exec sh /vagrant/deploy/provision.sh
