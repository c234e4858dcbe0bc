"""What a page says of a step: every difference between the facts of two steps is told, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import Phase, given, settings

from pairscope.lab import exports, gallery
from pairscope.lab.constants import signal_name
from pairscope.lab.language import parse
from pairscope.lab.run import Object, Run, State
from pairscope.lab.stage import manager
from pairscope.web.lab.changes import differences
from pairscope.web.lab.reading import Reading
from tests.runs import plain, typed
from tests.test_lab_gallery import once
from tests.test_lab_random import RUNS, no_directory_beside_the_code, scenarios  # noqa: F401 a fixture

pytestmark = pytest.mark.process

IDENTITY = {"processes": "name", "objects": "inode", "descriptors": "number", "threads": "name"}
"""Lists of things, and the key that tells one from another."""
UNSHRUNK = (Phase.explicit, Phase.generate)
"""A difference that is not told is named with its step; making its scenario shorter takes minutes."""
UNTOLD = {"how"}
"""How a fact is known is no fact of the kernel's."""


@pytest.fixture(autouse=True, scope="module")
def words() -> Iterator[None]:
    """gettext, as a page has it."""
    app = Flask(__name__)
    Babel(app)
    with app.test_request_context():
        yield


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Every fact of a step down to the last, by its path; read without the code that tells of them."""
    found: dict[tuple[Any, ...], Any] = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in UNTOLD:
                found |= leaves(inner, (*path, key))
    elif isinstance(value, list) and path and path[-1] in IDENTITY:
        for item in value:
            found |= leaves(
                {key: inner for key, inner in item.items() if key != IDENTITY[path[-1]]},
                (*path, item[IDENTITY[path[-1]]]),
            )
    elif value is not None:  # not known is as good as not there
        found[path] = json.dumps(value)
    return found


def fact(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path of a leaf as a difference names the fact to which it belongs."""
    if path[0] == "objects":
        return ("object", path[1], path[2])
    if path[2] == "descriptors":
        return ("descriptor", path[1], path[3], path[4])
    return ("thread", path[1], path[3]) if path[2] == "threads" else ("process", path[1], path[2])


