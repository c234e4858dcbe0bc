"""Apache: version, modules, site, port, processes, scoreboard."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from pairscope.lamp import box
from pairscope.pool import snapshot as snapshots
from pairscope.stack import apache, scoreboard, system
from pairscope.stack.check import Scene, check, copied, standing
from pairscope.stack.step import Finding, Verdict, bad, good, unknown, unused

PID_FILE = Path("/run/apache2/apache2.pid")
"""Of a box's Apache; readable for all."""


def _first(scene: Scene) -> int | None:
    """Pid of Apache's first process; 0: it does not run, or is not used here. None: that cannot be seen from here."""
    if scene.settings.source == "embedded":
        return 0
    if scoreboard.inside():
        return os.getppid()  # each process of mod_wsgi is a child of it
    found = system.processes("apache2")
    if first := [pid for pid in found if system.parent(pid) not in found]:
        return first[0]
    if system.sees_others():
        return 0
    told = system.read(PID_FILE).strip() if scene.box is not None else ""
    return int(told) if told.isdecimal() and snapshots.exists(int(told)) else None


@check("apache", "apache-packages", "dpkg -l apache2 libapache2-mod-wsgi-py3")
def _apache(scene: Scene) -> Iterator[Finding]:
    if scene.settings.source == "embedded" and scene.box is None:
        yield unused("Apache", "The embedded server takes its place.")
        return
    first = _first(scene)
    if first is None:
        yield unknown(
            "Processes of Apache", "one or more", f"{system.HIDDEN}. root sees them: systemctl status apache2"
        )
    elif not first:
        start = "script/lamp starts it" if scene.box is None else "systemctl start apache2"
        yield bad("Apache", "running", "not running", f"No process of apache2 is there: {start}")
        return
    for package, what in (("apache2-bin", "Apache"), ("libapache2-mod-wsgi-py3", "mod_wsgi")):
        version = system.package(package)
        if version:
            yield good(what, "Debian's package", version)
        else:
            yield unknown(what, "Debian's package", "It does not come from a package.")


@check("apache", "apache-modules", "apache2ctl -M")
def _modules(scene: Scene) -> Iterator[Finding]:
    if scene.box is None or _first(scene) == 0:
        return
    enabled = {
        name.removesuffix(".load") for name in system.names(Path("/etc/apache2/mods-enabled")) if name.endswith(".load")
    }
    wanted = set(apache.MODULES.split())
    if missing := sorted(wanted - enabled):
        yield bad(
            "Modules",
            ", ".join(sorted(wanted)),
            f"without {', '.join(missing)}",
            f"The guide switches {missing[0]} on, and it is off: a2enmod {missing[0]}",
        )
    else:
        yield good("Modules", "those of the site", f"{len(enabled)}, with {', '.join(sorted(wanted))}")
    mpm = ", ".join(sorted(name for name in enabled if name.startswith("mpm_"))) or "none"
    if mpm == "mpm_event":
        yield good("MPM", "mpm_event", mpm)
    else:
        yield bad(
            "MPM",
            "mpm_event",
            mpm,
            f"Apache runs with {mpm}, as another site may need it: it serves this one, with fewer connections "
            "at a time.",
            Verdict.RECOMMENDED,
        )


