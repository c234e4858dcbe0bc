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
from pairscope.ipc.passing import close_all
from pairscope.ipc.sentences import Gone


class Child(NamedTuple):
    """A process that this one has spawned and will reap."""

    pid: int
    pidfd: int
    channel: Channel
    words: int = -1
    """The reading end of a pipe that is its standard output and error; -1: it has this process's."""


def spawn(
    module: str,
    role: str,
    arguments: list[str],
    environment: dict[str, str],
    buffer: memoryview,
    *,
    heard: bool = False,
) -> Child:
    """Starts ``python -m module arguments`` with one end of a fresh pair as descriptor 3, in a session of its own.

    It has `environment` and nothing of this process's, of the standard streams only those for writing, and of these a
    pipe if it is to be `heard`. Its channel shares `buffer`. Raises OSError (EAGAIN, ENOMEM,
    EMFILE) where the system refuses; nothing is left open then.
    """
    ours, theirs = pair()
    words = into = -1
    streams: list[tuple[int, int, int]] = []
    try:
        if heard:
            words, into = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(words, False)
            streams = [(os.POSIX_SPAWN_DUP2, into, 1), (os.POSIX_SPAWN_DUP2, into, 2)]
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", module, *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                *streams,
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), CHANNEL_FD),
            ],
            setsid=True,
        )
    except BaseException:
        ours.close()
        close_all([fd for fd in (words,) if fd >= 0])
        raise
    finally:
        theirs.close()
        close_all([fd for fd in (into,) if fd >= 0])
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        ours.close()
        close_all([fd for fd in (words,) if fd >= 0])
        raise
    return Child(pid, pidfd, Channel(ours, hears=role, blocking=False, buffer=buffer), words)


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
        return Gone.EXITED.say(status=status.si_status)
    dumped = status.si_code == os.CLD_DUMPED
    try:
        name = signal.Signals(status.si_status).name
    except ValueError:  # those between SIGRTMIN and SIGRTMAX have none
        return (Gone.DUMPED_NUMBER if dumped else Gone.KILLED_NUMBER).say(number=status.si_status)
    return (Gone.DUMPED if dumped else Gone.KILLED).say(signal=name)


def send_signal(child: Child, number: int) -> None:
    """Signals the child by its pidfd; one that has just died is no error."""
    try:
        signal.pidfd_send_signal(child.pidfd, number)
    except ProcessLookupError:
        pass
