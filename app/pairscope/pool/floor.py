"""The floor: who is here and what is known. The rooms of the supervisor share it, the snapshot shows it; it has no
behaviour.

Each entry names the room that writes it; all others read it.
"""

from __future__ import annotations

import time
from collections import Counter, deque

from pairscope.config import Settings
from pairscope.ipc.identity import Issuer
from pairscope.ipc.mounts import Mounts
from pairscope.ipc.payloads import JobSpec, Progress
from pairscope.journal.writer import Writer
from pairscope.pool.board import Board
from pairscope.pool.comers import Comers
from pairscope.pool.members import ChildMember, Member, Station, Worker
from pairscope.pool.results import KEPT_MOST, Results
from pairscope.pool.tap import Tap
from pairscope.pool.unread import Unread


class Floor:
    """Of one supervisor, from its beginning to its end."""

    def __init__(self, settings: Settings, journal: Writer, issuer: Issuer, descriptors: int) -> None:
        """`descriptors`: as many may this process have."""
        self.settings = settings
        self.journal = journal
        """The supervisor appends, history forgets."""
        self.issuer = issuer
        self.mounts = Mounts((settings.state, settings.run, settings.web_state, settings.spool))
        self.tap = Tap(issuer, self.mounts)
        """What this turn is to append: every room adds records, the supervisor takes them."""
        self.born = self.tap.now()
        self.first_id = issuer.last
        """Ids up to this one were issued by earlier epochs."""
        self.first_position = journal.position
        self.serials = journal.serials
        """The last serial of each role. Crew and guests count on, each for the roles of its own peers."""

        self.clients: set[Member] = set()
        """Of guests, as are the next three."""
        self.comers = Comers(descriptors)
        self.stations: dict[int, Station] = {}
        self.station_left = time.monotonic()
        """When a station was last lost, or this process began: one that went comes again in a moment."""
        self.workers: dict[int, Worker] = {}
        """Of the crew, as are the next four."""
        self.recorder: ChildMember | None = None
        self.wanted = settings.workers
        self.catalogue: dict[str, JobSpec] = {}
        self.heard = False
        """A worker has said what workers can do."""

        self.board = Board()
        """Of the desk, as are the results. History forgets of it what the record has."""
        self.results = Results(settings.results_bytes, settings.results_age, min(KEPT_MOST, descriptors // 2))

        self.inputs_most = max(1, descriptors // 4)
        """Inputs that may wait: as many descriptors leave room for outputs, peers and answers."""
        self.unread = Unread(descriptors)
        """Of the lines."""
        self.refusals = 0
        """Messages refused because the journal was full. Of the desk."""

        self.progress: Progress | None = None
        """What the recorder said last. Of history, as are the next three."""
        self.progress_heard = 0
        """ns since 1970."""
        self.moved = 0
        """When the recorder last came further, or was born (ns since 1970)."""
        self.marks: deque[tuple[int, int]] = deque(maxlen=7200)
        """(position, time in ns) at each snapshot, to tell how old the oldest record is that waits."""

        self.housekeeping: Counter[str] = Counter()
        """Messages of channels that are closed. Of the supervisor, as is the next."""
        self.stuck = ""
        """Why nothing can be appended, if so."""
        self.relieved = False
        """It stops because a successor waits."""
        self.stopping: float | None = None
        """Since when it stops (s of the monotonic clock). Of the stop."""
