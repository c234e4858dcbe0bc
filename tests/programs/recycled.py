"""Run in a pid namespace: a worker and a client die, others get their pids, and the pool is asked what it makes of it.

``python recycled.py DIRECTORY``; says ``all holds``. See tests/attack/test_recycled.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pairscope.client.away import PoolRefused
from pairscope.client.client import Client
from pairscope.ipc import memfd
from pairscope.journal.records import Message
from tests.eventually import eventually
from tests.pools import Pool, running

LAST = Path("/proc/sys/kernel/ns_last_pid")


def stranger(pid: int, fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """A process with that pid, which nobody else has, and that has these descriptors."""
    for _ in range(50):
        LAST.write_text(str(pid - 1))
        made = subprocess.Popen(["sleep", "1000"], pass_fds=fds)
        if made.pid == pid:
            return made
        made.kill()
        made.wait()
    raise AssertionError(f"nobody got pid {pid}")


def a_dead_worker(pool: Pool) -> None:
    old = pool.view().workers[0]
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: all(worker.serial != old.serial for worker in pool.view().workers), "it is buried")
    other = stranger(old.pid)
    for name in ("KILL", "STOP", "TERM"):
        with contextlib.suppress(PoolRefused):
            pool.client.signal(old.serial, name)
            raise AssertionError(f"worker {old.serial} is dead, and was sent {name}")
    pool.ready()
    pool.client.scale(1)
    pool.client.scale(2)
    pool.ready()
    assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
    assert other.poll() is None and Path(f"/proc/{other.pid}/stat").read_text().split()[2] == "S"
    other.kill()
    other.wait()


def a_dead_client(pool: Pool) -> None:
    """It passes a descriptor and dies before the pool looks at it: no proof is made of whoever has its pid then."""
    file = memfd.sealed("input", b"x" * 1000)
    ready, told = os.pipe()
    go, going = os.pipe()
    pid = os.fork()
    if pid == 0:
        client = Client(pool.settings, "tool")
        assert client.serial
        os.write(told, b"x")
        os.read(go, 1)
        client.begin("digest", file)
        os.write(told, b"x")
        os._exit(0)
    os.read(ready, 1)
    os.kill(pool.process.pid, signal.SIGSTOP)
    os.write(going, b"x")
    os.read(ready, 1)
    os.waitpid(pid, 0)
    other = stranger(pid)
    os.kill(pool.process.pid, signal.SIGCONT)
    seen = eventually(
        lambda: [
            record for record in pool.records() if type(record) is Message and record.pid == pid and record.transfers
        ],
        "the pool has what it passed",
    )
    assert [transfer.proof for record in seen for transfer in record.transfers] == ["unproved"], seen
    assert other.poll() is None
    other.kill()
    other.wait()


def main(directory: str) -> None:
    with running(Path(directory)) as pool:
        pool.ready()
        a_dead_worker(pool)
        a_dead_client(pool)
    print("all holds")


if __name__ == "__main__":
    main(sys.argv[1])
