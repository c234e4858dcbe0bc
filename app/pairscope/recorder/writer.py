"""The writer: puts a batch of records and the position that it reaches into the database, in one transaction.

Every transaction begins by locking the node's row of ``positions`` and reading it. That row says whether the last
commit came through although its answer was lost, whether a newer supervisor's recorder has taken over, and where the
database really stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, and_, delete, func, insert, select, update

from pairscope.ipc.identity import time_of
from pairscope.journal.reader import Begun, follows
from pairscope.journal.records import Epoch, Record
from pairscope.recorder.batch import BatchWriter
from pairscope.recorder.fold import Batch, Fold, Source, needs, words
from pairscope.recorder.load import load
from pairscope.recorder.tables import JOBS, MESSAGES, POSITIONS, PROCESSES, QUARANTINE, RATES, TRANSFERS
from pairscope.store import errors
from pairscope.store.errors import Kind

SLICE = 2000
"""Messages that one transaction deletes at most."""
RECOUNTED = 2_000_000
"""Messages that are counted at the start; more would take too long."""
RATES_KEPT = 24 * 3600 * 1_000_000_000
QUARANTINE_KEPT = 10_000

_encode = msgspec.msgpack.Encoder().encode


class Fenced(Exception):
    """The recorder of a newer supervisor writes this node's history: this one must not."""


class Behind(Exception):
    """The database is not as far as these records need it: it was replaced by an older copy. Read on from where it
    is."""


class _TakenBack(Exception):
    """Ends a rehearsal."""


