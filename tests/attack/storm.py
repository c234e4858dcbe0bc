"""A storm: processes of an instance are killed and stopped again and again while clients work, and an oracle of another
hand counts what is left.

The oracle knows nothing of what the pool believes. It has the books of the clients (bookkeeper.py), the journal's
segments, each of which it keeps by a hard link of its own from when it is begun, and the database, which it asks in
SQL. At the end:

- every job that a client was told of is one row, and ended as the client was told;
- what the pool refused is no row, and no text stands in two jobs: nothing was done twice;
- each job has ended, and its end stands in the journal at most once;
- every message that was journaled is one row, and there is no other row.

What is struck, and when, follows from the seed alone; what it meets does not.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from pairscope.journal.reader import Reader
from pairscope.journal.records import JobEnded, JobSubmitted, Message
from tests.attack.ground import Ground, Standing

WEIGHTS = {"supervisor": 4, "worker": 14, "recorder": 4, "mariadb": 1, "station": 2, "web": 2, "bulk": 1, "apache": 1}
STOPPED = (0.2, 6.0)
"""Seconds for which a process that is stopped, and not killed, stands still."""
PAUSE = 0.25
"""Seconds between two strokes, on average."""


class Archive:
    """Keeps the journal's segments although the supervisor deletes them."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.directory = Path(tempfile.mkdtemp(prefix="archive", dir=journal.parent))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)
        self._link()
        self._thread.start()

    def _link(self) -> None:
        for path in self._journal.glob("*.journal"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(path, self.directory / path.name)

    def _keep(self) -> None:
        while not self._over.wait(0.02):
            self._link()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._link()


class Books:
    """What the clients wrote down."""

    def __init__(self, paths: list[Path]) -> None:
        self.told: dict[int, str] = {}
        """Jobs that a client was told of, and the text of each."""
        self.ended: dict[int, str] = {}
        self.refused: set[str] = set()
        self.twice: list[str] = []
        self.tried = 0
        self.longest = 0.0
        """Seconds in which a client could get nothing done."""
        answered: set[str] = set()
        for path in paths:
            for line in path.read_text().splitlines():
                what, *words = line.split(" ")
                if what == "T":
                    self.tried += 1
                elif what == "G":
                    self.longest = max(self.longest, float(words[0]))
                elif what == "R":
                    self.refused.add(words[0])
                else:
                    job, named = int(words[0]), words[1]
                    if self.told.setdefault(job, named) != named:
                        self.twice.append(f"job {job} was told of to {self.told[job]} and {named}")
                    if what == "E":
                        if named in answered:
                            self.twice.append(f"{named} was answered twice")
                        answered.add(named)
                        self.ended[job] = words[2]


class Storm:
    """One storm over one instance; ``with`` starts the clients, and ends them."""

    def __init__(self, ground: Ground, seed: int, clients: int = 2, spare: tuple[str, ...] = ()) -> None:
        self.ground, self.seed, self._clients = ground, seed, clients
        self.spare = spare
        """Roles that are left alone."""
        self.random = random.Random(seed)
        self.strokes: collections.Counter[str] = collections.Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._pidfds: set[int] = set()
        self._database_back = False
        """It was killed, and is to be started again."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._number = 0

    def __enter__(self) -> Storm:
        self._old = self._rows()[0]
        self.archive = Archive(self.ground.settings.journal)
        self.paths = [self.archive.directory / f"book{number}" for number in range(self._clients)]
        for number, path in enumerate(self.paths):
            self._processes.append(self._bookkeeper(path, self.seed * 100 + number))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._calm()
        if kind is not None:
            self.archive.close()

    def _bookkeeper(self, path: Path, seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.attack.bookkeeper", str(self.ground.file), str(path), str(seed)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)

    # ---- strokes

    def blow(self, seconds: float) -> None:
        """Strikes for so long, then lets everything that stands still go on."""
        end = time.monotonic() + seconds
        waiting = threading.Event()  # set by nobody: the storm's own pace
        while (now := time.monotonic()) < end:
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            self._strike()
            self.ground.restore()
            waiting.wait(self.random.expovariate(1 / PAUSE))
        self._calm()

    def answered(self) -> int:
        """How many answers the clients have written down so far."""
        return sum(path.read_text().count("\nE ") for path in self.paths if path.exists())

    def while_working(self, seconds: float) -> bool:
        """Lets the clients work for so long; whether one of them was told something meanwhile."""
        told = sum(path.stat().st_size for path in self.paths if path.exists())
        threading.Event().wait(seconds)
        return sum(path.stat().st_size for path in self.paths if path.exists()) > told

    def _strike(self) -> None:
        roles = [name for name in WEIGHTS if name not in self.spare]
        what = self.random.choices(roles, [WEIGHTS[name] for name in roles])[0]
        which, stops, seconds = self.random.random(), self.random.random() < 0.15, self.random.uniform(*STOPPED)
        if what == "mariadb":
            return self._strike_database(seconds / 3)
        pids = self.ground.processes().get(what, [])
        if not pids:
            return None
        pid = pids[int(which * len(pids))]
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        try:
            if stops and what not in ("apache", "web", "bulk"):
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
                self.strokes[f"{what} stopped"] += 1
                again = os.dup(pidfd)
                self._pidfds.add(again)
                self._after(seconds, lambda: self._go_on(again))
            else:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self.strokes[f"{what} killed"] += 1
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)
        return None

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._number, what))

    def _go_on(self, pidfd: int) -> None:
        if pidfd in self._pidfds:
            self._pidfds.discard(pidfd)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)

    def _strike_database(self, seconds: float) -> None:
        if self._database_back:
            return
        self.ground.database_away()
        self.strokes["mariadb killed"] += 1
        self._database_back = True
        self._after(seconds, self._bring_back)

    def _bring_back(self) -> None:
        # by this thread: the private server ends when the thread ends that started it (PR_SET_PDEATHSIG, prctl(2))
        if self._database_back:
            self._database_back = False
            self.ground.database_back()

    def _calm(self) -> None:
        for pidfd in list(self._pidfds):
            self._go_on(pidfd)
        self._later.clear()
        self._bring_back()
        self.ground.restore()

    # ---- the oracle

    def count(self) -> dict[str, Any]:
        """Compares books, journal and database once all is calm. Raises AssertionError naming the first of what does
        not fit, and the seed; returns the figures."""
        try:
            self.ground.ready()
        finally:
            self.archive.close()  # not before: until all is calm there are births
        books = Books(self.paths)
        journaled: collections.Counter[int] = collections.Counter()
        ends: collections.Counter[int] = collections.Counter()
        begun: set[int] = set()
        for record in self._records():
            if type(record) is Message:
                journaled[record.id] += 1
            elif type(record) is JobSubmitted:
                begun.add(record.id)
            elif type(record) is JobEnded:
                ends[record.id] += 1
        rows, jobs = self._rows()
        texts = collections.defaultdict(set)
        for job, named in books.told.items():
            texts[named].add(job)
        faults: dict[str, list[Any]] = {
            "acknowledged and no row": sorted(set(books.told) - set(jobs)),
            "a row says otherwise than its client was told": [
                (job, state, jobs[job][0])
                for job, state in books.ended.items()
                if job in jobs and jobs[job][0] != state
            ],
            "told of twice": books.twice,
            "one text in two jobs": [named for named, found in texts.items() if len(found) > 1],
            "refused, and a job all the same": sorted(books.refused & set(texts)),
            "never ended": [job for job, (state, _) in jobs.items() if state in ("queued", "running")],
            "ended twice": [job for job, times in ends.items() if times > 1],
            "journaled twice": [message for message, times in journaled.items() if times > 1],
            "journaled and no row": sorted(set(journaled) - rows),
            "a row and not journaled": sorted(rows - set(journaled) - self._old),
            "a job journaled and no row": sorted(begun - set(jobs)),
        }
        found = {what: [*which[:5], len(which)] for what, which in faults.items() if which}
        assert not found, f"seed {self.seed}: {found}; strokes: {dict(self.strokes)}"
        shutil.rmtree(self.archive.directory)  # of a fault it stays, to be looked at
        return {
            "tried": books.tried,
            "acknowledged": len(books.told),
            "answered": len(books.ended),
            "failed": sum(state == "failed" for state in books.ended.values()),
            "refused": len(books.refused),
            "journaled": len(set(journaled) - self._old),
            "rows": len(rows - self._old),
            "longest without an answer (s)": books.longest,
            "strokes": dict(sorted(self.strokes.items())),
        }

    def _records(self) -> Iterator[Any]:
        with contextlib.closing(Reader(self.archive.directory)) as reader:
            while batch := reader.read():
                for _, record in batch:
                    yield record

    def _rows(self) -> tuple[set[int], dict[int, tuple[str, str]]]:
        """Ids of messages; of jobs their state and result."""
        engine = create_engine(self.ground.settings.history_url)
        try:
            with engine.connect() as connection:
                messages = {row[0] for row in connection.execute(text("SELECT id FROM messages"))}
                jobs = {
                    row[0]: (row[1], row[2]) for row in connection.execute(text("SELECT id, state, result FROM jobs"))
                }
        finally:
            engine.dispose()
        return messages, jobs


WARM = {"web": 10, "bulk": 10}
"""Descriptors that a process of web keeps once it has had more to do at a time than before: a pair for each thread that
has asked the pool, and up to five idle connections of each of two users of the database. The same crowd again adds none
(16, 29, 29, 58, 60, 60, 100, 100 after crowds of 1, 10, 10, 40, 40, 40, 80, 80)."""


def back_at(before: Standing, after: Standing, held: int = 0) -> str:
    """In what an instance holds more than before the storm, in words; empty: nothing. `held`: descriptors of outputs
    that the pool keeps.

    A process that was born in the storm is as large as its forerunner, give or take what it has loaded by now.
    """
    found = []
    for name, count in before.processes.items():
        if after.processes.get(name, 0) != count:
            found.append(f"{name}: {after.processes.get(name, 0)} processes, {count} before")
    for what, then, now, most in (
        ("descriptors", before.fds, after.fds, lambda name, count: count + 3 + held + WARM.get(name, 0)),
        ("memfds", before.memfds, after.memfds, lambda _, count: count + 1 + held),
        ("KiB", before.memory, after.memory, lambda _, count: count * 1.5 + 16_384),
    ):
        found += [
            f"{name}: {now[name]} {what}, {then[name]} before"
            for name in then
            if now.get(name, 0) > most(name, then[name])
        ]
    return "; ".join(found)
