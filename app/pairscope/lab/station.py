"""A station of the lab: takes one scenario after the other from the pool, and has each run by a process of its own.

It comes over the control socket like web, as whoever it was started by: under Apache a managed process with a user of
its own, in the embedded run a child of the server. A scenario arrives as a descriptor with a task; the run goes into
the task's empty memfd. The process of a run is forked, not executed: it has everything imported, and a Python that
starts anew takes longer than ten steps.

A text that begins with ``{`` is a program that comes as its source (docs/programs.md): its process is of the same
kind, and its result is a recording, or JSON that says why nothing ran.

It reads neither itself. When the supervisor closes the pair (a job was cancelled or is late, or the supervisor is
gone), it kills what it has in hand and comes again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import Any

import msgspec

from pairscope import config
from pairscope.client.attach import STALE_AFTER, connect, replaced
from pairscope.client.away import PoolAway
from pairscope.ipc import memfd, passing
from pairscope.ipc.channel import Channel, ChannelBroken, ChannelClosed
from pairscope.ipc.payloads import Hello, JobSpec, Result
from pairscope.ipc.vocabulary import LAB
from pairscope.lab import runner
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Failed, Run, heard
from pairscope.program import request
from pairscope.program import run as programs
from pairscope.trace.file import MAGIC

RUN_MAX = 16 * 1024 * 1024
"""Bytes of one run."""
DEADLINE = 160.0
"""Seconds after which the supervisor ends a run that has not ended itself: the runner's alarm, and what surrounds it.
Who asked waits less, and cancels."""
SPEC = JobSpec(
    name=LAB,
    summary="Runs a scenario of the lab with real processes.",
    deadline=DEADLINE,
    output=True,
    media="application/json",
    suffix=".run.json",
)
FIRST_PAUSE, MOST_PAUSE = 0.05, 1.0
"""Seconds between two tries to reach a supervisor that is not there; the pause doubles."""


def main() -> int:
    """Works until it is told to stop by SIGTERM. After SIGHUP another one takes its place: it works until its
    supervisor, which gives way, too, closes the pair."""
    settings = config.load()
    leaving: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _frame: leaving.append(number))
    level, detail = _rehearse(settings)
    pause = FIRST_PAUSE
    while not leaving:
        try:
            channel, _ = connect(settings, LAB)
        except PoolAway:
            time.sleep(pause)
            pause = min(MOST_PAUSE, 2 * pause)
            continue
        pause = FIRST_PAUSE
        with contextlib.suppress(ChannelClosed, ChannelBroken, OSError):
            channel.post("hello", Hello(os.getpid(), level, detail, [SPEC]))
            _serve(channel, settings)
        channel.close()
    return 0


def _rehearse(settings: config.Settings) -> tuple[str, dict[str, Any]]:
    """How a run is confined here, found out by one: the level, and the particulars. ``programs`` and ``compiler`` say
    why programs, or programs in C, are not offered; empty: they are."""
    text = memfd.sealed("rehearsal", b"p: pipe -> r w\n")
    try:
        data, _status = _have_run(None, text, settings.lab_user)
    finally:
        os.close(text)
    said = heard(data or b"")
    found = dict(said.sandbox or {}) if isinstance(said, Run) else {}
    level = str(found.pop("level", "none"))
    found["programs"] = programs.off() if settings.lab_programs == "off" else programs.offered(settings.lab_user)
    found["compiler"] = programs.compiler()
    return level, found


def _serve(channel: Channel, settings: config.Settings) -> None:
    """Tasks, one after the other. Raises ChannelClosed when the supervisor ends the pair."""
    held: dict[int, list[int]] = {}
    try:
        while True:
            arrivals = channel.wait(STALE_AFTER)
            if not arrivals and replaced(settings, channel.door):
                raise ChannelClosed("another supervisor listens")
            for arrival in arrivals:
                if arrival.kind.name == "task":
                    fds = held[arrival.envelope.id] = arrival.take()
                    channel.post("result", _run(channel, fds[0], fds[1], settings), job=arrival.envelope.job)
                elif arrival.kind.name == "release":
                    passing.close_all(held.pop(arrival.payload.message, []))
    finally:
        for fds in held.values():
            passing.close_all(fds)


def _run(channel: Channel, asked: int, output: int, settings: config.Settings) -> Result:
    """Runs what stands behind one descriptor and writes what comes of it to the other. Raises ChannelClosed if the
    supervisor has had enough."""
    program = _is_program(asked)
    data: bytes | None
    try:
        if program and settings.lab_programs == "off":
            data, status = programs.refused(), 0
        else:
            data, status = _have_run(channel, asked, settings.lab_user)
    except OSError as error:
        return Result(False, reason=Reason.NO_PROCESS.say(fault=error.strerror))
    if data is None:
        return Result(False, reason=Reason.LARGE.say(most=RUN_MAX))
    result = _recorded(data, status) if program else _played(data, status)
    if result.ok:
        for at in range(0, len(data), 1 << 20):
            os.pwrite(output, data[at : at + (1 << 20)], at)
    return result


def _is_program(asked: int) -> bool:
    return os.pread(asked, 1, 0) == b"{"


def _played(data: bytes, status: int) -> Result:
    """What became of a scenario."""
    said = heard(data)
    if said is None:
        return Result(False, reason=Reason.NO_WORD.say(status=status))
    if isinstance(said, Failed):
        return Result(False, reason=said.error)
    return Result(
        True,
        {"verdict": said.verdict, "steps": len(said.steps), "took_ns": said.took_ns}
        | ({"reason": said.reason} if said.reason else {}),
    )


def _recorded(data: bytes, status: int) -> Result:
    """What became of a program."""
    if data.startswith(MAGIC):
        return Result(True, {"program": "recorded", "bytes": len(data)})
    if not data:
        return Result(False, reason=Reason.NO_WORD.say(status=status))
    return Result(True, {"program": "none", "reason": programs.unran(data).error})


def _have_run(channel: Channel | None, asked: int, user: str) -> tuple[bytes | None, int]:
    """Has a forked process do it: what it wrote (None: too much), its status. Raises ChannelClosed, OSError."""
    out, into = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:
        os.close(out)
        os.close(into)
        raise
    if not pid:
        if _is_program(asked):
            programs.become(os.pread(asked, request.MOST + 1, 0), into, user)
        _become_runner(asked, into, user)
    os.close(into)
    pidfd = os.pidfd_open(pid)
    try:
        data = _collect(channel, out)
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(pidfd)
        os.close(out)
    return data, status


def _become_runner(scenario: int, into: int, user: str) -> None:
    """In the child: the runner's standard streams and nothing else of this process's. Never returns."""
    status = 70
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        # an offset of its own: the scenario's is its sender's
        os.dup2(os.open(f"/proc/self/fd/{scenario}", os.O_RDONLY), 0)
        os.dup2(into, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ["PAIRSCOPE_LAB_USER"] = user
        status = runner.main()
    except BaseException as error:
        said = Reason.FAULT.say(fault=f"{type(error).__name__}: {error}")
        os.write(1, msgspec.json.encode(Failed(said)))
    finally:
        os._exit(status)


def _collect(channel: Channel | None, out: int) -> bytes | None:
    """Everything that the runner writes; None: too much. Raises ChannelClosed when the supervisor closes the pair."""
    data = bytearray()
    poller = select.poll()
    poller.register(out, select.POLLIN)
    if channel is not None:
        poller.register(channel, 0)  # poll(2) tells of the end of a pair unasked; what is said meanwhile waits
    while True:
        ready = dict(poller.poll())
        if channel is not None and channel.fileno() in ready:
            raise ChannelClosed("the supervisor has closed its end")
        if out in ready:
            piece = os.read(out, 1 << 16)
            if not piece:
                return bytes(data)
            data += piece
            if len(data) > RUN_MAX:
                return None


if __name__ == "__main__":
    sys.exit(main())
