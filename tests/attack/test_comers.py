"""Clients that come for nothing: that hold many connections, say nothing, or are let go and come again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.client.attach import attach, connect
from pairscope.client.away import PoolAway
from pairscope.files import SOURCE
from pairscope.ipc.channel import Channel, ChannelClosed
from pairscope.ipc.passing import send
from pairscope.ipc.payloads import Lookup
from pairscope.ipc.sentences import Gone
from pairscope.pool.comers import FREE, TOLD_MOST
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool

IMPATIENT = """
import sys
if "pairscope.pool" in sys.orig_argv:
    from pairscope.pool import comers, guests
    guests.ENTER_WITHIN = 0.5
    comers.HELD_MOST = 12
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One that waits half a second for the first word, and has a place for twelve of a user."""
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
