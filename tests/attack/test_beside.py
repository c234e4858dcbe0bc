"""An echo beside each hostile peer, and without it, in turn: the slowest of a hundred takes at most thrice as long."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from pairscope.client.client import Client
from tests.pools import Pool, running

pytestmark = [pytest.mark.pool, pytest.mark.long, pytest.mark.alone]

ROUNDS, ECHOES, MOST = 10, 400, 3.0
PEERS = {
    "comes and goes": "print(flush=True)\nwhile True:\n    c, _ = connect(s, 'tool')\n    c.close()\n",
    "speaks nonsense": (
        "print(flush=True)\nwhile True:\n    c = attach(s)\n    send(c.sock, b'nonsense')\n    c.close()\n"
    ),
    "speaks nonsense, forty at a time": (
        "for _ in range(39):\n    if not os.fork():\n        break\n"
        "else:\n    print(flush=True)\n"
        "while os.getppid() != 1:\n"
        "    try:\n        c = attach(s)\n        send(c.sock, b'nonsense')\n        c.close()\n"
        "    except PoolAway:\n        pass\n"
    ),
    "does not read": (
        "print(flush=True)\nwhile True:\n"
        "    c, _ = connect(s, 'tool')\n"
        "    try:\n"
        "        for n in range(2000):\n"
        "            c.post('submit', Submit('echo', data=b'x' * 1000), seq=n + 1, timeout=1)\n"
        "    except Exception:\n"
        "        pass\n"
        "    c.close()\n"
    ),
    "passes descriptors": (
        "f = [os.open('/dev/null', os.O_RDONLY)]\n"
        "print(flush=True)\nwhile True:\n"
        "    c, _ = connect(s, 'tool')\n"
        "    try:\n"
        "        for n in range(200):\n"
        "            c.post('submit', Submit('digest'), fds=f, seq=n + 1, timeout=1)\n"
        "            c.wait(1)\n"
        "    except Exception:\n"
        "        pass\n"
        "    c.close()\n"
    ),
    "is silent, many times": "c = [attach(s) for _ in range(300)]\nprint(flush=True)\nsys.stdin.read()\n",
}
BEGIN = (
    "import os, sys\n"
    "from pairscope.client.attach import attach, connect\n"
    "from pairscope.client.away import PoolAway\n"
    "from pairscope.config import load\n"
    "from pairscope.ipc.passing import send\n"
    "from pairscope.ipc.payloads import Submit\n"
    "s = load()\n"
)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with running(tmp_path) as made:
        made.ready()
        yield made


def taken(client: Client) -> list[float]:
    """Seconds of each of so many echoes."""
    found = []
    for _ in range(ECHOES):
        begun = time.perf_counter()
        assert client.submit("echo", data=b"x" * 64, want="ended").state == "done"
        found.append(time.perf_counter() - begun)
    return found


def slowest_hundredth(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


@contextlib.contextmanager
def hostile(pool: Pool, program: str) -> Iterator[None]:
    """A peer that has one core's share of what the machine has left, as any process of a visitor would."""
    child = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, "PAIRSCOPE_STATE": str(pool.settings.state)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdout and child.stdout.readline(), "it has begun: until then it would only load its libraries"
        yield
        assert child.poll() is None, "it goes on all the while"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


@pytest.mark.parametrize("peer", PEERS)
def test_the_slowest_hundredth_of_echoes_beside_a_hostile_peer_takes_at_most_three_times_as_long(
    pool: Pool, peer: str
) -> None:
    taken(pool.client)
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):  # in turn: what else the machine does falls on both
        alone += taken(pool.client)
        with hostile(pool, PEERS[peer]):
            beside += taken(pool.client)
    ratio = slowest_hundredth(beside) / slowest_hundredth(alone)
    print(f"{peer}: {ratio:.2f} times as long; half take {median(beside) / median(alone):.2f} times as long")
    assert ratio <= MOST, f"{peer}: {ratio:.1f}"
