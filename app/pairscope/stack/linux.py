"""Linux: packages, users, directories, the firewall."""

from pairscope.stack.step import Chapter, Step

CHAPTER = Chapter(
    id="linux",
    title="Linux",
    guide="README.md",
    intro="The ground: today's packages, a user for each part, directories that only their owner may enter, and a "
    "firewall that lets in ssh and the dashboard.",
    steps=(
        Step(
            id="linux-sources",
            title="Update the lists of packages",
            purpose="What is installed next is today's.",
            commands="apt-get update --error-on=any",
            done="todays_lists",
            see="`Reading package lists... Done`",
            wrong=(
                ("`Temporary failure resolving`", "the machine has no name server: look at /etc/resolv.conf"),
                (
                    "`Some index files failed to download`",
                    "an archive in /etc/apt does not answer: mend its line, or take it out",
                ),
            ),
            elsewhere=(("RHEL family", "dnf makecache"),),
        ),
        Step(
            id="linux-upgrade",
            title="Bring the system up to date",
            purpose="A server that is reached from a network runs without known holes.",
            commands="DEBIAN_FRONTEND=noninteractive apt-get -y upgrade",
            done='[ "${PAIRSCOPE_UPGRADE:-yes}" = no ] || '
            '{ planned=$(apt-get -s -qq upgrade) && ! echo "$planned" | grep -q "^Inst"; }',
            see="`0 upgraded` at the next try",
            wrong=(
                (
                    "`Could not get lock /var/lib/dpkg/lock-frontend`",
                    "another program installs just now, often the nightly upgrade: wait for it",
                ),
            ),
            elsewhere=(
                ("Ubuntu", "the same; unattended-upgrades does it every night and holds the lock meanwhile"),
                ("RHEL family", "dnf -y upgrade"),
            ),
        ),
        Step(
            id="linux-packages",
            title="Install the small tools",
            purpose="rsync copies the code, curl looks at the result, ss (of iproute2) at the ports, logrotate keeps "
            "the logs short, ufw is the firewall: off, until it is switched on below.",
            commands="DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends rsync curl "
            "ca-certificates iproute2 logrotate ufw",
            done="installed rsync curl ca-certificates iproute2 logrotate ufw",
            see="`Setting up rsync`, or that all are the newest version already",
            wrong=(
                ("`404  Not Found`", "the lists are older than the archive: `apt-get update` again"),
                ("`dpkg was interrupted`", "`dpkg --configure -a` ends what was begun; the script does that by itself"),
                (
                    "`Unmet dependencies`",
                    "an upgrade ended half-way: `apt-get --fix-broken install` ends it; the script does that by itself",
                ),
            ),
            elsewhere=(
                (
                    "RHEL family",
                    "dnf -y install rsync curl ca-certificates iproute logrotate; firewalld takes the place of ufw",
                ),
            ),
        ),
        Step(
            id="linux-users",
            title="Make a user for each part",
            purpose="web, the pool, the lab and the migrations each run as a user of their own, that nobody can log in "
            "as: a fault in one does not open the others' files.",
            commands=(
                "for name in web pool lab migrate; do id -u pairscope-$name >/dev/null 2>&1 || "
                "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell "
                "/usr/sbin/nologin pairscope-$name; done"
            ),
            done="id -u pairscope-web && id -u pairscope-pool && id -u pairscope-lab && id -u pairscope-migrate",
            see="`id pairscope-web` tells its numbers",
            wrong=(
                (
                    "`useradd: group pairscope-web exists`",
                    "a group was left over from somewhere: `groupdel pairscope-web`",
                ),
            ),
            elsewhere=(("RHEL family", "the same; nologin is /sbin/nologin"),),
        ),
        Step(
            id="linux-directories",
            title="Make the directories",
            purpose="Code and settings are root's; the journal is the pool's alone, the key of the login sessions "
            "web's alone.",
            commands="\n".join(
                (
                    "install -d -m 0755 /opt/pairscope /etc/pairscope /var/lib/pairscope",
                    "install -d -m 0700 -o pairscope-pool -g pairscope-pool /var/lib/pairscope/pool",
                    "install -d -m 0700 -o pairscope-web -g pairscope-web /var/lib/pairscope/web",
                    "install -d -m 0750 -o root -g adm /var/log/pairscope",
                )
            ),
            done=(
                "is /opt/pairscope root:root:755 && is /etc/pairscope root:root:755 && is /var/lib/pairscope "
                "root:root:755 && "
                "is /var/lib/pairscope/pool pairscope-pool:pairscope-pool:700 && is /var/lib/pairscope/web "
                "pairscope-web:pairscope-web:700 && "
                "is /var/log/pairscope root:adm:750"
            ),
            see="nothing; `ls -l /var/lib/pairscope` shows the owners",
            wrong=(
                ("`invalid user`", "the step before was left out"),
                ("`No space left on device`", "`df -h` shows which disk is full: the whole needs 600 MB"),
            ),
            elsewhere=(("RHEL family", "the group adm is not used for logs: take root"),),
        ),
        Step(
            id="linux-firewall",
            title="Open the firewall for ssh and the dashboard, and close the rest",
            purpose="MariaDB listens on no port at all, but whatever is installed later might.",
            commands="\n".join(
                (
                    "ufw allow 22/tcp",
                    "ufw allow {port}/tcp",
                    "ufw --force enable",
                )
            ),
            done='installed ufw && ufw status | grep -q "^Status: active" && ufw status | grep -q "^{port}/tcp  '
            '*ALLOW" && ufw status | grep -q "^22/tcp  *ALLOW"',
            see="`Firewall is active and enabled on system startup`",
            unless=(
                "in a container that may not change its packet filter, and where other things are reached over "
                "the network while the firewall is off: it would cut them "
                "off. `ufw allow 80/tcp`, for each of these ports that `ss -ltun` shows, lets them in; then "
                "this can be done. What listens on the loopback or a link-local address, and a "
                "resolver that answers its neighbours (mDNS on 5353, LLMNR on 5355), is none of them"
            ),
            leave=(
                'may_filter || { echo "this machine may not change its packet filter: the firewall is its '
                "host's business\"; return; }\n"
                "    "
                "ufw status 2>/dev/null | grep -q '^Status: active' || { others=$(reached); [ -z \"$others\" ] || "
                'echo "the firewall would cut off what this machine serves already: $others. Allow that (ufw '
                'allow PORT/tcp) and run this again"; }'
            ),
            wrong=(
                (
                    "the ssh session hangs",
                    "sshd listens on another port than 22: open that one first, from the machine's console",
                ),
            ),
            elsewhere=(
                ("Ubuntu", "ufw is there already, switched off"),
                ("RHEL family", "firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"),
            ),
        ),
    ),
)
