"""What a call gave, read from outside at its return: what its caller was told, for each call of the lab; and what real
programs ask for besides."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab.calls import CALLS, OBSERVED
from pairscope.lab.calls.cmsg import parts
from pairscope.lab.calls.decoding import Data, Return
from pairscope.lab.calls.msghdr import Msghdr
from pairscope.lab.constants import NUMBERS
from tests.tracing import Seen, mark, trace

pytestmark = pytest.mark.process

KEYS = ("value", "errno", "made", "data", "received", "option", "wait", "revents", "before")
"""Of what `make` tells: what the kernel has given. The others are the time, and what was asked for afterwards."""
_libc = ctypes.CDLL(None, use_errno=True)


class Player:
    """Makes calls, and keeps what they told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        mark(name)
        made: dict[str, Any] = CALLS[name].make(*arguments, **named)
        self.told.append((name, {key: made[key] for key in KEYS if key in made}))
        return made


def text(data: bytes, times: int = 1) -> list[Any]:
    return [data, times]


def all_calls() -> list[tuple[str, dict[str, Any]]]:
    do = Player()
    a, b = do("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0)["made"]
    do("pipe2", os.O_CLOEXEC)
    out, into = do("pipe")["made"]
    do("write", a, text(b"hello"))
    do("read", b, 3)
    do("recv", b, 100, socket.MSG_PEEK)
    do("read", b, 100, 50)
    do("read", a, "NULL", 0)
    do("send", a, text(b"x", 9000), 0)
    do("recv", b, 20000, 0)
    do("recv", b, 10, socket.MSG_DONTWAIT)
    _messages(do, a, b)
    _options(do, a, b)
    _network(do)
    _files(do)
    do("write", into, text(b"12345"))
    do("ioctl", out, NUMBERS["FIONREAD"])
    do("ioctl", into, NUMBERS["SIOCOUTQ"])
    do("isatty", out)
    do("poll", [out, into, 200], [1, 4, 1], 0)
    do("poll", out, 1, 0)
    do("poll", [], 0, 0)
    do("shutdown", a, socket.SHUT_WR)
    do("read", b, 5)
    do("read", out, "BADPTR", 5)
    do("close", into)
    do("close", into)
    _processes(do)
    return do.told


def _messages(do: Player, a: int, b: int) -> None:
    do("setsockopt", b, socket.SOL_SOCKET, NUMBERS["SO_PASSCRED"], 1)
    do("sendmsg", a, iov=[text(b"one"), text(b"two")], fds=[0, 1], creds=[os.getpid(), os.getuid(), os.getgid()])
    do("recvmsg", b, iov=[2, 0, 100])
    do("sendmsg", a, iov=[text(b"three")], fds=[0, 1, 0])
    do("recvmsg", b, iov=[100], control=52)
    do("recvmsg", b, iov=[100], flags=socket.MSG_DONTWAIT)
    do("recvmsg", b, iov=[], control=0, flags=socket.MSG_DONTWAIT)
    do("sendmsg", a, iov=[text(b"x")], bad_iov="BADPTR")
    datagrams = do("socketpair", socket.AF_UNIX, socket.SOCK_DGRAM, 0)["made"]
    do("send", datagrams[0], text(b"longer than the room"), 0)
    do("recv", datagrams[1], 6, socket.MSG_TRUNC | socket.MSG_PEEK)
    do("recvmsg", datagrams[1], iov=[3, 3], flags=socket.MSG_TRUNC)


def _options(do: Player, a: int, b: int) -> None:
    do("setsockopt", a, socket.SOL_SOCKET, socket.SO_RCVTIMEO, text(struct.pack("=qq", 2, 5)))
    for option in ("SO_PEERCRED", "SO_TYPE", "SO_RCVTIMEO", "SO_PEERPIDFD", "SO_ERROR"):
        do("getsockopt", b, socket.SOL_SOCKET, NUMBERS[option])
    do("getsockopt", a, 77, 1)
    do("fcntl", a, NUMBERS["F_GETFL"])
    do("fcntl", a, NUMBERS["F_DUPFD_CLOEXEC"], 50)
    do("dup", a)
    do("dup2", a, 60)
    do("dup3", a, 61, os.O_CLOEXEC)


def _network(do: Player) -> None:
    server = do("socket", socket.AF_INET, socket.SOCK_STREAM, 0)["made"][0]
    port = do("bind", server, text(b"127.0.0.1:0"))["port"]
    do("listen", server, 5)
    client = do("socket", socket.AF_INET, socket.SOCK_STREAM, 0)["made"][0]
    do("connect", client, text(b"127.0.0.1:%d" % port))
    end = do("accept", server)["made"][0]
    do("send", client, text(b"over the network"), 0)
    do("recv", end, 4, 0)
    do("accept", 200)


def _files(do: Player) -> None:
    file = do("open", text(b"f"), os.O_RDWR | os.O_CREAT, 0o600)["made"][0]
    do("pwrite", file, text(b"0123456789"), 5)
    do("pread", file, 100, 3)
    do("lseek", file, 2, os.SEEK_SET)
    do("ftruncate", file, 4)
    do("read", file, 100)
    do("read", file, 100)
    do("open", text(b"g"), os.O_RDONLY)
    do("memfd_create", text(b"m"), 0)
    do("eventfd", 3, 0)


def _processes(do: Player) -> None:
    for number, handler in ((10, "SIG_IGN"), (10, "HANDLER"), (10, "SIG_DFL"), (9, "SIG_DFL")):
        do("signal", number, handler)
    do("kill", os.getpid(), 0)
    pidfd = do("pidfd_open", os.getpid(), 0)["made"][0]
    do("pidfd_send_signal", pidfd, 0)
    child = _fork(do)
    do("waitpid", child, os.WNOHANG if not os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT) else 0)
    os.kill(child := _fork(do), signal.SIGKILL)
    do("wait")
    do("wait")
    mark("thread")
    thread = threading.Thread(target=lambda: None)
    thread.start()
    do.told.append(("thread", {"value": thread.native_id, "errno": 0}))
    thread.join()


