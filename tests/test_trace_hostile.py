"""Recordings of somebody who means ill: a sentence each, in bounded memory. docs/recorder.md, "The file: format 2"."""

from __future__ import annotations

import copy
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pairscope.trace.file import MAGIC, NoRecording, Recording, Writer
from pairscope.trace.recording import Counts, Delta, Passage, Process, Queue, Step
from tests.traced import APP, pairscope

HERE = Path(__file__).parent
CHANCE = 17
NASTY = "\x1b[31m<script>alert(1)</script>\n\u202e"


def written(path: Path, name: str = "server") -> bytes:
    """A recording of 150 steps and three blocks, by the writer itself."""
    writer = Writer(str(path))
    for number in range(1, 151):
        changed = Delta({1: {number % 40: f"socket:[{number}]"}}, {number: Queue(number + 1, 5, 0)})
        given = {"fd": 3, "on": f"socket:[{number}]", "control": [{"type": "SCM_RIGHTS", "fds": [number]}]}
        writer.add(Step(number, 1 + number % 2, 100, "sendmsg", given, {"value": 5}, changed=changed))
    writer.finish(
        command=["server"], kernel="6", machine="x", started=1.0, took_us=9, ended="the last process has ended",
        kept=0, missing=[], counts=Counts(2, 1, 1, 1, 0, 0, 0, 0),
        processes=[Process(10, name, 0, 0, 0), Process(11, name, 1, 3)],
        passages=[Passage(1, 4, 2, f"/memfd:{name}", "received", 2, 5, 9, "both"), Passage(2, 4, 7, name, "in flight")],
    )  # fmt: skip
    writer.close()
    return path.read_bytes()


def parts(data: bytes) -> tuple[list[Any], Any]:
    """Its blocks and its index, unpacked and free to be changed."""
    at, size, _, _ = struct.unpack("<QQI8s", data[-28:])
    index = msgspec.msgpack.decode(zlib.decompress(data[at : at + size]))
    blocks = [msgspec.msgpack.decode(zlib.decompress(data[start : start + size])) for start, size, _ in index["blocks"]]
    return blocks, index


def sealed(blocks: list[Any], index: Any, *, placed: bool = True) -> bytes:
    """A recording of these, whose places and checksum are right."""
    data = MAGIC
    for number, block in enumerate(blocks):
        packed = zlib.compress(block if isinstance(block, bytes) else msgspec.msgpack.encode(block))
        if placed:
            index["blocks"][number][:2] = len(data), len(packed)
        data += packed
    packed = zlib.compress(index if isinstance(index, bytes) else msgspec.msgpack.encode(index))
    return data + packed + struct.pack("<QQI8s", len(data), len(packed), zlib.crc32(packed), MAGIC)


Change = Callable[[list[Any], Any], Any]


def _set(*way: Any, to: Any) -> Change:
    """Puts something at a place of the blocks (0) or the index (1)."""

    def change(*whole: Any) -> None:
        at: Any = whole
        for one in way[:-1]:
            at = at[one]
        at[way[-1]] = to

    return change


STEP = 0, 1, 1, 5
"""A step: of the blocks, the second one, its steps, the sixth."""
GIVEN = b"\x92\x92\x80\x80\x91\x96\x01\x01\x01\xa1x\x81\xa1x\xdd" + (7 << 20).to_bytes(4, "big")
"""A block up to the first of seven million things that a step was given."""
FALSE: dict[str, Change] = {
    "more steps than it has": _set(1, "blocks", 0, 2, to=65),
    "steps less than one": _set(1, "blocks", 0, 2, to=0),
    "a million blocks": _set(1, "blocks", to=[[8, 100, 64]] * 1_000_001),
    "blocks that are all the first": lambda blocks, index: index.update(blocks=index["blocks"][:1] * 3),
    "a block before the file": _set(1, "blocks", 0, 0, to=0),
    "a block behind the file": _set(1, "blocks", 2, 0, to=1 << 40),
    "a block that is too long": _set(1, "blocks", 2, 1, to=1 << 62),
    "a block at a negative place": _set(1, "blocks", 1, 0, to=-1),
    "another format": _set(1, "format", to=3),
    "no format": lambda blocks, index: index.pop("format"),
    "a sender that is not there": _set(1, "passages", 0, "sender", to=3),
    "a receiver that is not there": _set(1, "passages", 0, "receiver", to=1 << 60),
    "a sending at a step that is not there": _set(1, "passages", 0, "sent_at", to=151),
    "a receipt at a step that is not there": _set(1, "passages", 0, "received_at", to=1 << 62),
    "another end": _set(1, "passages", 0, "end", to=NASTY),
    "another proof": _set(1, "passages", 0, "proof", to="sworn"),
    "a parent that is not there": _set(1, "processes", 1, "parent", to=4096),
    "too many processes": lambda blocks, index: index.update(processes=index["processes"] * 2049),
    "a name as long as a book": _set(1, "processes", 0, "name", to="x" * 5000),
    "a count below nothing": _set(1, "counts", "sent", to=-1),
    "a count beyond 64 bits": _set(1, "counts", "sent", to=(1 << 64) - 1),
    "a count that is a text": _set(1, "counts", "sent", to="2"),
    "no counts": lambda blocks, index: index.pop("counts"),
    "no time": _set(1, "started", to=float("nan")),
    "the end of time": _set(1, "started", to=float("inf")),
    "a hundred sentences": _set(1, "missing", to=["x"] * 100),
    "a process of a step that is not there": _set(*STEP, 1, to=3),
    "no process of a step": _set(*STEP, 1, to=0),
    "the return of a later step": _set(*STEP, 8, to=70),
    "the return of its own step": _set(*STEP, 8, to=149),
    "a step of another type": _set(*STEP, to="sendmsg"),
    "a call as long as a book": _set(*STEP, 3, to="x" * 65),
    "a time below nothing": _set(*STEP, 0, to=-5),
    "given that is no map": _set(*STEP, 4, to=[1]),
    "a table of another type": _set(0, 1, 0, 0, to=[1, 2]),
    "a number of a table that is a text": _set(0, 1, 0, 0, to={"x": {}}),
    "a queue that is short": _set(0, 1, 0, 1, to={5: [1]}),
    "a block without steps": _set(0, 1, 1, to=[]),
    "a block with more steps": lambda blocks, index: blocks[2][1].extend(blocks[2][1][:1]),
    "a block that is a number": _set(0, 1, to=5),
    "nests without end": _set(0, 1, to=b"\x92\x92\x80\x80" + b"\x91" * 100_000),
    "a bomb of nothing": _set(0, 1, to=bytes(64 << 20)),
    "a bomb of empty lists": _set(0, 1, to=GIVEN + b"\x90" * (7 << 20) + b"\x80"),
    "a bomb of empty maps": _set(0, 1, to=GIVEN + b"\x80" * (7 << 20) + b"\x80"),
    "a list that claims to be endless": _set(0, 1, to=b"\x92\x92\x80\x80\xdd\xff\xff\xff\xff"),
    "a map that claims to be endless": _set(0, 1, to=b"\x92\x92\xdf\xff\xff\xff\xff"),
}  # fmt: skip
"""Recordings that are well packed, and untrue."""


