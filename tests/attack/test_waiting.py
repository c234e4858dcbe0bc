"""A descriptor that makes its holder wait: a file of a FUSE whose server answers nothing, and a socket that lingers.
Others are served meanwhile, and the next supervisor need not wait for the end of the one that holds it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairscope.client.attach import connect
from pairscope.client.away import PoolAway, PoolRefused
from pairscope.client.client import Client
from pairscope.ipc.address import short
from pairscope.ipc.channel import Channel
from pairscope.ipc.envelope import Envelope
from pairscope.ipc.passing import send
from pairscope.ipc.payloads import Submit
from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import Ended, Message
from pairscope.pool.foreign import KEPT_ALL, KEPT_EACH, LATER_MOST
from tests.attack.fuse import Hanging, mounted
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool

LONG = struct.pack("ii", 1, 600)
"""SO_LINGER: ten minutes."""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with running(tmp_path / "pool") as pool:
        pool.ready()
        yield pool


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One pool for those that leave it as it was, a few descriptors apart that it keeps."""
    with running(tmp_path_factory.mktemp("pool")) as pool:
        pool.ready()
        channel, _ = connect(pool.settings, "tool")
        with contextlib.closing(channel):
            event = os.eventfd(0)
            send(channel.sock, message("submit", 1), [event])  # the first that is passed starts it
            os.close(event)
            eventually(lambda: b"closer" in b"".join(commands(pool)), "the closer is there")
        yield pool


def commands(pool: Pool) -> list[bytes]:
    """What the children of its supervisor run."""
    pid = pool.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]


@pytest.fixture
def fuse(tmp_path: Path) -> Iterator[Hanging]:
    with mounted(tmp_path / "fuse") as hanging:
        yield hanging


def works(pool: Pool) -> bool:
    """Whether somebody else's jobs are done, with a descriptor and without."""
    other = Client(pool.settings, "tool")
    try:
        with (pool.settings.state / "history.sqlite").open("rb") as file:
            return {
                other.submit("echo", data=b"x", want="ended").state,
                other.submit("digest", file.fileno(), want="ended").state,
            } == {"done"}
    finally:
        other.close()


