"""Recordings of somebody who means ill, as scenarios: the lab reads each one as it was meant. docs/recorder.md, "As a
scenario"."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from pairscope.lab.language import format as written
from pairscope.lab.language import parse
from pairscope.trace.recording import Counts, Delta, Index, Passage, Process, Queue, Step
from pairscope.trace.scenario import NoScenario, scenario
from pairscope.trace.scenario.calls import LINES

WORDS = ["bytes", "head", "fd", "fds", "creds", "type", "level", "cmsg_len", "CMSG_LEN", "data", "padding", "control"]
NUMBERS = [0, 1, 2, 3, 4, 5, 6, 11, 100, 199, 200, 4097, -1, -9, 1 << 31, (1 << 63) - 1, -(1 << 63)]
TEXTS = [
    *("", "socket:[7]", "pipe:[8]", "NULL", "BADPTR", "EAGAIN", "EPIPE", "EINTR", "EBADF", "SIGPIPE", "SIGKILL"),
    *("SCM_RIGHTS", "SOL_SOCKET", "#", '"', "\n@title x\np: exit 0", "\x00", "\u202e", "/a\nb", 'q" => 3 # ', "-> a"),
    *("\udc80", "\x85", "\\", "a\\", "socket", "ok", "fork", "x" * 500),
]
CALLED = [*LINES, "bind", "connect", "clone", "clone", "exit", "signal", "execve", "close_range", "epoll_wait", "#\n"]
FLAWED = 0.06
"""How often a value is another one than a recorder would write."""


class Chance:
    """Makes up what a recording may hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def any(self, deep: int = 3) -> Any:
        """Whatever the format lets in."""
        kind = self.random.randrange(9 if deep else 7)
        if kind == 7:
            return [self.any(deep - 1) for _ in range(self.random.randrange(4))]
        if kind == 8:
            return {self.pick(WORDS): self.any(deep - 1) for _ in range(self.random.randrange(5))}
        return [self.pick(NUMBERS), self.pick(TEXTS), True, None, self.random.randbytes(9), 0.5, float("nan")][kind]

    def data(self) -> dict[str, Any]:
        """Bytes, of which some are kept."""
        head = self.pick([b"", b"abc", b'"', b"\\", b"\n# x", b"\0\xff", b"x" * 40, self.random.randbytes(5)])
        return {"bytes": len(head) + self.pick([0, 0, 0, 7]), "head": head}

    def fd(self) -> int:
        """A number that may be there."""
        return self.random.randrange(9)

    def control(self) -> list[dict[str, Any]]:
        """What a message carries."""
        fds = [self.fd() for _ in range(self.pick([0, 1, 1, 2]))]
        length = 16 + 4 * len(fds)
        return [{
            "type": self.pick(["SCM_RIGHTS", "SCM_RIGHTS", "SCM_CREDENTIALS", "99"]), "level": "SOL_SOCKET", "data": "",
            "cmsg_len": length, "CMSG_LEN": self.pick([length, length, 15]), "padding": 4, "fds": fds,
        }]  # fmt: skip

    def given(self, call: str) -> dict[str, Any]:
        """What a call was given."""
        pair = call in ("socketpair", "socket")
        made = {
            "fd": [self.fd()] if "poll" in call else self.fd(), "to": self.fd(), "size": self.pick(NUMBERS),
            "flags": self.pick([0, 0, 0x40, 0x800, 0x80000, *NUMBERS]), "type": self.pick([1, 2, 5, 0x80001]),
            "domain": 1 if pair else self.pick(NUMBERS), "protocol": 0, "data": self.data(),
            "offset": self.pick(NUMBERS), "process": self.pick([10, 11, 12, 13, -1]),
            "iov": [self.data()] if "send" in call else [9, 9],
            "value": self.data(), "control": self.control() if call == "sendmsg" else 24, "name": self.data(),
            "address": self.pick([b"/tmp/s", b"\0s", b"127.0.0.1:80", b"/a\nb\"", b"0.0.0.0:1", b"#", b".."]),
            "on": self.pick(TEXTS), "signal": self.pick([9, 10, 13, 15, 19, 64, 0]),
            "options": self.pick([0, 1, 2, 99]),
            "how": self.pick([0, 1, 2, 9]), "level": 1, "option": self.random.randrange(90),
            "command": self.pick([0, 4, 1030, 1033]), "argument": self.pick(NUMBERS), "backlog": 5, "events": [1],
            "timeout": self.pick([-1, 0, 500]), "words": [11, 11, 9, 0, 0, 0],
        }  # fmt: skip
        return self.flawed(made)

    def gave(self, call: str) -> dict[str, Any]:
        """What it gave."""
        low = self.random.randrange(3, 7)
        if self.random.random() < 0.2:
            return self.flawed({self.pick(["errno", "errno", "errno", "again", "ended"]): self.pick(TEXTS)})
        made = {
            "value": self.pick([0, 0, low, self.fd(), 10, 11]), "made": [low, low + self.pick([1, 1, 1, 2, 0])],
            "data": self.data(), "process": self.random.randrange(1, 5), "status": 3, "signal": self.pick(TEXTS),
            "wait": self.pick([0, 9, 256, 0x137F, 0xFFFF]), "revents": [1], "option": self.random.randbytes(4),
            "received": {"flags": self.pick([0, 8]), "control": self.control()},
        }  # fmt: skip
        if call == "exit" and self.random.random() < 0.4:
            made = {"killed": self.pick(TEXTS)}
        return self.flawed(made)

    def flawed(self, made: dict[str, Any]) -> dict[str, Any]:
        """The same, with a few values that nobody expects, or without them."""
        for key in list(made):
            if self.random.random() < FLAWED:
                made[key] = self.any()
            elif self.random.random() < FLAWED / 2:
                del made[key]
        return made

    def step(self) -> Step:
        """One step."""
        call = self.pick(CALLED)
        process = self.pick([1, 1, 1, 2, 2, 3, 4])
        return Step(
            0, process, self.pick([9 + process] * 6 + [99, 10]), call, self.given(call), self.gave(call),
            blocked=self.random.random() < 0.15, count=self.pick([1, 1, 1, 7]),
            changed=Delta({1: {self.fd(): self.pick([None, self.pick(TEXTS)])}}, {7: Queue(self.pick([0, 7]), 0, 0)}),
        )  # fmt: skip


