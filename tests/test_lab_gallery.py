"""The gallery: every scenario is there, says what it is for, shows what its title promises, and holds."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import pytest

from pairscope.lab import gallery
from pairscope.lab.language import format, parse
from pairscope.lab.stage import manager
from tests.runs import plain

SHOWS = {
    1: ("one-process", "socketpair write read"),
    2: ("the-end-one-wrote-to", "socketpair blocks"),
    3: ("parent-and-child", "fork close blocks wait"),
    4: ("both-directions", "write read SHUT_WR"),
    5: ("it-is-a-test", 'sendmsg recvmsg "it is" " a test"'),
    6: ("scattered-and-cut", "MSG_TRUNC MSG_CTRUNC iov=[4,"),
    7: ("flags", "MSG_OOB MSG_DONTROUTE MSG_DONTWAIT MSG_NOSIGNAL MSG_PEEK"),
    8: ("errors", "EBADF EFAULT ENOTSOCK EINTR EAGAIN ENOBUFS ENOMEM EINVAL"),
    9: ("a-file-handed-over", "open fds=[ lseek read"),
    10: ("in-flight", "fds=[ exit wait pread"),
    11: ("byte-by-byte", "raw= cmsg_len= control="),
    12: ("pair-or-pipe", "pipe socketpair SHUT_WR POLLHUP"),
    13: ("nginx-channel", 'SOCK_STREAM|SOCK_NONBLOCK fds=[ch1] x"01 x"02 x"03 EAGAIN'),
    14: ("android-input", "SOCK_SEQPACKET SO_SNDBUF FINISHED fds=["),
    15: ("two-threads", "thread close EBADF"),
    16: ("ask-or-talk", "write read blocks"),
    17: ("borders", "SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET"),
    18: ("credentials", "SO_PASSCRED SO_PEERCRED"),
    19: ("sealed", "memfd_create F_ADD_SEALS F_SEAL_WRITE EPERM"),
    20: ("a-connection", "AF_INET accept fds=["),
    21: ("a-forgotten-copy", "fork blocks"),
    22: ("sigpipe", "SIGPIPE EPIPE MSG_NOSIGNAL SIG_IGN HANDLER SIG_DFL"),
    23: ("a-full-buffer", "blocks O_NONBLOCK EAGAIN POLLOUT"),
    31: ("a-hundred-and-more", "EINVAL 253 254"),
    32: ("nothing-sent", 'iov=[""] fds=['),
    33: ("on-the-wrong-message", '"AAABBB" fds=1'),
    34: ("room-for-one", "control=24 fds=2"),
    35: ("reset-before-data", 'ECONNRESET "result'),
    36: ("inherited-after-all", "F_GETFD MSG_CMSG_CLOEXEC"),
    37: ("too-many-references", "ETOOMANYREFS"),
    38: ("a-look-that-takes", "MSG_PEEK fds=1"),
}
"""Number, name, and words that must stand in its text."""
CARDS = 31
"""The first number of the quirk cards."""


def played(name: str) -> dict:
    """The run that a runner of its own makes of a scenario of the gallery."""
    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"],
        input=gallery.text(name).encode(),
        capture_output=True,
        timeout=60,
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout)


once = functools.cache(played)
"""A run of it that several tests look at."""


def wrong(run: dict) -> str:
    """What did not hold, with its line; empty: all held."""
    lines = [
        f"line {step['line']}: {step['actor']} {step['call']}: {step['reason']}"
        for step in run["steps"]
        if step["verdict"] == "failed"
    ]
    return "; ".join(lines) or ("" if run["verdict"] == "held" else f"{run['verdict']}: {run['reason']}")


def test_the_gallery_has_each_scenario_at_its_number():
    assert [(entry.number, entry.name) for entry in gallery.entries()] == [
        (number, name) for number, (name, _) in SHOWS.items()
    ]
    assert gallery.names() == tuple(name for name, _ in SHOWS.values())


@pytest.mark.parametrize(("name", "words"), SHOWS.values(), ids=[name for name, _ in SHOWS.values()])
def test_a_scenario_shows_what_it_is_there_for(name, words):
    missing = [word for word in words.split() if word not in gallery.text(name)]
    assert not missing


@pytest.mark.parametrize("entry", gallery.entries(), ids=gallery.names())
def test_a_scenario_says_what_it_is_what_to_notice_where_to_read_and_what_to_predict(entry):
    assert 10 <= len(entry.title) <= 60
    assert entry.notice.endswith(".") and len(entry.notice) <= 700
    assert entry.ask.endswith("?") and len(entry.ask) <= 140
    assert all(page[-3] == "(" and page[-1] == ")" for page in entry.man.split())
    assert entry.card == (entry.number >= CARDS)
    assert not entry.quirk or entry.quirk.startswith("One would expect")


@pytest.mark.parametrize("name", gallery.names())
def test_a_scenario_stands_in_its_canonical_form(name):
    assert format(gallery.scenario(name)) == gallery.text(name)


@pytest.mark.parametrize("name", gallery.names())
def test_every_step_that_could_surprise_says_what_is_expected(name):
    open_ended = {"fork", "thread", "exit", "signal", "memfd_create", "open", "dup", "socket", "socketpair"}
    silent = [step for step in gallery.scenario(name).steps if step.expectation is None and step.call not in open_ended]
    assert not silent, [f"line {step.place.line}: {step.call}" for step in silent]


@pytest.mark.parametrize("name", gallery.names())
@pytest.mark.process
def test_a_scenario_holds_five_times_in_a_row(name):
    for run in (once(name), *(played(name) for _ in range(4))):
        assert not wrong(run)


@pytest.mark.long
@pytest.mark.parametrize("name", gallery.names())
@pytest.mark.process
def test_a_scenario_holds_fifty_times_in_a_row(name):
    for turn in range(50):
        assert not wrong(played(name)), f"turn {turn}"


HOLDS_SOME = """
import os, pwd, socket, sys
left, right = socket.socketpair()
if os.getuid() == 0:
    os.setuid(pwd.getpwnam(sys.argv[1]).pw_uid)
