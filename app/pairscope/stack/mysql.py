"""MariaDB: the server, its protection, the database and its users."""

from pairscope.stack.step import Chapter, Step

BOX = "/opt/pairscope/venv/bin/python -P -m pairscope.lamp.box"
CONF = "/etc/mysql/mariadb.conf.d"

CHAPTER = Chapter(
    id="mysql",
    title="MariaDB",
    guide="mysql/README.md",
    intro="The record's home. It listens on a socket in the file system and on no port; each part of Pairscope logs "
    "in as the user that it is, without a password.",
    steps=(
        Step(
            id="mysql-packages",
            title="Install the database server",
            purpose="MariaDB, started now and at each boot.",
            commands="DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends mariadb-server\n"
            "systemctl enable --now mariadb",
            done="installed mariadb-server && systemctl -q is-enabled mariadb && systemctl -q is-active mariadb",
            see="`mariadb -e 'SELECT VERSION()'` answers",
            wrong=(
                (
                    "`Access denied for user 'root'@'localhost'`",
                    "its root has a password: put it into /root/.my.cnf, under [client], mode 0600",
                ),
            ),
            elsewhere=(
                ("Ubuntu", "the same package, of the part universe"),
                ("Ubuntu with MySQL 8", "apt-get install mysql-server; the unix_socket plugin is called auth_socket"),
                ("RHEL family", "dnf -y install mariadb-server"),
            ),
        ),
        Step(
            id="mysql-secure",
            title="Secure it",
            purpose="No user without a name, no test database, root only by being root. Debian's package leaves it so; "
            "one that was installed long ago may not be.",
            commands="mariadb -e \"DROP USER IF EXISTS ''@'localhost', ''@'$(hostname)'\"\n"
            "mariadb -e 'DROP DATABASE IF EXISTS test'",
            done="[ \"$(mariadb -N -e \"SELECT (SELECT COUNT(*) FROM mysql.user WHERE User = '') + (SELECT COUNT(*) "
            "FROM information_schema.schemata WHERE schema_name = 'test')\")\" = 0 ]",
            see="nothing",
            unless="where the server holds other databases, too: its users and databases are theirs as well",
            leave='others=$(shared); [ -z "$others" ] || echo "MariaDB serves other databases, too ($others): its '
            'users and databases stay as they are"',
            wrong=(("`ERROR 1045 (28000)`", "its root has a password: see the step before"),),
            elsewhere=(("elsewhere", "mariadb-secure-installation asks the same questions one by one"),),
        ),
        Step(
            id="mysql-passwords",
            title="Set the password policy",
            purpose="Pairscope's users have none; this is for those that somebody adds: twelve characters of four "
            "kinds.",
            commands=f"{BOX} write passwords\nsystemctl restart mariadb",
            done=f"{BOX} same passwords && since mariadb {CONF}/91-pairscope-passwords.cnf",
            see="`mariadb -e \"SHOW VARIABLES LIKE 'simple_password%'\"` shows the twelve",
            unless="where the server holds other databases, too: its rules for passwords are theirs as well",
            leave='others=$(shared); [ -z "$others" ] || echo "MariaDB serves other databases, too ($others): its '
            'rules for passwords stay as they are"',
            wrong=(
                (
                    "`Your password does not satisfy the current policy requirements`, later",
                    "that is what it is for: a longer one, with a digit, a capital and a sign",
                ),
            ),
            elsewhere=(("MySQL 8", "the component is called validate_password"),),
        ),
        Step(
            id="mysql-settings",
            title="Set what matters for the record",
            purpose="No port, UTF-8, each commit on disk, strict mode: a value that does not fit is an error instead "
            "of a shorter value.",
            commands=f"{BOX} write server\nsystemctl restart mariadb",
            done=f"{BOX} same server && since mariadb {CONF}/90-pairscope.cnf",
            see="`ss -ltn` shows no 3306",
            unless="where the server holds other databases, too: its settings are theirs as well",
            leave='others=$(shared); [ -z "$others" ] || echo "MariaDB serves other databases, too ($others): its '
            'settings stay as they are"',
            wrong=(
                (
                    "MariaDB does not start again",
                    "`journalctl -u mariadb` says which line; other files in the same directory may contradict",
                ),
            ),
            elsewhere=(("RHEL family", "the directory is /etc/my.cnf.d"),),
        ),
        Step(
            id="mysql-database",
            title="Create the database and its users",
            purpose="One user for migrations, one for the recorder, one for web. Each logs in by being that user of "
            "the system.",
            commands=f"{BOX} sql database | mariadb",
            done=f"{BOX} granted database",
            see="nothing; `mariadb -e 'SHOW DATABASES'` shows pairscope",
            wrong=(
                (
                    "`Plugin 'unix_socket' is not loaded`",
                    "a server from before MariaDB 10.4: `mariadb -e \"INSTALL SONAME 'auth_socket'\"`",
                ),
            ),
        ),
        Step(
            id="mysql-tables",
            title="Make the tables",
            purpose="The migrations, run by the only user that may change a schema.",
            commands="pairscope migrate",
            done="pairscope migrate --check",
            see="the revisions that were applied, or that all is up to date",
            wrong=(
                (
                    "`Access denied for user 'pairscope-migrate'`",
                    "the command was not run by root, who alone may become that user; or the step before is missing",
                ),
            ),
        ),
        Step(
            id="mysql-grants",
            title="Give each user its rights, table by table",
            purpose="The recorder writes history and nothing else; web reads everything and writes its own tables. A "
            "view shows web these rights, for the stack page, and no password.",
            commands=f"{BOX} sql grants | mariadb",
            done=f"{BOX} granted grants",
            see="`mariadb -e \"SHOW GRANTS FOR 'pairscope-web'@'localhost'\"` shows SELECT on all, and more on "
            "web's own tables",
            wrong=(
                (
                    "`Table 'pairscope.tokens' doesn't exist`",
                    "a right on a table needs the table: the step before comes first",
                ),
            ),
        ),
    ),
)
