"""What a peer may do with a control message and with descriptors that it shares: claims of CPython's tests of
descriptor passing, and of unix(7), held anew against ours.

CPython's claims stand in Lib/test/test_socket.py (SCMRightsTest, RecvmsgTests, CmsgTruncTests).
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.client.attach import connect
from pairscope.client.client import Client
from pairscope.ipc.channel import Channel, pair
from pairscope.ipc.passing import MOST_FDS, PassingError, close_all, peek, receive, send
from pairscope.ipc.payloads import Submit
from tests import leaks
from tests.eventually import eventually
from tests.pools import Pool, running

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = pair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Three open files, each with its number as content."""
    found = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_text(str(number))
        found.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    yield found
    close_all(found)


def rights(data: bytes) -> tuple[int, int, bytes]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, data


def numbers(fds: list[int]) -> bytes:
    return array.array("i", fds).tobytes()


def held() -> int:
    return len(os.listdir("/proc/self/fd"))


def contents(fds: list[int]) -> list[bytes]:
    return [os.pread(fd, 10, 0) for fd in fds]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_descriptors_of_one_control_message_come_in_their_order_and_are_new_numbers_of_the_same_files(
    ends: Ends, files: list[int], count: int
) -> None:
    ends[0].sendmsg([b"x"], [rights(numbers(files[:count]))])
    packet = receive(ends[1])
    assert packet and packet[0] == b"x" and not set(packet[1]) & set(files)
    assert contents(packet[1]) == [b"0", b"1", b"2"][:count]
    os.write(packet[1][0], b"X")
    assert contents(files[:1]) == [b"X"] and os.lseek(files[0], 0, os.SEEK_CUR) == 1, "one offset for both"
    close_all(packet[1])


def test_descriptors_of_two_control_messages_all_come(ends: Ends, files: list[int]) -> None:
    try:
        ends[0].sendmsg([b"x"], [rights(numbers(files[:1])), rights(numbers(files[1:]))])
    except OSError as error:
        pytest.skip(f"this kernel sends no two of them: {error.strerror}")
    packet = receive(ends[1])
    assert packet and contents(packet[1]) == [b"0", b"1", b"2"]
    close_all(packet[1])


def test_an_empty_control_message_brings_no_descriptor(ends: Ends) -> None:
    ends[0].sendmsg([b"x"], [rights(b"")])
    packet = receive(ends[1])
    assert packet and packet[:2] == (b"x", [])


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_part_of_a_number_at_the_end_is_no_descriptor_and_what_is_whole_comes_or_nothing(
    ends: Ends, files: list[int], cut: int
) -> None:
    before = held()
    try:
        ends[0].sendmsg([b"x"], [rights(numbers(files)[: 8 + cut])])
    except OSError:
        return  # a kernel may refuse it
    packet = receive(ends[1])
    assert packet and contents(packet[1]) == [b"0", b"1"][: len(packet[1])]
    close_all(packet[1])
    assert held() == before


