"""Records a program, from its start or from now on, to its end, a bound, or a signal."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import platform
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pairscope.ipc import descriptor
from pairscope.lab.probes import tables
from pairscope.sentence import phrase
from pairscope.trace import attach, ptrace
from pairscope.trace.births import Births, names
from pairscope.trace.file import Writer
from pairscope.trace.flights import Flights
from pairscope.trace.guard import Guard
from pairscope.trace.kinds import KINDS, stopping
from pairscope.trace.launch import Launch, Refused
from pairscope.trace.recording import Index, Process
from pairscope.trace.sentences import Of, Over, Unseen
from pairscope.trace.sockets import Sockets
from pairscope.trace.tasks import Lines, Scene
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
    only: frozenset[str] | None = None
    """The kinds of steps that are told, of :data:`pairscope.trace.kinds.KINDS`; None: all."""
    lines: Lines | None = None
    """Who knows at which line of the program's source each step was made; None: no step gets a line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    index: Index
    steps: int
    status: int | None
    """The program's exit status, negative for a signal; None: it has not ended by itself, or was not started here."""
    interrupted: bool
    ended: str
    missing: list[str]
    """Sentences, as the index has them, that can still be translated."""


def record(
    program: Sequence[str] | int,
    path: str,
    bounds: Bounds,
    begun: Callable[[], Any] = lambda: None,
    guard: Guard | None = None,
) -> Recorded:
    """Runs a command and records it into a file; or follows a process that runs already, by its pid. `begun` is called
    when it is about to be seen. `guard` confines a command. Raises Refused where nothing can be recorded; OSError where
    the file cannot be written. This process must have no other children."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAKES)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Duplicates of all that is in flight, and three descriptors for each task.
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    try:
        if isinstance(program, int):
            return _attached(program, path, bounds, begun)
        return _launched(program, path, bounds, begun, frozenset(WAKES - before), files, guard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        while signal.sigtimedwait(WAKES, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Parts:
    """The parts of a recorder, each with those that it needs."""

    def __init__(self, writer: Writer, bounds: Bounds, guard: Guard | None = None) -> None:
        self._guard = guard
        self.started, self._clock = time.time(), time.monotonic()
        self.writer, self._bounds = writer, bounds
        self.scene = Scene(writer, bounds.kept, bounds.only, bounds.lines)
        self.sockets = Sockets(self.scene.holders)
        self.flights = Flights(self.scene, self.sockets)
        self.telling = Telling(self.scene, self.sockets, self.flights, arguments=bounds.arguments)
        self.births = Births(self.scene, self.telling)
        self.turnstile = Turnstile(self.scene, self.telling, self.births, self.flights, self.sockets)
        self.ended = ""
        self.interrupted = False

    def follow(self) -> None:
        """Goes on until all have ended, or a bound is reached. Raises Interrupted."""
        while self.scene.tasks and not self.ended:
            left = self._bounds.seconds - (time.monotonic() - self._clock)
            self.ended = _bound(self.scene, self._bounds, left)
            if self._guard and not self.ended:
                left = min(left, self._guard.every)
                self.ended = self._guard.look(self.scene)
            if not self.ended:
                self.turnstile.turn(left)
        self.ended = self.ended or Over.LAST.say()

    def interrupt(self) -> None:
        self.interrupted, self.ended = True, Over.ASKED.say()

    def close(self) -> None:
        self.flights.finish()
        self.sockets.close()

    def finish(self, command: list[str], status: int | None, missing: list[str]) -> Recorded:
        """Writes the end of the recording."""
        processes, flights, bounds = self.scene.processes, self.flights, self._bounds
        missing = [*_left_out(bounds), *_no_lines(bounds), *missing, *_missing(self.scene, flights, self.turnstile)]
        index = self.writer.finish(
            command=[
                word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:4096]
                for word in command[: None if bounds.arguments else 1]
            ],
            kernel=platform.release()[:64],
            machine=platform.machine()[:64],
            started=self.started,
            took_us=self.scene.now_us(),
            ended=str(self.ended),
            kept=bounds.kept,
            missing=[str(sentence) for sentence in missing],
            counts=flights.counts(),
            processes=[
                Process(one.pid, name, one.parent, one.born, one.status, one.hidden, one.foreign)
                for one, name in zip(processes, names(processes))
            ],
            passages=flights.passages(),
            program=self._guard.told() if self._guard else None,
        )
        return Recorded(index, self.writer.steps, status, self.interrupted, self.ended, missing)


def _launched(
    command: Sequence[str],
    path: str,
    bounds: Bounds,
    begun: Callable[[], Any],
    unblock: frozenset[signal.Signals],
    files: tuple[int, int],
    guard: Guard | None,
) -> Recorded:
    launch = Launch(command, unblock, stopping(bounds.only), files, guard)
    try:
        with _written(path, launch.kill) as writer:
            parts = _Parts(writer, bounds, guard)
            if guard:
                parts.scene.run = ptrace.SYSCALL
            parts.births.first(launch.pid)
            if guard:
                ptrace.interrupt(launch.pid)  # it is let go on by PTRACE_SYSCALL, so that execve is seen
            begun()
            launch.go()
            running = 0
            try:
                parts.follow()
            except Interrupted:
                parts.interrupt()
            finally:
                running = parts.turnstile.kill()
                parts.close()
            if not parts.turnstile.begun:
                os.unlink(path)
                raise Refused(launch.failed())
            return parts.finish(launch.command, parts.scene.processes[0].status, _ran(running))
    finally:
        launch.close()


def _attached(pid: int, path: str, bounds: Bounds, begun: Callable[[], Any]) -> Recorded:
    def traced() -> tuple[_Parts, list[str]]:
        attach.first(pid)
        parts = _Parts(opened.enter_context(_written(path)), bounds)
        missing: list[str] = []
        try:
            missing = attach.attach(pid, parts.scene, parts.births, parts.telling, parts.turnstile, parts.flights)
            begun()
            parts.follow()
        except Interrupted:
            parts.interrupt()
        except Refused:
            os.unlink(path)
            raise
        finally:
            running = attach.let_go(parts.scene)
            parts.close()
        return parts, [*_runs_on(running), *missing]

    command = attach.command(pid)
    with contextlib.ExitStack() as opened:
        # Its end lets everybody go: a thread of its own.
        with concurrent.futures.ThreadPoolExecutor(1) as alone:
            parts, missing = alone.submit(traced).result()
        return parts.finish(command, None, missing)


@contextlib.contextmanager
def _written(path: str, otherwise: Callable[[], Any] = lambda: None) -> Iterator[Writer]:
    """A recording's file. Where it cannot be made, something else is done."""
    try:
        writer = Writer(path)
    except OSError:
        otherwise()
        raise
    try:
        yield writer
    finally:
        writer.close()


