"""MariaDB: server, connections, settings, databases, users, rights, tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from pairscope.lamp import box
from pairscope.stack.check import Scene, check
from pairscope.stack.step import Finding, Verdict, bad, good, unknown, unused
from pairscope.store import errors, migrate
from pairscope.store.engine import connections
from pairscope.store.errors import Kind

VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("innodb_flush_log_at_trx_commit", "1", "a commit may be lost with the machine's power"),
    ("character_set_server", "utf8mb4", "text beyond the first plane of Unicode is refused or cut"),
    ("skip_networking", "1", "the database can be reached over the network"),
    ("local_infile", "0", "the server may ask a client for the client's files"),
)
"""Settings that matter: the name, what the guide sets, and what it means otherwise."""


@check("mysql", "mysql-packages", "mariadb -e 'SELECT VERSION()'")
def _server(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None:
        yield unused("MariaDB", "SQLite takes its place.")
        return
    place = make_url(scene.settings.history_url).query.get("unix_socket", "")
    try:
        with scene.engine.connect() as connection:
            version = connection.scalar(text("SELECT VERSION()"))
            number = connection.scalar(text("SELECT CONNECTION_ID()"))
            listed = connection.execute(text("SHOW PROCESSLIST")).all()
            count = connection.execute(text("SHOW STATUS LIKE 'Threads_connected'")).one()[1]
            most = connection.execute(text("SHOW VARIABLES LIKE 'max_connections'")).one()[1]
            size = connection.execute(
                text(
                    "SELECT COUNT(*), COALESCE(SUM(data_length + index_length), 0) FROM "
                    "information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
                )
            ).one()
    except Exception as error:
        fault = errors.of(error)
        if fault is None:
            raise
        scene.away.append(fault.words)
        observed = "answers, and refuses" if fault.answered else "does not answer"
        yield bad(
            "MariaDB",
            "answers",
            observed,
            f"The database cannot be asked: {fault.words}. Jobs go on and wait in the journal; {_advice(scene, fault)}",
        )
        return
    yield good("MariaDB", "answers", str(version))
    yield good("Socket", "a Unix socket", str(place))
    yield good(
        "Tables",
        "those of this version",
        f"{size[0]}, {int(size[1]) >> 20} MiB with their indexes; the page Database tells each",
    )
    yield good("Connections", f"below {most}", f"{count}, {len(listed)} of them of this user", _connections(listed))
    yield good(
        "This connection",
        "a descriptor of this process",
        f"descriptor {connections().get(number, '?')} of process {os.getpid()} is connection {number}",
    )


def _advice(scene: Scene, fault: errors.Fault) -> str:
    """What to do about a database that cannot be asked, here: a box has its unit and provision.sh, a private instance
    script/lamp."""
    url = make_url(scene.settings.history_url)
    place = url.query.get("unix_socket") or f"{url.host}:{url.port or 3306}"
    if fault.kind is Kind.LOGIN:
        mend = (
            "deploy/provision.sh makes the users of the database again"
            if scene.box is not None
            else f"history_url in {scene.settings.source} has to name a user whom it lets in"
        )
        return f"the server runs, and refuses the login of {url.username or 'nobody'}: {mend}"
    if fault.kind is Kind.CONNECTIONS:
        return (
            "the server runs, and all of its connections are taken: mariadb -e 'SHOW PROCESSLIST' as its root says "
            "by whom; end what is idle, or raise max_connections"
        )
    if fault.kind is Kind.HOST:
        return f"no name server knows {url.host}: history_url in {scene.settings.source} names it"
    if fault.kind in (Kind.TABLES, Kind.RIGHTS):
        return (
            f"the server runs: {scene.typed('pairscope migrate')}"
            if scene.box is None
            else "the server runs: deploy/provision.sh makes database, tables and rights again"
        )
    if fault.answered:
        return f"the server at {place} runs, and says so itself: {fault.kind.value}; its log has more"
    if scene.box is not None:
        return "systemctl start mariadb"
    return f"start the server that is to listen at {place}" + (
        "; script/lamp starts the private one with all else" if scene.settings.client is not None else ""
    )


def _connections(listed: Iterable[Any]) -> Iterator[str]:
    """Each connection of this user: which descriptor it is here, or that another process has it."""
    own = connections()
    for number, user, _host, database, command, seconds, *_more in listed:
        where = (
            f"descriptor {own[number]} of process {os.getpid()}, which is asked"
            if number in own
            else "a descriptor of another process"
        )
        yield f"connection {number} of {user} in {database or 'none'}: {where}; {command.lower()}, {seconds} s"


@check("mysql", "mysql-settings", "mariadb -e 'SHOW VARIABLES'")
def _variables(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        found = {name.lower(): str(value) for name, value in connection.execute(text("SHOW GLOBAL VARIABLES")).all()}
    for name, wanted, otherwise in VARIABLES:
        value = {"ON": "1", "OFF": "0"}.get(found.get(name, ""), found.get(name, "?"))
        if value == wanted:
            yield good(name, wanted, value)
        else:
            yield bad(
                name,
                wanted,
                value,
                f"The guide sets {name} to {wanted}, it is {value}: {otherwise}.",
                Verdict.RECOMMENDED,
            )
    if "STRICT_ALL_TABLES" in found.get("sql_mode", ""):
        yield good("sql_mode", "STRICT_ALL_TABLES", "STRICT_ALL_TABLES")
    else:
        yield bad(
            "sql_mode",
            "STRICT_ALL_TABLES",
            found.get("sql_mode", "?")[:60],
            "A value that does not fit is cut for programs that do not set a mode of their own.",
            Verdict.RECOMMENDED,
        )


@check("mysql", "mysql-secure", "mariadb -e 'SHOW DATABASES'")
def _databases(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        seen = {str(row[0]) for row in connection.execute(text("SHOW DATABASES")).all()}
    ours = str(make_url(scene.settings.history_url).database)
    if more := sorted(seen - {ours, "information_schema"}):
        yield bad(
            "Databases that web sees",
            ours,
            ", ".join(sorted(seen)),
            f"Everybody may enter {more[0]}: the guide drops the database test and users without a name.",
            Verdict.RECOMMENDED,
        )
    else:
        yield good("Databases that web sees", ours, ours)


@check("mysql", "mysql-passwords", "mariadb -e \"SHOW VARIABLES LIKE 'simple_password%'\"")
def _passwords(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        row = connection.execute(text("SHOW GLOBAL VARIABLES LIKE 'simple_password_check_minimal_length'")).first()
    if row is not None and int(row[1]) >= 12:
        yield good("Password policy", "12 characters or more", f"{row[1]} characters")
    elif row is not None:
        yield bad(
            "Password policy",
            "12 characters or more",
            f"{row[1]} characters",
            f"The guide asks for 12 characters, MariaDB for {row[1]}.",
            Verdict.RECOMMENDED,
        )
    else:
        yield bad(
            "Password policy",
            "12 characters or more",
            "none",
            "MariaDB takes any password: the plugin simple_password_check is not loaded.",
            Verdict.RECOMMENDED,
        )


@check("mysql", "mysql-database", "mariadb -e 'SELECT CURRENT_USER()'")
def _login(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        user, database = connection.execute(text("SELECT CURRENT_USER(), DATABASE()")).one()
    expected = f"{box.WEB}@localhost in pairscope, without a password"
    by = "with a password" if make_url(scene.settings.history_url).password else "without a password"
    observed = f"{user} in {database}, {by}"
    if observed == expected:
        yield good("Login of web", expected, observed)
    else:
        yield bad(
            "Login of web", expected, observed, f"The guide says {expected}; it is {observed}.", Verdict.RECOMMENDED
        )


@check("mysql", "mysql-tables", "pairscope migrate --check")
def _tables(scene: Scene) -> Iterator[Finding]:
    if scene.away:
        return
    for what, url, line in (
        ("Tables of history", scene.settings.history_url, migrate.HISTORY),
        ("Tables of web", scene.settings.web_url, migrate.OWN),
    ):
        if migrate.is_current(url, line):
            yield good(what, "as this version has them", "up to date")
        else:
            yield bad(
                what,
                "as this version has them",
                "other ones",
                f"The tables are not those of this version: {scene.typed('pairscope migrate')}",
            )


@check("mysql", "mysql-grants", "mariadb -e 'SHOW GRANTS'")
def _grants(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    wanted = box.expected_grants(box.installation(scene.box))
    user = make_url(scene.settings.history_url).username or ""
    if user not in wanted:
        yield unknown("Rights", "as generated", f"The guide knows no user {user}.")
        return
    with scene.engine.connect() as connection:
        yield _held(
            user,
            wanted[user],
            set().union(*(box.parse_grant(row[0]) for row in connection.execute(text("SHOW GRANTS")).all())),
        )
        try:
            listed = connection.execute(text("SELECT User, Place, Rights FROM rights")).all()
        except SQLAlchemyError:
            drift = (
                "The guide makes a view of the users' rights, and web cannot read it: deploy/provision.sh makes it "
                "again."
            )
            yield bad("Rights of the others", "those of the guide", "not to be seen", drift, Verdict.RECOMMENDED)
            return
    seen = box.seen_grants((str(name), str(place), rights) for name, place, rights in listed)
    for name in wanted:
        if name != user:
            yield _held(name, wanted[name], seen.get(name, set()))
    logins = {str(name): str(how) for name, place, how in listed if place == "login"}
    strange = [
        f"{name} by {logins.get(name, 'nothing: there is no such user')}"
        for name in wanted
        if logins.get(name) != "unix_socket"
    ]
    if strange:
        yield bad(
            "Users of the database",
            f"{len(wanted)}, each by unix_socket",
            ", ".join(strange),
            f"The guide lets {strange[0].split()[0]} log in by being that user of the system, and it is {strange[0]}.",
        )
    else:
        yield good("Users of the database", f"{len(wanted)}, each by unix_socket", ", ".join(wanted))


def _held(user: str, wanted: set[tuple[str, str]], has: set[tuple[str, str]]) -> Finding:
    """Whether a user of the database has the rights that the guide gives it, and no other."""
    what, expected = f"Rights of {user}", f"{len(wanted)}"
    detail = [
        f"{', '.join(sorted(name for name, at in has if at == place))} on {place}"
        for place in sorted({at for _name, at in has})
    ]
    if missing := wanted - has:
        return bad(
            what,
            expected,
            f"{len(missing)} missing",
            f"{user} lacks {_rights(missing)}: deploy/provision.sh gives it again.",
        )
    if more := has - wanted:
        return bad(
            what,
            expected,
            f"{len(more)} too many",
            f"{user} may do more than it needs: {_rights(more)}.",
            Verdict.RECOMMENDED,
        )
    return good(what, expected, f"{len(has)}", detail)


def _rights(rights: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} on {table}" for name, table in sorted(rights)[:3])
