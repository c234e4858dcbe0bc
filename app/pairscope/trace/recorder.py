"""Records a program: from its start to its end, a bound, or a signal."""

from __future__ import annotations

import dataclasses
import os
import platform
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from pairscope.ipc import descriptor
from pairscope.lab.probes import tables
from pairscope.sentence import phrase, phrase_of
from pairscope.trace.births import Births, names
from pairscope.trace.file import Writer
from pairscope.trace.flights import Flights
from pairscope.trace.launch import Launch, Refused
from pairscope.trace.recording import Index, Process
from pairscope.trace.sockets import Sockets
from pairscope.trace.tasks import Scene
from pairscope.trace.telling import Telling
from pairscope.trace.turnstile import WAKES, Interrupted, Turnstile


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """Where a recording ends."""

    seconds: float = 60
    steps: int = 20_000
    processes: int = 64
    packed: int = 16 << 20
    """Bytes of the file."""
    kept: int = 0
    """Bytes of each buffer that are kept."""
    arguments: bool = True
    """Whether the arguments of execve are kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    index: Index
    steps: int
    status: int | None
    """The program's exit status, negative for a signal; None: it has not ended by itself."""
    interrupted: bool
    ended: str
    missing: list[str]
    """Sentences, as the index has them, that can still be translated."""


def record(command: Sequence[str], path: str, bounds: Bounds, begun: Callable[[], Any] = lambda: None) -> Recorded:
    """Runs a command and records it into a file. `begun` is called when it is about to run. Raises Refused where
    nothing can be recorded; OSError where the file cannot be written. This process must have no other children."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAKES)
    try:
        launch = Launch(command, frozenset(WAKES - before))
        try:
            writer = Writer(path)
        except OSError:
            os.kill(launch.pid, signal.SIGKILL)
            os.waitpid(launch.pid, 0)
            launch.close()
            raise
        try:
            return _recorded(launch, writer, bounds, begun)
        finally:
            writer.close()
            launch.close()
    finally:
        while signal.sigtimedwait(WAKES, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _recorded(launch: Launch, writer: Writer, bounds: Bounds, begun: Callable[[], Any]) -> Recorded:
    started, clock = time.time(), time.monotonic()
    scene = Scene(writer, bounds.kept)
    sockets = Sockets(scene.holders)
    flights = Flights(scene, sockets)
    telling = Telling(scene, sockets, flights, arguments=bounds.arguments)
    births = Births(scene, telling)
    turnstile = Turnstile(scene, telling, births, flights, sockets)
    births.first(launch.pid)
    begun()
    launch.go()
    interrupted = False
    running = 0
    try:
        why = ""
        while scene.tasks and not why:
            left = bounds.seconds - (time.monotonic() - clock)
            why = _bound(scene, bounds, left)
            if not why:
                turnstile.turn(left)
    except Interrupted:
        interrupted, why = True, phrase("it was asked to end")
    finally:
        running = turnstile.kill()
        flights.finish()
        sockets.close()
    if not turnstile.begun:
        os.unlink(writer.path)
        raise Refused(launch.failed())
    ended = why or phrase("the last process has ended")
    missing = _missing(scene, flights, turnstile, running)
    index = writer.finish(
        command=[
            word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:4096]
            for word in launch.command[: None if bounds.arguments else 1]
        ],
        kernel=platform.release()[:64],
        machine=platform.machine()[:64],
        started=started,
        took_us=scene.now_us(),
        ended=str(ended),
        kept=bounds.kept,
        missing=[str(sentence) for sentence in missing],
        counts=flights.counts(),
        processes=[
            Process(one.pid, name, one.parent, one.born, one.status, one.hidden, one.foreign)
            for one, name in zip(scene.processes, names(scene.processes))
        ],
        passages=flights.passages(),
    )
    return Recorded(index, writer.steps, scene.processes[0].status, interrupted, ended, missing)


def _bound(scene: Scene, bounds: Bounds, left: float) -> str:
    """The bound that is reached; a sentence."""
    if left <= 0:
        return phrase("the bound of %(seconds)s seconds is reached", seconds=f"{bounds.seconds:g}")
    if scene.writer.steps >= bounds.steps:
        return phrase("the bound of %(steps)s steps is reached", steps=bounds.steps)
    if len(scene.processes) > bounds.processes:
        return phrase("the bound of %(processes)s processes is reached", processes=bounds.processes)
    if scene.writer.size >= bounds.packed:
        return phrase("the bound of %(bytes)s bytes of file is reached", bytes=bounds.packed)
    return ""


def _missing(scene: Scene, flights: Flights, turnstile: Turnstile, running: int) -> list[str]:
    """What was not seen, and what the recording has ended; sentences."""
    found: list[str] = []
    if running:
        found.append(
            phrase_of(
                "%(num)s process still ran, and was ended with the recording",
                "%(num)s processes still ran, and were ended with the recording",
                running,
            )
        )
    if hidden := sum(process.hidden for process in scene.processes):
        found.append(
            phrase_of(
                "%(num)s process hides its memory and its descriptors from this user; only its calls were seen",
                "%(num)s processes hide their memory and their descriptors from this user; only their calls were seen",
                hidden,
            )
        )
    if foreign := sum(process.foreign for process in scene.processes):
        found.append(
            phrase_of(
                "%(num)s process made calls of i386 or x32, which were not followed",
                "%(num)s processes made calls of i386 or x32, which were not followed",
                foreign,
            )
        )
    if turnstile.io_uring:
        found.append(phrase("the program uses io_uring; what goes through its rings was not seen"))
    return [*found, *flights.unproved()]


def lacks() -> list[str]:
    """What this kernel, or who confines this process, refuses to a recorder; sentences."""
    found: list[str] = []
    one, other = os.pipe()
    try:
        said, why = descriptor.compare(os.getpid(), one, os.getpid(), one)
        if said != "same":
            found.append(phrase("no passage can be proved by kcmp here: %(why)s", why=why))
        pidfd = os.pidfd_open(os.getpid())
        try:
            os.close(tables.duplicate(pidfd, one))
        except OSError as error:
            found.append(
                phrase(
                    "no duplicate can be taken of what is in flight, so a passage whose sender has closed its own "
                    "cannot be proved: %(why)s",
                    why=error.strerror or "",
                )
            )
        finally:
            os.close(pidfd)
    except OSError as error:
        found.append(phrase("what a descriptor leads to cannot be compared here: %(why)s", why=error.strerror or ""))
    finally:
        os.close(one)
        os.close(other)
    return found