class Said:
    """A recording that somebody has made up."""

    def __init__(self, seed: int) -> None:
        chance = Chance(seed)
        first = Step(0, 1, 10, "socketpair", {"domain": 1, "type": 1, "protocol": 0}, {"value": 0, "made": [3, 4]})
        born = Step(0, 1, 10, "clone", {"flags": 17}, {"value": 11, "process": 2})
        self.kept = [first, born, *(chance.step() for _ in range(chance.random.randrange(1, 60)))]
        for at, step in enumerate(self.kept):
            waits = [other for other in range(at) if self.kept[other].blocked and self.kept[other].tid == step.tid]
            if waits and chance.random.random() < 0.5:
                began = self.kept[waits[-1]]
                self.kept[at] = msgspec.structs.replace(
                    began, of=waits[-1] + 1, blocked=False, given={}, gave=chance.gave(began.call)
                )
        self.steps = len(self.kept)
        names = [chance.pick(TEXTS)[:64] for _ in range(4)]
        passages = [
            Passage(1, chance.fd(), at, chance.pick(TEXTS), "received", 2, chance.fd(), min(at + 1, self.steps))
            for at in range(1, self.steps + 1)
        ]
        self.index = Index(
            format=2, command=[chance.pick(TEXTS)], kernel="6", machine="x", started=1.0, took_us=9, ended="", kept=0,
            missing=[], counts=Counts(0, 0, 0, 0, 0, 0, 0, 0), blocks=[], passages=passages,
            processes=[Process(10 + at, name, at, 0, chance.pick([0, -9, -13, None])) for at, name in enumerate(names)],
        )  # fmt: skip

    def all(self) -> Iterator[Step]:
        """Its steps."""
        yield from self.kept


@pytest.fixture(scope="module", autouse=True)
def _nothing_in_the_tree(tmp_path_factory: pytest.TempPathFactory) -> None:
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


@settings(max_examples=150, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, (1 << 32) - 1), ends=st.tuples(st.integers(0, 62), st.integers(0, 62)))
def test_whatever_a_recording_says_its_scenario_is_one_that_the_lab_reads_as_it_was_meant(
    seed: int, ends: tuple[int, int]
) -> None:
    said = Said(seed)
    try:
        made = scenario(cast(Any, said), said.index.command[0], min(ends), max(ends))
    except NoScenario as error:
        assert "differently" not in str(error) and "not read it" not in str(error), error
        return
    read = parse(made.text)  # which raises where it is none
    assert written(read) == made.text
    assert len(read.steps) == made.steps
    assert read.said("title").startswith("As recorded:")


def test_names_and_numbers_of_somebody_who_means_ill_make_no_line_of_their_own() -> None:
    said = Said(0)
    pair = said.kept[0]
    twice = msgspec.structs.replace(pair, gave={"value": 0, "made": [5, 5]})
    nasty = msgspec.structs.replace(pair, call="\n@title x\np: exit 0", gave={"value": 0})
    said.kept, said.steps = [pair, twice, nasty], 3
    said.index = msgspec.structs.replace(said.index, command=["a\nb: exit 1\n@ask x # \u202e"], passages=[])
    made = scenario(cast(Any, said), "evil\n#\np: exit 2")
    read = parse(made.text)
    assert [step.binds for step in read.steps] == [("stream3", "stream4"), ()]
    assert [word for word, _ in read.about] == ["title"] and "\u202e" not in made.text
    assert len(made.text.splitlines()) == made.text.count("\n") == len(read.comments) + 4
