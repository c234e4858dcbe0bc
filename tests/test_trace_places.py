"""Where a message goes that is sent to an address, and what the kernel says of sockets of another network namespace:
docs/recorder.md, "How it sees"."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.traced import bare, process, recorded

PYTHON = os.path.realpath(sys.executable)
BEGIN = """
import os, socket, sys

def child(act):
    sys.stdout.flush()
    if not (pid := os.fork()):
        act()
        sys.stdout.flush()
        os._exit(0)
    assert not os.waitpid(pid, 0)[1]

def send(of, text, to=None):
    file = os.memfd_create("sent")
    os.write(file, text)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, file.to_bytes(4, "little"))]
    of.sendmsg([b"x"], rights, 0, *([to] if to else []))
    os.close(file)

def got(of):
    file = socket.recv_fds(of, 1, 1)[1][0]
    print(os.pread(file, 9, 0))
    os.close(file)

def datagrams():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
"""
PATHS = """
import tempfile
with tempfile.TemporaryDirectory() as at:
    os.chdir(at)
    here = datagrams()
    here.bind("here")
    os.symlink("here", "link")
    child(lambda: (os.chdir("/"), send(datagrams(), b"absolute", at + "/here")))
    child(lambda: (os.chdir("/tmp"), send(datagrams(), b"relative", os.path.relpath(at) + "/here")))
    child(lambda: send(datagrams(), b"link", "link"))
    os.rename("here", "there")
    child(lambda: send(datagrams(), b"there", "there"))
    for _ in range(4):
        got(here)
"""
ELSEWHERE = """
import ctypes
def elsewhere():
    assert not ctypes.CDLL(None).unshare(0x40000000)  # CLONE_NEWNET
    listener, bound, other = socket.socket(socket.AF_UNIX), datagrams(), datagrams()
    listener.bind(b"\\0listens"), listener.listen(), bound.bind(b"\\0bound")
    client = socket.socket(socket.AF_UNIX)
    client.connect(b"\\0listens"), other.connect(b"\\0bound")
    send(client, b"waits")
    accepted = listener.accept()[0]
    got(accepted)
    send(accepted, b"back"), got(client)
    send(other, b"connected"), got(bound)
    send(other, b"by name", b"\\0bound"), got(bound)
bound = datagrams()
bound.bind(b"\\0bound")
child(elsewhere)
send(datagrams(), b"at home", b"\\0bound")
got(bound)
"""


@process
def test_a_message_finds_its_receiver_by_whatever_path_leads_there(tmp_path: Path) -> None:
    """The receiver has bound it by another one."""
    run = recorded(tmp_path, PYTHON, "-c", BEGIN + PATHS)
    assert (run.out, run.status) == bare(PYTHON, "-c", BEGIN + PATHS), run.err
    counts = run.index.counts
    assert (counts.sent, counts.received, counts.proved, counts.unmatched) == (4, 4, 4, 0), counts


@process
@pytest.mark.needs("unshare")
def test_what_is_passed_in_another_network_namespace_is_proved(tmp_path: Path) -> None:
    """The same abstract address is another one there."""
    if os.geteuid() or subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("only root may make a network namespace, where it may")
    run = recorded(tmp_path, PYTHON, "-c", BEGIN + ELSEWHERE)
    assert (run.out, run.status) == bare(PYTHON, "-c", BEGIN + ELSEWHERE), run.err
    counts = run.index.counts
    assert (counts.sent, counts.received, counts.proved, counts.unmatched) == (5, 5, 5, 0), counts