@contextlib.contextmanager
def standing_still(pool: Pool) -> Iterator[None]:
    """The supervisor does nothing meanwhile: what is passed to it is its alone when it goes on."""
    pool.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, pool.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    try:
        yield
    finally:
        pool.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def lingering() -> Iterator[socket.socket]:
    """A TCP socket whose last close waits for ten minutes, as its peer reads nothing. Its peer is gone at the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with peer:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                one.send(b"x" * 65536)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LONG)
        yield one


def descriptors(pool: Pool) -> int:
    return len(os.listdir(f"/proc/{pool.process.pid}/fd"))


def message(kind: str, announced: int, spill: int = 0) -> bytes:
    """A message as it travels, whatever comes with it."""
    channel = Channel(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0], hears="client")
    out = channel.prepare(kind, Submit("digest", want=1) if kind == "submit" else None)
    envelope: Envelope = out.envelope
    envelope.fds, envelope.spill = list(range(announced)), spill
    channel.stamp(out)
    channel.close()
    return out.data


def behind_nonsense(end: socket.socket, data: bytes, fd: int) -> None:
    """It is not read any more."""
    send(end, b"nonsense")
    end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))])


WAYS: dict[str, Callable[[socket.socket, int], None]] = {
    "as the input of a job": lambda end, fd: send(end, message("submit", 1), [fd]),
    "with a message that carries none": lambda end, fd: send(end, message("receipt", 0), [fd]),
    "as one of many": lambda end, fd: send(end, message("submit", 1), [fd] * 10),
    "as a long payload": lambda end, fd: send(end, message("submit", 0, 1000), [fd]),
    "with nonsense": lambda end, fd: send(end, b"nonsense", [fd]),
    "with several messages": lambda end, fd: send(end, b"\xdc\x00\x02" + 2 * message("receipt", 0), [fd]),
    "behind nonsense": lambda end, fd: behind_nonsense(end, message("submit", 1), fd),
    "with nothing, behind nonsense": lambda end, fd: behind_nonsense(end, b"", fd),
}  # fmt: skip


# ---- a file whose file system does not answer


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_a_fuse_that_does_not_answer_keeps_nobody_waiting(shared: Pool, fuse: Hanging, way: str) -> None:
    channel, _ = connect(shared.settings, "tool")
    with contextlib.closing(channel):
        fd = os.open(fuse.file, os.O_RDONLY)
        fuse.tell("hang")
        try:
            with standing_still(shared):
                WAYS[way](channel.sock, fd)
            assert works(shared)
            assert works(shared)
        finally:
            fuse.tell("go")
            os.close(fd)


def test_such_a_file_is_refused_in_words_and_recorded_without_being_asked(pool: Pool, fuse: Hanging) -> None:
    with fuse.file.open("rb") as file:
        fuse.tell("hang")
        with pytest.raises(PoolRefused, match="may make its holder wait.*Copy the file there first"):
            pool.client.submit("digest", file.fileno())
        fuse.tell("go")
        (crossed,) = [
            transfer
            for record in pool.records()
            if type(record) is Message and record.kind == BY_NAME["submit"].code
            for transfer in record.transfers
        ]
        assert (crossed.object, crossed.access, crossed.link) == ("foreign file", "read", str(fuse.file))
        assert crossed.proof == "same"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped in order"])
def test_the_next_supervisor_works_while_the_last_one_still_waits_in_its_end(
    tmp_path: Path, fuse: Hanging, number: signal.Signals
) -> None:
    with running(tmp_path / "pool") as pool:
        pool.ready()
        with fuse.file.open("rb") as file, pytest.raises(PoolRefused):
            pool.client.submit("digest", file.fileno())
        fuse.tell("hang")
        pool.client.close()
        pool.process.send_signal(number)
        fuse.wait_for("holds flush")
        with running(tmp_path / "pool") as successor:
            assert works(successor)
            assert pool.process.poll() is None, "the last one is still in its end"
            fuse.tell("go")
        pool.process.wait(20)


def test_few_are_kept_and_whoever_passes_more_is_let_go_with_the_reason(pool: Pool, fuse: Hanging) -> None:
    channel, welcome = connect(pool.settings, "tool")
    with contextlib.closing(channel), fuse.file.open("rb") as file:
        for _ in range(KEPT_EACH + 1):
            send(channel.sock, message("submit", 1), [file.fileno()])
        (end,) = eventually(
            lambda: [
                record.exit
                for record in pool.records()
                if type(record) is Ended and (record.role, record.serial) == ("tool", welcome.serial)
            ],
            "its end is journaled",
        )
        assert end == f"it passed {KEPT_EACH + 1} descriptors whose close may wait; at most {KEPT_EACH} may be"
        assert works(pool)
        channel, _ = connect(pool.settings, "tool")
        with contextlib.closing(channel):
            send(channel.sock, message("submit", 1), [file.fileno()] * (KEPT_ALL + 1))
            eventually(lambda: channel.readable, "it is let go")
        other = Client(pool.settings, "tool")
        with pytest.raises(PoolAway, match=rf"came from user {os.getuid()}; \d+ are kept, at most {KEPT_ALL}"):
            other.submit("echo", data=b"x")
    assert pool.process.poll() is None


def test_the_lock_has_the_lowest_number_of_all_that_the_supervisor_opens(pool: Pool) -> None:
    place = Path(f"/proc/{pool.process.pid}/fdinfo")
    held = {int(name): (place / name).read_text() for name in os.listdir(place)}
    (lock,) = [number for number, text in held.items() if re.search(r"^lock:.*POSIX", text, re.MULTILINE)]
    assert lock == 3 and {0, 1, 2} <= held.keys()


# ---- a socket that lingers


@pytest.mark.parametrize(
    "nested",
    [pytest.param(False, marks=pytest.mark.long), True],
    ids=["itself", "in the queue of another socket"],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_socket_that_lingers_keeps_nobody_waiting(shared: Pool, way: str, nested: bool) -> None:
    channel, _ = connect(shared.settings, "tool")
    before = descriptors(shared)
    with contextlib.closing(channel), lingering() as one:
        with standing_still(shared):
            pass_on(one, nested, lambda fd: WAYS[way](channel.sock, fd))
        assert works(shared)
        channel.close()
        assert works(shared)
        eventually(lambda: descriptors(shared) <= before + 1, "nothing of it is left but the way to the closer")


def pass_on(one: socket.socket, nested: bool, way: Callable[[int], None]) -> None:
    """Passes it, alone or in a socket's queue, and keeps nothing of it: whoever gets it closes it last."""
    if not nested:
        way(one.fileno())
    else:
        inner, outer = socket.socketpair()
        with inner, outer:
            outer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", one.fileno()))])
            way(inner.fileno())
    one.close()


def test_a_caller_who_sends_one_before_he_is_let_in_keeps_nobody_waiting(shared: Pool) -> None:
    with lingering() as one:
        with standing_still(shared), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
            with short(shared.settings.control) as address:
                caller.connect(address)
            pass_on(one, False, lambda fd: send(caller, b"x", [fd]))
        assert works(shared)


def test_a_supervisor_that_is_stopped_does_not_wait_for_what_nobody_has_read(tmp_path: Path) -> None:
    with running(tmp_path) as pool, lingering() as one, lingering() as other:
        pool.ready()
        pool.client.close()
        channel, _ = connect(pool.settings, "tool")
        with contextlib.closing(channel):
            with standing_still(pool):
                pool.process.send_signal(signal.SIGTERM)
                pass_on(one, False, lambda fd: send(channel.sock, message("submit", 1), [fd]))
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
                    with short(pool.settings.control) as address:
                        caller.connect(address)
                    pass_on(other, False, lambda fd: send(caller, b"x", [fd]))
            assert pool.process.wait(10) == 0


@pytest.mark.long  # beside others its own socket was full once, before the pool had read
def test_a_closer_that_is_kept_waiting_is_replaced_and_nothing_piles_up(pool: Pool) -> None:
    channel, _ = connect(pool.settings, "tool")
    before = descriptors(pool)
    with contextlib.closing(channel), contextlib.ExitStack() as stack:
        for _ in range(6):  # each of them holds one closer for ten minutes
            one = stack.enter_context(lingering())
            with standing_still(pool):
                pass_on(one, True, lambda fd: send(channel.sock, message("submit", 1), [fd]))
        for _ in range(8):
            with standing_still(pool):
                for _ in range(LATER_MOST):
                    event = os.eventfd(0)
                    send(channel.sock, message("submit", 1), [event])
                    os.close(event)
            assert works(pool)
            for arrival in channel.wait(0.0):
                arrival.close()
        eventually(lambda: descriptors(pool) <= before + 1 + LATER_MOST, "what waits is bounded")
