"""Linux: release, abilities of the kernel, packages, disks, users, ports, firewall."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pairscope.lamp import box
from pairscope.sandbox import landlock
from pairscope.sentence import phrase
from pairscope.stack import system
from pairscope.stack.check import Scene, check
from pairscope.stack.step import Finding, Verdict, bad, good, unknown

DISK_LOW, DISK_OUT = 2 << 30, 200 << 20
NEWER = (("SO_PEERPIDFD", 77), ("SO_PASSRIGHTS", 83))
"""Of AF_UNIX, what kernels since 6.5 and 6.16 can, too: name a peer beyond doubt, refuse descriptors.
asm-generic/socket.h."""


@check("linux", "linux-sources", "ls -lt /var/lib/apt/lists")
def _sources(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    days = system.lists_age(time.time())
    if days is None:
        yield unknown(
            phrase("Lists of packages"), phrase("younger than 30 days"), phrase("There are none yet: apt-get update")
        )
    elif days < 30:
        yield good(phrase("Lists of packages"), phrase("younger than 30 days"), phrase("%(days)s days", days=days))
    else:
        yield bad(
            phrase("Lists of packages"),
            phrase("younger than 30 days"),
            phrase("%(days)s days", days=days),
            phrase(
                "The lists are %(days)s days old, and so is what is installed: apt-get update && apt-get upgrade",
                days=days,
            ),
            Verdict.RECOMMENDED,
        )


@check("linux", "linux-packages", "dpkg -l rsync curl ca-certificates iproute2 logrotate")
def _tools(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    missing = [
        name
        for name in ("rsync", "curl", "ca-certificates", "iproute2", "logrotate", "ufw")
        if not system.package(name)
    ]
    if missing:
        yield bad(
            phrase("Tools"),
            phrase("installed"),
            phrase("without %(missing)s", missing=", ".join(missing)),
            phrase(
                "The guide installs %(missing)s, and it is not there: apt-get install %(missing)s", missing=missing[0]
            ),
            Verdict.RECOMMENDED,
        )
    else:
        yield good(phrase("Tools"), phrase("installed"), "rsync, curl, ca-certificates, iproute2, logrotate, ufw")


@check("linux", "linux-upgrade", "cat /etc/os-release; uname -r")
def _system(scene: Scene) -> Iterator[Finding]:
    release = platform.freedesktop_os_release()
    name = release.get("PRETTY_NAME", release.get("ID", "?"))
    known = {release.get("ID"), *release.get("ID_LIKE", "").split()} & {"debian", "ubuntu"}
    if known:
        yield good(phrase("Release"), phrase("Debian 12, or a relative of it"), name)
    else:
        yield bad(
            phrase("Release"),
            phrase("Debian 12, or a relative of it"),
            name,
            phrase("The guide was tested on Debian 12; its notes say where other systems differ."),
            Verdict.RECOMMENDED,
        )
    kernel = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", kernel)[:2])
    if numbers >= (5, 6):
        yield good(phrase("Kernel"), phrase("5.6 or newer: pidfd_getfd"), kernel)
    else:
        yield bad(
            phrase("Kernel"),
            phrase("5.6 or newer: pidfd_getfd"),
            kernel,
            phrase("This kernel has no pidfd_getfd: the lab cannot look into its processes."),
        )


@check("linux", "", "cat /sys/kernel/security/lsm; cat /proc/sys/kernel/seccomp/actions_avail")
def _abilities(scene: Scene) -> Iterator[Finding]:
    abi = landlock.abi()
    if abi > 0:
        yield good("Landlock", phrase("ABI 1 or newer"), phrase("ABI %(abi)s", abi=abi))
    else:
        yield bad(
            "Landlock",
            phrase("ABI 1 or newer"),
            phrase("none"),
            phrase(
                "Workers are confined by seccomp alone: the kernel has no Landlock, or what started this keeps it away."
            ),
            Verdict.RECOMMENDED,
        )
    yield _seccomp(scene)


def _seccomp(scene: Scene) -> Finding:
    """What the kernel can do with a filter; where ProcSubset=pid hides that, what the workers say of theirs, or what
    /proc/self/status has a line for."""
    what, expected = "seccomp", "errno, kill_process"
    actions = system.read("/proc/sys/kernel/seccomp/actions_avail").split()
    if "errno" in actions:
        return good(what, expected, ", ".join(actions[:4]))
    elsewhere = phrase("which actions there are cannot be seen from here")
    confined = (
        [worker for worker in scene.said.workers if "seccomp" in worker.sandbox] if scene.said is not None else []
    )
    if confined:
        return good(
            what,
            expected,
            phrase("%(count)s workers are confined by it; %(elsewhere)s", count=len(confined), elsewhere=elsewhere),
        )
    own = Path("/proc/self/status").read_text()
    if "Seccomp_filters:" in own:  # Linux 5.9 and newer, with CONFIG_SECCOMP_FILTER: proc_pid_status(5)
        return good(what, expected, phrase("filters; %(elsewhere)s", elsewhere=elsewhere))
    if "Seccomp:" in own:
        return unknown(
            what,
            expected,
            phrase(
                "The kernel has seccomp, and whether it takes filters cannot be seen from here. root can look: "
                "%(command)s",
                command="cat /proc/sys/kernel/seccomp/actions_avail",
            ),
        )
    return bad(what, expected, phrase("none"), phrase("The kernel has no seccomp: workers are not confined by it."))


@check("linux", "", "ulimit -n")
def _limit(scene: Scene) -> Iterator[Finding]:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= 1024:
        yield good(phrase("Descriptors a process may hold"), phrase("1024 or more"), str(soft))
    else:
        yield bad(
            phrase("Descriptors a process may hold"),
            phrase("1024 or more"),
            str(soft),
            phrase("Each client of the pool takes one: with few of them it turns clients away."),
            Verdict.RECOMMENDED,
        )


@check("linux", "", "man 7 unix; cat /proc/sys/net/unix/max_dgram_qlen /proc/sys/net/core/wmem_default")
def _sockets(scene: Scene) -> Iterator[Finding]:
    try:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        yield bad(
            "AF_UNIX",
            "SOCK_SEQPACKET",
            str(error),
            phrase(
                "This kernel, or what started this, gives no pair of sockets: %(error)s. The pool cannot run.",
                error=str(error),
            ),
        )
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
    queue = system.read("/proc/sys/net/unix/max_dgram_qlen").strip() or phrase("cannot be seen from here")
    without = [name for name, _option in NEWER if name not in can]
    detail = (
        phrase("room of a socket for what is sent: %(bytes)s bytes", bytes=room),
        phrase("datagrams that may wait at one: %(count)s", count=queue),
        phrase("not on this kernel: %(options)s", options=", ".join(without) or phrase("nothing")),
    )
    yield good("AF_UNIX", "SOCK_SEQPACKET", ", ".join(["SOCK_SEQPACKET", *can]), detail)


@check("linux", "linux-firewall", "ss -ltn")
def _ports(scene: Scene) -> Iterator[Finding]:
    if scene.box is not None:
        yield good(
            phrase("Ports reached over the network"),
            phrase("those you know"),
            ", ".join(f"{port} ({user})" for port, user in sorted(system.listening(reached=True).items()))
            or phrase("none"),
        )


@check("linux", "linux-directories", "df -h")
def _disk(scene: Scene) -> Iterator[Finding]:
    for what, path in (
        (phrase("Disk of the journal"), scene.settings.state),
        (phrase("Disk of web's files"), scene.settings.web_state),
    ):
        try:
            room = os.statvfs(path)
        except PermissionError:
            yield unknown(what, phrase("2 GiB free"), phrase("%(path)s may be entered by its owner alone.", path=path))
            continue
        except FileNotFoundError:
            yield unknown(what, phrase("2 GiB free"), phrase("%(path)s is not there yet.", path=path))
            continue
        free = room.f_bavail * room.f_frsize
        said = phrase("%(free)s MiB free", free=free >> 20)
        if free < DISK_OUT:
            yield bad(
                what,
                phrase("2 GiB free"),
                said,
                phrase(
                    "The disk is nearly full: when it is, nothing is accepted that cannot be recorded. %(path)s",
                    path=path,
                ),
            )
        elif free < DISK_LOW:
            yield bad(
                what,
                phrase("2 GiB free"),
                said,
                phrase("The disk is filling up. %(path)s", path=path),
                Verdict.RECOMMENDED,
            )
        else:
            yield good(what, phrase("2 GiB free"), said)


@check("linux", "linux-users", "getent passwd pairscope-web pairscope-pool pairscope-lab")
def _users(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    missing = [name for name in (box.WEB, box.POOL, box.LAB, box.MIGRATE) if not system.user_exists(name)]
    if missing:
        yield bad(
            phrase("Users"),
            phrase("one for each part"),
            phrase("without %(missing)s", missing=", ".join(missing)),
            phrase("The guide makes the user %(missing)s, and there is none.", missing=missing[0]),
        )
    else:
        yield good(phrase("Users"), phrase("one for each part"), "web, pool, lab, migrate")


@check("linux", "linux-firewall", "ufw status")
def _firewall(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    port = scene.box.get("port", 8080)
    if "ENABLED=yes" not in system.read("/etc/ufw/ufw.conf"):
        yield bad(
            phrase("Firewall"),
            phrase("on"),
            phrase("off"),
            phrase("The guide switches ufw on, and it is off: every port of this machine is open."),
            Verdict.RECOMMENDED,
        )
        return
    yield good(phrase("Firewall"), phrase("on"), phrase("on"))
    what, expected = phrase("Rule of the firewall"), phrase("%(port)s is let in", port=port)
    try:
        rules = Path("/etc/ufw/user.rules").read_text()
    except OSError:
        yield unknown(what, expected, phrase("The rules are root's to read: ufw status"))
        return
    if re.search(rf"--dport {port} -j ACCEPT", rules):
        yield good(what, expected, expected)
    else:
        yield bad(
            what,
            expected,
            phrase("%(port)s is kept out", port=port),
            phrase("The firewall keeps port %(port)s closed: ufw allow %(port)s/tcp", port=port),
        )
