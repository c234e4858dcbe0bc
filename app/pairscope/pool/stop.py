"""The orderly stop: it begins at a signal, and does what the table in closing.py says."""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from pairscope.journal.records import Ended
from pairscope.pool import closing
from pairscope.pool.agenda import GRACE, Agenda
from pairscope.pool.closing import Act
from pairscope.pool.crew import Crew
from pairscope.pool.desk import Desk
from pairscope.pool.floor import Floor
from pairscope.pool.lifecycle import State
from pairscope.pool.lines import Lines
from pairscope.pool.watch import Watch

log = logging.getLogger("pairscope.supervisor")


class OrderlyStop:
    """Of one supervisor. `settle` journals and sends what was decided, and loses who was marked."""

    def __init__(
        self,
        floor: Floor,
        lines: Lines,
        agenda: Agenda,
        watch: Watch,
        desk: Desk,
        crew: Crew,
        settle: Callable[[], None],
    ) -> None:
        self._floor, self._lines, self._agenda, self._desk, self._crew, self._settle = (
            floor,
            lines,
            agenda,
            desk,
            crew,
            settle,
        )
        self.finished = False
        """Nothing is left, and the journal has this supervisor's own end."""
        self._over = False
        """The journal has that end; the recorder may still drain."""
        self._acts: dict[Act, Callable[[], None]] = {
            Act.ABANDON_JOBS: self._abandon,
            Act.SHUT_STATIONS: lambda: self._shut(list(floor.stations.values())),
            Act.ASK_WORKERS: crew.dismiss,
            Act.SHUT_CLIENTS: lambda: self._shut(list(floor.clients)),
            Act.ASK_RECORDER: self._ask_recorder,
            Act.FINISH: self._finish,
        }
        self.signals, self._signals_writing = socket.socketpair()
        """Readable when a signal has come. socket(2), signal.set_wakeup_fd."""
        self.signals.setblocking(False)
        self._signals_writing.setblocking(False)
        signal.set_wakeup_fd(self._signals_writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        watch.add(self.signals.fileno(), self.signalled)

    def signalled(self, _: int = 0) -> None:
        """A signal has come: the stop begins, unless it had."""
        self.signals.recv(64)
        floor = self._floor
        if floor.stopping is None:
            log.info("asked to stop: no new jobs; %d run, %d wait", floor.board.running, floor.board.waiting)
            floor.stopping = time.monotonic()
            self._agenda.put(GRACE, floor.stopping + floor.settings.stop_grace)
            self._agenda.wake()

    def late(self, now: float) -> bool:
        """Whether it was asked for so long ago that nothing is waited for."""
        return self._floor.stopping is not None and now >= self._floor.stopping + self._floor.settings.stop_grace

    def further(self, now: float) -> None:
        """Does what the table says, as far as it comes now."""
        floor, seen = self._floor, None
        while (
            left := closing.left(
                bool(floor.board.entries), self.late(now), bool(floor.workers), floor.recorder is not None
            )
        ) is not seen:
            seen = left
            for act in closing.TABLE[left]:
                self._acts[act]()

    def _abandon(self) -> None:
        self._desk.abandon()
        why = f"the pool stopped and waited {self._floor.settings.stop_grace:g} s for it"
        for station in self._floor.stations.values():
            for entry in station.in_flight:
                entry.late = why
        self._crew.abandon(why)

    def _shut(self, guests: list[Any]) -> None:
        """Closes the channels of guests, after they have been sent what was decided before."""
        if guests:
            self._settle()
            for guest in guests:
                self._lines.part(guest, "the pool stopped")
            self._settle()

    def _ask_recorder(self) -> None:
        recorder, tap = self._floor.recorder, self._floor.tap
        if recorder is not None and recorder.state is not State.STOPPING:
            tap.records.append(Ended("recorder", recorder.serial, tap.now(), "asked to finish", True))
            self._end_of_epoch()
            self._crew.finish(recorder)

    def _finish(self) -> None:
        self._end_of_epoch()
        self.finished = True

    def _end_of_epoch(self) -> None:
        """Says in the journal, once, that this supervisor has stopped in order."""
        if not self._over:
            self._over = True
            tap = self._floor.tap
            tap.records.append(Ended("supervisor", self._floor.serials["supervisor"], tap.now(), "stopped", True))
            self._settle()

    def close(self) -> None:
        """Hears no signals any more."""
        signal.set_wakeup_fd(-1)
        self.signals.close()
        self._signals_writing.close()
