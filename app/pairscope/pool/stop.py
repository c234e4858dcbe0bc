"""The orderly stop: it begins at a signal, and does what the table in closing.py says."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from pairscope.ipc.sentences import Gone, Undone
from pairscope.journal.records import Ended
from pairscope.pool import closing
from pairscope.pool.agenda import GRACE, Agenda
from pairscope.pool.closing import Act
from pairscope.pool.control import Control
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
        show: Callable[[float], None],
        control: Control,
        hurry: float,
    ) -> None:
        """`show`: writes the snapshot. `hurry`: seconds that jobs get at most where it does not give way, but stop."""
        self._floor, self._lines, self._agenda, self._watch, self._desk, self._crew, self._settle = (
            floor,
            lines,
            agenda,
            watch,
            desk,
            crew,
            settle,
        )
        self._show, self._hurry, self._control = show, hurry, control
        self._grace = 0.0
        self.finished = False
        """Nothing is left, and the journal has this supervisor's own end."""
        self._over = False
        """The journal has that end; the recorder may still drain."""
        self._acts: dict[Act, Callable[[], None]] = {
            Act.ABANDON_JOBS: self._abandon,
            Act.SHUT_STATIONS: lambda: self._shut(list(floor.stations.values())),
            Act.ASK_WORKERS: crew.dismiss,
            Act.SHUT_CLIENTS: self._shut_clients,
            Act.ASK_RECORDER: self._ask_recorder,
            Act.FINISH: self._finish,
        }
        self.signals, self._signals_writing = socket.socketpair()
        """Readable when a signal has come. socket(2), signal.set_wakeup_fd."""
        self.signals.setblocking(False)
        self._signals_writing.setblocking(False)
        signal.set_wakeup_fd(self._signals_writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        watch.add(self.signals.fileno(), self.signalled)

    def signalled(self, _: int = 0) -> None:
        """A signal has come: the stop begins, unless it had.

        After SIGHUP a successor waits for the journal: nobody comes in here any more, and whoever asks for something
        new waits for that one. SIGTERM is a stop, also after SIGHUP.
        """
        signals = set(self.signals.recv(64))
        floor, now = self._floor, time.monotonic()
        relieved = signals == {signal.SIGHUP}
        if floor.stopping is None:
            log.info(
                "asked to %s: no new jobs; %d run, %d wait",
                "give way to a successor" if relieved else "stop",
                floor.board.running,
                floor.board.waiting,
            )
            floor.stopping, floor.relieved = now, relieved
            self._grace = floor.settings.stop_grace if relieved else min(floor.settings.stop_grace, self._hurry)
            if relieved:
                self._show(
                    now
                )  # before anybody is refused: who is, looks there whether a successor is to be waited for
                self._watch.remove(self._control.sock.fileno())
                self._control.close()
        elif not relieved and floor.relieved:
            floor.stopping, floor.relieved = now, False
            self._grace = min(floor.settings.stop_grace, self._hurry)
        self._agenda.put(GRACE, floor.stopping + self._grace)
        self._agenda.wake()

    def late(self, now: float) -> bool:
        """Whether it was asked for so long ago that nothing is waited for."""
        return self._floor.stopping is not None and now >= self._floor.stopping + self._grace

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
        why = Undone.GRACE.say(seconds=f"{self._grace:g}")
        for station in self._floor.stations.values():
            for entry in station.in_flight:
                entry.late = why
        self._crew.abandon(why)

    def _shut_clients(self) -> None:
        """What a client sends from now on fails at once, and what it has sent is answered: it knows what was done."""
        clients = [client for client in self._floor.clients if client.open]
        for client in clients:
            with socket.socket(fileno=os.dup(client.channel.fileno())) as end, contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)
        for client in clients:
            if client.open:
                self._watch.reactions[client.channel.fileno()](select.EPOLLIN)
        self._shut(list(self._floor.clients))

    def _shut(self, guests: list[Any]) -> None:
        """Closes the channels of guests, after they have been sent what was decided before."""
        if guests:
            self._settle()
            for guest in guests:
                self._lines.part(guest, Gone.POOL_STOPPED.value)
            self._settle()

    def _ask_recorder(self) -> None:
        recorder, tap = self._floor.recorder, self._floor.tap
        if recorder is not None and recorder.state is not State.STOPPING:
            tap.records.append(Ended("recorder", recorder.serial, tap.now(), Gone.ASKED.value, True))
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
            tap.records.append(
                Ended("supervisor", self._floor.serials["supervisor"], tap.now(), Gone.STOPPED.value, True)
            )
            self._settle()

    def close(self) -> None:
        """Hears no signals any more."""
        signal.set_wakeup_fd(-1)
        self.signals.close()
        self._signals_writing.close()
