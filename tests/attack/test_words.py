"""A worker that was taken over, and what it writes to its standard error: no line passes for another's, and none floods
the log."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pairscope.client.client import Client
from pairscope.files import SOURCE
from pairscope.ipc.printable import OneLine, printable
from pairscope.pool.agenda import Agenda
from pairscope.pool.words import LINE_MOST, LINES_MOST, PAUSE, PERIOD, Voice, Words
from tests.eventually import eventually
from tests.pools import running

FORGED = b"2026-01-01 00:00:00,000 pairscope pool: supervisor 9 (pid 1, epoch 9) holds the journal at position 1"
HOSTILE = f"""
import contextlib, os, sys
if "pairscope.work.worker" in sys.orig_argv:
    from pairscope.work.jobs.echo import Echo
    run = Echo.run

    def hostile(self, task):
        if task.data == b"forge":
            os.write(2, b"innocent\\r\\x1b[2K\\n" + {FORGED!r} + b"\\n\\xff\\xe2\\x80\\xae\\n")
            os.write(2, b"x" * 100_000 + b"\\n")
        while task.data == b"flood":
            with contextlib.suppress(BlockingIOError):
                os.write(2, b"a line of many\\n" * 4096)
        return run(self, task)

    Echo.run = hostile
"""


def voice() -> Voice:
    member: Any = SimpleNamespace(child=SimpleNamespace(words=-1))
    member = type("Known", (), {"child": member.child, "__str__": lambda _: "worker 1 (pid 2)"})()
    return Voice(member)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage().removeprefix("worker 1 (pid 2) wrote") for record in caplog.records]
    caplog.clear()
    return found


def test_lines_are_put_together_cut_off_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    one = voice()
    one.take(b"first\nsec", 0.0)
    assert said(caplog) == [": first"]
    one.take(b"ond\n" + b"x" * 1000, 1.0)
    one.take(b"y" * 1000 + b"\nlast\n", 2.0)
    assert said(caplog) == [": second", ": " + "x" * LINE_MOST + " …", ": last"]
    one.take(b"\n" * 60_000, 3.0)
    assert len(said(caplog)) == LINES_MOST - 5
    one.take(b"more\nand", PERIOD - 1)
    assert said(caplog) == []
    one.take(b" more\nshown\n", PERIOD)
    assert said(caplog) == [f" {60_000 - LINES_MOST + 5 + 1} more lines, which are not shown", ": shown"]
    one.take(b"no line break", PERIOD + 1)
    one.end()
    assert said(caplog) == [": no line break"]


def test_who_writes_much_is_not_heard_before_a_pause_is_over(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    member: Any = SimpleNamespace(child=SimpleNamespace(words=reader))
    member = type("Known", (), {"child": member.child})()
    watched: dict[int, Any] = {}
    watch: Any = SimpleNamespace(add=watched.__setitem__, remove=watched.__delitem__)
    words = Words(Agenda(0.5, 2.0), watch)
    words.meet(member)
    os.write(writer, b"few\n")
    watched[reader](1)
    assert list(watched) == [reader]
    os.write(writer, b"many\n" * 10_000)
    watched[reader](1)
    assert watched == {}
    words.pass_time(time.monotonic())
    assert watched == {}, "its time has not come"
    words.pass_time(time.monotonic() + PAUSE)
    assert list(watched) == [reader]
    os.close(writer)
    words.bury(member)
    assert watched == {} and len(said(caplog)) == LINES_MOST + 1


def test_what_cannot_be_seen_is_written_out() -> None:
    assert printable("plain ✓ text") == "plain ✓ text"
    assert printable("a\nb\r\x1b[2J\u202e\u2028") == r"a\nb\r\x1b[2J\u202e\u2028"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s: %s", ("a client", "its\nwords"), None)
    assert OneLine("pairscope pool: %(message)s").format(record) == r"pairscope pool: a client: its\nwords"


@pytest.mark.pool
def test_no_line_of_a_worker_passes_for_another_and_a_flood_neither_fills_the_log_nor_stops_the_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOSTILE)
    with running(tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}") as pool:
        pool.ready()
        answer = pool.client.submit("echo", data=b"forge", want="ended")
        assert answer.state == "done"
        log = eventually(lambda: "xxx …" in (text := pool.log.read_text()) and text, "its last line is in the log")
        lines = [line for line in log.splitlines() if "wrote: " in line]
        (begins,) = {line.partition("wrote: ")[0].partition(" pairscope pool: ")[2] for line in lines}
        assert re.fullmatch(rf"worker {answer.worker} \(pid \d+\) ", begins)
        shown = [line.partition("wrote: ")[2] for line in lines]
        assert shown[:3] == [r"innocent\r\x1b[2K", FORGED.decode(), r"\xff\u202e"]
        assert shown[3] == "x" * LINE_MOST + " …" and len(shown) == 4
        assert len([line for line in log.splitlines() if " holds the journal at " in line and "wrote" not in line]) == 1

        job = pool.client.submit("echo", data=b"flood", want="accepted").job
        eventually(lambda: "a line of many" in pool.log.read_text(), "it writes")
        other = Client(pool.settings, "tool")
        for number in range(200):
            assert other.submit("echo", data=b"%d" % number, want="ended").state == "done"
        assert "is being killed" in other.cancel(job)
        other.close()
        eventually(lambda: "more lines, which are not shown" in pool.log.read_text(), "it is told how many there were")
        assert len(pool.log.read_bytes()) < 40_000
