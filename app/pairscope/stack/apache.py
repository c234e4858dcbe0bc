"""Apache: the web server, mod_wsgi, the site."""

from pairscope.stack.step import Chapter, Step

BOX = "/opt/pairscope/venv/bin/python -P -m pairscope.lamp.box"
MODULES = (
    "alias authz_core deflate filter headers mime proxy proxy_fdpass proxy_http reqtimeout rewrite security2 setenvif "
    "unique_id wsgi"
)
LOAD = "/etc/apache2/conf-available/pairscope-load.conf"
PLACES = "/etc/systemd/system/apache2.service.d/pairscope.conf"

CHAPTER = Chapter(
    id="apache",
    title="Apache",
    guide="apache/README.md",
    intro="The web server takes the requests; mod_wsgi runs the application in processes of its own, and keeps the "
    "pool and the lab as managed processes.",
    steps=(
        Step(
            id="apache-packages",
            title="Install the web server and its modules",
            purpose="libapache2-mod-wsgi-py3 is mod_wsgi, built for Debian's Python. Of libapache2-mod-security2 only "
            "the bound of connections of one address is used, none of its rules.",
            commands="DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends apache2 "
            "libapache2-mod-wsgi-py3 libapache2-mod-security2",
            done="installed apache2 libapache2-mod-wsgi-py3 libapache2-mod-security2",
            see="`systemctl is-active apache2` says `active`",
            wrong=(
                (
                    "`Address already in use: AH00072: make_sock: could not bind to address [::]:80`",
                    "another web server has port 80: stop it, or take `Listen 80` out of /etc/apache2/ports.conf",
                ),
            ),
            elsewhere=(
                ("Ubuntu", "the same packages; 24.04 has a newer mod_wsgi, built for its Python 3.12"),
                ("RHEL family", "dnf -y install httpd python3-mod_wsgi mod_security; the service is httpd"),
            ),
        ),
        Step(
            id="apache-modules",
            title="Switch its modules on",
            purpose="What the site uses: static files with headers, text compressed, slow senders and connections of "
            "one address bounded, viewers handed over to "
            "live, Python. Any mpm serves; Debian's own choice, mpm_event, holds most connections.",
            commands=f"a2enmod -q {MODULES}",
            done=f"for module in {MODULES}; do [ -e /etc/apache2/mods-enabled/$module.load ] || exit 1; done",
            see="`Module wsgi already enabled`, or that Apache is to be restarted",
            wrong=(
                (
                    "`Module wsgi does not exist`",
                    (
                        "the package of the step before is missing, or wsgi is built from source: see the last "
                        "chapter of this page"
                    ),
                ),
            ),
            elsewhere=(("RHEL family", "modules are on by default: /etc/httpd/conf.modules.d"),),
        ),
        Step(
            id="apache-load",
            title="Give it room for visitors who are slow",
            purpose="A connection that sends or reads slowly holds a thread of Apache: 1,024 of them instead of "
            "Debian's 150, and no address has them all. The numbers of threads are taken at a start only.",
            commands=f"{BOX} write load\na2enconf -q pairscope-load\nsystemctl restart apache2",
            done=f"[ -e {LOAD.replace('available', 'enabled')} ] && {BOX} same load && since apache2 {LOAD}",
            see="`Enabling conf pairscope-load`",
            wrong=(
                (
                    "`WARNING: MaxRequestWorkers of 1024 exceeds ServerLimit`",
                    "another file of /etc/apache2 sets ServerLimit after this one: `grep -r ServerLimit /etc/apache2`",
                ),
            ),
            elsewhere=(("RHEL family", "the file goes to /etc/httpd/conf.d"),),
        ),
        Step(
            id="apache-run",
            title="Have the directories of its sockets made at each boot",
            purpose="/run is empty after a boot; systemd-tmpfiles makes the directories before Apache starts: for the "
            "pool's sockets, which web connects to, and for live's, which Apache connects to.",
            commands="install -m 0644 /opt/pairscope/code/deploy/tmpfiles.conf /etc/tmpfiles.d/pairscope.conf\n"
            "systemd-tmpfiles --create pairscope.conf",
            done="cmp -s /opt/pairscope/code/deploy/tmpfiles.conf /etc/tmpfiles.d/pairscope.conf && is "
            "/run/pairscope/pool pairscope-pool:pairscope-web:2750 && is /run/pairscope/live "
            "pairscope-web:www-data:2710",
            see="`ls -ld /run/pairscope/*` shows the pool's user and web's group, and web's user and Apache's group",
            wrong=(
                ("`Failed to resolve user 'pairscope-pool'`", "the users were not made: the Linux chapter, step 4"),
            ),
        ),
        Step(
            id="apache-logs",
            title="Have the logs rotated",
            purpose="Two weeks are kept, packed.",
            commands="install -m 0644 /opt/pairscope/code/deploy/logrotate.conf /etc/logrotate.d/pairscope",
            done="cmp -s /opt/pairscope/code/deploy/logrotate.conf /etc/logrotate.d/pairscope",
            see="`logrotate -d /etc/logrotate.d/pairscope` finds no error",
            wrong=(("logs that grow for ever", "nothing calls logrotate: `systemctl enable --now logrotate.timer`"),),
        ),
        Step(
            id="apache-places",
            title="Let its service write where the site and the pool do",
            purpose="Where apache2.service has `ProtectSystem=strict`, every file system is read-only to it but the "
            "places that it names. Elsewhere this does nothing.",
            commands=(
                '[ "$(systemctl show -p ProtectSystem --value apache2)" != strict ] || '
                f"{{ install -D -m 0644 /opt/pairscope/code/deploy/apache/service.conf {PLACES} && systemctl "
                f"daemon-reload && systemctl restart apache2; }}"
            ),
            done=(
                '[ "$(systemctl show -p ProtectSystem --value apache2)" != strict ] || '
                f"{{ cmp -s /opt/pairscope/code/deploy/apache/service.conf {PLACES} && "
                f'[ "$(systemctl show -p NeedDaemonReload --value apache2)" = no ] && since apache2 {PLACES}; }}'
            ),
            see="nothing; `systemctl show -p ReadWritePaths apache2` names them where it was needed",
            wrong=(
                (
                    "`Read-only file system` in the journal of apache2",
                    (
                        "another drop-in takes ReadWritePaths back with an empty line: `systemctl cat apache2` "
                        "shows all of them"
                    ),
                ),
            ),
        ),
        Step(
            id="apache-port",
            title="Listen on port {port}",
            purpose="In a file of its own; ports.conf and whatever stands on port 80 stay as they are.",
            commands=f"{BOX} write port\na2enconf -q pairscope-port",
            done=f"[ -e /etc/apache2/conf-enabled/pairscope-port.conf ] && {BOX} same port",
            see="`Enabling conf pairscope-port`",
            wrong=(
                (
                    "`could not bind to address 0.0.0.0:{port}` at the start below",
                    (
                        "`ss -ltnp` shows who has the port: stop that, or choose another in "
                        "/etc/pairscope/box.toml and repeat the steps from there"
                    ),
                ),
            ),
            elsewhere=(
                (
                    "RHEL family",
                    (
                        "the file goes to /etc/httpd/conf.d; SELinux: semanage port -a -t http_port_t -p tcp "
                        "{port} where it is not one already"
                    ),
                ),
            ),
        ),
        Step(
            id="apache-site",
            title="Deploy the application as a site",
            purpose="web's processes; the pool, live and the lab as managed processes; static files from Apache.",
            commands=f"{BOX} write site\na2ensite -q pairscope\napache2ctl configtest",
            done=f"[ -e /etc/apache2/sites-enabled/pairscope.conf ] && {BOX} same site && apache2ctl configtest",
            see="`Syntax OK`",
            wrong=(("`Invalid command 'WSGIDaemonProcess'`", "mod_wsgi is not switched on: a2enmod wsgi"),),
            elsewhere=(
                (
                    "RHEL family",
                    (
                        "SELinux: setsebool -P httpd_can_network_connect_db 1, and a label for the socket in "
                        "/run/pairscope"
                    ),
                ),
            ),
        ),
        Step(
            id="apache-start",
            title="Start it, now and at each boot",
            purpose="Apache starts web, the pool and the lab with itself, and starts each again when it dies. The page "
            "answers from now on, and says that the database is away.",
            commands="systemctl enable --now apache2\nsystemctl reload apache2",
            done='systemctl -q is-enabled apache2 && systemctl -q is-active apache2 && [ -n "$(ss -Hltn "sport = '
            ':{port}")" ]',
            see="`ss -ltn` shows the port",
            wrong=(
                (
                    "`Job for apache2.service failed`",
                    "`journalctl -u apache2` and /var/log/pairscope/error.log say why",
                ),
            ),
            elsewhere=(("RHEL family", "systemctl enable --now httpd"),),
        ),
    ),
)
