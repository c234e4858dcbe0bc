"""What the stack is really like, step by step: ``run(settings)`` for the page, the API and ``python -m app checks``.

Everything is read: files, /proc, the pool's snapshot, and the database by the accounts that this process has. No program is
started, for web forks nothing. Whoever may see less is told which row he may not see. No row holds a secret.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import re
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

import app as pairscope
from app.config import Settings
from app.lamp import box
from app.pool import snapshot as snapshots
from app.pool.sandbox import landlock
from app.stack import apache, scoreboard, system
from app.stack.guides import CHAPTERS
from app.stack.step import Finding, Verdict, bad, good, unknown
from app.store import migrate
from app.store.engine import connections, engine

KEPT = 3.0
"""Seconds for which one look serves all who ask."""
DISK_LOW, DISK_OUT = 2 << 30, 200 << 20
CODE = Path(pairscope.__file__).resolve().parents[1]
VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("innodb_flush_log_at_trx_commit", "1", "a commit may be lost with the machine's power"),
    ("character_set_server", "utf8mb4", "text beyond the first plane of Unicode is refused or cut"),
    ("skip_networking", "1", "the database can be reached over the network"),
    ("local_infile", "0", "the server may ask a client for the client's files"),
)
"""Settings that matter: the name, what the guide sets, and what it means otherwise."""

NEWER = (("SO_PEERPIDFD", 77), ("SO_PASSRIGHTS", 83))
"""Of AF_UNIX, what kernels since 6.5 and 6.16 can, too: name a peer beyond doubt, refuse descriptors. asm-generic/socket.h."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was looked at."""

    chapter: str
    step: str
    """Of the guide; empty: of none."""
    title: str
    command: str
    """What a person would type to look at the same."""
    expected: str
    observed: str
    verdict: Verdict
    drift: str
    detail: tuple[str, ...] = ()
    """More of what was observed, a line each: for operators."""