class Writer:
    """Writes the history of one node, for the supervisor whose epoch begins at the position `begin`."""

    def __init__(self, engine: Engine, node: int, node_name: str, begin: int) -> None:
        self._engine = engine
        self._node = node
        self._node_name = words(node_name, 64)
        self._begin = begin
        self._batches = BatchWriter(node, mariadb=engine.dialect.name != "sqlite")
        self._tidy_at = 0.0
        self.position = 0
        """The last position that is known to be committed."""
        self.rows = 0
        """Rows inserted or brought up to date since this writer began."""
        self.kept = 0
        """Messages in the database, of all nodes."""
        self.quarantined = 0
        """Entries of this node in quarantine."""
        self.gaps = 0
        """How many of them are gaps in the journal."""
        self.gap = ""
        """Why the newest of these is there."""

    def close(self) -> None:
        """Ends the connections."""
        self._engine.dispose()

    def open(self) -> int:
        """Returns the committed position: the journal is to be read from there. From now on the recorder of an older
        supervisor cannot commit.

        Raises Fenced, and what a database raises.
        """
        with self._transaction() as (connection, row):
            self._recount(connection, row)
            self._count_quarantine(connection)
        return self.position

    def commit(self, batch: Batch, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Writes a batch. What of it is committed already is left out, so that it may be tried again after any failure.

        `meanwhile` is called while the server works, again and again.

        Raises Fenced, Behind, what a database raises, and what a record that makes no sense raises; nothing is written
        then.
        """
        with self._transaction() as (connection, row):
            if batch[0][0] <= row.position:
                batch = [entry for entry in batch if entry[0] > row.position]
            if not batch:
                return
            if row.position and not follows(*batch[0], row.position):
                raise Behind(f"the database is at position {row.position}, these records begin at {batch[0][0]}")
            fold = self._fold(connection, row, batch)
            written = self._batches.write(connection, fold, batch, meanwhile)
            self._advance(connection, batch[-1][0], fold)
        self.position = batch[-1][0]
        self.rows += written

    def rehearse(self, batch: Batch) -> None:
        """Tries whether the database takes these records now: writes them, wherever they stand in the journal, and
        rolls back.

        Raises as :meth:`commit`.
        """
        with suppress(_TakenBack), self._transaction() as (connection, row):
            self._batches.write(connection, self._fold(connection, row, batch), batch, lambda: None)
            raise _TakenBack

    def put_aside(
        self, position: int, record: Record | None, reason: str, reached: int = 0, begun: Begun | None = None
    ) -> None:
        """Puts a record into quarantine and goes on after it. None: the records from `position` to `reached` are
        missing.

        `begun`: the epoch of what follows. If it is not the last one, its own record is missing too; what was open is
        then decided as that record would have decided it.
        """
        reached = reached or position
        with self._transaction() as (connection, row):
            if reached <= row.position:
                return
            now = time.time_ns()
            fields = QUARANTINE.c.node == self._node, QUARANTINE.c.position == position
            if connection.execute(select(QUARANTINE.c.position).where(*fields)).first() is None:
                body = b"" if record is None else _encode(record)
                reason = words(reason, 400)
                entry = {"node": self._node, "position": position, "at": now, "reason": reason, "record": body}
                connection.execute(insert(QUARANTINE), entry)
                self.quarantined += 1
                if record is None:
                    self.gaps, self.gap = self.gaps + 1, reason
            if begun is not None and (begun.epoch or row.journal_epoch + 1) > row.journal_epoch:
                epoch = begun.epoch or row.journal_epoch + 1
                # A position is no less than the microseconds at which its epoch began. Its pid nobody knows any more.
                at = min(now, begun.position * 1000)
                batch = [
                    (
                        reached,
                        Epoch(
                            self._node, self._node_name, epoch, 0, begun.supervisor or row.supervisor + 1, at, 0, True
                        ),
                    )
                ]
                fold = self._fold(connection, row, batch)
                self._batches.write(connection, fold, batch, lambda: None)
                self._advance(connection, reached, fold)
            else:
                connection.execute(update(POSITIONS).where(*self._mine()).values(position=reached, at=now))
        self.position = reached

    def prune(self, bound: int) -> bool:
        """Deletes the oldest messages beyond `bound`, at most SLICE of them, and what belongs to the same time. True:
        there is more to delete."""
        if self.kept <= bound:
            self._tidy()
            return False
        with self._transaction() as (connection, _row):
            kept = self._count_kept(connection)
            oldest = select(MESSAGES.c.id).order_by(MESSAGES.c.id).limit(min(SLICE, kept - bound)).subquery()
            cut = connection.scalar(select(func.max(oldest.c.id))) if kept > bound else None
            if cut is None:
                self.kept = kept
                return False
            gone = {
                "pruned_messages": delete(MESSAGES).where(MESSAGES.c.id <= cut),
                "pruned_transfers": delete(TRANSFERS).where(TRANSFERS.c.message <= cut),
                "pruned_jobs": delete(JOBS).where(JOBS.c.id <= cut, JOBS.c.ended.is_not(None)),
                "pruned_processes": delete(PROCESSES).where(PROCESSES.c.ended < time_of(cut)),
            }
            counted = {name: connection.execute(statement).rowcount for name, statement in gone.items()}
            values = {name: POSITIONS.c[name] + number for name, number in counted.items() if number}
            if values:  # none where another node's recorder was first
                connection.execute(update(POSITIONS).where(*self._mine()).values(values))
        self.kept = kept - counted["pruned_messages"]
        return self.kept > bound

    # ---- the node's position

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Row[Any]]]:
        """A transaction that holds the node's position."""
        with self._engine.connect() as connection, connection.begin():
            mine = select(POSITIONS).where(POSITIONS.c.node == self._node).with_for_update()
            row = connection.execute(mine).first()
            if row is None:
                connection.execute(insert(POSITIONS), self._unborn())
                row = connection.execute(mine).one()
            if row.epoch > self._begin:
                raise Fenced(
                    f"the history of node {self._node} is written for the supervisor that began at position "
                    f"{row.epoch}, and this recorder's"
                    f" began at {self._begin}, before it: it stops; what it has not written stays in the journal"
                )
            if row.epoch < self._begin:
                connection.execute(update(POSITIONS).where(POSITIONS.c.node == self._node).values(epoch=self._begin))
            self.position = row.position
            try:
                yield connection, row
            except (Fenced, Behind, _TakenBack):
                raise
            except Exception as error:
                fault = errors.of(error)
                if fault is not None and fault.kind not in (Kind.VALUE, Kind.BUSY):
                    # its ROLLBACK may be refused, too: the server does it when the connection ends
                    connection.invalidate()
                raise

    def _mine(self) -> tuple[Any, ...]:
        return POSITIONS.c.node == self._node, POSITIONS.c.epoch <= self._begin

    def _unborn(self) -> dict[str, Any]:
        columns = {column.name: 0 for column in POSITIONS.columns}
        return columns | {"node": self._node, "node_name": self._node_name, "epoch": self._begin}

    def _advance(self, connection: Connection, position: int, fold: Fold) -> None:
        inserted, source = fold.inserted, fold.source
        moved = connection.execute(
            update(POSITIONS)
            .where(*self._mine())
            .values(
                position=position,
                node_name=source.node_name,
                at=time.time_ns(),
                supervisor=source.supervisor,
                supervisor_pid=source.supervisor_pid,
                journal_epoch=source.epoch,
                rows=POSITIONS.c.rows + inserted["messages"],
                transfers=POSITIONS.c.transfers + inserted["transfers"],
                jobs=POSITIONS.c.jobs + inserted["jobs"],
                processes=POSITIONS.c.processes + inserted["processes"],
            )
        )
        if moved.rowcount != 1:
            raise Fenced(f"the position of node {self._node} is no longer this recorder's")
        self.kept = self._count_kept(connection)

    @staticmethod
    def _count_kept(connection: Connection) -> int:
        return int(connection.scalar(select(func.sum(POSITIONS.c.rows - POSITIONS.c.pruned_messages))) or 0)

    def _count_quarantine(self, connection: Connection) -> None:
        mine = QUARANTINE.c.node == self._node
        gaps = and_(mine, func.length(QUARANTINE.c.record) == 0)
        self.quarantined = connection.scalar(select(func.count()).where(mine)) or 0
        self.gaps = connection.scalar(select(func.count()).where(gaps)) or 0
        self.gap = (
            connection.scalar(select(QUARANTINE.c.reason).where(gaps).order_by(QUARANTINE.c.position.desc()).limit(1))
            or ""
        )

    def _recount(self, connection: Connection, row: Row[Any]) -> None:
        """Counts the messages anew. Where somebody deleted rows or brought them back by hand the count is wrong, and
        pruning would follow it."""
        self.kept = self._count_kept(connection)
        some = select(MESSAGES.c.id).limit(RECOUNTED + 1).subquery()
        found = connection.scalar(select(func.count()).select_from(some)) or 0 if self.kept <= RECOUNTED else self.kept
        if found != self.kept and found <= RECOUNTED:
            values = {"pruned_messages": POSITIONS.c.pruned_messages + self.kept - found}
            connection.execute(update(POSITIONS).where(POSITIONS.c.node == row.node).values(values))
            self.kept = found

    # ---- rows

    def _fold(self, connection: Connection, row: Row[Any], batch: Batch) -> Fold:
        """A fold over the rows that a batch touches."""
        source = Source(self._node, self._node_name, row.journal_epoch, row.supervisor, row.supervisor_pid)
        return Fold(load(connection, self._node, needs(batch)), source)

    def _tidy(self) -> None:
        """Deletes, every ten minutes, what is bounded by age or number and grows slowly."""
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + 600
        with self._transaction() as (connection, _row):
            connection.execute(
                delete(RATES).where(RATES.c.node == self._node, RATES.c.at < time.time_ns() - RATES_KEPT)
            )
            if self.quarantined > QUARANTINE_KEPT:
                mine = QUARANTINE.c.node == self._node
                newest = (
                    select(QUARANTINE.c.position)
                    .where(mine)
                    .order_by(QUARANTINE.c.position.desc())
                    .limit(QUARANTINE_KEPT)
                    .subquery()
                )
                oldest = connection.scalar(select(func.min(newest.c.position)))
                connection.execute(delete(QUARANTINE).where(mine, QUARANTINE.c.position < oldest))
            self._count_quarantine(connection)  # somebody may have read and deleted an entry
