"""Birth and death of the supervisor's children.

A child inherits its own end of one socketpair as descriptor 3 and nothing else; a pidfd tells of its death and is the
only way by which it is signalled or reaped: pids wrap in under a minute of forking. posix_spawn(3), pidfd_open(2),
waitid(2).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NamedTuple

from pairscope.config import Settings
from pairscope.ipc.channel import CHANNEL_FD, Channel, pair


class Child(NamedTuple):
    """A process that this one has spawned and will reap."""

    pid: int
    pidfd: int
    channel: Channel


def spawn(module: str, role: str, arguments: list[str], environment: dict[str, str], buffer: memoryview) -> Child:
    """Starts ``python -m module arguments`` with one end of a fresh pair as descriptor 3, in a session of its own.

    It has `environment` and nothing of this process's. Its channel shares `buffer`. Raises OSError (EAGAIN, ENOMEM,
    EMFILE) where the system refuses; nothing is left open then.
    """
    ours, theirs = pair()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", module, *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), CHANNEL_FD),
            ],
            setsid=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        ours.close()
        raise
    return Child(pid, pidfd, Channel(ours, hears=role, blocking=False, buffer=buffer))


def worker_environment() -> dict[str, str]:
    """What a worker is told by its environment: nothing that is a secret, for it will meet strangers' files."""
    return {
        name: os.environ[name]
        for name in ("PATH", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PAIRSCOPE_SANDBOX", "PAIRSCOPE_TEST")
        if name in os.environ
    }


def recorder_environment(settings: Settings, begin: int) -> dict[str, str]:
    """What the recorder is told: where its settings are, at which position its supervisor's epoch begins, and whose
    child it is."""
    environment = {**os.environ, "PAIRSCOPE_BEGIN": str(begin), "PAIRSCOPE_SUPERVISOR": str(os.getpid())}
    environment.pop("PAIRSCOPE_OPERATOR_TOKEN", None)
    if settings.source == "embedded":
        environment["PAIRSCOPE_STATE"] = str(settings.state)
    else:
        environment["PAIRSCOPE_SETTINGS"] = settings.source
    return environment


def reap(child: Child) -> str:
    """Takes the dead child's status, closes its pidfd, and says in words how it ended."""
    status = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    assert status is not None, "only WNOHANG makes it so"
    os.close(child.pidfd)
    if status.si_code == os.CLD_EXITED:
        return f"exited {status.si_status}"
    try:
        name = signal.Signals(status.si_status).name
    except ValueError:  # those between SIGRTMIN and SIGRTMAX have none
        name = f"signal {status.si_status}"
    words = f"killed by {name}"
    return words + " (core dumped)" if status.si_code == os.CLD_DUMPED else words


def send_signal(child: Child, number: int) -> None:
    """Signals the child by its pidfd; one that has just died is no error."""
    try:
        signal.pidfd_send_signal(child.pidfd, number)
    except ProcessLookupError:
        pass
