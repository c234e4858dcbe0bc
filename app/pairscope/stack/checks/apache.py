"""Apache: version, modules, site, port, processes, scoreboard."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from pairscope.lamp import box
from pairscope.live import figures
from pairscope.pool import snapshot as snapshots
from pairscope.sentence import phrase
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
        yield unused("Apache", phrase("The embedded server takes its place."))
        return
    first = _first(scene)
    if first is None:
        yield unknown(
            phrase("Processes of Apache"),
            phrase("one or more"),
            phrase("%(hidden)s. root sees them: %(command)s", hidden=system.HIDDEN, command="systemctl status apache2"),
        )
    elif not first:
        start = phrase("script/lamp starts it") if scene.box is None else "systemctl start apache2"
        yield bad(
            "Apache",
            phrase("running"),
            phrase("not running"),
            phrase("No process of apache2 is there: %(start)s", start=start),
        )
        return
    packages = [("apache2-bin", "Apache"), ("libapache2-mod-wsgi-py3", "mod_wsgi")]
    if scene.box is not None:
        packages.append(("libapache2-mod-security2", "mod_security2"))
    for package, what in packages:
        version = system.package(package)
        if version:
            yield good(what, phrase("Debian's package"), version)
        else:
            yield unknown(what, phrase("Debian's package"), phrase("It does not come from a package."))


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
            phrase("Modules"),
            ", ".join(sorted(wanted)),
            phrase("without %(missing)s", missing=", ".join(missing)),
            phrase("The guide switches %(missing)s on, and it is off: a2enmod %(missing)s", missing=missing[0]),
        )
    else:
        yield good(
            phrase("Modules"),
            phrase("those of the site"),
            phrase("%(count)s, with %(wanted)s", count=len(enabled), wanted=", ".join(sorted(wanted))),
        )
    mpm = ", ".join(sorted(name for name in enabled if name.startswith("mpm_"))) or "none"
    if mpm == "mpm_event":
        yield good("MPM", "mpm_event", mpm)
    else:
        yield bad(
            "MPM",
            "mpm_event",
            mpm,
            phrase(
                "Apache runs with %(mpm)s, as another site may need it: it serves this one, with fewer connections at "
                "a time.",
                mpm=mpm,
            ),
            Verdict.RECOMMENDED,
        )


@check("apache", "apache-load", "cat /etc/apache2/conf-enabled/pairscope-load.conf; apache2ctl -t -D DUMP_RUN_CFG")
def _load(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    what, expected = phrase("Room for slow visitors"), phrase("as generated")
    if not Path("/etc/apache2/conf-enabled/pairscope-load.conf").exists():
        yield bad(
            what,
            expected,
            phrase("not enabled"),
            phrase(
                "Apache has as few threads as Debian gives it: a2enconf pairscope-load && systemctl restart apache2"
            ),
        )
    elif how := box.differs(box.files("load", box.installation(scene.box))[0]):
        yield bad(
            what,
            expected,
            how,
            phrase(
                "What bounds connections was changed by hand, or the box's choices were: deploy/provision.sh makes "
                "it again."
            ),
            Verdict.RECOMMENDED,
        )
    else:
        yield good(what, expected, expected)


@check("apache", "apache-run", "ls -ld /run/pairscope/pool; cat /etc/tmpfiles.d/pairscope.conf")
def _run_directory(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield standing(phrase("Directory of the sockets"), Path("/run/pairscope/pool"), box.POOL, box.WEB, 0o2750)
    yield standing(phrase("Directory of live's sockets"), Path("/run/pairscope/live"), box.WEB, "www-data", 0o2710)
    yield copied(phrase("Made at each boot"), "tmpfiles.conf", Path("/etc/tmpfiles.d/pairscope.conf"))


@check("apache", "apache-logs", "cat /etc/logrotate.d/pairscope")
def _logs(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    yield copied(phrase("Rotation of the logs"), "logrotate.conf", Path("/etc/logrotate.d/pairscope"))
    yield standing(phrase("Directory of the logs"), Path("/var/log/pairscope"), "root", "adm", 0o750)


@check("apache", "apache-places", "systemctl show -p ProtectSystem -p ReadWritePaths apache2")
def _places(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    what, expected = phrase("Where Apache's service may write"), phrase("files of the site and the pool")
    if not scoreboard.inside():
        yield unknown(
            what,
            expected,
            phrase("Only a process that Apache has started sees its file systems: the page Stack tells it."),
        )
        return
    own = scene.settings.web_state
    if os.access(own, os.W_OK, effective_ids=True):
        yield good(what, expected, str(own))
    else:
        yield bad(
            what,
            expected,
            phrase("not to %(path)s", path=own),
            phrase(
                "Apache's service may not write to %(path)s: deploy/provision.sh writes a drop-in for a unit with "
                "ProtectSystem=strict.",
                path=own,
            ),
        )


@check("apache", "apache-port", "ss -ltnp; grep -r Listen /etc/apache2")
def _port(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    wanted = scene.box.get("port", 8080)
    told = system.listen_directives(Path("/etc/apache2"))
    holds = system.listening()
    if wanted not in told:
        others: str = ", ".join(str(port) for port in sorted(told - {80, 443})) or phrase("no port of its own")
        yield bad(
            phrase("Port"),
            str(wanted),
            others,
            phrase("The guide says %(wanted)s, Apache is told to listen on %(others)s.", wanted=wanted, others=others),
        )
    elif wanted not in holds:
        yield bad(
            phrase("Port"),
            str(wanted),
            phrase("nobody listens"),
            phrase("Apache is told to listen on %(wanted)s, and nobody does: systemctl restart apache2", wanted=wanted),
        )
    else:
        first = _first(scene)
        yield good(
            phrase("Port"),
            str(wanted),
            phrase("%(port)s, held by user %(user)s, process %(pid)s", port=wanted, user=holds[wanted], pid=first)
            if first
            else phrase("%(port)s, held by user %(user)s", port=wanted, user=holds[wanted]),
        )


@check("apache", "apache-site", "diff <(python -m pairscope.lamp.box ...) /etc/apache2/sites-enabled/pairscope.conf")
def _site(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    if not Path("/etc/apache2/sites-enabled/pairscope.conf").exists():
        yield bad(
            phrase("Site"),
            phrase("as generated"),
            phrase("not enabled"),
            phrase("The site is not enabled: a2ensite pairscope && systemctl reload apache2"),
        )
        return
    # By the names in force: that this machine has another address since is told once, by the names of the site.
    made = dataclasses.replace(box.installation(scene.box), trusted_hosts=scene.settings.trusted_hosts)
    how = box.differs(box.files("site", made)[0])
    if how:
        yield bad(
            phrase("Site"),
            phrase("as generated"),
            how,
            phrase("The site was changed by hand, or the box's choices were: deploy/provision.sh makes it again."),
            Verdict.RECOMMENDED,
        )
    else:
        yield good(phrase("Site"), phrase("as generated"), phrase("as generated"))


@check("apache", "apache-start", "ps -eo pid,user,args | grep wsgi:; ls /proc/PID/fd")
def _groups(scene: Scene) -> Iterator[Finding]:
    if _first(scene) == 0:
        return
    said = scene.said
    if system.sees_others():
        web, all_of_them = sorted({*system.titled("wsgi:web"), *system.titled("wsgi:bulk")}), True
    else:
        # A process of mod_wsgi does not see its siblings either: they have changed their user. The supervisor knows
        # those that have asked it something.
        known = {client.pid for client in said.clients if client.role == "web"} if said is not None else set()
        web, all_of_them = sorted(known | ({os.getpid()} if scoreboard.inside() else set())), False
    if web:
        observed = _processes(web)
        if not all_of_them:
            observed = phrase("%(processes)s; others cannot be seen from here", processes=observed)
        yield good(phrase("Processes of web"), phrase("one or more"), observed, map(_process, web))
    elif not all_of_them:
        yield unknown(
            phrase("Processes of web"),
            phrase("one or more"),
            phrase("%(hidden)s. root sees them: %(command)s", hidden=system.HIDDEN, command="ps -eo pid,user,args"),
        )
    else:
        yield bad(
            phrase("Processes of web"),
            phrase("one or more"),
            phrase("none"),
            phrase("Apache runs, but no process of its group web: its error log says why."),
        )
    if said is not None:
        pool = [said.supervisor.pid, said.recorder.pid, *(worker.pid for worker in said.workers)]
        stations = [station.pid for station in said.stations]
        yield good(
            phrase("Managed process pool"),
            phrase("one supervisor"),
            _process(said.supervisor.pid),
            map(_process, pool),
        )
        yield good(
            phrase("Managed processes of the lab"), phrase("one or more"), _processes(stations), map(_process, stations)
        )
    if scene.settings.live_run is not None:
        if (live := figures.read(scene.settings)) is not None:
            words = phrase("%(process)s; %(count)s viewers", process=_process(live.pid), count=live.viewers)
            yield good(phrase("Managed process live"), phrase("one process"), words)
        else:
            yield bad(
                phrase("Managed process live"),
                phrase("one process"),
                phrase("it says nothing"),
                phrase("Pages ask instead of being told; Apache's error log says why."),
                Verdict.RECOMMENDED,
            )
    fds, most = len(os.listdir("/proc/self/fd")) - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield good(
        phrase("Descriptors of this process"),
        phrase("below its limit"),
        phrase("%(fds)s of %(most)s, process %(pid)s", fds=fds, most=most, pid=os.getpid()),
        _descriptors(),
    )


def _processes(pids: list[int]) -> str:
    return f"{len(pids)}: {', '.join(map(str, pids[:6]))}" if pids else phrase("none")


def _process(pid: int) -> str:
    """A process with its user and the number of its descriptors, which newer kernels tell everybody."""
    try:
        count, user = system.descriptors(pid), system.owner(pid)
    except OSError:
        if snapshots.exists(pid):
            return phrase("process %(pid)s, whose user and descriptors cannot be seen from here", pid=pid)
        return phrase("process %(pid)s, which has gone", pid=pid)
    if not count:
        return phrase("process %(pid)s, user %(user)s", pid=pid, user=user)
    return phrase("process %(pid)s, user %(user)s, %(count)s descriptors", pid=pid, user=user, count=count)


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
            phrase("Workers of Apache"),
            phrase("some idle"),
            phrase("Only a process that Apache has started sees its scoreboard: the page Stack tells it."),
        )
        return
    where = phrase(
        "%(count)s in %(processes)s processes: %(states)s",
        count=board.workers,
        processes=len(board.pids),
        states=board.told(),
    )
    if board.idle:
        yield good(phrase("Workers of Apache"), phrase("some idle"), where, map(_process, board.pids))
    else:
        yield bad(
            phrase("Workers of Apache"),
            phrase("some idle"),
            where,
            phrase("Every worker of Apache is busy: the next request waits until one is done, or Apache starts more."),
            Verdict.RECOMMENDED,
        )
