"""The probes describe whatever a process may hold, not only what a scenario makes, and change nothing of it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairscope.lab.probes import in_flight, objects, sockets, tables, tasks
from pairscope.lab.probes.descriptions import Descriptions
from pairscope.lab.probes.diag import Asker
from pairscope.lab.probes.sockets import Surroundings
from pairscope.lab.reasons import Reason
from pairscope.lab.run import UNSET, Object
from pairscope.lab.stage import contents
from pairscope.lab.stage.queues import Queues
from tests.eventually import eventually

ME = os.getpid()
LIBC = ctypes.CDLL(None, use_errno=True)
CLOEXEC = os.O_CLOEXEC
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
AF_XDP = 44
CLONE_FILES = 0x400
NLM_F_REQUEST, NLM_F_DUMP, RTM_GETLINK = 1, 0x300, 18


@pytest.fixture
def kept() -> Iterator[contextlib.ExitStack]:
    """Closes what a test has opened; and the probes have left nothing open by then."""
    before = os.listdir("/proc/self/fd")
    with contextlib.ExitStack() as stack:
        yield stack
    assert os.listdir("/proc/self/fd") == before


def keep(stack: contextlib.ExitStack, fd: int) -> int:
    assert fd >= 0, os.strerror(ctypes.get_errno())
    stack.callback(os.close, fd)
    return fd


def described(stack: contextlib.ExitStack, *numbers: int) -> list[Object]:
    """What the probes tell of these descriptors of this very process."""
    pidfd = keep(stack, os.pidfd_open(ME))
    asker = Asker()
    stack.callback(asker.close)
    with Descriptions() as descriptions:
        entries = descriptions.table(ME, pidfd, numbers)
        in_flight.follow(descriptions, lambda inode: 0)
        around = Surroundings(asker, {}, set(), (), {}, set(), sockets.ends(descriptions.all))
        found = []
        for number, entry in enumerate(entries, 1):
            entry.description.number = number
            told = objects.empty(entry.description)
            objects.describe(told, entry.description, entry.info, around)
            if entry.description.sock is not None:
                contents.tell(told, entry.description, Queues())
                if told.listens:
                    sockets.describe_waiting(told, entry.description, asker)
            found.append(told)
    return found


def opened_fifo(directory: Path, flags: int) -> int:
    os.mkfifo(directory / "fifo")
    return os.open(directory / "fifo", flags | CLOEXEC)


def file_of_a_memfd(directory: Path) -> int:
    fd = os.memfd_create("m")
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_PATH | CLOEXEC)
    finally:
        os.close(fd)


def epoll(directory: Path) -> int:
    with select.epoll() as epoll, socket.socket() as sock:
        epoll.register(sock, select.EPOLLIN)
        return os.dup(epoll.fileno())


def made(family: int, kind: int, protocol: int = 0) -> Callable[[Path], int]:
    def make(directory: Path) -> int:
        try:
            return socket.socket(family, kind, protocol).detach()
        except OSError as error:
            pytest.skip(f"no such socket here: {error.strerror}")

    return make


FOREIGN: dict[str, tuple[Callable[[Path], int], str]] = {
    "a netlink socket": (made(socket.AF_NETLINK, socket.SOCK_RAW), "socket"),
    "a packet socket": (made(socket.AF_PACKET, socket.SOCK_RAW), "socket"),
    "a raw socket": (made(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP), "socket"),
    "a raw socket of IPv6": (made(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP), "socket"),
    "a socket of virtual machines": (made(socket.AF_VSOCK, socket.SOCK_STREAM), "socket"),
    "a socket without getsockname": (made(AF_XDP, socket.SOCK_RAW), "socket"),
    "a named pipe": (lambda directory: opened_fifo(directory, os.O_RDWR), "pipe"),
    "the file of a named pipe": (lambda directory: opened_fifo(directory, os.O_PATH), "pipe"),
    "the file of a memfd": (file_of_a_memfd, "memfd"),
    "a directory": (lambda directory: os.open(directory, os.O_RDONLY | CLOEXEC), "directory"),
    "the null device": (lambda _: os.open("/dev/null", os.O_RDWR | CLOEXEC), "character device"),
    "a terminal": (lambda _: os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | CLOEXEC), "character device"),
    "an epoll instance": (epoll, "anonymous inode"),
    "a timerfd": (lambda _: int(LIBC.timerfd_create(1, CLOEXEC)), "anonymous inode"),
    "a signalfd": (lambda _: int(LIBC.signalfd(-1, (ctypes.c_ulong * 16)(1), CLOEXEC)), "anonymous inode"),
    "an inotify instance": (lambda _: int(LIBC.inotify_init1(CLOEXEC)), "anonymous inode"),
    "an eventfd": (lambda _: os.eventfd(5), "eventfd"),
    "a pidfd": (lambda _: os.pidfd_open(ME), "pidfd"),
    "a namespace": (lambda _: os.open("/proc/self/ns/net", os.O_RDONLY | CLOEXEC), "regular file"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_whatever_a_process_holds_is_described(name, kept, tmp_path):
    make, kind = FOREIGN[name]
    [told] = described(kept, keep(kept, make(tmp_path)))
    assert told.kind == kind


def test_what_waits_in_a_socket_of_another_family_stays_there_and_is_said_to_be_unknown(kept):
    """A peek would have the kernel go on with the dump that this socket asked for."""
    netlink = kept.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
    netlink.setblocking(False)
    netlink.send(struct.pack("=IHHIIBxHiII", 32, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, 0, 0, 0, 0, 0))
    [told] = described(kept, netlink.fileno())
    assert (told.family, told.contents, told.why) == ("AF_NETLINK", None, Reason.FAMILY.say())
    assert told.address is UNSET
    assert netlink.recv(1 << 16)


def test_a_process_is_seen_with_all_of_its_numbers(kept):
    """The stage leaves its own out, and nobody else's."""
    numbers = [keep(kept, fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, least)) for least in (199, 200, 255, 256)]
    assert set(numbers) <= set(tables.numbers(ME))
    with Descriptions() as descriptions:
        entries = descriptions.table(ME, keep(kept, os.pidfd_open(ME)), numbers)
        assert [entry.number for entry in entries] == numbers
        assert len(descriptions.all) == 1, "they are one open file description"


