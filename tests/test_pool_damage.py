"""A pool whose journal is damaged, or whose recorder cannot go on: it says so within five seconds, and deletes nothing
that is not committed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.client.readiness import checks
from pairscope.journal import segment
from pairscope.journal.reader import Reader
from pairscope.journal.records import Epoch, JobSubmitted
from pairscope.pool.snapshot import Snapshot
from pairscope.stack.check import Scene
from pairscope.stack.checks.pool import _record
from pairscope.stack.step import Verdict
from tests import leaks
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool
SOON = 5.0
"""Seconds within which whatever cannot go on says so."""


def ask(pool: Pool, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(
        sqlite3.connect(f"file:{pool.settings.state}/history.sqlite?mode=ro", uri=True)
    ) as database:
        return database.execute(statement).fetchall()


def has_all(pool: Pool, jobs: set[int]) -> None:
    """Each of these jobs becomes a row, and no other."""
    eventually(lambda: {row[0] for row in ask(pool, "SELECT id FROM jobs")} == jobs, "each job is a row", 20)


def submit(pool: Pool, number: int) -> set[int]:
    """As many jobs, each acknowledged and ended before the next."""
    return {pool.client.submit("echo", data=b"%d" % at, want="ended").job for at in range(number)}


def submit_together(pool: Pool, number: int) -> set[int]:
    for at in range(number):
        pool.client.begin("echo", data=b"%d" % at)
    jobs: set[int] = set()
    while len(jobs) < number:
        jobs |= {answer.job for _, answer in pool.client.ended()}  # type: ignore[union-attr]
    pool.client.settle()
    return jobs


@contextlib.contextmanager
def recorder_stopped(pool: Pool) -> Iterator[int]:
    pid = pool.ready().recorder.pid
    pool.drained()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def frames(pool: Pool) -> tuple[Path, list[tuple[int, int, set[int]]]]:
    """Of the newest segment, each frame of records: where it begins and ends, and whose jobs' beginnings it holds."""
    first, path = segment.listed(pool.settings.journal)[-1]
    found = []
    for piece in segment.pieces(path.read_bytes(), first):
        if piece.whole and piece.count:
            begun = {record.id for record in segment.decode_records(piece.body) if type(record) is JobSubmitted}
            found.append((piece.offset, piece.offset + segment.FRAME.size + len(piece.body), begun))
    return path, found


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def is_told(pool: Pool, number: int) -> Snapshot:
    """The gaps stand where people look, and what waited is drained."""
    view = eventually(
        lambda: (seen := pool.drained()).recorder.gaps == number and seen.recorder.state == "ok" and seen,
        "the gaps are told",
        20,
    )
    rows = ask(pool, "SELECT reason FROM quarantine WHERE length(record) = 0 ORDER BY position")
    assert len(rows) == number and view.recorder.gap == rows[-1][0] and "positions " in rows[-1][0]
    found = checks(view)
    assert all(check.ok for check in found.values()) and view.recorder.gap in found["journal"].detail
    said = {finding.what: finding for finding in _record(Scene(pool.settings, view, None, None))}
    assert (
        said["Record"].verdict is Verdict.CRITICAL
        and f"{number} gap" in said["Record"].observed
        and "Recorder" not in said
    )
    return view


