"""A worker: sees only what it is handed.

It imports and exercises every job, closes its sandbox for good, says hello, and from then on waits for tasks at its
one end of one pair. It keeps the descriptors of a task until the supervisor releases them: by then the proof is made.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Callable

from pairscope import sandbox
from pairscope.ipc.channel import CHANNEL_FD, Arrival, Channel, ChannelBroken, ChannelClosed, Outgoing
from pairscope.ipc.nesting import excess
from pairscope.ipc.parent import ParentGone, die_with
from pairscope.ipc.passing import close_all
from pairscope.ipc.payloads import Hello, Result
from pairscope.ipc.sentences import Undone
from pairscope.ipc.vocabulary import Role, Unhandled, complete
from pairscope.work.job import JobFailed, JobKind, Task
from pairscope.work.jobs import catalogue
from pairscope.work.sentences import Failure

ANSWERED_TOGETHER = 16
"""Results of quick jobs that came in one packet that may leave in one."""


def work(jobs: dict[str, JobKind], arrival: Arrival, fds: list[int]) -> Result:
    """Does one task; whatever happens inside becomes a result in words."""
    payload = arrival.payload
    task = Task(
        kind=payload.kind, name=payload.name, parameters=payload.parameters, data=payload.data, spare=payload.spare
    )
    if fds:
        numbers = iter(fds)
        task.input = next(numbers) if payload.input else None
        task.output = next(numbers) if payload.output else None
    try:
        found = jobs[payload.kind].run(task)
        if why := Failure.NO_OBJECT.value if type(found) is not dict else excess(found):
            return Result(False, reason=Undone.ANSWER.say(why=why))
        return Result(True, found)
    except JobFailed as error:
        return Result(False, reason=str(error))
    except MemoryError:
        return Result(False, reason=Failure.MEMORY.value)
    except Exception as error:  # a fault of one job must not end the worker
        return Result(False, reason=Failure.FAULT.say(fault=f"{type(error).__name__}: {error}"))


class TaskLoop:
    """A worker at its end of the pair: does the tasks that come, one after the other."""

    def __init__(self, channel: Channel, jobs: dict[str, JobKind]) -> None:
        """Raises Unhandled if a kind of message may come that it has no handler for."""
        self._channel = channel
        self._jobs = jobs
        self._quick = {name for name, job in jobs.items() if job.quick}
        self._held: dict[int, list[int]] = {}
        self._results: list[Outgoing] = []
        self.stopped = False
        self.handlers: dict[str, Callable[[Arrival], None]] = {
            "task": self._task,
            "release": self._release,
            "stop": self._stop,
        }
        complete(Role.WORKER.value, self.handlers)

    def serve(self) -> None:
        """Until the supervisor says stop. Raises ChannelClosed when it is gone."""
        handlers = self.handlers
        while True:
            for arrival in self._channel.wait():
                handlers[arrival.kind.name](arrival)
                if self.stopped:
                    return
            if self._results:
                self._answer()

    def _answer(self) -> None:
        self._channel.send(self._results)
        self._results = []

    def _task(self, arrival: Arrival) -> None:
        channel = self._channel
        envelope, payload, fds = arrival.envelope, arrival.payload, arrival.fds
        if fds:
            self._held[envelope.id] = arrival.take()
        channel.spare = fds[-1] if payload.spare else -1
        if payload.kind not in self._quick:
            # Its next message may be minutes away, and the task would read as in flight until then.
            channel.post("receipt")
        try:
            out = channel.prepare("result", work(self._jobs, arrival, fds), (), 0, envelope.job)
        except (ValueError, OSError) as error:
            # A worker may make no memfd, and the spare that it was lent has a bound.
            out = channel.prepare("result", Result(False, reason=Failure.NOT_SENT.say(why=error)), job=envelope.job)
        results = self._results
        results.append(out)
        if len(results) >= ANSWERED_TOGETHER:
            self._answer()

    def _release(self, arrival: Arrival) -> None:
        close_all(self._held.pop(arrival.payload.message, []))

    def _stop(self, _: Arrival) -> None:
        self._answer()
        self._channel.post("receipt")
        self.stopped = True


def serve(channel: Channel, jobs: dict[str, JobKind]) -> None:
    """Tasks, one after the other, until the supervisor says stop or is gone."""
    TaskLoop(channel, jobs).serve()


def main() -> int:
    """Arguments: the user to become, the most bytes of an output, the supervisor's pid. It reads no settings: they hold
    secrets."""
    user, output_max, supervisor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        # until the sandbox is closed, too, which asks again: a change of user makes the kernel forget it
        die_with(supervisor)
    except ParentGone:
        return 1
    channel = Channel(socket.socket(fileno=CHANNEL_FD), hears="supervisor")
    jobs = catalogue()
    try:
        loop = TaskLoop(channel, jobs)
    except Unhandled as error:
        print(f"pairscope worker: {error}", file=sys.stderr)
        return 2
    for job in jobs.values():
        job.exercise()
    level = sandbox.close(keep=CHANNEL_FD, user=user, output_max=output_max, parent=supervisor)
    versions = {"python": platform.python_version()}
    try:
        channel.post(
            "hello", Hello(os.getpid(), level.name, level.detail, [job.spec() for job in jobs.values()], versions)
        )
        loop.serve()
    except (ChannelClosed, ChannelBroken):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
