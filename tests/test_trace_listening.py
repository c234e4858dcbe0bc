"""Who is connected and not accepted yet: what he has sent waits at the listening socket, and the kernel does not tell
whose it is once he has gone. docs/recorder.md, "How a passage is proved"."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.traced import bare, process, recorded

PYTHON = os.path.realpath(sys.executable)
BEGIN = """
import os, socket

def child(act):
    if not (pid := os.fork()):
        act()
        os._exit(0)
    return pid

def send(to, text):
    file = os.memfd_create("sent")
    os.write(file, text.encode())
    socket.send_fds(to, [b"x"], [file, file])
    os.close(file)

def texts(of):
    found = socket.recv_fds(of, 1, 4)[1]
    said = [os.pread(one, 9, 0).decode() for one in found]
    for one in found:
        os.close(one)
    return said

def client(name, messages=1):
    made = socket.socket(socket.AF_UNIX, kind)
    made.connect(address)
    for number in range(messages):
        send(made, f"{name}{number}")

kind, address = socket.SOCK_SEQPACKET, b"\\0listening-%d" % os.getpid()
listener = socket.socket(socket.AF_UNIX, kind)
listener.bind(address)
listener.listen(8)
"""
GONE = """
for pid in [child(lambda: client(name, 1 + name)) for name in (0, 1, 1, 2)]:
    os.waitpid(pid, 0)
said = []
for _ in range(3):
    accepted = listener.accept()[0]
    while found := texts(accepted):
        said += found
    accepted.close()
listener.close()
print(len(said) >= 10)
"""
CARRIED = """
mine, other = socket.socketpair()
os.waitpid(child(lambda: client("a")), 0)
socket.send_fds(mine, [b"x"], [listener.fileno()])
listener.close()
os.waitpid(child(lambda: client("b")), 0)
listener = socket.socket(fileno=socket.recv_fds(other, 1, 1)[1][0])
os.waitpid(child(lambda: client("c")), 0)
print([texts(listener.accept()[0]) for _ in range(3)])
"""
UNREAD = """
first, second = socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)
first.connect(address), second.connect(address)
send(second, "second"), send(first, "first")
first.close(), second.close()
listener.accept()[0].close()
print(texts(listener.accept()[0]))
"""


@process
def test_of_two_who_are_gone_the_one_who_connected_first_is_accepted_first(tmp_path: Path) -> None:
    """His flights end where his connection is closed unread, and not those of the other, who has sent first."""
    run = recorded(tmp_path, PYTHON, "-c", BEGIN + UNREAD)
    assert run.out == "['second', 'second']\n", run.err
    assert [one["end"] for one in run.passages()] == ["received", "received", "dropped", "dropped"]


@process
def test_what_those_have_sent_who_were_gone_before_they_were_accepted_is_proved_and_the_rest_dropped(
    tmp_path: Path,
) -> None:
    """They have sent one, two, two and three messages of two descriptors each, in an order that is chance, and the last
    one who connected is not accepted."""
    run = recorded(tmp_path, PYTHON, "-c", BEGIN + GONE)
    assert (run.out, run.status) == bare(PYTHON, "-c", BEGIN + GONE), run.err
    counts = run.index.counts
    assert counts.sent == 16 == counts.received + counts.dropped and counts.received >= 10, counts
    assert counts.proved == counts.received and not counts.unmatched, counts


@process
def test_what_waits_at_a_listening_socket_that_is_in_flight_itself_is_proved(tmp_path: Path) -> None:
    run = recorded(tmp_path, PYTHON, "-c", BEGIN + CARRIED)
    assert (run.out, run.status) == bare(PYTHON, "-c", BEGIN + CARRIED), run.err
    counts = run.index.counts
    assert (counts.sent, counts.received, counts.proved, counts.unmatched) == (7, 7, 7, 0), counts
