"""What workers write to their standard output and error: a decoder's warnings, a traceback, what a job says that was
taken over.

Each line becomes one line of the supervisor's log that says who wrote it. What is not to be seen is written out, so
that no line can pass for another's. Lines are bounded in length and number, and bytes in time: of whoever writes
more the rest is lost, and the supervisor does not wait.
"""

from __future__ import annotations

import logging
import os
import time

from pairscope.ipc.printable import printable
from pairscope.pool.agenda import Agenda
from pairscope.pool.members import ChildMember
from pairscope.pool.watch import Watch

log = logging.getLogger("pairscope.supervisor")

LINE_MOST = 400
"""Bytes of a line that are shown."""
LINES_MOST = 100
"""Lines of one worker that are shown in a PERIOD: a traceback has some forty."""
PERIOD = 60.0
"""Seconds."""
READ_MOST = 64 * 1024
"""Bytes that are read of one worker at a time: what a pipe holds."""
PAUSE = 0.1
"""Seconds until more is read of a worker that has written so much."""


class Voice:
    """The pipe of one worker, from its birth to its burial."""

    def __init__(self, member: ChildMember) -> None:
        self.member = member
        self.fd = member.child.words
        self.heard = False
        """The selector looks at it."""
        self._rest = b""
        """A line that has no end yet."""
        self._long = False
        """The rest of a line that was too long follows."""
        self._until = 0.0
        self._lines = 0
        self._hidden = 0

    def take(self, data: bytes, now: float) -> None:
        """Shows the lines that are whole."""
        if now >= self._until:
            self.summary()
            self._until, self._lines = now + PERIOD, 0
        start = 0
        while self._lines < LINES_MOST:
            end = data.find(b"\n", start)
            if end < 0:
                self._rest += data[start:]
                if len(self._rest) > LINE_MOST:
                    self._line(self._rest)
                    self._rest, self._long = b"", True
                return
            self._line(self._rest + data[start:end])
            self._rest, self._long = b"", False
            start = end + 1
        # Counted, not looked at one by one: 65,000 empty lines would take 10 ms.
        self._hidden += data.count(b"\n", start)
        self._rest, self._long = b"", not data.endswith(b"\n")

    def _line(self, line: bytes) -> None:
        self._lines += 1
        if not self._long:  # else its beginning was shown, or counted
            shown = printable(line[:LINE_MOST].decode("utf-8", "backslashreplace"))
            log.warning("%s wrote: %s%s", self.member, shown, " …" if len(line) > LINE_MOST else "")

    def summary(self) -> None:
        """Says how much was not shown."""
        if self._hidden:
            log.warning("%s wrote %d more lines, which are not shown", self.member, self._hidden)
            self._hidden = 0

    def end(self) -> None:
        """Nothing more comes."""
        if self._rest:
            self._line(self._rest)
        self.summary()


class Words:
    """Of all workers."""

    def __init__(self, agenda: Agenda, watch: Watch) -> None:
        self._agenda, self._watch = agenda, watch
        self._voices: dict[ChildMember, Voice] = {}

    def meet(self, member: ChildMember) -> None:
        """Hears a worker from now on."""
        voice = self._voices[member] = Voice(member)
        self._listen(voice)

    def _listen(self, voice: Voice) -> None:
        voice.heard = True
        self._watch.add(voice.fd, lambda _: self._hear(voice))

    def _hear(self, voice: Voice) -> None:
        try:
            data = os.read(voice.fd, READ_MOST)
        except BlockingIOError:
            return
        now = time.monotonic()
        voice.take(data, now)
        if not data:
            self._ignore(voice)  # it has closed them
        elif len(data) >= READ_MOST // 2:
            self._ignore(voice)
            self._agenda.put(voice, now + PAUSE)

    def _ignore(self, voice: Voice) -> None:
        if voice.heard:
            voice.heard = False
            self._watch.remove(voice.fd)

    def pass_time(self, now: float) -> None:
        """Hears those again who wrote much."""
        for voice in self._voices.values():
            if self._agenda.due(voice, now):
                self._listen(voice)

    def bury(self, member: ChildMember) -> None:
        """A worker is dead: what it wrote last is shown."""
        voice = self._voices.pop(member, None)
        if voice is not None:
            self._ignore(voice)
            self._agenda.strike(voice)
            try:
                voice.take(os.read(voice.fd, READ_MOST), time.monotonic())
            except BlockingIOError:
                pass  # somebody else still holds the other end, and nothing is in it
            voice.end()
            os.close(voice.fd)

    def close(self) -> None:
        """Hears nobody any more."""
        for member in list(self._voices):
            self.bury(member)