@pytest.mark.parametrize("bad", [-1, 1 << 20])
def test_a_number_that_is_no_descriptor_is_refused_at_the_sender_and_nothing_is_sent(
    ends: Ends, files: list[int], bad: int
) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        send(ends[0], b"x", [files[0], bad])
    ends[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        receive(ends[1])


@pytest.mark.parametrize("room", [0, 1, 12, 15, 16, 17, 19, 20, 23])
def test_a_control_buffer_of_any_size_that_is_too_small_closes_what_it_has_no_room_for(
    ends: Ends, files: list[int], room: int
) -> None:
    """The kernel's part of it: no descriptor is left over, whatever the room. Ours is always large enough."""
    before = held()
    send(ends[0], b"x", files)
    _, control, flags, _ = ends[1].recvmsg(10, room, socket.MSG_CMSG_CLOEXEC)
    came = array.array("i")
    for _, _, body in control:
        came.frombytes(body[: len(body) - len(body) % 4])
    assert flags & socket.MSG_CTRUNC
    close_all(came.tolist())
    assert held() == before


def test_data_cut_off_is_an_error_that_leaves_no_descriptor_and_the_next_packet_is_whole(
    ends: Ends, files: list[int]
) -> None:
    before = held()
    send(ends[0], b"x" * 100, files)
    send(ends[0], b"next")
    with pytest.raises(PassingError, match="3 descriptors were closed"):
        receive(ends[1], memoryview(bytearray(10)))
    assert held() == before
    assert (packet := receive(ends[1])) and packet[0] == b"next"


def test_what_is_peeked_at_stays_and_its_descriptors_are_duplicates(ends: Ends, files: list[int]) -> None:
    before = held()
    send(ends[0], b"x", files)
    for _ in range(3):
        data, seen = peek(ends[1], 10, MOST_FDS)
        assert data == b"x" and contents(seen) == [b"0", b"1", b"2"]
        close_all(seen)
    packet = receive(ends[1])
    assert packet and len(packet[1]) == 3
    close_all(packet[1])
    assert held() == before


def test_what_was_sent_comes_although_the_sender_has_closed_its_descriptors_and_its_end(
    ends: Ends, files: list[int]
) -> None:
    copies = [os.dup(fd) for fd in files]
    send(ends[0], b"x", copies)
    close_all(copies)
    ends[0].close()
    packet = receive(ends[1])
    assert packet and contents(packet[1]) == [b"0", b"1", b"2"]
    close_all(packet[1])
    assert receive(ends[1]) is None


def test_what_nobody_receives_is_closed_with_the_socket_that_holds_it(ends: Ends) -> None:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    send(ends[0], b"x", [writing])
    os.close(writing)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    ends[1].close()
    assert os.read(reading, 1) == b"", "its last writer is gone"
    os.close(reading)


def test_a_signal_that_comes_while_it_waits_interrupts_no_receiving(ends: Ends) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: send(ends[0], b"after the signal"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        packet = receive(ends[1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert packet and packet[0] == b"after the signal"


# ---- sockets in each other


def test_a_thousand_cycles_of_sockets_in_each_other_are_collected_and_nothing_is_left() -> None:
    """What lies in a queue that only itself leads to has no owner: the kernel looks for it. unix_gc(), net/unix."""
    before, inodes = held(), set()
    for number in range(1000):
        made = [end for _ in range(number % 3 + 1) for end in pair()]
        inodes |= {str(os.fstat(end.fileno()).st_ino) for end in made}
        for at in range(0, len(made), 2):
            # the queue of each pair's second end holds that of the next one, the last one's that of the first
            send(made[at], b"x", [made[(at + 3) % len(made)].fileno()])
        for end in made:
            end.close()
    assert held() == before
    eventually(lambda: not inodes & leaks.unix_sockets(), "the kernel has collected all of them", 20)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running(tmp_path_factory.mktemp("pool")) as pool:
        pool.ready()
        yield pool


def entries(pool: Pool) -> int:
    return len(os.listdir(f"/proc/{pool.process.pid}/fd"))


@pytest.mark.pool
def test_clients_that_send_their_own_ends_and_go_are_gone_for_the_pool_too(shared: Pool) -> None:
    """The supervisor's queue holds the client's end then: it sees no end of the channel before it has read that."""
    shared.client.submit("echo", data=b"x", want="ended")
    eventually(lambda: shared.view().clients, "it is seen")
    before, fds, inodes = len(shared.view().clients), entries(shared), set()
    for _ in range(100):
        channel, _welcome = connect(shared.settings, "tool")
        inodes.add(str(os.fstat(channel.fileno()).st_ino))
        for number in range(3):
            channel.post("submit", Submit("digest", name="myself"), fds=[channel.fileno()], seq=number + 1, timeout=20)
        channel.close()
    eventually(lambda: len(shared.view().clients) == before, "the pool knows none of them any more", 20)
    eventually(lambda: entries(shared) <= fds, "it has closed what they sent", 20)
    eventually(lambda: not inodes & leaks.unix_sockets(), "and none is left in the kernel", 20)
    assert shared.client.submit("echo", data=b"x", want="ended").state == "done"


# ---- what a client goes on doing with a file that it has passed


def tampered(passed: int, writable: int, how: str) -> None:
    """`passed` is the very descriptor that it shares with the worker; `writable` another one of the same file."""
    if how == "truncate":
        os.ftruncate(writable, 10)
        os.ftruncate(writable, 50_000_000)
        os.ftruncate(writable, 0)
    elif how == "lseek":
        os.lseek(passed, 1 << 40, os.SEEK_SET)
    elif how == "flock":
        fcntl.flock(passed, fcntl.LOCK_EX)
        fcntl.lockf(writable, fcntl.LOCK_EX)
    elif how == "flags":
        flags = fcntl.fcntl(passed, fcntl.F_GETFL)
        fcntl.fcntl(passed, fcntl.F_SETFL, flags | os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)
        fcntl.fcntl(passed, fcntl.F_SETFL, flags)
    else:
        os.pwrite(writable, os.urandom(1000), 0)


@pytest.mark.pool
@pytest.mark.parametrize("how", ["truncate", "lseek", "flock", "flags", "write"])
def test_what_a_client_does_meanwhile_to_a_file_that_it_has_passed_costs_nobody_but_its_own_job(
    shared: Pool, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 16) * 128)
    serials = [worker.serial for worker in shared.view().workers]
    with (
        path.open("rb", buffering=0) as file,
        path.open("r+b", buffering=0) as writable,
        contextlib.closing(Client(shared.settings, "tool")) as other,
    ):
        job = shared.client.submit("compress", file.fileno(), want="both").job
        answer: Any = None
        while answer is None:
            tampered(file.fileno(), writable.fileno(), how)
            assert other.submit("echo", data=b"beside", want="ended").state == "done"
            answer = shared.client.answer(job, 0.002)
        assert answer.state in ("done", "failed") and (answer.state == "done" or answer.reason)
    assert shared.client.submit("echo", data=b"after", want="ended").state == "done"
    assert [worker.serial for worker in shared.view().workers] == serials, "no worker died of it"


@pytest.mark.pool
def test_a_shared_flag_or_offset_that_the_client_set_is_still_its_own_afterwards(shared: Pool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb", buffering=0) as file:
        os.lseek(file.fileno(), 7, os.SEEK_SET)
        flags = fcntl.fcntl(file, fcntl.F_GETFL) | os.O_NONBLOCK | os.O_APPEND
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        assert shared.client.submit("digest", file.fileno(), want="ended").state == "done"
        assert (os.lseek(file.fileno(), 0, os.SEEK_CUR), fcntl.fcntl(file, fcntl.F_GETFL)) == (7, flags)


@pytest.mark.pool
def test_a_channels_end_that_its_client_made_non_blocking_or_shut_in_one_direction_holds_up_nobody(
    shared: Pool,
) -> None:
    before = len(shared.view().clients)
    made: list[Channel] = []
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        channel, _ = connect(shared.settings, "tool")
        channel.post("submit", Submit("echo", data=b"x"), seq=1, timeout=5)
        channel.sock.shutdown(how)
        made.append(channel)
    assert shared.client.submit("echo", data=b"x", want="ended").state == "done"
    for channel in made:
        channel.close()
    eventually(lambda: len(shared.view().clients) <= before, "they are gone", 20)