def test_a_thread_with_a_table_of_its_own_is_asked_by_its_own_id(kept):
    """clone(2), CLONE_FILES: what it opens stands in no other thread's table."""
    pipe = [keep(kept, end) for end in os.pipe()]
    found: list[object] = []

    def apart() -> None:
        assert LIBC.unshare(CLONE_FILES) == 0
        own, tid = fcntl.fcntl(pipe[0], fcntl.F_DUPFD_CLOEXEC, 900), threading.get_native_id()
        found.extend((own in tables.numbers(tid), own in tables.numbers(ME), tables.inode(tid, own)))

    thread = threading.Thread(target=apart)
    thread.start()
    thread.join()
    assert found == [True, False, os.fstat(pipe[0]).st_ino]


def test_a_number_that_was_closed_meanwhile_is_left_out(kept):
    pidfd, *pipe = [keep(kept, one) for one in (os.pidfd_open(ME), *os.pipe())]
    gone = fcntl.fcntl(pipe[0], fcntl.F_DUPFD_CLOEXEC, 900)  # which no duplicate of the probes takes
    numbers = [*pipe, gone]
    os.close(gone)
    with Descriptions() as descriptions:
        entries = descriptions.table(ME, pidfd, numbers)
    assert [entry.number for entry in entries] == pipe


@pytest.mark.process
def test_a_process_that_is_gone_or_closed_to_us_is_an_error_and_leaves_no_duplicate(kept):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        pidfd = keep(kept, os.pidfd_open(child.pid))
    with pytest.raises(ProcessLookupError):
        tables.duplicate(pidfd, 0)
    with pytest.raises(FileNotFoundError):
        tables.numbers(child.pid)


@pytest.mark.process
def test_a_task_is_stopped_by_a_signal_and_not_by_its_tracer():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        pid = child.pid
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: tasks.sample(pid, pid).stopped, "a stopped child is told as stopped")
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: tasks.sample(pid, pid).state == "S", "it goes on")
        assert LIBC.ptrace(PTRACE_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())
        assert LIBC.ptrace(PTRACE_INTERRUPT, pid, None, None) == 0
        os.waitpid(pid, 0)
        sample = tasks.sample(pid, pid)
        assert LIBC.ptrace(PTRACE_DETACH, pid, None, None) == 0
        assert (sample.state, sample.stopped) == ("t", False)


def test_a_look_takes_nothing_out_of_a_queue_and_finds_what_is_in_flight(kept):
    near, far = (kept.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    file = keep(kept, os.memfd_create("passed"))
    os.write(file, b"contents")
    socket.send_fds(near, [b"one"], [file])
    near.send(b"two")
    told = described(kept, far.fileno())[0]
    assert isinstance(told.contents, list) and [part.bytes for part in told.contents] == [3, 3]
    assert isinstance(told.carried, list) and [one and (one.kind, one.sender) for one in told.carried] == [
        ("memfd", None)
    ]
    data, fds, _, _ = socket.recv_fds(far, 64, 4)
    assert (data, len(fds), far.recv(64)) == (b"one", 1, b"two")
    os.close(fds[0])
