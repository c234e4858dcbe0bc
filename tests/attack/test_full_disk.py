"""A disk that is full and holds the journal and the snapshot: it is told as what it is, not as a pool that is away."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.client.away import PoolStuck
from pairscope.client.client import Client
from pairscope.client.readiness import checks
from tests.eventually import eventually
from tests.pools import running

pytestmark = pytest.mark.pool

libc = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
FULL = re.compile("No space left on device|the disk is full")
"""By whether the last write was refused or cut short."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of the test's own. mount(2), tmpfs(5)."""
    place = tmp_path / "disk"
    place.mkdir()
    if libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, b"size=2m,mode=755"):
        pytest.skip(f"this process may not mount a file system: {os.strerror(ctypes.get_errno())}")
    yield place
    libc.umount2(os.fsencode(place), MNT_DETACH)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * min(4096, shutil.disk_usage(disk).free or 1))
    yield
    filler.unlink(missing_ok=True)


def test_a_full_disk_that_holds_the_snapshot_too_is_told_and_nothing_is_lost(disk: Path) -> None:
    with running(disk) as pool, contextlib.closing(Client(pool.settings, "tool")) as other:
        pool.ready()
        assert other.serial, "it has come in"
        pool.drained()
        with filled(disk):
            for _ in range(8):  # what is left of a page of the journal
                try:
                    pool.client.submit("echo", data=b"x" * 3000, timeout=1.0)
                except PoolStuck as error:
                    assert FULL.search(str(error))
                    break
            else:
                pytest.fail("the journal has room")
            first = pool.view()
            view = eventually(lambda: (seen := pool.view()).at > first.at and seen, "it goes on saying how it is")
            assert FULL.search(view.journal.stuck)
            assert view.cramped == f"{pool.settings.run} cannot be written to: No space left on device"
            found = checks(view)
            assert not found["journal"].ok and FULL.search(found["journal"].detail)
            assert view.cramped in found["pool"].detail
            seq = other.begin("echo", data=b"after all")
            other.flush()
            (disk / "filler").unlink()
            ((answered, answer),) = other.ended(20)
            assert (answered, getattr(answer, "state", "")) == (seq, "done")
        eventually(lambda: not (seen := pool.view()).cramped and not seen.journal.stuck, "it can be written again")