def test_one_flipped_bit_costs_the_records_of_its_frame_while_the_pool_runs_and_at_its_restart(tmp_path: Path) -> None:
    """Three times: in the midst of what waits, in the last frame of all, and found at a start."""
    with running(tmp_path) as pool:
        jobs, lost, kept = submit(pool, 3), set(), []
        for where in (len(jobs) // 2, -1):
            with recorder_stopped(pool):
                _path, before = frames(pool)
                jobs |= submit(pool, 8)
                path, found = frames(pool)
                new = [frame for frame in found if frame not in before]
                begin, end, hit = new[where]
                kept.append((begin, end))
                lost |= hit
                flip(path, begin + 30)
            is_told(pool, len(kept))
        jobs |= submit(pool, 3)
        has_all(pool, jobs - lost)
        damaged = sorted(pool.settings.journal.glob("*.damaged"))
        assert sorted(file.read_bytes() for file in damaged) == sorted(
            path.read_bytes()[begin:end] for begin, end in kept
        )
        with recorder_stopped(pool) as recorder:
            before = frames(pool)[1]
            jobs |= submit(pool, 8)
            path, found = frames(pool)
            pool.process.kill()
            pool.process.wait()
        eventually(lambda: not leaks.runs(recorder), "the recorder has ended")
        begin, end, hit = [frame for frame in found if frame not in before][4]
        lost |= hit
        flip(path, begin + 30)
    with running(tmp_path) as pool:
        view = is_told(pool, 3)
        with contextlib.closing(Reader(pool.settings.journal, view.journal.first - 1)) as reader:
            epochs = [record for _, record in reader.read() if type(record) is Epoch]
        assert len(epochs) == 1 and len(epochs[0].gaps) == 3, "all that the newest segment has lost"
        has_all(pool, jobs - lost)
        assert "the journal was damaged: " in pool.log.read_text()
        assert len(list(pool.settings.journal.glob("*.damaged"))) == 3


@pytest.mark.long
@pytest.mark.parametrize("restarted", [False, True])
def test_damage_anywhere_costs_the_jobs_of_its_frames_and_no_other(tmp_path: Path, restarted: bool) -> None:
    """Of what waits for the recorder a byte is flipped or zeroed, or the rest is cut off: while the pool runs, or
    between two supervisors."""
    draw, jobs, lost, told = random.Random(5), set(), set(), 0
    for _start in range(9 if restarted else 1):
        with running(tmp_path) as pool:
            for _round in range(1 if restarted else 30):
                with recorder_stopped(pool) as recorder:
                    before = frames(pool)[1]
                    jobs |= submit(pool, 6)
                    path, found = frames(pool)
                    if restarted:
                        pool.process.kill()
                        pool.process.wait()
                        eventually(lambda: not leaks.runs(recorder), "the recorder dies with its supervisor", SOON)
                    new = [frame for frame in found if frame not in before]
                    begin, end, hit = draw.choice(new)
                    at, kind = draw.randrange(begin, end), draw.choice(("flipped", "zeroed", "cut"))
                    data = path.read_bytes()
                    if kind == "cut":
                        os.truncate(path, at)
                        hit = {job for first, _end, some in new if first >= begin for job in some}
                    elif kind == "flipped" or data[at]:
                        with path.open("r+b") as file:
                            file.seek(at)
                            file.write(bytes([data[at] ^ 1 << draw.randrange(8) if kind == "flipped" else 0]))
                    else:
                        hit = set()
                    lost |= hit
                if restarted:
                    break
                told += bool(hit)
                has_all(pool, jobs - lost)
                eventually(lambda: pool.ready().recorder.gaps >= told, "each gap is told", 20)
    with running(tmp_path) as pool:
        jobs |= submit(pool, 3)
        has_all(pool, jobs - lost)


def test_a_stopped_recorder_is_said_within_seconds_and_dies_with_its_supervisor(tmp_path: Path) -> None:
    """And the next one records within seconds from when its supervisor is there."""
    with running(tmp_path) as pool, recorder_stopped(pool) as recorder:
        view = eventually(
            lambda: (seen := pool.view()).recorder.state == "stopped" and seen, "it is said to be stopped", SOON
        )
        assert not checks(view)["database"].ok and "SIGCONT" in checks(view)["database"].detail
        [finding] = [found for found in _record(Scene(pool.settings, view, None, None)) if found.what == "Recorder"]
        assert finding.verdict is Verdict.CRITICAL and finding.observed == "stopped"
        jobs = submit(pool, 5)
        workers = [worker.pid for worker in view.workers]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        pool.process.kill()
        pool.process.wait()
        for pid in (recorder, *workers):
            eventually(lambda: not leaks.runs(pid), "what is stopped dies with its supervisor", SOON)
    with running(tmp_path) as pool:
        eventually(
            lambda: jobs <= {row[0] for row in ask(pool, "SELECT id FROM jobs")}, "the next recorder records", SOON
        )


@pytest.mark.long
def test_a_recorder_that_waits_for_a_lock_is_said_to_be_stalled_within_seconds(tmp_path: Path) -> None:
    with running(tmp_path) as pool:
        pool.ready()
        with contextlib.closing(sqlite3.connect(pool.settings.state / "history.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            jobs = submit(pool, 5)
            view = eventually(
                lambda: (seen := pool.view()).recorder.state == "stalled" and seen, "it is said to be stalled", SOON
            )
            assert "it has committed nothing" in checks(view)["database"].detail and not checks(view)["database"].ok
            [finding] = [found for found in _record(Scene(pool.settings, view, None, None)) if found.what == "Recorder"]
            assert finding.verdict is Verdict.CRITICAL and "stalled" in finding.observed
        has_all(pool, jobs)


@pytest.mark.long
def test_nothing_is_deleted_before_it_is_committed_whether_the_recorder_is_stopped_dead_or_fenced(
    tmp_path: Path,
) -> None:
    """Over a restart in order and one by force: each record acknowledged is a row in the end."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\njournal_segment = 65536\nworkers = 1\n')

    def kept(after: int) -> list[int]:
        with contextlib.closing(Reader(pool.settings.journal, after)) as reader:
            positions: list[int] = []
            while some := reader.read():
                positions += [position for position, _ in some]
            return positions

    with running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        with recorder_stopped(pool):
            jobs = submit_together(pool, 300)
            assert len(segment.listed(pool.settings.journal)) > 2
        has_all(pool, jobs)
        eventually(lambda: len(segment.listed(pool.settings.journal)) <= 2, "what is committed goes")
        with contextlib.closing(sqlite3.connect(pool.settings.state / "history.sqlite", isolation_level=None)) as other:
            # as if a newer supervisor's recorder had been here
            other.execute("UPDATE positions SET epoch = epoch + 1000000000000")
        [(drained,)] = ask(pool, "SELECT position FROM positions")
        jobs |= submit_together(pool, 300)
        eventually(lambda: pool.view().recorder.state == "dead", "the recorder is fenced and ends", SOON)
        assert not checks(pool.view())["database"].ok
        before = kept(drained)
        assert len(before) >= 300 * 4 and len(segment.listed(pool.settings.journal)) > 2
        assert pool.stop() == 0
    with running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        eventually(lambda: pool.view().recorder.state == "dead", "the next one's is as well", 15)
        jobs |= submit(pool, 5)
        assert set(before) <= set(kept(drained))
        pool.process.kill()
        pool.process.wait()
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)) as other:
        other.execute("UPDATE positions SET epoch = 1")
    with running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        has_all(pool, jobs)
        assert ask(pool, "SELECT * FROM quarantine") == []
