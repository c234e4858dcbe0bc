"""Clients that come and say nothing, that take nothing, and that say little by little: they cost the others nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from pairscope.client.attach import attach, connect
from pairscope.ipc.address import short
from pairscope.ipc.payloads import Submit
from tests.eventually import eventually
from tests.pools import running

pytestmark = pytest.mark.pool
MANY = 150


def test_clients_that_are_silent_or_slow_keep_nobody_waiting_and_nothing_is_left_of_them(tmp_path: Path) -> None:
    with running(tmp_path) as pool, contextlib.ExitStack() as stack:
        pool.ready()
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
        held = len(os.listdir(f"/proc/{pool.process.pid}/fd"))
        callers = []
        for _ in range(MANY):  # does not even take its end
            caller = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            with short(pool.settings.control) as address:
                caller.connect(address)
            callers.append(caller)
        silent = [stack.enter_context(contextlib.closing(attach(pool.settings))) for _ in range(MANY)]
        slow = [stack.enter_context(contextlib.closing(connect(pool.settings, "tool")[0])) for _ in range(20)]
        for number in range(100):
            slow[number % 20].post("submit", Submit("echo", data=b"slow"), seq=number + 1, timeout=5)
            assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
        assert len(os.listdir(f"/proc/{pool.process.pid}/fd")) >= held + len(silent) + len(slow)
        stack.close()
        eventually(lambda: len(os.listdir(f"/proc/{pool.process.pid}/fd")) <= held, "nothing of them is left", 20)
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
