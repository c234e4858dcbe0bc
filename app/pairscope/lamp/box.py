"""A box: Pairscope with the system's own Apache and MariaDB. ``python -m pairscope.lamp.box`` fills in the templates of
``deploy/`` for it.

What a box may choose stands in ``/etc/pairscope/box.toml``; all else is fixed, so that a guide can name it. Run as root
by ``deploy/provision.sh`` and by whoever follows the guides.
"""

from __future__ import annotations

import argparse
import grp
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pairscope import config
from pairscope.config import BOX
from pairscope.lamp.installation import Installation
from pairscope.lamp.templates import fill
from pairscope.sentence import phrase

CHOICES = BOX / "box.toml"
SOCKET = Path("/run/mysqld/mysqld.sock")
WEB, POOL, LAB, MIGRATE = (f"pairscope-{role}" for role in ("web", "pool", "lab", "migrate"))


class BoxError(ValueError):
    """box.toml is wrong, or MariaDB cannot be asked; the text says what was expected."""


ADDRESSES = ("*", "127.0.0.1")
"""Where a box may listen: at all of its addresses, or for a proxy on the same machine."""
CHOSEN = (
    "public_read",
    "public_outputs",
    "secure_cookies",
    "lab_open",
    "lab_programs",
    "journal_sync",
    "history_rows",
    "stop_grace",
    "trusted_proxies",
    "prefix",
)
"""Settings of pairscope.config that a box may choose and that go into its files as they are."""
NAMES = ("port", "address", "hosts", "workers", "node", "node_name", "trusted_hosts", "compiler", *CHOSEN)
"""Everything that a box may choose: docs/stack.md."""
ALWAYS = ("localhost", "127.0.0.1", "[::1]")
"""Names that a box answers to whatever it chooses: provisioning and its checks ask there."""


def choices(path: Path = CHOICES) -> dict[str, Any]:
    """What this box has chosen, of NAMES. Raises BoxError naming the choice and what was expected."""
    try:
        chosen = tomllib.loads(path.read_text())
    except OSError as error:
        raise BoxError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoxError(phrase("%(path)s: this is not TOML: %(why)s", path=path, why=str(error))) from None
    for name in chosen:
        if name not in NAMES:
            raise BoxError(
                phrase(
                    "%(path)s: unknown choice %(name)r; expected one of %(names)s",
                    path=path,
                    name=name,
                    names=", ".join(NAMES),
                )
            )
    port = chosen.get("port", 8080)
    if type(port) is not int or not 0 < port < 65536:
        raise BoxError(phrase("%(path)s: port is %(port)r; expected a number from 1 to 65535", path=path, port=port))
    address = chosen.get("address", "*")
    if address not in ADDRESSES:
        raise BoxError(
            phrase(
                "%(path)s: address is %(address)r; expected '*', which is all addresses of this machine, or "
                "'127.0.0.1'",
                path=path,
                address=address,
            )
        )
    if type(compiler := chosen.get("compiler", False)) is not bool:
        raise BoxError(phrase("%(path)s: compiler is %(value)r; expected true or false", path=path, value=compiler))
    for name in ("hosts", "trusted_hosts"):
        names = chosen.get(name, [])
        if not isinstance(names, list):
            raise BoxError(
                phrase(
                    "%(path)s: %(name)s is %(names)r; expected a list of host names", path=path, name=name, names=names
                )
            )
        for host in names:
            if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9.\[\]:_-]{1,253}", host):
                raise BoxError(
                    phrase(
                        "%(path)s: %(name)s holds %(host)r; expected host names without a port",
                        path=path,
                        name=name,
                        host=host,
                    )
                )
    if "hosts" in chosen and "trusted_hosts" in chosen:
        raise BoxError(
            phrase(
                "%(path)s: hosts and trusted_hosts are both given; expected hosts, which adds to this machine's own "
                "names, or trusted_hosts, which takes their place",
                path=path,
            )
        )
    settings = {name: value for name, value in chosen.items() if name not in ("port", "address", "hosts", "compiler")}
    try:
        config.made(str(path), {"state": "/", "run": "/", **settings})
    except config.SettingsError as error:
        raise BoxError(error.args[0]) from None
    return chosen


