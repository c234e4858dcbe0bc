"""MariaDB: server, connections, settings, databases, users, rights, tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from pairscope.lamp import box
from pairscope.sentence import listed, phrase
from pairscope.stack.check import Scene, check
from pairscope.stack.step import Finding, Verdict, bad, good, unknown, unused
from pairscope.store import errors
from pairscope.store.engine import connections
from pairscope.store.errors import Kind

VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("innodb_flush_log_at_trx_commit", "1", phrase("a commit may be lost with the machine's power")),
    ("character_set_server", "utf8mb4", phrase("text beyond the first plane of Unicode is refused or cut")),
    ("skip_networking", "1", phrase("the database can be reached over the network")),
    ("local_infile", "0", phrase("the server may ask a client for the client's files")),
)
"""Settings that matter: the name, what the guide sets, and what it means otherwise."""


@check("mysql", "mysql-packages", "mariadb -e 'SELECT VERSION()'")
def _server(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None:
        yield unused("MariaDB", phrase("SQLite takes its place."))
        return
    place = make_url(scene.settings.history_url).query.get("unix_socket", "")
    try:
        with scene.engine.connect() as connection:
            version = connection.scalar(text("SELECT VERSION()"))
            number = connection.scalar(text("SELECT CONNECTION_ID()"))
            processes = connection.execute(text("SHOW PROCESSLIST")).all()
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
        observed = phrase("answers, and refuses") if fault.answered else phrase("does not answer")
        yield bad(
            "MariaDB",
            phrase("answers"),
            observed,
            phrase(
                "The database cannot be asked: %(words)s. Jobs go on and wait in the journal; %(advice)s",
                words=fault.words,
                advice=_advice(scene, fault),
            ),
        )
        return
    yield good("MariaDB", phrase("answers"), str(version))
    yield good(phrase("Socket"), phrase("a Unix socket"), str(place))
    yield good(
        phrase("Tables"),
        phrase("those of this version"),
        phrase(
            "%(count)s, %(size)s MiB with their indexes; the page Database tells each",
            count=size[0],
            size=int(size[1]) >> 20,
        ),
    )
    yield good(
        phrase("Connections"),
        phrase("below %(most)s", most=most),
        phrase("%(count)s, %(own)s of them of this user", count=count, own=len(processes)),
        _connections(processes),
    )
    yield good(
        phrase("This connection"),
        phrase("a descriptor of this process"),
        phrase(
            "descriptor %(fd)s of process %(pid)s is connection %(number)s",
            fd=connections().get(number, "?"),
            pid=os.getpid(),
            number=number,
        ),
    )


def _advice(scene: Scene, fault: errors.Fault) -> str:
    """What to do about a database that cannot be asked, here: a box has its unit and provision.sh, a private instance
    script/lamp."""
    url = make_url(scene.settings.history_url)
    place = url.query.get("unix_socket") or f"{url.host}:{url.port or 3306}"
    if fault.kind is Kind.LOGIN:
        mend = (
            phrase("deploy/provision.sh makes the users of the database again")
            if scene.box is not None
            else phrase("history_url in %(source)s has to name a user whom it lets in", source=scene.settings.source)
        )
        return phrase(
            "the server runs, and refuses the login of %(user)s: %(mend)s",
            user=url.username or phrase("nobody"),
            mend=mend,
        )
    if fault.kind is Kind.CONNECTIONS:
        return phrase(
            "the server runs, and all of its connections are taken: %(command)s as its root says by whom; end what is "
            "idle, or raise max_connections",
            command="mariadb -e 'SHOW PROCESSLIST'",
        )
    if fault.kind is Kind.HOST:
        return phrase(
            "no name server knows %(host)s: history_url in %(source)s names it",
            host=url.host,
            source=scene.settings.source,
        )
    if fault.kind in (Kind.TABLES, Kind.RIGHTS):
        return (
            phrase("the server runs: %(command)s", command=scene.typed("pairscope migrate"))
            if scene.box is None
            else phrase("the server runs: deploy/provision.sh makes database, tables and rights again")
        )
    if fault.answered:
        return phrase(
            "the server at %(place)s runs, and says so itself: %(kind)s; its log has more",
            place=place,
            kind=fault.kind.value,
        )
    if scene.box is not None:
        return "systemctl start mariadb"
    if scene.settings.client is None:
        return phrase("start the server that is to listen at %(place)s", place=place)
    return phrase(
        "start the server that is to listen at %(place)s; script/lamp starts the private one with all else", place=place
    )


def _connections(processes: Iterable[Any]) -> Iterator[str]:
    """Each connection of this user: which descriptor it is here, or that another process has it."""
    own = connections()
    for number, user, _host, database, command, seconds, *_more in processes:
        where = (
            phrase("descriptor %(fd)s of process %(pid)s, which is asked", fd=own[number], pid=os.getpid())
            if number in own
            else phrase("a descriptor of another process")
        )
        yield phrase(
            "connection %(number)s of %(user)s in %(database)s: %(where)s; %(command)s, %(seconds)s s",
            number=number,
            user=user,
            database=database or phrase("none"),
            where=where,
            command=command.lower(),
            seconds=seconds,
        )


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
                phrase(
                    "The guide sets %(name)s to %(wanted)s, it is %(value)s: %(otherwise)s.",
                    name=name,
                    wanted=wanted,
                    value=value,
                    otherwise=otherwise,
                ),
                Verdict.RECOMMENDED,
            )
    if "STRICT_ALL_TABLES" in found.get("sql_mode", ""):
        yield good("sql_mode", "STRICT_ALL_TABLES", "STRICT_ALL_TABLES")
    else:
        yield bad(
            "sql_mode",
            "STRICT_ALL_TABLES",
            found.get("sql_mode", "?")[:60],
            phrase("A value that does not fit is cut for programs that do not set a mode of their own."),
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
            phrase("Databases that web sees"),
            ours,
            ", ".join(sorted(seen)),
            phrase(
                "Everybody may enter %(more)s: the guide drops the database test and users without a name.",
                more=more[0],
            ),
            Verdict.RECOMMENDED,
        )
    else:
        yield good(phrase("Databases that web sees"), ours, ours)


@check("mysql", "mysql-passwords", "mariadb -e \"SHOW VARIABLES LIKE 'simple_password%'\"")
def _passwords(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        row = connection.execute(text("SHOW GLOBAL VARIABLES LIKE 'simple_password_check_minimal_length'")).first()
    if row is not None and int(row[1]) >= 12:
        yield good(
            phrase("Password policy"), phrase("12 characters or more"), phrase("%(least)s characters", least=row[1])
        )
    elif row is not None:
        yield bad(
            phrase("Password policy"),
            phrase("12 characters or more"),
            phrase("%(least)s characters", least=row[1]),
            phrase("The guide asks for 12 characters, MariaDB for %(least)s.", least=row[1]),
            Verdict.RECOMMENDED,
        )
    else:
        yield bad(
            phrase("Password policy"),
            phrase("12 characters or more"),
            phrase("none"),
            phrase("MariaDB takes any password: the plugin simple_password_check is not loaded."),
            Verdict.RECOMMENDED,
        )


@check("mysql", "mysql-database", "mariadb -e 'SELECT CURRENT_USER()'")
def _login(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        user, database = connection.execute(text("SELECT CURRENT_USER(), DATABASE()")).one()
    expected = _login_as(f"{box.WEB}@localhost", "pairscope", password=False)
    observed = _login_as(user, database, password=bool(make_url(scene.settings.history_url).password))
    if observed == expected:
        yield good(phrase("Login of web"), expected, observed)
    else:
        yield bad(
            phrase("Login of web"),
            expected,
            observed,
            phrase("The guide says %(expected)s; it is %(observed)s.", expected=expected, observed=observed),
            Verdict.RECOMMENDED,
        )


@check("mysql", "mysql-tables", "pairscope migrate --check")
def _tables(scene: Scene) -> Iterator[Finding]:
    from pairscope.store import migrate  # Alembic is a fifth of web's start, and needed by nobody else

    if scene.away:
        return
    for what, url, line in (
        (phrase("Tables of history"), scene.settings.history_url, migrate.HISTORY),
        (phrase("Tables of web"), scene.settings.web_url, migrate.OWN),
    ):
        if migrate.is_current(url, line):
            yield good(what, phrase("as this version has them"), phrase("up to date"))
        else:
            yield bad(
                what,
                phrase("as this version has them"),
                phrase("other ones"),
                phrase(
                    "The tables are not those of this version: %(command)s", command=scene.typed("pairscope migrate")
                ),
            )


@check("mysql", "mysql-grants", "mariadb -e 'SHOW GRANTS'")
def _grants(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or scene.box is None or not scene.asks():
        return
    wanted = box.expected_grants(box.installation(scene.box))
    user = make_url(scene.settings.history_url).username or ""
    if user not in wanted:
        yield unknown(phrase("Rights"), phrase("as generated"), phrase("The guide knows no user %(user)s.", user=user))
        return
    with scene.engine.connect() as connection:
        yield _held(
            user,
            wanted[user],
            set().union(*(box.parse_grant(row[0]) for row in connection.execute(text("SHOW GRANTS")).all())),
        )
        try:
            rights = connection.execute(text("SELECT User, Place, Rights FROM rights")).all()
        except SQLAlchemyError:
            drift = phrase(
                "The guide makes a view of the users' rights, and web cannot read it: deploy/provision.sh makes it "
                "again."
            )
            yield bad(
                phrase("Rights of the others"),
                phrase("those of the guide"),
                phrase("not to be seen"),
                drift,
                Verdict.RECOMMENDED,
            )
            return
    seen = box.seen_grants((str(name), str(place), held) for name, place, held in rights)
    for name in wanted:
        if name != user:
            yield _held(name, wanted[name], seen.get(name, set()))
    logins = {str(name): str(how) for name, place, how in rights if place == "login"}
    nobody = phrase("nothing: there is no such user")
    strange = [
        phrase("%(user)s by %(plugin)s", user=name, plugin=logins.get(name, nobody))
        for name in wanted
        if logins.get(name) != "unix_socket"
    ]
    if strange:
        yield bad(
            phrase("Users of the database"),
            phrase("%(count)s, each by unix_socket", count=len(wanted)),
            listed(strange),
            phrase(
                "The guide lets %(user)s log in by being that user of the system, and it is %(strange)s.",
                user=strange[0].split()[0],
                strange=strange[0],
            ),
        )
    else:
        yield good(
            phrase("Users of the database"),
            phrase("%(count)s, each by unix_socket", count=len(wanted)),
            ", ".join(wanted),
        )


def _login_as(user: str, database: str, password: bool) -> str:
    if password:
        return phrase("%(user)s in %(database)s, with a password", user=user, database=database)
    return phrase("%(user)s in %(database)s, without a password", user=user, database=database)


def _held(user: str, wanted: set[tuple[str, str]], has: set[tuple[str, str]]) -> Finding:
    """Whether a user of the database has the rights that the guide gives it, and no other."""
    what, expected = phrase("Rights of %(user)s", user=user), f"{len(wanted)}"
    detail = [
        _on(", ".join(sorted(name for name, at in has if at == place)), place)
        for place in sorted({at for _name, at in has})
    ]
    if missing := wanted - has:
        return bad(
            what,
            expected,
            phrase("%(count)s missing", count=len(missing)),
            phrase(
                "%(user)s lacks %(rights)s: deploy/provision.sh gives it again.", user=user, rights=_rights(missing)
            ),
        )
    if more := has - wanted:
        return bad(
            what,
            expected,
            phrase("%(count)s too many", count=len(more)),
            phrase("%(user)s may do more than it needs: %(rights)s.", user=user, rights=_rights(more)),
            Verdict.RECOMMENDED,
        )
    return good(what, expected, f"{len(has)}", detail)


def _rights(rights: set[tuple[str, str]]) -> str:
    return listed([_on(name, table) for name, table in sorted(rights)[:3]])


def _on(rights: str, table: str) -> str:
    return phrase("%(rights)s on %(table)s", rights=rights, table=table)