def _fork(do: Player) -> int:
    """A child that ends by itself with 7, or by a signal before."""
    mark("fork")
    if not (child := os.fork()):
        os._exit(7)
    do.told.append(("fork", {"value": child, "errno": 0}))
    return child


def as_seen(name: str, made: dict[str, Any], most: int = 4096) -> dict[str, Any]:
    """What the caller was told, in the form that it has from outside."""
    if "data" in made:
        made = made | {"data": Data(len(made["data"]), made["data"][:most])}
    return made


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_each_call_gave_is_told_alike_by_its_caller_and_by_registers_and_memory(scratch: None) -> None:
    seen, told = trace(all_calls, tcp=False)
    assert {name for name, _ in told} | {"exit"} == set(CALLS)
    assert [each.name for each in seen] == [name for name, _ in told]
    for each, (name, made) in zip(seen, told):
        (outcome,) = each.outcomes
        if CALLS[name].kernels_value or name == "thread":
            assert outcome == as_seen(name, made), (name, each.given)
    isatty = next(each for each in seen if each.name == "isatty")
    assert isatty.outcomes == [{"value": -1, "errno": errno.ENOTTY}], "the C library makes a 0 of that"


def outcomes(seen: list[Seen]) -> list[dict[str, Any]]:
    return [outcome for each in seen for outcome in each.outcomes]


def opened() -> set[int]:
    """The descriptors of this process."""
    poller = select.poll()
    for number in range(64):
        poller.register(number, 0)
    return set(range(64)) - {number for number, found in poller.poll(0) if found & select.POLLNVAL}


def test_control_messages_are_taken_apart_into_the_descriptors_and_credentials_that_came() -> None:
    def play() -> dict[str, Any]:
        do = Player()
        a, b = do("socketpair", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)["made"]
        do("setsockopt", b, socket.SOL_SOCKET, NUMBERS["SO_PASSCRED"], 1)
        do("sendmsg", a, iov=[text(b"x")], fds=[0, 1])
        before = opened()
        do("recvmsg", b, iov=[1])
        return {"came": sorted(opened() - before), "ids": [os.getpid(), os.getuid(), os.getgid()]}

    seen, told = trace(play)
    sent = parts(seen[-2].given["control"].head)
    assert [(part.type, part.fds) for part in sent] == [("SCM_RIGHTS", [0, 1])]
    credentials, rights = parts(outcomes(seen)[-1]["received"]["control"])
    assert (credentials.type, credentials.creds) == ("SCM_CREDENTIALS", told["ids"])
    assert (rights.type, rights.fds) == ("SCM_RIGHTS", told["came"])


def test_who_connected_and_who_sent_is_told_where_the_caller_asks_for_it(scratch: None) -> None:
    def play() -> dict[str, bytes]:
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        room, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
        mark("accept")
        _libc.accept(server.fileno(), room, ctypes.byref(length))
        receiver, sender = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        receiver.bind("receiver")
        sender.bind("sender")
        for _ in range(3):
            sender.sendto(b"data", "receiver")
        length.value = 128
        mark("recv")
        address = ctypes.create_string_buffer(128)
        _libc.recvfrom(receiver.fileno(), room, 4, 0, address, ctypes.byref(length))
        length.value = 5  # too little: the kernel says how much it would have been
        mark("recv")
        _libc.recvfrom(receiver.fileno(), room, 4, 0, address, ctypes.byref(length))
        header = Msghdr(name=ctypes.addressof(address), namelen=128)
        mark("recvmsg")
        _libc.recvmsg(receiver.fileno(), ctypes.byref(header), 0)
        return {"client": b"127.0.0.1:%d" % client.getsockname()[1]}

    seen, told = trace(play)
    accepted, received, cut, message = outcomes(seen)
    assert accepted["address"] == told["client"] and accepted["made"] == [accepted["value"]]
    assert (received["address"], received["data"]) == (b"sender", Data(4, b"data"))
    assert cut["address"] == b"sen" and seen[2].given["address_room"] == 5
    assert message["address"] == b"sender"


