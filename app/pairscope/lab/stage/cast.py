"""Who plays: the processes of a run, their actors, and the calls that are under way."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import socket

from pairscope.lab.constants import signal_name
from pairscope.lab.model import Step
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Result
from pairscope.lab.stage.queues import Sent


@dataclasses.dataclass(slots=True)
class Process:
    """A process, and what its actors have named in it."""

    name: str
    """Of its first actor."""
    pid: int
    pidfd: int
    lifeline: socket.socket
    """Once this end is closed the kernel kills the process."""
    names: dict[str, int]
    """The numbers of its descriptors, by the names that the scenario gives them."""
    actors: list[Actor] = dataclasses.field(default_factory=list)
    """Its tasks, the first one first."""
    ended: bool = False
    """It is gone with every thread, and its calls are completed."""
    status: int | None = None
    """As wait(2) gives it; None: it lives, or nobody could see it."""
    ears: int | None = None
    """Where the handlers that run in it put the numbers of their signals."""
    handled: dict[str, int] = dataclasses.field(default_factory=dict)
    """How often a handler has run, by the signal's name."""

    def hear(self) -> None:
        """Takes in which handlers have run since: counts them in ``handled``."""
        with contextlib.suppress(BlockingIOError):
            while self.ears is not None and (numbers := os.read(self.ears, 4096)):
                for name in map(signal_name, numbers):
                    self.handled[name] = self.handled.get(name, 0) + 1

    def dead(self) -> bool:
        """Whether it has ended, all its threads included: a pidfd is readable then, pidfd_open(2)."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))


@dataclasses.dataclass(slots=True)
class Pending:
    """A call that has been ordered and not yet answered."""

    index: int
    """Of its step in the run."""
    step: Step
    first: int | None
    """Its first argument, where that is a number; None for any."""
    inode: int = 0
    """Of what its first argument is, at the order; 0: no descriptor."""
    sent: Sent | None = None
    """What it sends, if it does."""
    peeks: bool = False
    """It receives with MSG_PEEK, and takes nothing away."""


@dataclasses.dataclass(slots=True)
class Outcome:
    """What came of a call."""

    result: Result
    raw: bytes | None
    """The whole data, which `result` may hold only the beginning of."""


@dataclasses.dataclass(slots=True)
class Actor:
    """One task: a process's own, or a thread."""

    name: str
    process: Process
    control: socket.socket
    """This end of its control pair."""
    thread: bool
    """It is not its process's first task."""
    tid: int = 0
    """0: it has not greeted yet."""
    hidden: int = 0
    """The number of its end of the control pair, in its process."""
    pending: Pending | None = None
    """The call that it is in; None: it waits for its next step."""
    made: str = ""
    """The call that it made last."""
    last: Outcome | None = None
    """What came of that, if it has returned."""
    ended: bool = False


def ending(status: int | None) -> str:
    """A status of wait(2) in words."""
    if status is None:
        return Reason.UNSEEN.say()
    if os.WIFSIGNALED(status):
        return Reason.KILLED.say(signal=signal_name(os.WTERMSIG(status)))
    return Reason.STATUS.say(status=os.WEXITSTATUS(status))