def audited(run: Run) -> int:
    """Holds each step's prose to its facts; how many differences were told."""
    reading, count = Reading(run), 0
    for number in range(1, reading.count + 1):
        if reading.steps[number - 1].after is None:
            continue
        before, after = leaves(plain(reading.facts(number - 1))), leaves(plain(reading.facts(number)))
        changed = {fact(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        told = reading.differences(number)
        where = f"step {number}: {reading.source(number)}\n{run.text}"
        assert not changed - {path for one in told for path in one.covers}, (
            changed - {path for one in told for path in one.covers},
            where,
        )
        assert not {path for one in told for path in one.covers} - changed, (
            {path for one in told for path in one.covers} - changed,
            where,
        )
        assert all(one.known for one in told), f"{[one.text for one in told if not one.known]} at {where}"
        assert all(one.text and one.covers for one in told), where
        assert len({one.text for one in told}) == len(told), f"told twice at {where}: {[one.text for one in told]}"
        count += len(told)
    return count


def played(text: str) -> Run:
    return typed(plain(manager.run(parse(text))))


def told(text: str) -> dict[str, list[str]]:
    """What is said of each step, by its call."""
    reading = Reading(played(text))
    return {
        reading.source(number).partition(": ")[2]: reading.changes(number) for number in range(1, reading.count + 1)
    }


def test_what_changes_beside_bytes_and_descriptors_is_told_in_words():
    said = told(
        "me: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
        "me: fork -> kid\n"
        "kid: fcntl a F_SETFL O_NONBLOCK\n"
        "kid: shutdown a SHUT_WR\n"
        "kid: socket AF_UNIX SOCK_STREAM 0 -> s\n"
        'kid: bind s "s"\n'
        "kid: listen s 0\n"
        "me: socket AF_UNIX SOCK_STREAM 0 -> c\n"
        'me: connect c "s"\n'
        "me: pipe -> r w\n"
        "me: fcntl w F_SETPIPE_SZ 4096\n"
        "me: signal SIGUSR1 HANDLER\n"
        "me: setsockopt b SOL_SOCKET SO_PASSCRED 1\n"
        "kid: accept s -> g\n"
        "me: fcntl a F_SETFL O_NONBLOCK\n"
        'me: memfd_create "f" 0 -> f\n'
        'me: write f x"41" * 2000\n'
        'me: pwrite f "B" 1999\n'
        "kid: dup a -> x\n"
        "kid: kill kid SIGSTOP\nme: kill kid SIGUSR2\n"
    )
    assert said["fcntl a F_SETFL O_NONBLOCK"] == []  # the second time: nothing else changed
    assert said["shutdown a SHUT_WR"] == ["a is shut for writing", "b is shut for reading"]
    assert said['bind s "s"'] == ["s has the address s"]
    assert said["listen s 0"] == [
        "s listens, and 0 connections may wait",
        "SO_PEERCRED of who connects to s will name kid",
    ]
    assert said['connect c "s"'] == [
        "c is connected to s",
        "SO_PEERCRED of c names kid",
        "1 connection waits at s, and its queue is full",
    ]
    assert said["fcntl w F_SETPIPE_SZ 4096"] == ["r has room for 4096 bytes"]
    assert said["signal SIGUSR1 HANDLER"] == ["me catches SIGUSR1"]
    assert said["setsockopt b SOL_SOCKET SO_PASSCRED 1"] == ["SO_PASSCRED of b is 1"]
    assert said["accept s -> g"][-1] == "g has the address s"
    assert said['pwrite f "B" 1999'] == ["f has other bytes, and as many as before"]
    assert said["kill kid SIGUSR2"] == ["SIGUSR2 waits for kid"]


def test_a_handler_that_ran_and_a_child_that_was_stopped_are_told():
    said = told(
        "me: signal SIGUSR1 HANDLER\n"
        "me: signal SIGCHLD HANDLER\n"
        "me: fork -> kid\n"
        "kid: kill me SIGUSR1\n"
        "kid: kill kid SIGSTOP\n"
        "me: kill kid SIGUSR1\n"
        "me: kill kid SIGCONT\n"
    )
    assert said["kill me SIGUSR1"] == ["me's handler of SIGUSR1 has run"]
    assert said["kill kid SIGSTOP"] == ["me's handler of SIGCHLD has run", "kid: stopped"]
    assert "kid's handler of SIGUSR1 has run" in said["kill kid SIGCONT"]
    reading = Reading(
        played(
            "me: fork -> kid\n"
            "me: kill kid SIGSTOP\n"
            "me: wait kid WUNTRACED\n"
            "me: kill kid SIGCONT\n"
            "me: waitpid kid WCONTINUED\n"
        )
    )
    assert reading.outcome(3).endswith(" (kid)  stopped SIGSTOP") and reading.outcome(5).endswith(
        " (kid)  continued SIGCONT"
    )


def test_what_the_kernel_closed_on_receipt_is_told_with_its_sender():
    reading = Reading(
        played(
            "me: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
            'me: memfd_create "f" 0 -> f\n'
            'me: sendmsg a iov=["keymap"] fds=[f] * 5\n'
            "me: recvmsg b iov=[64] control=32\n"
        )
    )
    assert reading.outcome(4).endswith("flags MSG_CTRUNC  1 descriptor closed by the kernel on receipt: me's 5 (memfd)")


def test_what_is_in_flight_and_what_waits_for_whoever_accepts_is_told():
    text = (
        "me: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
        "me: pipe2 O_DIRECT -> r w\n"
        'me: write w "ab"\n'
        "me: socket AF_UNIX SOCK_STREAM 0 -> door\n"
        'me: bind door "door"\n'
        "me: listen door 2\n"
        "me: socket AF_UNIX SOCK_STREAM 0 -> c\n"
        'me: connect c "door"\n'
        'me: sendmsg c iov=["early"] fds=[r]\n'
        "me: close r\n"
        "me: socketpair AF_UNIX SOCK_STREAM 0 -> x y\n"
        'me: sendmsg a iov=["x"] fds=[y]\n'
        "me: close y\n"
        'me: write x "still heard"\n'
        'me: send a "!" MSG_OOB\n'
        "me: accept door -> s\n"
        "me: close b\n"
    )
    run = played(text)
    assert audited(run) > 20 and audited(exports.load(exports.json(run))) > 20
    said = told(text)
    assert said['sendmsg c iov=["early"] fds=[r]'] == [
        "5 bytes wait at door for whoever accepts",
        "1 descriptor is in flight to door",
    ]
    assert "nobody's table holds y: in flight, in the queue of b" in said["close y"]
    assert said['write x "still heard"'] == ["11 bytes wait at y"]
    assert "nothing waits at door for whoever accepts any more" in said["accept door -> s"]
    assert "y is gone: nobody can receive it any more" in said["close b"]
    assert (
        told("me: pipe -> r w\nme: fcntl w F_SETFL O_DIRECT\n")["fcntl w F_SETFL O_DIRECT"][-1]
        == "what waits at r has borders now"
    )


def test_two_eventfds_are_told_apart_though_they_have_one_inode():
    text = 'me: eventfd 3 0 -> e\nme: eventfd 5 0 -> f\nme: write e x"0100000000000000"\nme: close e\nme: read f 8\n'
    said = told(text)
    assert said['write e x"0100000000000000"'] == ["e counts 4"] and said["read f 8"] == ["f counts 0"]
    assert said["close e"][-1] == "nobody's table holds e any more"
    reading = Reading(played(text))
    kinds = [item.inode for item in reading.facts(3).objects]
    assert len(set(kinds)) == 2 and all(
        reading.inode(3, one) == reading.steps[2].after.objects[0].inode for one in kinds
    )
    assert "-1" not in reading.volatile()


def test_what_a_call_gave_is_told_in_the_words_of_c():
    run = played(
        "me: pipe2 O_NONBLOCK -> out in\n"
        "me: close in\n"
        "me: poll out POLLIN 0\n"
        "me: poll [out, out] [0, POLLIN] 0\n"
        "me: fcntl out F_GETFL\n"
        "me: fcntl out F_GETFD\n"
        "me: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\n"
        "me: getsockopt a SOL_SOCKET SO_PEERCRED\n"
        "me: getsockopt a SOL_SOCKET SO_TYPE\n"
        "me: getsockopt a SOL_SOCKET SO_RCVTIMEO\n"
        'me: write a "12345678"\n'
        "me: recvmsg b iov=[8]\n"
        "me: eventfd 7 0 -> e\n"
        "me: read e 8\n"
        "me: fork -> kid\n"
        "me: kill kid SIGXFSZ\n"
        "me: wait\n"
        'me: memfd_create "f" 0 -> f\n'
        "me: fcntl f F_GET_SEALS\n"
    )
    reading = Reading(run)
    said = {
        reading.source(number).partition(": ")[2]: reading.outcome(number) for number in range(1, reading.count + 1)
    }
    kid = next(process.pid for process in run.state(len(run.steps)).processes if process.name == "kid")
    user, group = (
        run.state(8).objects[1].credentials.uid,
        run.state(8).objects[1].credentials.gid,
    )
    assert said["poll out POLLIN 0"] == "= 1  revents POLLHUP"
    assert said["poll [out, out] [0, POLLIN] 0"] == "= 2  revents [POLLHUP, POLLHUP]"
    assert said["fcntl out F_GETFL"] == "= 2048 (O_RDONLY|O_NONBLOCK)" and said["fcntl out F_GETFD"] == "= 0"
    assert said["getsockopt a SOL_SOCKET SO_PEERCRED"] == f"= 0  value process me, user {user}, group {group}"
    assert said["getsockopt a SOL_SOCKET SO_TYPE"] == "= 0  value SOCK_DGRAM"
    assert said["getsockopt a SOL_SOCKET SO_RCVTIMEO"] == "= 0  value 0.000000 s"
    assert said["recvmsg b iov=[8]"] == '= 8  "12345678"' and said["read e 8"].endswith("value 7")
    assert said["fork -> kid"] == f"= {kid} (kid)" and said["wait"] == f"= {kid} (kid)  killed SIGXFSZ"
    assert said["fcntl f F_GET_SEALS"] == "= 1 (F_SEAL_SEAL)"
    assert "= 0x800 (flags O_RDONLY|O_NONBLOCK)" in exports.transcript(run)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (13, "SIGPIPE"),
        (25, "SIGXFSZ"),
        (34, "SIGRTMIN"),
        (35, "SIGRTMIN+1"),
        (64, "SIGRTMAX"),
        (65, "signal 65"),
        (0, "signal 0"),
    ],
)
def test_a_signal_is_called_by_its_name(number, name):
    assert signal_name(number) == name