def test_no_more_bytes_are_read_than_are_wanted_and_the_length_is_told() -> None:
    def play() -> None:
        do = Player()
        a, b = do("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0)["made"]
        for _ in range(2):
            do("write", a, text(b"0123456789"))
        do("read", b, 10)
        do("recvmsg", b, iov=[2, 3, 5])

    for most in (0, 4):
        *_, read, received = outcomes(trace(play, most=most)[0])
        assert read["data"] == received["data"] == Data(10, b"0123456789"[:most])


@pytest.mark.parametrize("tcp", [True, False, None])
def test_under_msg_trunc_data_are_told_only_of_a_socket_that_is_known_to_copy_them(tcp: bool | None) -> None:
    def play() -> None:
        do = Player()
        a, b = do("socketpair", socket.AF_UNIX, socket.SOCK_DGRAM, 0)["made"]
        for _ in range(2):
            do("send", a, text(b"longer"), 0)
        do("recv", b, 4, socket.MSG_TRUNC)
        do("recvmsg", b, iov=[4], flags=socket.MSG_TRUNC)

    *_, received, message = outcomes(trace(play, tcp=tcp)[0])
    assert received["value"] == message["value"] == 6
    told = Data(4, b"long") if tcp is False else None
    assert received.get("data") == message.get("data") == told
    assert message["received"].get("iov") == {True: [0], False: [4], None: None}[tcp]


def test_a_call_that_a_signal_interrupts_has_not_returned_where_the_kernel_takes_it_up_again() -> None:
    read, write = os.pipe2(os.O_CLOEXEC)

    def play() -> None:
        do = Player()
        do("signal", signal.SIGUSR1, "HANDLER")  # as signal(2) of the C library has it: with SA_RESTART
        do("read", read, 10)

    entries = []

    def entered(pid: int, seen: Seen) -> None:
        if seen.name == "read":
            entries.append(pid)
            os.kill(pid, signal.SIGUSR1) if len(entries) == 1 else os.write(write, b"at last")

    try:
        *_, interrupted = trace(play, entered=entered)[0]
    finally:
        os.close(read)
        os.close(write)
    assert len(entries) == 2
    assert interrupted.outcomes == [{"again": True}, {"value": 7, "errno": 0, "data": Data(7, b"at last")}]


def test_what_can_no_longer_be_read_is_not_there_and_nothing_is_made_up() -> None:
    def nothing(address: int, length: int) -> bytes:
        raise OSError(errno.EIO, "nothing is mapped there")

    words = [3, 4096, 9, 4096, 4096, 4096]
    for call in OBSERVED.values():
        given = call.by_registers(words, nothing)
        outcome = call.outcome(Return(given, words, 1, nothing))
        assert outcome.items() <= {"value": 1, "errno": 0, "made": [1]}.items(), call.name
        assert call.outcome(Return(given, words, -errno.EAGAIN, nothing)) == {"value": -1, "errno": errno.EAGAIN}


def test_lengths_that_a_program_has_changed_meanwhile_have_no_more_read_than_a_call_can_have_written() -> None:
    def hostile(address: int, length: int) -> bytes:
        assert 0 <= length <= 1 << 16
        return b"\xff" * length

    words = [3, 4096, 9, 4096, 4096, 4096]
    for call in OBSERVED.values():
        call.outcome(Return(call.by_registers(words, hostile), words, 1, hostile))


def test_what_real_programs_call_and_scenarios_do_not_is_told_too() -> None:
    def play() -> list[int]:
        mark("epoll_create1")
        poller = select.epoll()
        read, write = os.pipe()
        mark("epoll_ctl")
        poller.register(read, select.EPOLLIN)
        for _ in range(2):
            mark("epoll_wait")
            poller.poll(0)
            os.write(write, b"x")
        mark("epoll_ctl")
        poller.unregister(read)
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        mark("accept4")
        connection, _ = server.accept()
        return [poller.fileno(), read, connection.fileno(), client.getsockname()[1]]

    seen, (poller, read, connection, port) = trace(play)
    made, added, _, _, _, accepted = (each.given for each in seen)
    assert made == {"flags": select.EPOLL_CLOEXEC} and accepted["flags"] == socket.SOCK_CLOEXEC
    assert (added["target"], added["events"], added["data"] & 0xFFFFFFFF) == (read, select.EPOLLIN, read)
    (created, _, nothing, ready, _, came) = outcomes(seen)
    assert created["made"] == [poller] and nothing["events"] == []
    assert [(events, data & 0xFFFFFFFF) for events, data in ready["events"]] == [(select.EPOLLIN, read)]
    assert came["made"] == [connection] and came["address"] == b"127.0.0.1:%d" % port