socket.send_fds(left, [b"x"], [0] * 20)
print("in flight", flush=True)
sys.stdin.read()
"""


@pytest.mark.process
def test_the_bound_of_what_is_in_flight_is_shown_beside_others_of_the_same_user():
    command = [sys.executable, "-c", HOLDS_SOME, manager.USER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin and other.stdout
        assert other.stdout.readline()
        assert not wrong(played("too-many-references"))


NOTICES = """
me: socketpair AF_UNIX SOCK_STREAM 0 -> a b
me: write a "kept" => 4
me: read b BADPTR 4 => EFAULT
me: recv b 8 MSG_DONTWAIT => "kept"
me: socketpair AF_UNIX SOCK_SEQPACKET 0 -> c d
me: write c "lost" => 4
me: read d BADPTR 4 => EFAULT
me: recv d 8 MSG_DONTWAIT => EAGAIN
me: socketpair AF_UNIX SOCK_DGRAM 0 -> e f
me: write e "lost" => 4
me: read f BADPTR 4 => EFAULT
me: recv f 8 MSG_DONTWAIT => EAGAIN
me: close d => 0
me: write c "x" => EPIPE
me: close f => 0
me: write e "x" => ECONNREFUSED
me: close b => 0
me: write a "x" => killed=SIGPIPE
"""


@pytest.mark.process
def test_what_the_notices_say_of_other_types_of_sockets_is_so():
    run = plain(manager.run(parse(NOTICES)))
    assert not wrong(run)
    assert "SEQPACKET" in gallery.scenario("errors").said("notice") and "SEQPACKET" in gallery.scenario("sigpipe").said(
        "notice"
    )


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(KeyError) as caught:
        gallery.text("one-proces")
    assert "'one-proces'" in str(caught.value) and "one-process" in str(caught.value)


def test_what_is_read_is_kept():
    assert gallery.scenario("flags") is gallery.scenario("flags")
    assert gallery.entries() is gallery.entries()
