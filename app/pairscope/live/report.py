"""What live says of itself, twice a second: the figures, from which the next live goes on, too."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pairscope.live import figures
from pairscope.live.figures import Figures, StreamFigures, TicketFigures
from pairscope.live.subject import OWN, Subject

if TYPE_CHECKING:
    from pairscope.live.stream import Standing
    from pairscope.live.tickets import Tickets
    from pairscope.live.viewers import Viewers


def resumed(before: Figures | None) -> dict[str, str]:
    """By table, the cursor at which the live before ended."""
    if before is None:
        return {}
    return {name.partition(".")[0]: stream.cursor for name, stream in before.streams.items() if stream.cursor}


class Report:
    """The figures of this process."""

    def __init__(self, directory: Path, most: int, each: int, before: Figures | None) -> None:
        self._directory = directory
        self.most, self.each = most, each
        self.handed = 0
        """Sockets that Apache has handed over; how many of these were reported to the supervisor, below."""
        self.recorded = 0
        self._streams = dict(before.streams) if before else {}
        self._streams.pop(OWN, None)
        for name, stream in self._streams.items():
            self._streams[name] = StreamFigures(0, stream.cursor, stream.at, 0, 0)

    def stand(self, standing: Mapping[Subject, Standing]) -> None:
        """Notes how streams stand."""
        for subject, its in standing.items():
            if subject.shared:
                self._streams[subject.name] = StreamFigures(0, its.cursor, its.at, its.events, its.rows)

    def write(self, viewers: Viewers, tickets: Tickets) -> None:
        """Writes all of it."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        counts = dict.fromkeys(self._streams, 0)
        own = 0
        for subject, those in viewers.by_stream.items():
            if subject.shared:
                counts[subject.name] = counts.get(subject.name, 0) + len(those)
            else:
                own += len(those)
        nothing = StreamFigures(0, "", "", 0, 0)
        streams = {
            name: StreamFigures(count, stream.cursor, stream.at, stream.events, stream.rows)
            for name, count in counts.items()
            for stream in [self._streams.get(name, nothing)]
        }
        streams[OWN] = StreamFigures(own, "", "", 0, 0)
        told = Figures(
            time.time_ns(),
            os.getpid(),
            len(viewers),
            self.most,
            self.each,
            len(viewers.behind),
            self.handed,
            self.recorded,
            viewers.sent_bytes,
            dict(viewers.ends),
            used.ru_utime + used.ru_stime,
            streams,
            TicketFigures(len(tickets.waiting), dict(tickets.counts)),
        )
        figures.write(self._directory, told)