def _bound(scene: Scene, bounds: Bounds, left: float) -> str:
    """The bound that is reached; a sentence."""
    if left <= 0:
        return Over.SECONDS.say(seconds=f"{bounds.seconds:g}")
    if scene.writer.steps >= bounds.steps:
        return Over.STEPS.say(steps=bounds.steps)
    if len(scene.processes) > bounds.processes:
        return Over.PROCESSES.say(processes=bounds.processes)
    if scene.writer.size >= bounds.packed:
        return Over.BYTES.say(bytes=bounds.packed)
    return ""


def _left_out(bounds: Bounds) -> list[str]:
    if bounds.only is None:
        return []
    kinds = ", ".join(kind for kind in KINDS if kind in bounds.only)
    return [phrase("of all steps only these kinds were kept, and what passes descriptors: %(kinds)s", kinds=kinds)]


def _no_lines(bounds: Bounds) -> list[str]:
    sentence = bounds.lines.missing() if bounds.lines is not None else ""
    return [sentence] if sentence else []


def _ran(running: int) -> list[str]:
    return [Of.ENDED.say(running)] if running else []


def _runs_on(running: int) -> list[str]:
    return [Of.RUN_ON.say(running)] if running else []


def _missing(scene: Scene, flights: Flights, turnstile: Turnstile) -> list[str]:
    """What was not seen; sentences."""
    found: list[str] = []
    if hidden := sum(process.hidden for process in scene.processes):
        found.append(Of.HIDDEN.say(hidden))
    if foreign := sum(process.foreign for process in scene.processes):
        found.append(Of.FOREIGN.say(foreign))
    if turnstile.io_uring:
        found.append(Unseen.IO_URING.say())
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
