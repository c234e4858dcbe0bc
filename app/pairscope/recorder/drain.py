"""The drain: the recorder's loop. Waits on its channel and nothing else, whatever the database does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from pairscope.ipc.channel import Arrival, ChannelClosed
from pairscope.ipc.payloads import More, Nothing, Progress
from pairscope.ipc.sentences import Waits
from pairscope.journal.reader import JournalGap
from pairscope.journal.records import Record
from pairscope.recorder.fold import Batch
from pairscope.recorder.follower import Follower
from pairscope.recorder.trouble import Trouble, judge
from pairscope.recorder.writer import Behind, Fenced, Writer
from pairscope.store import errors
from pairscope.store.outage import Outage

log = logging.getLogger("recorder")

FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
LONG = 1.0
"""Seconds: whom somebody else's lock kept waiting for longer says so at once."""
REFUSED = 100
"""Records refused without one taken in between: then it is not the records."""
OTHERS = 8
"""Other records that are tried where one is refused: if the database takes none of them, it is not that record."""
SLICES = 4
"""Slices pruned after a batch: as many messages go as may have come, and some more."""


Entry: TypeAlias = tuple[int, Record]
"""A record behind its position."""


Done = TypeVar("Done")


class Ears(Protocol):
    """What the drain needs of a channel."""

    def post(self, kind: str, payload: Any) -> None: ...

    def wait(self, timeout: float | None = None) -> list[Arrival]: ...


class Finished(Exception):
    """The recorder was asked to finish while it waited for the database."""


class _RecordRefused(Exception):
    """The database refuses a record of the batch; the text is its reason."""


class _Alone(Exception):
    """The database refuses a record, and there is no other yet to see whether it takes that."""