@check("apache", "apache-run", "ls -ld /run/pairscope/pool; cat /etc/tmpfiles.d/pairscope.conf")
def _run_directory(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield standing("Directory of the sockets", Path("/run/pairscope/pool"), box.POOL, box.WEB, 0o2750)
    yield copied("Made at each boot", "tmpfiles.conf", Path("/etc/tmpfiles.d/pairscope.conf"))


@check("apache", "apache-logs", "cat /etc/logrotate.d/pairscope")
def _logs(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield copied("Rotation of the logs", "logrotate.conf", Path("/etc/logrotate.d/pairscope"))
    yield standing("Directory of the logs", Path("/var/log/pairscope"), "root", "adm", 0o750)


@check("apache", "apache-places", "systemctl show -p ProtectSystem -p ReadWritePaths apache2")
def _places(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    what, expected = "Where Apache's service may write", "files of the site and the pool"
    if not scoreboard.inside():
        yield unknown(
            what, expected, "Only a process that Apache has started sees its file systems: the page Stack tells it."
        )
        return
    own = scene.settings.web_state
    if os.access(own, os.W_OK, effective_ids=True):
        yield good(what, expected, str(own))
    else:
        yield bad(
            what,
            expected,
            f"not to {own}",
            f"Apache's service may not write to {own}: deploy/provision.sh writes a drop-in for a unit with "
            "ProtectSystem=strict.",
        )


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
        yield bad(
            "Port",
            str(wanted),
            "nobody listens",
            f"Apache is told to listen on {wanted}, and nobody does: systemctl restart apache2",
        )
    else:
        first = _first(scene)
        yield good(
            "Port", str(wanted), f"{wanted}, held by user {holds[wanted]}" + (f", process {first}" if first else "")
        )


@check("apache", "apache-site", "diff <(python -m pairscope.lamp.box ...) /etc/apache2/sites-enabled/pairscope.conf")
def _site(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    if not Path("/etc/apache2/sites-enabled/pairscope.conf").exists():
        yield bad(
            "Site",
            "as generated",
            "not enabled",
            "The site is not enabled: a2ensite pairscope && systemctl reload apache2",
        )
        return
    made = box.installation(scene.box)
    how = box.differs(box.files("site", made)[0])
    if how:
        yield bad(
            "Site",
            "as generated",
            how,
            "The site was changed by hand, or the box's choices were: deploy/provision.sh makes it again.",
            Verdict.RECOMMENDED,
        )
    else:
        yield good("Site", "as generated", "as generated")


@check("apache", "apache-start", "ps -eo pid,user,args | grep wsgi:; ls /proc/PID/fd")
def _groups(scene: Scene) -> Iterator[Finding]:
    if _first(scene) == 0:
        return
    said = scene.said
    if system.sees_others():
        web, more = system.titled("wsgi:web"), ""
    else:
        # A process of mod_wsgi does not see its siblings either: they have changed their user. The supervisor knows
        # those that have asked it something.
        known = {client.pid for client in said.clients if client.role == "web"} if said is not None else set()
        web, more = (
            sorted(known | ({os.getpid()} if scoreboard.inside() else set())),
            "; others cannot be seen from here",
        )
    if web:
        yield good("Processes of web", "one or more", _processes(web) + more, map(_process, web))
    elif more:
        yield unknown("Processes of web", "one or more", f"{system.HIDDEN}. root sees them: ps -eo pid,user,args")
    else:
        yield bad(
            "Processes of web",
            "one or more",
            "none",
            "Apache runs, but no process of its group web: its error log says why.",
        )
    if said is not None:
        pool = [said.supervisor.pid, said.recorder.pid, *(worker.pid for worker in said.workers)]
        stations = [station.pid for station in said.stations]
        yield good("Managed process pool", "one supervisor", f"{_process(said.supervisor.pid)}", map(_process, pool))
        yield good("Managed processes of the lab", "one or more", _processes(stations), map(_process, stations))
    fds, most = len(os.listdir("/proc/self/fd")) - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield good(
        "Descriptors of this process", "below its limit", f"{fds} of {most}, process {os.getpid()}", _descriptors()
    )


def _processes(pids: list[int]) -> str:
    return f"{len(pids)}: {', '.join(map(str, pids[:6]))}" if pids else "none"


def _process(pid: int) -> str:
    """A process with its user and the number of its descriptors, which newer kernels tell everybody."""
    try:
        count, user = system.descriptors(pid), system.owner(pid)
    except OSError:
        return f"process {pid}, " + (
            "whose user and descriptors cannot be seen from here" if snapshots.exists(pid) else "which has gone"
        )
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
    if _first(scene) == 0:
        return
    board = scoreboard.read()
    if board is None:
        yield unknown(
            "Workers of Apache",
            "some idle",
            "Only a process that Apache has started sees its scoreboard: the page Stack tells it.",
        )
        return
    where = f"{board.workers} in {len(board.pids)} processes: {board}"
    if board.idle:
        yield good("Workers of Apache", "some idle", where, map(_process, board.pids))
    else:
        yield bad(
            "Workers of Apache",
            "some idle",
            where,
            "Every worker of Apache is busy: the next request waits until one is done, or Apache starts more.",
            Verdict.RECOMMENDED,
        )