def installation(chosen: dict[str, Any], addresses: tuple[str, ...] = ()) -> Installation:
    """The box's. `addresses` are those of this machine: a literal address cannot be rebound by a stranger's name
    server."""
    given: dict[str, Any] = {
        name: chosen[name] for name in ("port", "address", "workers", "node", "node_name") if name in chosen
    }
    own = (socket.gethostname(), *addresses, *chosen.get("hosts", ()))
    return Installation(
        code=Path("/opt/pairscope/code/app"),
        venv=Path("/opt/pairscope/venv"),
        conf=BOX,
        log=Path("/var/log/pairscope"),
        run=Path("/run/pairscope"),
        pool_run=Path("/run/pairscope/pool"),
        live_run=Path("/run/pairscope/live"),
        state=Path("/var/lib/pairscope/pool"),
        web_state=Path("/var/lib/pairscope/web"),
        socket=SOCKET,
        trusted_hosts=tuple(dict.fromkeys((*ALWAYS, *chosen.get("trusted_hosts", own)))),
        settings={name: chosen[name] for name in CHOSEN if name in chosen},
        web_user=WEB,
        web_group=WEB,
        pool_user=POOL,
        pool_group=POOL,
        lab_user=LAB,
        lab_group=LAB,
        **{"address": "*", **given},
    )


class File(NamedTuple):
    """A generated file."""

    path: Path
    text: str
    group: str = "root"
    mode: int = 0o644


def files(part: str, made: Installation) -> list[File]:
    """The generated files of one part of the box, one of PARTS."""
    conf = made.conf
    if part == "settings":
        return [
            *(
                File(conf / f"{reader}.toml", fill("settings.toml", made, reader=reader), group, 0o640)
                for reader, group in (("web", WEB), ("pool", POOL), ("lab", LAB), ("migrate", MIGRATE))
            ),
            File(conf / "web.wsgi", fill("apache/web.wsgi", made)),
            File(conf / "health.wsgi", fill("apache/health.wsgi", made)),
            File(conf / "pool.wsgi", fill("apache/pool.wsgi", made)),
            File(conf / "lab.wsgi", fill("apache/lab.wsgi", made)),
            File(conf / "live.wsgi", fill("apache/live.wsgi", made)),
        ]
    name, template = {
        "port": ("/etc/apache2/conf-available/pairscope-port.conf", "apache/port.conf"),
        "load": ("/etc/apache2/conf-available/pairscope-load.conf", "apache/load.conf"),
        "site": ("/etc/apache2/sites-available/pairscope.conf", "apache/site.conf"),
        "server": ("/etc/mysql/mariadb.conf.d/90-pairscope.cnf", "mysql/server.cnf"),
        "passwords": ("/etc/mysql/mariadb.conf.d/91-pairscope-passwords.cnf", "mysql/passwords.cnf"),
    }[part]
    return [File(Path(name), fill(template, made))]


PARTS = ("settings", "port", "load", "site", "server", "passwords")


def differs(file: File) -> str:
    """How the file that stands there is not the wanted one, in words; empty if it is."""
    try:
        if file.path.read_text() != file.text:
            return "its text differs"
        found = file.path.stat()
        wanted = (0, grp.getgrnam(file.group).gr_gid, file.mode)
    except FileNotFoundError:
        return "it is missing"
    except (OSError, UnicodeDecodeError, KeyError) as error:
        return str(error)
    if (found.st_uid, found.st_gid, found.st_mode & 0o7777) != wanted:
        return f"it is not root:{file.group} {file.mode:o}"
    return ""