class Drain:
    """Drains one journal into one database."""

    def __init__(self, follow: Callable[[int], Follower], writer: Writer, channel: Ears, bound: int) -> None:
        self._follow = follow
        self._writer = writer
        self._channel = channel
        self._bound = bound
        self._finishing = False
        self._database = Waits.NOT_ASKED.value
        self._outage = Outage(log)
        self._stalled = ""
        """Why the journal cannot be read on, in words."""
        self._appended = 0
        self._refused = 0
        """Records that were put aside one after the other."""
        self._taken: dict[type[Record], Entry] = {}
        """The last record of each type that the database has taken."""

    def run(self) -> str:
        """Drains until the supervisor says finish or is gone; returns why it ended, in words. Raises Fenced."""
        try:
            after = self._insist(self._writer.open)
            follower = self._follow(after)
            try:
                self._report()
                self._drain(follower)
            finally:
                follower.close()
        except ChannelClosed:
            return "the supervisor is gone; what is not drained stays in the journal"
        except Finished:
            return f"asked to finish while {self._stalled or self._database}; what is not drained stays in the journal"
        return "asked to finish; everything is drained"

    def _drain(self, follower: Follower) -> None:
        while True:
            try:
                follower.appended = self._appended
                batch = follower.read()
            except JournalGap as gap:
                self._over(follower, gap)
                continue
            except OSError as error:
                self._wait_for_journal(Waits.JOURNAL.say(fault=error.strerror))
                continue
            except msgspec.MsgspecError as error:
                self._wait_for_journal(Waits.NEWER.say(count=follower.last, fault=error))
                continue
            self._stalled = ""
            if batch:
                try:
                    self._store(batch, follower.read_ahead)
                except Behind as behind:
                    log.warning("%s; reading the journal again from there", behind)
                    follower.go_to(self._writer.position)
                except _Alone as alone:
                    self._wait(f"{alone}; {Waits.TAKEN}")
                    follower.go_to(self._writer.position)
                    continue
                for _ in range(SLICES):
                    if not self._prune():
                        break
                self._report()
                self._listen(0)
            elif self._prune():
                self._report()
                self._listen(0)
            elif self._finishing:
                return
            else:
                self._report(idle=True)
                self._listen(None)

    def _prune(self) -> bool:
        return self._insist(lambda: self._writer.prune(self._bound))

    def _over(self, follower: Follower, gap: JournalGap) -> None:
        """Goes on after what is missing in the journal, and records that it is missing."""
        try:
            follower.pass_gap(gap)
        except OSError as error:
            return self._wait_for_journal(Waits.ASIDE.say(fault=error.strerror))
        log.error("%s; going on behind it", gap)
        self._insist(lambda: self._writer.put_aside(gap.after + 1, None, str(gap), gap.reached, gap.begun))
        return None

    def _wait_for_journal(self, reason: str) -> None:
        """Lets time pass before the next try. Raises Finished where the supervisor wants no other."""
        if reason != self._stalled:
            log.error("%s; trying again, what comes waits in the journal", reason)
            self._stalled = reason
            self._report()
        if self._finishing:
            raise Finished
        self._pause(LONGEST_WAIT)

    def _store(self, batch: Batch, meanwhile: Callable[[], None]) -> None:
        """Commits a batch, or all of it but the records that are to blame: refused alone, twice, while another was
        taken. Raises _Alone."""
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                self._commit(part, meanwhile)
            except _RecordRefused as refused:
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                elif self._refused >= REFUSED:
                    parts.append(part)
                    self._wait(Waits.MANY.say(most=REFUSED, count=part[0][0], why=refused))
                elif self._another_is_taken(part[0], parts[-1] if parts else [], refused):
                    try:
                        self._commit(part, meanwhile)
                    except _RecordRefused as again:
                        self._put_aside(*part[0], str(again))
                else:
                    parts.append(part)
                    self._wait(Waits.EVERY.say(count=part[0][0], why=refused))

    def _commit(self, part: Batch, meanwhile: Callable[[], None]) -> None:
        self._insist(lambda: self._writer.commit(part, meanwhile), refusable=True)
        self._refused = 0
        self._taken.update((type(entry[1]), entry) for entry in part[-10 * OTHERS :])

    def _another_is_taken(self, entry: Entry, behind: Batch, refused: _RecordRefused) -> bool:
        """Whether the database takes another record, of the same type if there is one. It is written and rolled back.
        Raises _Alone."""
        others = [*self._taken.values(), *behind]
        alike = [other for other in others if type(other[1]) is type(entry[1])]
        for other in (alike or others)[:OTHERS]:
            try:
                self._insist(lambda: self._writer.rehearse([other]), refusable=True)
            except _RecordRefused:
                continue
            return True
        if not others:
            raise _Alone(Waits.ANOTHER.say(count=entry[0], why=refused))
        return False

    def _put_aside(self, position: int, record: Record, reason: str) -> None:
        self._refused += 1
        log.error("record %d (%s) is put into quarantine: %s", position, type(record).__name__, reason)
        self._insist(lambda: self._writer.put_aside(position, record, reason))

    def _wait(self, reason: str) -> None:
        """Says what is waited for, and lets some time pass. Raises Finished."""
        self._say(reason)
        if self._finishing:
            raise Finished
        self._pause(LONGEST_WAIT)

    def _insist(self, attempt: Callable[[], Done], refusable: bool = False) -> Done:
        """Tries until the database does it. Raises _RecordRefused where the attempt is `refusable` and the records may
        be to blame."""
        wait = FIRST_WAIT
        while True:
            begun = time.monotonic()
            try:
                result = attempt()
            except (Fenced, Behind):
                raise
            except Exception as error:
                trouble, reason = judge(error)
                if trouble is Trouble.OURS:
                    raise
                if trouble is Trouble.RECORD and refusable:
                    raise _RecordRefused(reason) from error
                if trouble is Trouble.RECORD:
                    reason = errors.NO_RECORD % {"why": reason}
                if trouble is not Trouble.BUSY or wait >= LONGEST_WAIT or time.monotonic() - begun >= LONG:
                    self._say(reason)
                if trouble is not Trouble.BUSY and self._finishing:
                    raise Finished from None
                self._pause(min(wait, 1.0) if trouble is Trouble.BUSY else wait)
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                self._say("ok")
                return result

    def _say(self, database: str) -> None:
        """Tells how the database is, when that changes."""
        if database != "ok":
            self._outage.say(f"{database}; trying again, what comes waits in the journal")
        elif self._database != "ok":
            self._outage.over(f"the database is back; going on from position {self._writer.position}")
        if database != self._database:
            self._database = database
            self._report()

    def _report(self, idle: bool = False) -> None:
        writer = self._writer
        self._channel.post(
            "progress",
            Progress(
                writer.position,
                self._database,
                writer.rows,
                idle,
                writer.quarantined,
                writer.kept,
                self._bound,
                writer.gaps,
                writer.gap,
                self._stalled,
            ),
        )

    def _pause(self, seconds: float) -> None:
        """Lets time pass, and hears meanwhile what the supervisor says."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._finishing:
            self._listen(left)

    def _listen(self, timeout: float | None) -> None:
        for arrival in self._channel.wait(timeout):
            HEARD[arrival.kind.name](self, arrival.payload)

    def _more(self, payload: More) -> None:
        self._appended = max(self._appended, payload.position)

    def _finish(self, _payload: Nothing) -> None:
        self._finishing = True


HEARD: dict[str, Callable[[Drain, Any], None]] = {"more": Drain._more, "finish": Drain._finish}
"""What a recorder does with each kind of message that it may be sent."""
