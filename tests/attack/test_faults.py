"""System calls that fail as the kernel lets them: what was acknowledged is not lost, and what the disk does not have is
not told."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.client.client import Client
from pairscope.ipc import memfd
from pairscope.journal.records import JobEnded
from tests.attack.faults import WAITS, faults
from tests.attack.ground import Ground, pool
from tests.attack.storm import Storm
from tests.attack.test_storm import SEED
from tests.eventually import eventually
from tests.pools import running

pytestmark = [pytest.mark.pool, pytest.mark.needs("gcc")]


def settings(directory: Path) -> str:
    file = directory / "pool.toml"
    file.write_text(f'state = "{directory}"\nrun = "{directory}/run"\njournal_sync = "batch"\n')
    return str(file)


def test_with_batch_a_client_is_told_nothing_that_the_disk_does_not_have_and_workers_go_on(tmp_path: Path) -> None:
    with (
        faults(tmp_path) as some,
        running(tmp_path, PAIRSCOPE_SETTINGS=settings(tmp_path), **some.environment) as one,
        contextlib.closing(Client(one.settings, "tool")) as other,
    ):
        one.ready()
        assert other.serial
        with some.failing("fdatasync", WAITS):
            for number in range(20):
                one.client.begin("echo", data=b"%d" % number)
            one.client.flush()
            eventually(
                lambda: sum(type(record) is JobEnded for record in one.records()) == 20, "all jobs are done meanwhile"
            )
            assert some.failed("fdatasync") == 1, "one call is under way, and no other was begun"
            assert not one.client.ended(0.3), "nobody is told"
            assert one.view().at, "the pool says how it is"
        ended: list[Any] = []
        while len(ended) < 20:
            ended += one.client.ended(10)
        assert other.submit("echo", data=b"x", want="ended").state == "done"


def test_with_batch_a_disk_that_fails_ends_the_supervisor_in_words_and_nobody_is_told(tmp_path: Path) -> None:
    with faults(tmp_path) as some, running(tmp_path, PAIRSCOPE_SETTINGS=settings(tmp_path), **some.environment) as one:
        one.ready()
        with some.failing("fdatasync", errno.EIO), pytest.raises(Exception, match="went away before it answered"):
            one.client.submit("echo", data=b"x", want="ended")
        assert one.process.wait(10) == 1
        assert "fdatasync failed, and must not be tried again: Input/output error" in one.log.read_text()


KINDS = {
    "sendmsg": [(errno.ENOBUFS, 20), (errno.ETOOMANYREFS, 20), (errno.EAGAIN, 3)],
    "send": [(errno.ENOMEM, 200), (errno.EAGAIN, 3)],
    "recvmsg": [(errno.EAGAIN, 3), (errno.ENOMEM, 400)],
    "write": [(errno.ENOSPC, 20), (errno.EIO, 400)],
    "open": [(errno.EMFILE, 20), (errno.ENFILE, 7), (errno.EIO, 20)],
    "accept": [(errno.EMFILE, 2), (errno.ECONNABORTED, 2)],
    "socketpair": [(errno.ENFILE, 2)],
    "memfd": [(errno.ENOMEM, 2)],
    "fstat": [(errno.EIO, 20)],
    "pread": [(errno.EIO, 40)],
}
"""Errors of each call, and every how many calls one fails."""


def comes(ground: Ground) -> None:
    """A client comes anew, sends a long message and a descriptor, and goes."""
    fd = memfd.sealed("input", b"x" * 1000)
    with contextlib.closing(Client(ground.settings, "tool")) as client:
        try:
            client.submit("echo", data=b"x" * 100_000, want="ended", timeout=2.0)
            client.submit("digest", fd, want="ended", timeout=2.0)
        except (PoolAway, PoolRefused):
            pass
        finally:
            os.close(fd)


def test_of_calls_that_fail_under_load_none_loses_what_was_acknowledged_or_does_it_twice(tmp_path: Path) -> None:
    with faults(tmp_path) as some, pool(tmp_path, environment=some.environment) as ground:
        ground.ready()
        with Storm(ground, SEED) as storm:
            for call, errors in KINDS.items():
                for error, every in errors:
                    with some.failing(call, error, every):
                        storm.while_working(0.3)
                        for _ in range(3):
                            comes(ground)
                    if some.failed(call):
                        storm.strokes[f"{call} {errno.errorcode[error]}"] = some.failed(call)
                    ground.here()
        figures = storm.count()
        assert len(storm.strokes) >= 12 and figures["acknowledged"] > 100, figures