@dataclasses.dataclass(frozen=True)
class Report:
    at: int
    """ns since 1970."""
    rows: tuple[Row, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(row.verdict is verdict for row in self.rows)


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a check may look at."""

    settings: Settings
    said: snapshots.Snapshot | None
    box: dict[str, Any] | None
    """What the box has chosen; None: this is none, but the embedded run or a private instance."""
    engine: Engine | None
    """Of the database; None: it is SQLite."""
    away: list[str] = dataclasses.field(default_factory=list)
    """Why the database cannot be asked, once that is known: nobody waits for it twice."""

    def asks(self) -> bool:
        """Whether there is a database that answers."""
        return self.engine is not None and not self.away


Look = Callable[[Scene], Iterator[Finding]]
_checks: list[tuple[str, str, str, Look]] = []
TITLES = {step.id: step.title for chapter in CHAPTERS for step in chapter.steps}
_lock = threading.Lock()
_kept: dict[str, tuple[float, Report]] = {}


def check(chapter: str, step: str, command: str) -> Callable[[Look], Look]:
    """Marks a function as a look at a step of the guide."""

    def mark(look: Look) -> Look:
        assert not step or step in TITLES, step
        _checks.append((chapter, step, command, look))
        return look

    return mark


def run(settings: Settings, fresh: bool = False) -> Report:
    """Looks at everything, or gives what was found in the last three seconds. While another thread looks, what it found before."""
    name = settings.source + str(settings.state)
    kept = _kept.get(name)
    if kept and not fresh and time.monotonic() < kept[0] + KEPT:
        return kept[1]
    if not _lock.acquire(blocking=fresh or kept is None):
        return kept[1]  # type: ignore[index] a database that does not answer holds one thread of web, not all
    try:
        kept = _kept.get(name)
        if kept and not fresh and time.monotonic() < kept[0] + KEPT:
            return kept[1]
        report = _run(settings)
        _kept[name] = time.monotonic(), report
        return report
    finally:
        _lock.release()


def _run(settings: Settings) -> Report:
    now = time.time_ns()
    url = make_url(settings.history_url)
    made = None if url.get_backend_name() == "sqlite" else engine(settings.history_url, read_only=True, pool_size=1)
    scene = Scene(settings, snapshots.read(settings, now), _box(), made)
    rows = []
    for chapter, step, command, look in _checks:
        try:
            for finding in look(scene):
                rows.append(Row(chapter, step, finding.what, command, finding.expected, finding.observed, finding.verdict, finding.drift, finding.detail))
        except (OSError, SQLAlchemyError, box.BoxError) as error:
            reason = getattr(error, "orig", None) or error
            rows.append(Row(chapter, step, TITLES.get(step, chapter), command, "an answer", "none", Verdict.UNKNOWN, f"It could not be looked at: {reason}."))
    if made is not None:
        made.dispose()
    return Report(now, tuple(rows))


def _box() -> dict[str, Any] | None:
    try:
        return box.choices()
    except box.BoxError:
        return None


# ---- Linux


@check("linux", "linux-sources", "stat /var/cache/apt/pkgcache.bin")
def _sources(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    try:
        days = int((time.time() - os.stat("/var/cache/apt/pkgcache.bin").st_mtime) // 86400)
    except FileNotFoundError:
        yield unknown("Lists of packages", "younger than 30 days", "There are none yet: apt-get update")
        return
    if days < 30:
        yield good("Lists of packages", "younger than 30 days", f"{days} days")
    else:
        yield bad("Lists of packages", "younger than 30 days", f"{days} days", f"The lists are {days} days old, and so is what is installed: apt-get update && apt-get upgrade", Verdict.RECOMMENDED)


@check("linux", "linux-packages", "dpkg -l rsync curl ca-certificates iproute2 logrotate")
def _tools(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    missing = [name for name in ("rsync", "curl", "ca-certificates", "iproute2", "logrotate", "ufw") if not system.package(name)]
    if missing:
        yield bad("Tools", "installed", f"without {', '.join(missing)}", f"The guide installs {missing[0]}, and it is not there: apt-get install {missing[0]}", Verdict.RECOMMENDED)
    else:
        yield good("Tools", "installed", "rsync, curl, ca-certificates, iproute2, logrotate, ufw")


@check("linux", "linux-upgrade", "cat /etc/os-release; uname -r")
def _system(scene: Scene) -> Iterator[Finding]:
    release = platform.freedesktop_os_release()
    name = release.get("PRETTY_NAME", release.get("ID", "?"))
    known = {release.get("ID"), *release.get("ID_LIKE", "").split()} & {"debian", "ubuntu"}
    if known:
        yield good("Release", "Debian 12, or a relative of it", name)
    else:
        yield bad("Release", "Debian 12, or a relative of it", name, "The guide was tested on Debian 12; its notes say where other systems differ.", Verdict.RECOMMENDED)
    kernel = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", kernel)[:2])
    if numbers >= (5, 6):
        yield good("Kernel", "5.6 or newer: pidfd_getfd", kernel)
    else:
        yield bad("Kernel", "5.6 or newer: pidfd_getfd", kernel, "This kernel has no pidfd_getfd: the lab cannot look into its processes.")


@check("linux", "", "cat /sys/kernel/security/lsm; cat /proc/sys/kernel/seccomp/actions_avail")
def _abilities(scene: Scene) -> Iterator[Finding]:
    abi = landlock.abi()
    if abi > 0:
        yield good("Landlock", "ABI 1 or newer", f"ABI {abi}")
    else:
        yield bad("Landlock", "ABI 1 or newer", "none", "Workers are confined by seccomp alone: the kernel has no Landlock, or what started this keeps it away.", Verdict.RECOMMENDED)
    actions = system.read("/proc/sys/kernel/seccomp/actions_avail")
    if "errno" in actions:
        yield good("seccomp", "errno, kill_process", ", ".join(actions.split()[:4]))
    else:
        yield bad("seccomp", "errno, kill_process", actions or "none", "The kernel has no seccomp: workers are not confined by it.")
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= 1024:
        yield good("Descriptors a process may hold", "1024 or more", str(soft))
    else:
        yield bad("Descriptors a process may hold", "1024 or more", str(soft), "Each client of the pool takes one: with few of them it turns clients away.", Verdict.RECOMMENDED)


@check("linux", "", "man 7 unix; cat /proc/sys/net/unix/max_dgram_qlen /proc/sys/net/core/wmem_default")
def _sockets(scene: Scene) -> Iterator[Finding]:
    try:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        yield bad("AF_UNIX", "SOCK_SEQPACKET", str(error), f"This kernel, or what started this, gives no pair of sockets: {error}. The pool cannot run.")
        return
    can = []
    with pair[0] as one, pair[1]:
        for name, option in NEWER:
            with contextlib.suppress(OSError):
                told = one.getsockopt(socket.SOL_SOCKET, option)
                if name == "SO_PEERPIDFD":
                    os.close(told)
                can.append(name)
        room = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    queue = system.read("/proc/sys/net/unix/max_dgram_qlen").strip()
    without = [name for name, _option in NEWER if name not in can]
    detail = (f"room of a socket for what is sent: {room} bytes", f"datagrams that may wait at one: {queue}", f"not on this kernel: {', '.join(without) or 'nothing'}")
    yield good("AF_UNIX", "SOCK_SEQPACKET", ", ".join(["SOCK_SEQPACKET", *can]), detail)


@check("linux", "linux-firewall", "ss -ltn")
def _ports(scene: Scene) -> Iterator[Finding]:
    if scene.box is not None:
        yield good("Ports reached over the network", "those you know", ", ".join(f"{port} ({user})" for port, user in sorted(system.listening(reached=True).items())) or "none")


@check("linux", "linux-directories", "df -h")
def _disk(scene: Scene) -> Iterator[Finding]:
    for what, path in (("Disk of the journal", scene.settings.state), ("Disk of web's files", scene.settings.web_state)):
        try:
            room = os.statvfs(path)
        except PermissionError:
            yield unknown(what, "2 GiB free", f"{path} may be entered by its owner alone.")
            continue
        free = room.f_bavail * room.f_frsize
        said = f"{free >> 20} MiB free"
        if free < DISK_OUT:
            yield bad(what, "2 GiB free", said, f"The disk is nearly full: when it is, nothing is accepted that cannot be recorded. {path}")
        elif free < DISK_LOW:
            yield bad(what, "2 GiB free", said, f"The disk is filling up. {path}", Verdict.RECOMMENDED)
        else:
            yield good(what, "2 GiB free", said)


@check("linux", "linux-users", "getent passwd pairscope-web pairscope-pool pairscope-lab")
def _users(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    missing = [name for name in (box.WEB, box.POOL, box.LAB, box.MIGRATE) if not system.user_exists(name)]
    if missing:
        yield bad("Users", "one for each part", f"without {', '.join(missing)}", f"The guide makes the user {missing[0]}, and there is none.")
    else:
        yield good("Users", "one for each part", "web, pool, lab, migrate")


@check("linux", "linux-firewall", "ufw status")
def _firewall(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    port = scene.box.get("port", 8080)
    if "ENABLED=yes" not in system.read("/etc/ufw/ufw.conf"):
        yield bad("Firewall", "on", "off", "The guide switches ufw on, and it is off: every port of this machine is open.", Verdict.RECOMMENDED)
        return
    yield good("Firewall", "on", "on")
    what, expected = "Rule of the firewall", f"{port} is let in"
    try:
        rules = Path("/etc/ufw/user.rules").read_text()
    except OSError:
        yield unknown(what, expected, "The rules are root's to read: ufw status")
        return
    if re.search(rf"--dport {port} -j ACCEPT", rules):
        yield good(what, expected, f"{port} is let in")
    else:
        yield bad(what, expected, f"{port} is kept out", f"The firewall keeps port {port} closed: ufw allow {port}/tcp")


# ---- Apache


@check("apache", "apache-packages", "dpkg -l apache2 libapache2-mod-wsgi-py3")
def _apache(scene: Scene) -> Iterator[Finding]:
    masters = system.processes("apache2")
    if not masters or scene.settings.source == "embedded":
        if scene.box is None:
            yield unknown("Apache", "running", "It is not used here: the embedded server takes its place.")
        else:
            yield bad("Apache", "running", "not running", "No process of apache2 is there: systemctl start apache2")
        return
    for package, what in (("apache2-bin", "Apache"), ("libapache2-mod-wsgi-py3", "mod_wsgi")):
        version = system.package(package)
        if version:
            yield good(what, "Debian's package", version)
        else:
            yield unknown(what, "Debian's package", "It does not come from a package.")


@check("apache", "apache-modules", "apache2ctl -M")
def _modules(scene: Scene) -> Iterator[Finding]:
    if scene.box is None or not system.processes("apache2"):
        return
    enabled = {path.stem for path in Path("/etc/apache2/mods-enabled").glob("*.load")}
    wanted = set(apache.MODULES.split())
    if missing := sorted(wanted - enabled):
        yield bad("Modules", ", ".join(sorted(wanted)), f"without {', '.join(missing)}", f"The guide switches {missing[0]} on, and it is off: a2enmod {missing[0]}")
    else:
        yield good("Modules", "those of the site", f"{len(enabled)}, with {', '.join(sorted(wanted))}")
    mpm = ", ".join(sorted(name for name in enabled if name.startswith("mpm_"))) or "none"
    if mpm == "mpm_event":
        yield good("MPM", "mpm_event", mpm)
    else:
        yield bad("MPM", "mpm_event", mpm, f"Apache runs with {mpm}, as another site may need it: it serves this one, with fewer connections at a time.", Verdict.RECOMMENDED)


@check("apache", "apache-run", "ls -ld /run/pairscope/pool; cat /etc/tmpfiles.d/pairscope.conf")
def _run_directory(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield _standing("Directory of the sockets", Path("/run/pairscope/pool"), box.POOL, box.WEB, 0o2750)
    yield _copied("Made at each boot", "tmpfiles.conf", Path("/etc/tmpfiles.d/pairscope.conf"))


@check("apache", "apache-logs", "cat /etc/logrotate.d/pairscope")
def _logs(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield _copied("Rotation of the logs", "logrotate.conf", Path("/etc/logrotate.d/pairscope"))
    yield _standing("Directory of the logs", Path("/var/log/pairscope"), "root", "adm", 0o750)


def _standing(what: str, path: Path, user: str, group: str, mode: int) -> Finding:
    """Whether a file or a directory is whose it should be, and as closed."""
    expected = f"{user}:{group} {mode:o}"
    try:
        observed = system.standing(path)
    except FileNotFoundError:
        return bad(what, expected, "missing", f"The guide makes {path}, and it is not there: deploy/provision.sh makes it.")
    if observed == expected:
        return good(what, expected, observed)
    return bad(what, expected, observed, f"The guide says {path} is {expected}, it is {observed}: deploy/provision.sh puts it right.")


def _copied(what: str, name: str, path: Path) -> Finding:
    """Whether a file of the system is the one of deploy/."""
    if not path.exists():
        return bad(what, str(path), "missing", f"The guide installs {path}, and it is not there: deploy/provision.sh installs it.", Verdict.RECOMMENDED)
    if system.read(path) == system.read(CODE / "deploy" / name):
        return good(what, str(path), f"as deploy/{name}")
    return bad(what, str(path), "changed", f"{path} is not what deploy/{name} says: deploy/provision.sh installs it again.", Verdict.RECOMMENDED)


@check("apache", "apache-port", "ss -ltnp; grep -r Listen /etc/apache2")
def _port(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    wanted = scene.box.get("port", 8080)
    told = system.listen_directives(Path("/etc/apache2"))
    holds = system.listening()
    if wanted not in told:
        others = ", ".join(str(port) for port in sorted(told - {80, 443})) or "no port of its own"
        yield bad("Port", str(wanted), others, f"The guide says {wanted}, Apache is told to listen on {others}.")
    elif wanted not in holds:
        yield bad("Port", str(wanted), "nobody listens", f"Apache is told to listen on {wanted}, and nobody does: systemctl restart apache2")
    else:
        all_ = system.processes("apache2")
        first = [pid for pid in all_ if system.parent(pid) not in all_]
        yield good("Port", str(wanted), f"{wanted}, held by user {holds[wanted]}" + (f", process {first[0]}" if len(first) == 1 else ""))


@check("apache", "apache-site", "diff <(python -m app.lamp.box ...) /etc/apache2/sites-enabled/pairscope.conf")
def _site(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    if not Path("/etc/apache2/sites-enabled/pairscope.conf").exists():
        yield bad("Site", "as generated", "not enabled", "The site is not enabled: a2ensite pairscope && systemctl reload apache2")
        return
    made = box.installation(scene.box)
    how = box.differs(box.files("site", made)[0])
    if how:
        yield bad("Site", "as generated", how, "The site was changed by hand, or the box's choices were: deploy/provision.sh makes it again.", Verdict.RECOMMENDED)
    else:
        yield good("Site", "as generated", "as generated")


@check("apache", "apache-start", "ps -eo pid,user,args | grep wsgi:; ls /proc/PID/fd")
def _groups(scene: Scene) -> Iterator[Finding]:
    if not system.processes("apache2") or scene.settings.source == "embedded":
        return
    web = system.titled("wsgi:web")
    if web:
        yield good("Processes of web", "one or more", _processes(web), map(_process, web))
    else:
        yield bad("Processes of web", "one or more", "none", "Apache runs, but no process of its group web: its error log says why.")
    said = scene.said
    if said is not None:
        pool = [said.supervisor.pid, said.recorder.pid, *(worker.pid for worker in said.workers)]
        stations = [station.pid for station in said.stations]
        yield good("Managed process pool", "one supervisor", f"{_process(said.supervisor.pid)}", map(_process, pool))
        yield good("Managed processes of the lab", "one or more", _processes(stations), map(_process, stations))
    fds, most = len(os.listdir("/proc/self/fd")) - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield good("Descriptors of this process", "below its limit", f"{fds} of {most}, process {os.getpid()}", _descriptors())


def _processes(pids: list[int]) -> str:
    return f"{len(pids)}: {', '.join(map(str, pids[:6]))}" if pids else "none"


def _process(pid: int) -> str:
    """A process with its user and the number of its descriptors, which newer kernels tell everybody."""
    try:
        count, user = system.descriptors(pid), system.owner(pid)
    except OSError:
        return f"process {pid}, which has gone"
    return f"process {pid}, user {user}" + (f", {count} descriptors" if count else "")


def _descriptors() -> Iterator[str]:
    """What each descriptor of this process is; links alone, nothing of what they hold."""
    for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            yield f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}"
        except OSError:
            continue  # the one of the listing


@check("apache", "apache-start", "apache2ctl fullstatus")
def _scoreboard(scene: Scene) -> Iterator[Finding]:
    if not system.processes("apache2") or scene.settings.source == "embedded":
        return
    board = scoreboard.read()
    if board is None:
        yield unknown("Workers of Apache", "some idle", "Only a process that Apache has started sees its scoreboard: the page Stack tells it.")
        return
    where = f"{board.workers} in {len(board.pids)} processes: {board}"
    if board.idle:
        yield good("Workers of Apache", "some idle", where, map(_process, board.pids))
    else:
        yield bad("Workers of Apache", "some idle", where, "Every worker of Apache is busy: the next request waits until one is done, or Apache starts more.", Verdict.RECOMMENDED)


# ---- MariaDB


@check("mysql", "mysql-packages", "mariadb -e 'SELECT VERSION()'")
def _server(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None:
        yield unknown("MariaDB", "running", "It is not used here: SQLite takes its place.")
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
                text("SELECT COUNT(*), COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")
            ).one()
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None)
        words = reason.args[-1] if reason is not None and reason.args else error
        scene.away.append(str(words))
        yield bad("MariaDB", "answers", "does not answer", f"The database cannot be asked: {words}. Jobs go on and wait in the journal; systemctl start mariadb")
        return
    yield good("MariaDB", "answers", str(version))
    yield good("Socket", "a Unix socket", str(place))
    yield good("Tables", "those of this version", f"{size[0]}, {int(size[1]) >> 20} MiB with their indexes; the page Database tells each")
    yield good("Connections", f"below {most}", f"{count}, {len(listed)} of them of this user", _connections(listed))
    yield good("This connection", "a descriptor of this process", f"descriptor {connections().get(number, '?')} of process {os.getpid()} is connection {number}")


def _connections(listed: Iterable[Any]) -> Iterator[str]:
    """Each connection of this user: which descriptor it is here, or that another process has it."""
    own = connections()
    for number, user, _host, database, command, seconds, *_more in listed:
        where = f"descriptor {own[number]} of process {os.getpid()}, which is asked" if number in own else "a descriptor of another process"
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
            yield bad(name, wanted, value, f"The guide sets {name} to {wanted}, it is {value}: {otherwise}.", Verdict.RECOMMENDED)
    if "STRICT_ALL_TABLES" in found.get("sql_mode", ""):
        yield good("sql_mode", "STRICT_ALL_TABLES", "STRICT_ALL_TABLES")
    else:
        yield bad("sql_mode", "STRICT_ALL_TABLES", found.get("sql_mode", "?")[:60], "A value that does not fit is cut for programs that do not set a mode of their own.", Verdict.RECOMMENDED)


@check("mysql", "mysql-secure", "mariadb -e 'SHOW DATABASES'")
def _databases(scene: Scene) -> Iterator[Finding]:
    if scene.engine is None or not scene.asks():
        return
    with scene.engine.connect() as connection:
        seen = {str(row[0]) for row in connection.execute(text("SHOW DATABASES")).all()}
    ours = str(make_url(scene.settings.history_url).database)
    if more := sorted(seen - {ours, "information_schema"}):
        yield bad("Databases that web sees", ours, ", ".join(sorted(seen)), f"Everybody may enter {more[0]}: the guide drops the database test and users without a name.", Verdict.RECOMMENDED)
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
        yield bad("Password policy", "12 characters or more", f"{row[1]} characters", f"The guide asks for 12 characters, MariaDB for {row[1]}.", Verdict.RECOMMENDED)
    else:
        yield bad("Password policy", "12 characters or more", "none", "MariaDB takes any password: the plugin simple_password_check is not loaded.", Verdict.RECOMMENDED)


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
        yield bad("Login of web", expected, observed, f"The guide says {expected}; it is {observed}.", Verdict.RECOMMENDED)


@check("mysql", "mysql-tables", "pairscope migrate --check")
def _tables(scene: Scene) -> Iterator[Finding]:
    if scene.away:
        return
    for what, url, line in (("Tables of history", scene.settings.history_url, migrate.HISTORY), ("Tables of web", scene.settings.web_url, migrate.OWN)):
        if migrate.is_current(url, line):
            yield good(what, "as this version has them", "up to date")
        else:
            yield bad(what, "as this version has them", "other ones", "The tables are not those of this version: pairscope migrate")


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
        yield _held(user, wanted[user], set().union(*(box.parse_grant(row[0]) for row in connection.execute(text("SHOW GRANTS")).all())))
        try:
            listed = connection.execute(text("SELECT User, Place, Rights FROM rights")).all()
        except SQLAlchemyError:
            drift = "The guide makes a view of the users' rights, and web cannot read it: deploy/provision.sh makes it again."
            yield bad("Rights of the others", "those of the guide", "not to be seen", drift, Verdict.RECOMMENDED)
            return
    seen = box.seen_grants((str(name), str(place), rights) for name, place, rights in listed)
    for name in wanted:
        if name != user:
            yield _held(name, wanted[name], seen.get(name, set()))
    logins = {str(name): str(how) for name, place, how in listed if place == "login"}
    strange = [f"{name} by {logins.get(name, 'nothing: there is no such user')}" for name in wanted if logins.get(name) != "unix_socket"]
    if strange:
        yield bad("Users of the database", f"{len(wanted)}, each by unix_socket", ", ".join(strange), f"The guide lets {strange[0].split()[0]} log in by being that user of the system, and it is {strange[0]}.")
    else:
        yield good("Users of the database", f"{len(wanted)}, each by unix_socket", ", ".join(wanted))


def _held(user: str, wanted: set[tuple[str, str]], has: set[tuple[str, str]]) -> Finding:
    """Whether a user of the database has the rights that the guide gives it, and no other."""
    what, expected = f"Rights of {user}", f"{len(wanted)}"
    detail = [f"{', '.join(sorted(name for name, at in has if at == place))} on {place}" for place in sorted({at for _name, at in has})]
    if missing := wanted - has:
        return bad(what, expected, f"{len(missing)} missing", f"{user} lacks {_rights(missing)}: deploy/provision.sh gives it again.")
    if more := has - wanted:
        return bad(what, expected, f"{len(more)} too many", f"{user} may do more than it needs: {_rights(more)}.", Verdict.RECOMMENDED)
    return good(what, expected, f"{len(has)}", detail)


def _rights(rights: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} on {table}" for name, table in sorted(rights)[:3])


# ---- Python


@check("python", "python-packages", "python3 --version")
def _python(scene: Scene) -> Iterator[Finding]:
    yield good("Python", "3.11 or newer", platform.python_version(), (sys.version.replace("\n", " "), f"compiled with {platform.python_compiler()}"))
    if built := scoreboard.module():
        yield good("Module in Apache", "for this Python", built)
    where = Path(sys.prefix)
    if scene.box is None or where == Path("/opt/pairscope/venv"):
        yield good("Environment", "its own", str(where))
    else:
        yield bad("Environment", "/opt/pairscope/venv", str(where), f"This program runs in {where}, and the guide installs it in /opt/pairscope/venv.", Verdict.RECOMMENDED)


@check("python", "python-environment", "pip list")
def _libraries(scene: Scene) -> Iterator[Finding]:
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;#]+)", system.read(CODE / "requirements.txt"), re.MULTILINE))
    differing = []
    for name, wanted in pinned.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            differing.append((name, wanted, found))
    for name, wanted, found in differing:
        yield bad(name, wanted, found, f"requirements.txt says {name} {wanted}, and it is {found}: script/environment installs it.", Verdict.RECOMMENDED)
    if not differing:
        yield good("Libraries", "as in requirements.txt", f"{len(pinned)}, each in its version", (f"{name} {version}" for name, version in pinned.items()))


@check("python", "python-code", "pairscope --version")
def _code(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None or said.version == pairscope.__version__:
        yield good("Pairscope", pairscope.__version__, pairscope.__version__)
    else:
        yield bad("Pairscope", pairscope.__version__, f"the pool runs {said.version}", "The pool runs another version than web: systemctl reload apache2", Verdict.RECOMMENDED)


@check("python", "python-choices", "cat /etc/pairscope/box.toml")
def _choices(scene: Scene) -> Iterator[Finding]:
    try:
        chosen = box.choices()
    except box.BoxError as error:
        if box.CHOICES.exists():
            yield bad("Choices of this box", "whole", "not to be read", f"{error}.")
        return
    yield good("Choices of this box", "whole", ", ".join(f"{name} {value}" for name, value in chosen.items()))


@check("python", "python-settings", "ls -l /etc/pairscope; hostname -I")
def _settings(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    for reader, group in (("web", box.WEB), ("pool", box.POOL), ("lab", box.LAB), ("migrate", box.MIGRATE)):
        yield _standing(f"Settings of {reader}", Path(f"/etc/pairscope/{reader}.toml"), "root", group, 0o640)
    strange = [address for address in system.addresses() if address not in scene.settings.trusted_hosts]
    if strange:
        drift = f"This machine has the address {strange[0]}, which the site does not answer to: deploy/provision.sh adds it."
        yield bad("Names of the site", "every address of this machine", f"without {', '.join(strange)}", drift, Verdict.RECOMMENDED)
    else:
        yield good("Names of the site", "every address of this machine", ", ".join(scene.settings.trusted_hosts))


@check("python", "python-command", "pairscope --version")
def _command(scene: Scene) -> Iterator[Finding]:
    if scene.box is not None:
        yield _copied("The command pairscope", "pairscope.sh", Path("/usr/local/bin/pairscope"))


# ---- the pool


@check("pool", "pool-restart", "stat /run/pairscope/pool/control.sock; find /opt/pairscope/code/app -newer /run/pairscope/pool/control.sock")
def _started(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    try:
        began = os.stat(scene.settings.control).st_ctime
    except FileNotFoundError:
        return  # told of the supervisor
    newest, path = system.newest([CODE / "app", Path("/etc/pairscope"), Path("/etc/apache2/sites-available/pairscope.conf")])
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(began))
    if newest <= began:
        yield good("Running since", "after the last change", since)
    else:
        yield bad("Running since", "after the last change", since, f"{path} was changed after the pool was started: systemctl reload apache2", Verdict.RECOMMENDED)


@check("pool", "pool-operator", "pairscope token list")
def _operators(scene: Scene) -> Iterator[Finding]:
    if scene.away or scene.engine is None:
        return
    with scene.engine.connect() as connection:
        count = connection.scalar(text("SELECT COUNT(*) FROM tokens WHERE expires IS NULL OR expires > :now"), {"now": time.time_ns()})
    yield good("Operators' tokens", "as many as you like", f"{count} valid; pairscope token create makes more")


@check("pool", "pool-ready", "pairscope status")
def _pool(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None:
        yield bad("Supervisor", "running", "says nothing", "No supervisor has said anything lately: Apache starts it again; its log says why it ended.")
        return
    yield good("Supervisor", "running", f"serial {said.supervisor.serial}, process {said.supervisor.pid}, epoch {said.epoch}, {said.supervisor.fds} descriptors")
    ready = sum(worker.state in ("idle", "busy") for worker in said.workers)
    if ready >= said.wanted:
        yield good("Workers", f"{said.wanted} ready", f"{ready} ready")
    else:
        yield bad("Workers", f"{said.wanted} ready", f"{ready} ready", "Workers are missing: the pool starts them again, after a pause that doubles.", Verdict.CRITICAL if not ready else Verdict.RECOMMENDED)
    levels = {worker.sandbox for worker in said.workers if worker.sandbox}
    if levels == {"landlock+seccomp"}:
        yield good("Sandbox of the workers", "Landlock and seccomp", "Landlock and seccomp")
    else:
        yield bad("Sandbox of the workers", "Landlock and seccomp", ", ".join(sorted(levels)) or "not told yet", "Workers are confined by less than both.", Verdict.RECOMMENDED)
    idle = sum(station.state in ("idle", "busy") for station in said.stations)
    if idle:
        yield good("Lab stations", "one or more", str(idle))
    else:
        yield bad("Lab stations", "one or more", "none", "No lab station is connected: scenarios cannot be run.", Verdict.RECOMMENDED)


@check("pool", "pool-ready", "curl localhost:8080/readyz")
def _record(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None:
        return
    journal, recorder = said.journal, said.recorder
    part = journal.bytes / journal.limit
    observed = f"{journal.bytes >> 10} KiB of {journal.limit >> 20} MiB"
    if journal.stuck:
        yield bad("Journal", "below its bound", observed, f"Nothing can be appended: {journal.stuck}.")
    elif part >= 1:
        yield bad("Journal", "below its bound", observed, "The journal has reached its bound: new jobs are refused until the database takes it.")
    elif part > 0.5:
        yield bad("Journal", "below its bound", observed, "More than half of the journal's bound waits for the database.", Verdict.RECOMMENDED)
    else:
        yield good("Journal", "below its bound", observed)
    if recorder.state == "ok":
        yield good("Recorder", "up to date", f"{recorder.lag} records behind, process {recorder.pid}")
    else:
        yield bad("Recorder", "up to date", recorder.state, f"The recorder is {recorder.state}: {recorder.database}. What comes waits in the journal.")