def hostile(data: bytes) -> dict[str, bytes]:
    """200 of them, by what is wrong with each."""
    chance = random.Random(CHANCE)
    blocks, index = parts(data)
    found: dict[str, bytes] = {}
    for name, change in FALSE.items():
        twin = copy.deepcopy((blocks, index))
        change(*twin)
        found[name] = sealed(*twin, placed="block" not in name or "steps" in name or "number" in name)
    for number, short in enumerate(chance.sample(range(len(data)), 77)):
        found[f"cut {number}"] = data[:short]
    while len(found) < 200:
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        found[f"flipped {len(found)}"] = bytes(flipped)
    return found


@pytest.mark.process
def test_two_hundred_hostile_recordings_are_each_told_in_a_sentence_in_bounded_memory(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole")
    (tmp_path / "all").mkdir()
    for name, data in (made := hostile(whole)).items():
        (tmp_path / "all" / name).write_bytes(data)
    (tmp_path / "all" / "whole").write_bytes(whole)
    done = subprocess.run(
        [sys.executable, HERE / "programs/reads_recordings.py", tmp_path / "all"], capture_output=True, text=True,
        timeout=100, env={**os.environ, "PYTHONPATH": str(APP)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    said = answer["said"]
    assert len(made) == 200 and said.pop("whole") == ""
    assert not [name for name, sentence in said.items() if not sentence], "each is refused"
    assert all(sentence.isprintable() and len(sentence) < 400 for sentence in said.values())
    assert answer["memory"] < 300_000, f"{answer['memory']} KiB"


def test_a_block_of_a_megabyte_is_ended_and_what_was_written_is_read(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "of.rec"))
    for number in range(1, 65):
        data = {"bytes": 65536, "head": bytes([number]) * 65536}
        writer.add(Step(number, 1, 100, "sendmsg", {"data": data}, {"value": 65536}))
    writer.finish(
        command=["server"], kernel="6", machine="x", started=1.0, took_us=9, ended="", kept=65536, missing=[],
        counts=Counts(0, 0, 0, 0, 0, 0, 0, 0), processes=[Process(10, "server", 0, 0, 0)], passages=[],
    )  # fmt: skip
    writer.close()
    with Recording(str(tmp_path / "of.rec")) as found:
        assert [block.steps for block in found.index.blocks] == [15, 15, 15, 15, 4]
        assert [found.step(number).given["data"]["head"][0] for number in (1, 15, 16, 60, 64)] == [1, 15, 16, 60, 64]
        assert [step.at_us for step in found.all()] == list(range(1, 65))
        with pytest.raises(IndexError):
            found.step(65)


def test_a_block_of_many_lists_is_ended_before_it_cannot_be_read(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "of.rec"))
    for number in range(1, 65):
        writer.add(Step(number, 1, 100, "sendmsg", {"iov": [[1, 2]] * 6000}, {"value": 12000}))
    writer.finish(
        command=["server"], kernel="6", machine="x", started=1.0, took_us=9, ended="", kept=0, missing=[],
        counts=Counts(0, 0, 0, 0, 0, 0, 0, 0), processes=[Process(10, "server", 0, 0, 0)], passages=[],
    )  # fmt: skip
    writer.close()
    with Recording(str(tmp_path / "of.rec")) as found:
        assert len(list(found.all())) == 64 and len(found.index.blocks) > 1


@pytest.mark.process
def test_names_that_a_terminal_or_a_page_would_obey_are_shown_in_letters(tmp_path: Path) -> None:
    written(tmp_path / "of.rec", NASTY)
    for words in ("--passages",), ("--transcript",):
        done = pairscope(*words, str(tmp_path / "of.rec"))
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert r"\x1b[31m<script>" in pairscope("--passages", str(tmp_path / "of.rec")).stdout.replace("\n", "")


def test_what_a_decoder_quotes_of_a_file_is_printable(tmp_path: Path) -> None:
    blocks, index = parts(written(tmp_path / "of.rec"))
    index["passages"][0]["end"] = NASTY
    (tmp_path / "of.rec").write_bytes(sealed(blocks, index))
    with pytest.raises(NoRecording) as caught:
        Recording(str(tmp_path / "of.rec"))
    assert str(caught.value).isprintable()
