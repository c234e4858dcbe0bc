"""Clients that hold many connections, say nothing, are let go and come again, or leave behind many small outputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.client.attach import attach, connect
from pairscope.client.away import PoolAway, PoolRefused
from pairscope.files import SOURCE
from pairscope.ipc import memfd
from pairscope.ipc.channel import Channel, ChannelClosed
from pairscope.ipc.passing import send
from pairscope.ipc.payloads import Lookup
from pairscope.ipc.sentences import Gone, Undone
from pairscope.journal.records import OutputGone
from pairscope.pool.comers import FREE, TOLD_MOST
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool

IMPATIENT = """
import sys
if "pairscope.pool" in sys.orig_argv:
    from pairscope.pool import comers, floor, guests
    guests.ENTER_WITHIN = 0.5
    comers.HELD_MOST = 12
    floor.KEPT_MOST = 3
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One that waits half a second for the first word, has a place for twelve of a user, and keeps three outputs."""
    state = tmp_path_factory.mktemp("impatient")
    (state / "sitecustomize.py").write_text(IMPATIENT)
    with running(state, PYTHONPATH=f"{state}{os.pathsep}{SOURCE}") as made:
        made.ready()
        yield made


def works(pool: Pool) -> bool:
    return pool.client.submit("echo", data=b"x", want="ended").state == "done"


def test_a_user_who_holds_as_many_connections_as_he_may_is_refused_in_words_until_one_is_closed(pool: Pool) -> None:
    assert works(pool)
    with contextlib.ExitStack() as stack:
        held: list[Channel] = []
        with pytest.raises(PoolAway, match=r"user \d+ holds 12 connections to the pool; at most 12 may be"):
            while len(held) < 100:
                held.append(stack.enter_context(contextlib.closing(connect(pool.settings, "tool")[0])))
        assert len(held) == 11, "the pool's own client is the twelfth"
        assert works(pool), "who is in is not concerned"
        held[0].close()

        def comes_in() -> bool:
            with contextlib.suppress(PoolAway):
                connect(pool.settings, "tool")[0].close()
                return True
            return False

        eventually(comes_in, "the place of one that was closed is free")


def test_the_bounds_of_connections_and_outputs_are_shown_beside_what_is_held(pool: Pool) -> None:
    assert works(pool)
    uid = os.getuid()
    eventually(lambda: pool.view().connections.held == {uid: 1}, "the pool's own client is held")
    assert (pool.view().connections.most, pool.view().results.most) == (12, 3)
    with contextlib.closing(connect(pool.settings, "tool")[0]):
        eventually(lambda: pool.view().connections.held == {uid: 2}, "one more is held")
    eventually(lambda: pool.view().connections.held == {uid: 1}, "it has gone")


def test_a_client_that_never_says_what_it_is_is_let_go_and_the_log_says_why(pool: Pool) -> None:
    entered, _ = connect(pool.settings, "tool")
    with contextlib.closing(entered), contextlib.closing(attach(pool.settings)) as silent:
        with pytest.raises(ChannelClosed):
            silent.wait(30)
        assert f"a client with pid {os.getpid()}: {Gone.SILENT.say(seconds='0.5')}" in pool.log.read_text()
        entered.post("lookup", Lookup(1), seq=1)
        assert entered.wait(30)[0].kind.name == "known", "who has said it stays, however silent it is"


def test_of_clients_that_speak_nonsense_and_come_again_the_log_tells_some_and_others_are_served(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as pool:
        pool.ready()
        for _ in range(int(FREE) + TOLD_MOST):
            with contextlib.closing(attach(pool.settings)) as client:
                send(client.sock, b"nonsense")
                with pytest.raises(ChannelClosed):
                    client.wait(30)
        assert works(pool)
        assert pool.log.read_text().count("a client with pid") == TOLD_MOST


def test_small_outputs_are_kept_up_to_a_number_and_the_oldest_says_why_it_went(pool: Pool) -> None:
    file = memfd.sealed("input", b"small")
    jobs = [pool.client.submit("compress", file, want="ended").job for _ in range(5)]
    os.close(file)

    def gone() -> list[OutputGone]:
        found = [record for record in pool.records() if type(record) is OutputGone]
        return found if len(found) == 2 else []

    found = eventually(gone, "two have gone")
    assert [record.job for record in found] == jobs[:2]
    assert {record.reason for record in found} == {Undone.NEWER.say(most=3)}
    with pytest.raises(PoolRefused) as refused:
        pool.client.fetch(jobs[0])
    assert refused.value.code == "expired"
    for job in jobs[2:]:
        os.close(pool.client.fetch(job)[1])