def test_who_was_killed_is_told_so_with_the_name_of_the_signal():
    reading = Reading(played('me: pipe -> r w\nme: close r\nme: write w "x"\n'))
    assert reading.outcome(3) == "killed by SIGPIPE" and reading.steps[2].result.ended == "killed by SIGPIPE"


def test_what_belongs_to_a_description_is_told_once_with_all_that_lead_to_it():
    said = told("me: socketpair AF_UNIX SOCK_STREAM 0 -> a b\nme: fork -> kid\nkid: fcntl a F_SETFL O_NONBLOCK\n")
    assert said["fcntl a F_SETFL O_NONBLOCK"] == ["O_NONBLOCK of the description behind me's 3 (a), kid's 3 (a) is on"]


def test_messages_are_told_by_their_number_and_an_empty_one_too():
    said = told('me: socketpair AF_UNIX SOCK_SEQPACKET 0 -> a b\nme: write a ""\nme: write a "ab"\nme: read b 1\n')
    assert said['write a ""'] == ["1 message waits at b, of 0 bytes"]
    assert said['write a "ab"'] == ["2 messages wait at b, of 2 bytes"]


def test_an_error_that_waits_and_one_that_was_taken_are_told():
    said = told(
        "me: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
        'me: write b "unread"\n'
        "me: close a\n"
        "me: getsockopt b SOL_SOCKET SO_ERROR => ok\n"
    )
    assert "an error waits at b" in said["close a"]
    assert "no error waits at b any more" in said["getsockopt b SOL_SOCKET SO_ERROR"]


def test_a_fact_that_nobody_has_words_for_is_told_by_its_key_and_is_not_known():
    class Shiny(Object, kw_only=True):
        shiny: int

    before, after = (State([], [Shiny(7, "socket", "", [], {}, shiny=shiny)]) for shiny in (1, 2))
    found = differences(before, after, {7: "a"})
    assert [(one.text, one.known) for one in found] == [("shiny of a is 2 now", False)]


@pytest.mark.parametrize("name", gallery.names())
def test_over_the_gallery_every_difference_of_the_facts_is_told_and_nothing_else(name):
    assert audited(typed(once(name))) >= 5


def test_over_random_scenarios_every_difference_of_the_facts_is_told_and_nothing_else():
    told = 0

    @settings(RUNS, max_examples=12, phases=UNSHRUNK)
    @given(scenarios())
    def each(text: str) -> None:
        nonlocal told
        told += audited(played(text))

    each()
    assert told > 50


@pytest.mark.long
def test_over_five_hundred_other_random_scenarios_too():
    @settings(RUNS, derandomize=False, max_examples=500, print_blob=True, phases=UNSHRUNK)
    @given(scenarios())
    def each(text: str) -> None:
        audited(played(text))

    each()
