"""A peer that does not read: what waits for it is bounded in bytes and in descriptors, and it is let go with a row that
says why."""

from __future__ import annotations

import contextlib
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.client.attach import connect
from pairscope.client.away import PoolRefused
from pairscope.client.client import Client
from pairscope.ipc import memfd
from pairscope.ipc.channel import Channel, ChannelClosed, pair
from pairscope.ipc.payloads import Submit
from pairscope.journal.records import Ended
from pairscope.pool.members import Member
from pairscope.pool.unread import BYTES_ALL, BYTES_EACH, Unread
from tests.eventually import eventually
from tests.pools import Pool, running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running(tmp_path_factory.mktemp("pool")) as pool:
        pool.ready()
        yield pool


def flood(channel: Channel, times: int, size: int) -> None:
    """Asks for that many echoes, and reads none of the answers."""
    data = b"x" * size
    for number in range(times):
        channel.post("submit", Submit("echo", data=data), seq=number + 1, timeout=20)


def end_of(pool: Pool, serial: int) -> str:
    """How a tool's channel ended, by the journal."""

    def ended() -> list[str]:
        return [
            record.exit
            for record in pool.records()
            if type(record) is Ended and (record.role, record.serial) == ("tool", serial)
        ]

    return eventually(ended, "its end is journaled", 20)[0]


def descriptors(pool: Pool) -> int:
    """How many the supervisor has, without its closer's, which it starts where some wait in what it closes: a channel
    and a pidfd."""
    children = Path(f"/proc/{pool.process.pid}/task/{pool.process.pid}/children").read_text().split()
    closers = 0
    for child in children:
        with contextlib.suppress(OSError):  # it has gone
            closers += b"pairscope.pool.closer" in Path(f"/proc/{child}/cmdline").read_bytes()
    return len(os.listdir(f"/proc/{pool.process.pid}/fd")) - 2 * closers


@pytest.mark.pool
@pytest.mark.leaves("the shared pool starts its closer at the first need, and keeps it")
@pytest.mark.parametrize(
    ("times", "size", "what"),
    [(75, 1_000_000, f"bytes waited for it; at most {BYTES_EACH} may"), (600, 66_000, "descriptors waited; at most ")],
    ids=["bytes", "descriptors"],
)
def test_who_reads_no_answers_is_let_go_with_the_reason_and_others_are_served(
    shared: Pool, times: int, size: int, what: str
) -> None:
    before = shared.view()
    held = descriptors(shared)
    channel, welcome = connect(shared.settings, "tool")
    other = Client(shared.settings, "tool")
    with contextlib.closing(channel), contextlib.closing(other):
        with contextlib.suppress(ChannelClosed):
            flood(channel, times, size)
        assert other.submit("echo", data=b"x", want="ended").state == "done"
        assert what in (end := end_of(shared, welcome.serial)) and end.startswith("it read"), end
        assert other.submit("echo", data=b"x", want="ended").state == "done"
    eventually(lambda: shared.view().unread.let_go == before.unread.let_go + 1, "it is counted")
    eventually(lambda: shared.view().jobs.queued + shared.view().jobs.running == 0, "its jobs have ended", 20)
    eventually(lambda: not shared.view().unread.bytes, "nothing waits any more")
    eventually(lambda: descriptors(shared) <= held, "no descriptor is left of it")


class Waiting:
    """A member, as far as it is counted."""

    held_bytes = unread_bytes = unread_fds = 0

    def __init__(self, waiting: int, fds: int) -> None:
        self._waiting, self.held_fds = waiting, fds

    def backlog(self) -> int:
        return self._waiting


def member(waiting: int, fds: int) -> Any:
    return Waiting(waiting, fds)


def test_the_bytes_of_an_outbox_are_counted_right_however_it_grows_and_is_read() -> None:
    ours, theirs = pair()
    with ours, theirs:
        peer = Member(Channel(ours, hears="client", blocking=False), "tool", 1, os.getpid(), os.geteuid())
        chance = random.Random(14)
        for _ in range(500):
            for _ in range(chance.randrange(4)):
                peer.outbox.append(
                    peer.channel.prepare("done", payload=Submit("echo", data=b"x" * chance.choice((0, 900, 70_000))))
                )
            for _ in range(chance.randrange(4)):
                if peer.outbox:
                    peer.outbox.popleft().close()
            if chance.randrange(2):
                assert peer.backlog() == sum(len(out.raw) for out in peer.outbox if out.spill < 0)
        for out in peer.outbox:
            out.close()


def test_of_many_that_stay_below_their_own_bound_the_one_with_most_has_to_go() -> None:
    unread = Unread(1 << 20)
    peers = [member(BYTES_EACH - 1 - number, 1) for number in range(BYTES_ALL // BYTES_EACH)]
    assert [unread.count(one) for one in peers] == [None] * len(peers)
    found = unread.count(member(1000, 0))
    assert found and found[0] is peers[0] and f"at most {BYTES_ALL} may" in found[1]
    unread.forget(peers[0])
    assert unread.count(peers[1]) is None, "there is room again"


def test_descriptors_have_a_bound_for_all_too_which_fits_those_that_the_process_may_have() -> None:
    unread = Unread(1024)
    assert (unread.fds_all, unread.fds_each) == (128, 64)
    first, second, third = member(1, 60), member(1, 64), member(1, 10)
    assert unread.count(first) is None and unread.count(second) is None
    found = unread.count(third)
    assert found and found[0] is second and "descriptors" in found[1]


@pytest.mark.pool
@pytest.mark.parametrize("size", [3000, 1_000_000], ids=["small answers", "long ones"])
def test_at_the_limit_of_its_address_space_the_supervisor_ends_in_words_and_the_next_one_works(
    tmp_path: Path, size: int
) -> None:
    with running(tmp_path) as pool:
        pool.ready()
        pid = pool.process.pid
        taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (taken + (16 << 20),) * 2)
        for worker in pool.view().workers:
            pool.client.signal(worker.serial, "STOP")  # what it takes stays with it
        channel, _ = connect(pool.settings, "tool")
        with contextlib.closing(channel), pytest.raises(ChannelClosed):
            flood(channel, 20_000, size)
        assert pool.process.wait(10) == 1
        said = pool.log.read_text()
        assert "pairscope pool: no memory is left: " in said and "RLIMIT_AS" in said and "Traceback" not in said
    with running(tmp_path) as pool:
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"


@pytest.mark.pool
def test_a_limit_of_its_address_space_that_is_set_while_it_runs_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path) as pool:
        pool.ready()
        pid = pool.process.pid
        taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (taken + (1 << 20),) * 2)
        assert pool.process.wait(30) == 1
        assert f"of the {taken + (1 << 20)} bytes of address space" in pool.log.read_text()


@pytest.mark.pool
@pytest.mark.parametrize("kind", ["digest", "echo"])
def test_who_fills_the_queue_leaves_half_of_it_to_the_others(tmp_path: Path, kind: str) -> None:
    settings = tmp_path / "pool.toml"
    settings.write_text(f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\nqueue_max = 20\nworkers = 1\n')
    with running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        (worker,) = pool.ready(1).workers
        pool.client.signal(worker.serial, "STOP")
        file = memfd.sealed("input", b"x")
        what = [kind, file] if kind == "digest" else [kind]
        greedy = Client(pool.settings, "tool")
        try:
            for _ in range(11):
                greedy.submit(*what)
            with pytest.raises(PoolRefused, match="Of one client at most 11 may"):
                greedy.submit(*what)
            pool.client.submit(*what)
        finally:
            os.close(file)
            greedy.close()
            pool.client.signal(worker.serial, "CONT")
