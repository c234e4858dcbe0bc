"""Random frames: whatever bytes and descriptors a client sends, its own channel alone is at stake."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import msgspec.structs
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from pairscope.client.attach import attach
from pairscope.client.client import Client
from pairscope.ipc.channel import SEVERAL, ChannelBroken, ChannelClosed
from pairscope.ipc.passing import PACKET_MAX, close_all, send
from pairscope.ipc.payloads import Enter
from pairscope.ipc.vocabulary import KINDS
from tests.attack.ground import links
from tests.attack.test_storm import SEED
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool


@pytest.fixture(autouse=True, scope="module")
def no_directory_beside_the_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Pool]:
    with running(tmp_path) as pool:
        pool.ready()
        yield pool


NUMBERS = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([-(1 << 63), 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
    st.integers(-(1 << 63), (1 << 64) - 1),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(), st.text(max_size=20), st.binary(max_size=300)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.one_of(st.text(max_size=8), NUMBERS), inner, max_size=6)
    ),
    max_leaves=20,
)
FIELDS = sorted({field.name for kind in KINDS for field in msgspec.structs.fields(kind.payload)})
CODES = [kind.code for kind in KINDS]


def encoded(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, msgspec.MsgspecError):
        return b"\xc0"


PAYLOADS = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8).map(encoded),
    VALUES.map(encoded),
    st.binary(max_size=200),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """An envelope of a kind that there is, or is not, with fields that fit, or do not."""
    raw = draw(PAYLOADS)
    fields: list[Any] = [draw(st.one_of(st.sampled_from(CODES), NUMBERS))]
    fields += draw(st.lists(st.one_of(NUMBERS, VALUES), max_size=9))
    body = [encoded(field) for field in fields]
    body.insert(draw(st.integers(0, len(body))), raw)
    return bytes([0x90 | min(len(body), 15)]) + b"".join(body[:15])


@st.composite
def several(draw: st.DrawFn) -> bytes:
    found = draw(st.lists(messages(), max_size=70))
    count = draw(st.one_of(st.just(len(found)), st.integers(0, 65535)))
    return SEVERAL + count.to_bytes(2, "big") + b"".join(found)


@st.composite
def valid(draw: st.DrawFn) -> bytes:
    """A request as a client makes it, with a byte changed or its end cut off."""
    kind = draw(st.sampled_from(KINDS))
    values = {field.name: draw(VALUES) for field in msgspec.structs.fields(kind.payload) if draw(st.booleans())}
    data = bytearray(
        encoded([kind.code, draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), [], [], 0, values])
    )
    if draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


PACKETS = st.one_of(
    st.binary(min_size=1, max_size=2000),
    messages(),
    several(),
    valid(),
    st.integers(1, 60_000).map(lambda count: b"\x91" * count + b"\x01"),
    st.integers(PACKET_MAX - 2, PACKET_MAX + 2).map(lambda size: b"\xc0" * size),
)


def objects(directory: Path) -> dict[str, int]:
    """A descriptor of each kind."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return {
        "memfd": os.memfd_create("x", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC),
        "reading": reading,
        "writing": writing,
        "directory": os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        "path": os.open(directory, os.O_PATH | os.O_CLOEXEC),
        "device": os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC),
        "pidfd": os.pidfd_open(os.getpid()),
        "eventfd": os.eventfd(1),
        "stream": ours.detach(),
        "other": theirs.detach(),
    }


CLOSER = 2
"""Descriptors of the process that closes what others made (closer.py), which is born when it is first needed."""
FDS = st.lists(st.integers(0, 9), max_size=4)


def hears(pool: Pool, packets: list[tuple[bytes, list[int]]], fds: list[int], enters: bool) -> None:
    """Sends all of them on one channel, as far as that holds, and reads what comes."""
    channel = attach(pool.settings)
    with contextlib.closing(channel), contextlib.suppress(ChannelClosed, ChannelBroken, OSError):
        if enters:
            channel.post("enter", Enter("tool"), timeout=5)
        for data, which in packets:
            send(channel.sock, data, [fds[number] for number in which])
        while arrivals := channel.wait(0):
            for arrival in arrivals:
                arrival.close()


@pytest.mark.parametrize("examples", [60, pytest.param(2000, marks=pytest.mark.long)])
def test_whatever_frames_a_client_sends_the_others_are_served_and_nothing_of_it_is_left(
    shared: Pool, tmp_path: Path, examples: int
) -> None:
    other = Client(shared.settings, "tool")
    assert shared.client.serial and other.submit("echo", data=b"x", want="ended").state == "done"
    eventually(lambda: shared.view().jobs.queued + shared.view().jobs.running == 0, "all is calm")
    fds = list(objects(tmp_path).values())
    held = len(links(shared.process.pid))

    @seed(SEED)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(PACKETS, FDS), min_size=1, max_size=5), st.booleans())
    def each(packets: list[tuple[bytes, list[int]]], enters: bool) -> None:
        hears(shared, packets, fds, enters)
        assert other.submit("echo", data=b"beside", want="ended").state == "done"
        assert shared.process.poll() is None

    try:
        each()
        eventually(lambda: shared.view().jobs.queued + shared.view().jobs.running == 0, "no job is left", 20)
        eventually(lambda: len(links(shared.process.pid)) <= held + CLOSER, "no descriptor of them is left", 20)
    finally:
        other.close()
        close_all(fds)