def write(file: File) -> None:
    """Replaces the file in one step; it was never readable for more than its mode says."""
    temporary = file.path.with_name(f".{file.path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        shutil.chown(temporary, "root", file.group)
        os.fchmod(target.fileno(), file.mode)
        target.write(file.text)
    temporary.replace(file.path)


GRANT = re.compile(r"GRANT (.+?) ON (\S+) TO ")


def expected_grants(made: Installation) -> dict[str, set[tuple[str, str]]]:
    """Of each database user what the templates give it, as pairs of a privilege and a table."""
    text = fill("mysql/database.sql", made) + fill("mysql/grants.sql", made)
    found: dict[str, set[tuple[str, str]]] = {}
    for user in (made.migrate.name, made.recorder.name, made.web.name):
        found[user] = set()
        for line in text.splitlines():
            if f"TO '{user}'@" in line:
                found[user] |= parse_grant(line)
    return found


def parse_grant(line: str) -> set[tuple[str, str]]:
    """The privileges of one GRANT, as pairs of a privilege and a table. USAGE, which is none, is left out."""
    matched = GRANT.match(line)
    if not matched:
        return set()
    table = matched[2].replace("`", "")
    return {(name.strip(), table) for name in matched[1].split(",") if name.strip() != "USAGE"}


def seen_grants(rows: Iterable[tuple[str, str, str | None]]) -> dict[str, set[tuple[str, str]]]:
    """Of each database user what it may do, from the view ``rights`` that grants.sql makes: pairs as those of
    :func:`expected_grants`."""
    found: dict[str, set[tuple[str, str]]] = {}
    for user, place, rights in rows:
        has = found.setdefault(user, set())
        if place != "login":
            has |= {(name.upper(), place) for name in (rights or "").split(",") if name}
    return found


def granted(made: Installation, part: str) -> str:
    """How MariaDB's database and users (`part` ``database``) or their rights (``grants``) are not as wanted, in words;
    empty if they are.

    Asks as MariaDB's root, by the kernel's word or with the password of ``/root/.my.cnf``. Raises BoxError if that
    fails.
    """
    import pymysql

    options = Path("~/.my.cnf").expanduser()
    try:
        connection = pymysql.connect(
            user="root", unix_socket=str(made.socket), read_default_file=str(options) if options.exists() else None,
            connect_timeout=10, read_timeout=10, write_timeout=10,
        )  # fmt: skip
    except pymysql.MySQLError as error:
        raise BoxError(phrase("MariaDB does not let its root in: %(words)s", words=error.args[-1])) from None
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (made.database,))
        if not cursor.fetchone():
            return f"there is no database {made.database}"
        wanted = expected_grants(made)
        for user in wanted:
            cursor.execute("SELECT 1 FROM mysql.user WHERE User = %s AND Host = 'localhost'", (user,))
            if not cursor.fetchone():
                return f"there is no user {user}@localhost"
            cursor.execute("SHOW GRANTS FOR %s@'localhost'", (user,))
            lines = [row[0] for row in cursor.fetchall()]
            if "unix_socket" not in lines[0]:
                return f"{user}@localhost does not log in by unix_socket"
            if part == "grants" or user == made.migrate.name:
                has = set().union(*(parse_grant(line) for line in lines))
                if has != wanted[user]:
                    return (
                        f"{user}@localhost has other rights than wanted: {_list(has - wanted[user])} too much, "
                        f"{_list(wanted[user] - has)} missing"
                    )
        if part == "grants":
            cursor.execute(
                "SELECT 1 FROM information_schema.views WHERE table_schema = %s AND table_name = 'rights'",
                (made.database,),
            )
            if not cursor.fetchone():
                return f"there is no view {made.database}.rights"
    return ""


def _list(rights: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} on {table}" for name, table in sorted(rights)) or "nothing"


def own_addresses() -> tuple[str, ...]:
    """The addresses of this machine as a URL has them, without those of its own links. hostname(1)."""
    told = subprocess.run(["hostname", "-I"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    found = (ipaddress.ip_address(word) for word in told.stdout.split())
    return tuple(f"[{it}]" if it.version == 6 else str(it) for it in found if not it.is_link_local)


def _moves(file: File) -> bool:
    """Whether Apache is to listen on the port that it has, at another address. A reload opens the new socket before the
    old one is closed: "Address already in use", and Apache ends."""
    had, wanted = (
        set(re.findall(r"^Listen .*?(\d+)$", text, re.MULTILINE))
        for text in (file.path.read_text() if file.path.exists() else "", file.text)
    )
    return bool(had & wanted)


def main() -> int:
    """Exit status: 0 done, or all as wanted, or chosen; 1 something differs (said on standard output), or it is not
    chosen; 2 it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m pairscope.lamp.box", description="The generated files of a box.")
    parser.add_argument("what", choices=("write", "same", "sql", "granted", "chosen"))
    parser.add_argument("part", choices=(*PARTS, "database", "grants", "compiler"))
    asked = parser.parse_args()
    if (asked.part in PARTS) != (asked.what in ("write", "same")) or (asked.part == "compiler") != (
        asked.what == "chosen"
    ):
        parser.error(f"there is no {asked.what} {asked.part}")
    try:
        chosen = choices()
        if asked.what == "chosen":
            return not chosen.get("compiler", False)
        made = installation(chosen, own_addresses())
        if asked.what == "sql":
            print(fill(f"mysql/{asked.part}.sql", made), end="")
            return 0
        if asked.what == "granted":
            found = granted(made, asked.part)
            print(found, end="\n" if found else "")
            return bool(found)
        status = 0
        for file in files(asked.part, made):
            how = differs(file)
            if how and asked.what == "write":
                moves = asked.part == "port" and _moves(file)
                write(file)
                print(f"{file.path}: written ({how})")
                if moves:
                    print("Apache is stopped until the step that starts it: it cannot take a port at another address")
                    subprocess.run(["systemctl", "stop", "apache2"], check=True)
            elif how:
                print(f"{file.path}: {how}")
                status = 1
        return status
    except (BoxError, OSError, LookupError, subprocess.CalledProcessError) as error:
        print(f"pairscope: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
