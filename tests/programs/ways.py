"""Ways to pass descriptors, each by real processes and threads: ``ways.py [NAME ...]``, all of them without a name.
Each prints what it got, the same in every run, and says how many of its descriptors are received and how many dropped.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import itertools
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

STREAM, DATAGRAM, PACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
SO_PASSPIDFD, CLONE_FILES = 76, 0x400
PIDFD_GETFD, CLONE = 438, {"x86_64": 56, "aarch64": 220}[os.uname().machine]
"""The numbers of two calls."""


class Way(NamedTuple):
    act: Callable[[], None]
    received: int
    dropped: int


WAYS: dict[str, Way] = {}
libc = ctypes.CDLL(None)


def way(received: int, dropped: int = 0) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def enter(act: Callable[[], None]) -> Callable[[], None]:
        WAYS[act.__name__] = Way(act, received, dropped)
        return act

    return enter


def pair(kind: int = STREAM) -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, kind)


def pass_on(of: socket.socket, *fds: int, to: bytes = b"") -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    of.sendmsg([b"x"], rights, 0, *([to] if to else []))


def give(of: socket.socket, text: str, *, to: bytes = b"", times: int = 1) -> None:
    """Passes a memfd with this text, and closes it."""
    file = os.memfd_create("given")
    os.write(file, text.encode())
    pass_on(of, *[file] * times, to=to)
    os.close(file)


def give_all(of: socket.socket, texts: Iterable[str]) -> None:
    for text in texts:
        give(of, text)


def read_all(of: socket.socket, count: int, into: list[str]) -> None:
    for _ in range(count):
        into += read(*come(of))


def come(of: socket.socket, *, most: int = 4, flags: int = 0) -> list[int]:
    """What a message brings. socket.recv_fds() passes its flags on to nobody."""
    control = of.recvmsg(1, socket.CMSG_SPACE(4 * most), flags)[1]
    return [fd for _, _, data in control for (fd,) in struct.iter_unpack("i", data)]


def read(*fds: int) -> list[str]:
    """The texts of memfds that came, which are closed."""
    found = [os.pread(fd, 16, 0).decode() for fd in fds]
    for fd in fds:
        os.close(fd)
    return found


def child(act: Callable[[], object]) -> int:
    sys.stdout.flush()
    if not (pid := os.fork()):
        act()
        sys.stdout.flush()
        os._exit(0)
    return pid


def ended(*pids: int) -> None:
    for pid in pids:
        if status := os.waitpid(pid, 0)[1]:
            print("status", status)


def listening(name: str, kind: int = STREAM) -> tuple[bytes, socket.socket]:
    address = f"\0{name}-{os.getpid()}".encode()
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(address)
    if kind != DATAGRAM:
        made.listen(64)
    return address, made


def connected(address: bytes, kind: int = STREAM) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, kind)
    made.connect(address)
    return made


def threads(*acts: Callable[[], object]) -> None:
    made = [threading.Thread(target=act) for act in acts]
    for one in made:
        one.start()
    for one in made:
        one.join()


@way(24)
def threads_accept_on_one_listener() -> None:
    address, listener = listening("threads")
    found: list[str] = []

    def serve() -> None:
        for _ in range(3):
            accepted, _from = listener.accept()
            found.extend(read(*come(accepted), *come(accepted)))

    def client(number: int) -> None:
        to = connected(address)
        give(to, f"{number}.1")
        give(to, f"{number}.2")

    clients = [child(partial(client, number)) for number in range(12)]
    threads(*[serve] * 4)
    ended(*clients)
    print(sorted(found))


@way(12)
def an_accepted_connection_is_passed_on_before_it_is_read() -> None:
    address, listener = listening("passed")
    mine, other = pair()

    def worker() -> None:
        mine.close()
        for _ in range(6):
            with socket.socket(fileno=come(other)[0]) as given:
                other.send(read(*come(given))[0].encode())

    def client(number: int) -> None:
        give(connected(address), str(number))

    pid = child(worker)
    other.close()
    clients = [child(partial(client, number)) for number in range(6)]
    for _ in range(6):
        accepted, _from = listener.accept()
        pass_on(mine, accepted.fileno())
        accepted.close()
    print(sorted(mine.recv(1) for _ in range(6)))
    ended(pid, *clients)


@way(5)
def five_pairs_in_flight_in_each_other() -> None:
    pairs = [pair() for _ in range(5)]
    give(pairs[0][0], "deep")
    for (near, far), (following, _) in itertools.pairwise(pairs):
        pass_on(following, far.fileno())
        near.close()
        far.close()
    here = pairs[-1][1]
    for _ in range(4):
        here = socket.socket(fileno=come(here)[0])
    print(read(*come(here)))


@way(12)
def datagrams_by_name_to_several() -> None:
    places = [listening(f"named{number}", DATAGRAM) for number in range(3)]

    def client(name: str) -> None:
        to = socket.socket(socket.AF_UNIX, DATAGRAM)
        for number, (address, _) in enumerate(places):
            give(to, f"{name}{number}", to=address, times=2)

    ended(*[child(partial(client, name)) for name in "ab"])
    print([sorted(read(*come(here), *come(here))) for _, here in places])


@way(2, dropped=4)
def a_name_is_bound_anew_while_datagrams_wait() -> None:
    end, waits = os.pipe()
    for last in (False, False, True):
        address, here = listening("anew", DATAGRAM)
        to = socket.socket(socket.AF_UNIX, DATAGRAM)
        pass_on(to, waits, to=address)
        give(to, "given", to=address)
        if last:
            os.close(come(here)[0])
            print(read(*come(here)))
        here.close()
    os.close(waits)
    print(os.read(end, 1))


@way(1)
def peeked_at_twice() -> None:
    mine, other = pair()
    give(mine, "peeked")
    print([read(*come(other, flags=flags)) for flags in (socket.MSG_PEEK, socket.MSG_PEEK, 0)])


@way(1, dropped=2)
def too_little_room_for_control_data() -> None:
    mine, other = pair()
    end, waits = os.pipe()
    pass_on(mine, *[waits] * 3)
    os.close(waits)
    _, control, flags, _ = other.recvmsg(1, socket.CMSG_LEN(4))
    os.close(struct.unpack("i", control[0][2])[0])
    print(bool(flags & socket.MSG_CTRUNC), os.read(end, 1))


@way(1, dropped=2)
def too_few_numbers_left() -> None:
    mine, other = pair()
    end, waits = os.pipe()
    pass_on(mine, *[waits] * 3)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (waits + 2, before[1]))
    found = come(other)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for fd in (*found, waits):
        os.close(fd)
    print(len(found), os.read(end, 1))


@way(0, dropped=1)
def spliced_away() -> None:
    mine, other = pair()
    (end, waits), (_, to) = os.pipe(), os.pipe()
    pass_on(mine, waits)
    os.close(waits)
    print(libc.splice(other.fileno(), None, to, None, 1, 0), os.read(end, 1))


@way(10, dropped=10)
def a_reader_beside_a_receiver() -> None:
    mine, other = pair(PACKET)
    end, waits = os.pipe()
    for _ in range(20):
        pass_on(mine, waits)
    os.close(waits)

    def take() -> None:
        for _ in range(10):
            os.close(come(other)[0])

    threads(lambda: [os.read(other.fileno(), 1) for _ in range(10)], take)
    print(os.read(end, 1))


@way(1)
def taken_by_pidfd_getfd_and_passed_on() -> None:
    (mine, other), (told, tells), (until, leaves) = pair(), os.pipe(), os.pipe()

    def hold() -> None:
        file = os.memfd_create("held")
        os.write(file, b"held")
        os.write(tells, bytes([file]))
        os.read(until, 1)

    pid = child(hold)
    taken = libc.syscall(PIDFD_GETFD, os.pidfd_open(pid), os.read(told, 1)[0], 0)
    pass_on(mine, taken)
    os.close(taken)
    os.write(leaves, b".")
    ended(pid)
    print(read(*come(other)))


@way(3)
def a_number_that_came_is_overwritten_by_dup2() -> None:
    mine, other = pair()
    give(mine, "first")
    (number,) = come(other)
    file = os.memfd_create("second")
    os.write(file, b"second")
    os.dup2(file, number)
    pass_on(mine, number)
    os.dup2(other.fileno(), number)
    other.close()
    print(read(*come(socket.socket(fileno=os.dup(number)))))
    pass_on(mine, file)
    print(read(*come(socket.socket(fileno=number))))


@way(2)
def with_a_pidfd_and_credentials_of_the_sender() -> None:
    mine, other = pair()
    with contextlib.suppress(OSError):  # since Linux 6.5
        other.setsockopt(socket.SOL_SOCKET, SO_PASSPIDFD, 1)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ended(child(partial(give_all, mine, ["one", "two"])))
    for _ in range(2):
        control = other.recvmsg(1, 200)[1]
        print([read(*struct.unpack("i", data)) for _, kind, data in control if kind == socket.SCM_RIGHTS])


@way(20)
def rivals_at_one_end() -> None:
    mine, other = pair(PACKET)
    end, to = os.pipe()

    def take() -> None:
        mine.close()
        while found := come(other):
            os.write(to, read(*found)[0].encode())

    pids = [child(take) for _ in range(4)]
    for number in range(20):
        give(mine, chr(ord("a") + number))
    other.close()
    mine.close()
    ended(*pids)
    print(sorted(os.read(end, 99).decode()))


@way(20)
def round_a_ring() -> None:
    pairs = [pair() for _ in range(4)]

    def node(number: int) -> None:
        for _ in range(5):
            (file,) = come(pairs[number][1])
            pass_on(pairs[(number + 1) % 4][0], file)
            os.close(file)

    pids = [child(partial(node, number)) for number in (1, 2, 3)]
    give(pairs[1][0], "ring")
    for _ in range(4):
        (file,) = come(pairs[0][1])
        pass_on(pairs[1][0], file)
        os.close(file)
    print(read(*come(pairs[0][1])))
    ended(*pids)


@way(20)
def both_ways_at_once() -> None:
    mine, other = pair(PACKET)

    def side(of: socket.socket) -> list[str]:
        found: list[str] = []
        threads(partial(read_all, of, 10, found), partial(give_all, of, "0123456789"))
        return found

    pid = child(lambda: print(side(other)))
    found = side(mine)
    ended(pid)
    print(found)


@way(253)
def as_many_as_a_message_takes() -> None:
    mine, other = pair()
    give(mine, "many", times=253)
    print(set(read(*come(other, most=253))))


@way(10)
def by_a_sender_that_waits_for_room() -> None:
    mine, other = pair(DATAGRAM)
    pid = child(partial(give_all, mine, "0123456789"))
    mine.close()
    print([read(*come(other)) for _ in range(10)])
    ended(pid)


@way(0, dropped=12)
def only_in_flight_to_each_other() -> None:
    end, waits = os.pipe()
    for _ in range(3):
        mine, other = pair()
        pass_on(mine, mine.fileno(), other.fileno(), waits)
        pass_on(other, other.fileno())
        mine.close()
        other.close()
    os.close(waits)
    for one in pair():  # closing a socket has the kernel look for such
        one.close()
    print(os.read(end, 1))


@way(5)
def to_a_process_that_shares_the_table() -> None:
    mine, other = pair()
    told, tells = os.pipe()
    sys.stdout.flush()
    if not (pid := libc.syscall(CLONE, CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0)):
        for _ in range(5):
            os.write(tells, bytes(come(other)))
        os._exit(0)
    for number in range(5):
        give(mine, str(number))
        print(read(*os.read(told, 1)))
    ended(pid)


@way(8)
def a_receiver_that_is_stopped_and_goes_on() -> None:
    mine, other = pair()

    def take() -> None:
        mine.close()
        while found := come(other):
            print(read(*found))

    pid = child(take)
    other.close()
    for number in range(8):
        os.kill(pid, signal.SIGSTOP)
        give(mine, str(number))
        os.kill(pid, signal.SIGCONT)
    mine.close()
    ended(pid)


@way(0, dropped=1)
def a_receiver_that_is_killed() -> None:
    mine, other = pair()
    end, waits = os.pipe()
    pid = child(signal.pause)
    other.close()
    pass_on(mine, waits)
    os.close(waits)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    mine.close()
    print(os.read(end, 1))


if __name__ == "__main__":
    for name in sys.argv[1:] or WAYS:
        print(name)
        ended(child(WAYS[name].act))
