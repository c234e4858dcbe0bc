"""A journal that was damaged: what is whole is read, what is not is told with its positions and kept as a file, and
nothing is deleted."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from pairscope.journal import segment
from pairscope.journal.reader import JournalGap, Reader
from pairscope.journal.records import Born, Epoch, Message, Outcome
from pairscope.journal.writer import JournalBroken, Writer

KINDS = ("flipped", "zeroed", "cut")


def message(number: int, preview: bytes = b"\x81\xa4kind\xa4echo") -> Message:
    return Message(number, 0, 2, True, "web", 1, 100, 64, 0, 0, number, number, preview)


class Frame(NamedTuple):
    begin: int
    end: int
    position: int
    count: int  # type: ignore[assignment]  # hides tuple.count(), which nobody asks


class Journal(NamedTuple):
    """One segment as it was closed."""

    data: bytes
    first: int
    last: int
    frames: list[Frame]

    def hit(self, offset: int) -> Frame:
        return next(frame for frame in self.frames if frame.begin <= offset < frame.end)

    def in_directory(self, directory: Path, data: bytes) -> Path:
        directory.mkdir()
        path = segment.path(directory, self.first)
        path.write_bytes(data)
        return path


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """Thirty jobs or so, as one supervisor would have written them."""
    directory = tmp_path_factory.mktemp("whole")
    with closing(Writer(directory, node=3, node_name="n")) as writer:
        for number in range(1, 31):
            writer.append(
                [
                    *(message(3 * number + some) for some in range(1 + number % 3)),
                    Outcome(number, "received", number, 0, []),
                ]
            )
        first, last = writer.begin, writer.position
    data = segment.path(directory, first).read_bytes()
    frames, begin = [], 0
    for end, position, count, _body in segment.scan(data):
        frames.append(Frame(begin, end, position, count))
        begin = end
    return Journal(data, first, last, frames)


def damaged(data: bytes, kind: str, offset: int) -> bytes:
    if kind == "cut":
        return data[:offset]
    changed = bytearray(data)
    changed[offset] = 0 if kind == "zeroed" else changed[offset] ^ 1 << offset % 8
    return bytes(changed)


def places(journal: Journal, elsewhere: int) -> list[tuple[str, int]]:
    """Each byte of the last two frames, and some others."""
    end = journal.frames[-2].begin
    some = [*range(end, len(journal.data)), *random.Random(13).sample(range(end), elsewhere)]
    return [(kind, offset) for kind in KINDS for offset in some if damaged(journal.data, kind, offset) != journal.data]


def drained(directory: Path, after: int = 0) -> tuple[list[int], list[JournalGap]]:
    """The positions of all that can be read, and the gaps between."""
    positions: list[int] = []
    gaps: list[JournalGap] = []
    with closing(Reader(directory, after)) as reader:
        while True:
            try:
                some = reader.read()
            except JournalGap as gap:
                gaps.append(gap)
                for stretch in gap.damage:
                    segment.set_aside(directory, stretch)
                reader.pass_gap(gap)
                continue
            if not some:
                return positions, gaps
            positions += [position for position, _ in some]


def test_every_changed_byte_costs_the_records_of_its_own_frame_and_no_other(journal: Journal) -> None:
    """Of the whole segment: each bit flipped once, each byte zeroed; and cut off at each byte."""
    for kind in KINDS:
        for offset in range(len(journal.data)):
            data = damaged(journal.data, kind, offset)
            if data == journal.data:
                continue
            hit = journal.hit(offset)
            pieces = list(segment.pieces(data, journal.first))
            whole = [piece.position for piece in pieces if piece.whole]
            bad = [piece for piece in pieces if not piece.whole]
            where = f"{kind} at {offset}, in {hit}: {bad}"
            if kind == "cut":
                assert whole == [frame.position for frame in journal.frames if frame.end <= offset], where
                assert [(piece.offset, piece.count) for piece in bad] == (
                    [(hit.begin, 0)] if offset > hit.begin else []
                ), where
            else:
                assert whole == [frame.position for frame in journal.frames if frame is not hit], where
                assert [(piece.offset, piece.position, piece.count, piece.body) for piece in bad] == [
                    (hit.begin, hit.position, hit.count, data[hit.begin : hit.end])
                ], where


@pytest.mark.parametrize("elsewhere", [20, pytest.param(500, marks=pytest.mark.long)])
def test_a_damaged_journal_is_gone_on_from_with_what_is_whole(journal: Journal, tmp_path: Path, elsewhere: int) -> None:
    chosen = places(journal, elsewhere)
    for number, (kind, offset) in enumerate(chosen if elsewhere == 500 else chosen[::9]):
        hit, data = journal.hit(offset), damaged(journal.data, kind, offset)
        directory = tmp_path / str(number)
        path = journal.in_directory(directory, data)
        where = f"{kind} at {offset}, in {hit}"
        with closing(Writer(directory, node=3)) as writer:
            kept = sorted(directory.glob("*.damaged"))
            positions, gaps = drained(directory)
            begin = writer.begin
            begun = kind != "cut" or offset >= journal.frames[0].end  # a torn head alone is no epoch
            assert writer.epoch == writer.serials["supervisor"] == 1 + begun, where
            missing = [] if kind == "cut" or not hit.count else [(hit.position, hit.position + hit.count - 1)]
            assert writer.gaps == missing and writer.cut == (offset - hit.begin if kind == "cut" else 0), where
        end = hit.position - 1 if kind == "cut" else journal.last
        lost = {position for a, b in missing for position in range(a, b + 1)}
        assert positions == [
            *(position for position in range(journal.first, end + 1) if position not in lost),
            begin,
        ], where
        assert path.read_bytes() == data, f"{where}: recovery changes no segment"
        assert sorted(directory.glob("*.damaged")) == kept, f"{where}: recovery has set aside what the reader meets"
        if kind == "cut":
            assert kept == [] and (gaps == [] or hit.begin == 0), where
        else:
            assert [entry.read_bytes() for entry in kept] == [data[hit.begin : hit.end]], where
            assert kept[0].stat().st_mode & 0o777 == 0o640, where
        if missing:
            assert [(gap.after, missing[0][1]) for gap in gaps] == [(hit.position - 1, missing[0][1])], where
            assert f"(positions {missing[0][0]} to {missing[0][1]}; its bytes are kept in {kept[0].name})" in str(
                gaps[0]
            ), where


def test_what_was_drained_before_it_was_damaged_is_no_gap(journal: Journal, tmp_path: Path) -> None:
    for number, (_kind, offset) in enumerate([place for place in places(journal, 0) if place[0] == "flipped"][::7]):
        directory = tmp_path / str(number)
        journal.in_directory(directory, damaged(journal.data, "flipped", offset))
        with closing(Writer(directory, node=3)) as writer:
            assert drained(directory, journal.last) == ([writer.begin], [])


@pytest.mark.parametrize("kind", ["flipped", "zeroed"])
def test_a_segment_of_which_nothing_can_be_read_is_kept_and_told(journal: Journal, tmp_path: Path, kind: str) -> None:
    data = bytes(len(journal.data)) if kind == "zeroed" else bytes(byte ^ 255 for byte in journal.data)
    path = journal.in_directory(tmp_path / "j", data)
    with closing(Writer(tmp_path / "j")) as writer:
        positions, gaps = drained(tmp_path / "j")
        assert writer.lost and writer.begin > journal.last and positions == [writer.begin]
    [kept] = path.parent.glob("*.damaged")
    assert path.read_bytes() == data == kept.read_bytes() and len(gaps) == 1


def test_a_head_that_is_damaged_costs_nothing_and_the_next_epoch_has_a_number_of_its_own(
    journal: Journal, tmp_path: Path
) -> None:
    directory = tmp_path / "j"
    journal.in_directory(directory, damaged(journal.data, "flipped", 30))
    with closing(Writer(directory)) as writer:
        assert (writer.epoch, writer.serials["supervisor"], writer.gaps) == (2, 2, [])
        second = segment.path(directory, writer.begin)
    second.write_bytes(damaged(second.read_bytes(), "flipped", 30))
    with closing(Writer(directory)) as writer:
        assert (writer.epoch, writer.serials["supervisor"]) == (3, 3)
    data = segment.path(directory, writer.begin).read_bytes()
    segment.path(directory, writer.begin).write_bytes(bytes(len(data)))  # its head and its Epoch both
    with closing(Writer(directory)) as last:
        assert last.epoch > 3 and last.serials["supervisor"] > 3 and last.lost
        assert last.behind(0) < 1000, (
            "what lies between two epochs is not counted, although the record that tells of it is damaged"
        )


def test_a_copy_of_a_frame_in_a_payload_is_not_taken_for_one(tmp_path: Path) -> None:
    """Whoever submits bytes chooses them: a frame among them, with the position that comes next, must not become a
    record."""
    with closing(Writer(tmp_path)) as writer:
        position = writer.position + 1
        false = segment.frame(position + 1, 1, segment.encode([Born("tool", 999, 1, 1, 1)]))
        writer.append([message(1, false)])
        writer.append([message(2)])
        last = writer.position
    path = segment.path(tmp_path, writer.begin)
    data = path.read_bytes()
    path.write_bytes(damaged(data, "flipped", data.index(false) - 3))
    positions, gaps = drained(tmp_path)
    assert positions == [position - 1, last] and [(gap.after, gap.reached) for gap in gaps] == [
        (position - 1, position)
    ]
    with closing(Reader(tmp_path, position)) as reader:
        assert [(number, type(record)) for number, record in reader.read()] == [(last, Message)]


# ---- while it grows


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[tuple[Writer, Reader]]:
    with closing(Writer(tmp_path)) as writer, closing(Reader(tmp_path)) as reader:
        writer.append([message(1)])
        assert len(reader.read()) == 2
        yield writer, reader


def spoil(writer: Writer, before: int, kind: str) -> None:
    """Changes the frame that begins `before` bytes before the end of the segment that is written."""
    path = segment.path(writer._directory, writer._segments[-1][0])
    data = path.read_bytes()
    at = len(data) - before
    if kind == "cut":
        os.truncate(path, at + 25)
    else:
        with path.open("r+b") as file:
            file.seek(at + 25)
            file.write(b"\0\0\0" if kind == "zeroed" else bytes([data[at + 25] ^ 4]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_goes_over_damage_that_the_writer_has_gone_past(grown: tuple[Writer, Reader], kind: str) -> None:
    writer, reader = grown
    size = writer._size
    lost = writer.append([message(2), message(3)])
    spoil(writer, writer._size - size, kind)
    last = writer.append([message(4)])
    with pytest.raises(JournalGap, match=f"positions {lost - 1} to {lost}; ") as told:
        reader.read()
    reader.pass_gap(told.value)
    assert [position for position, _ in reader.read()] == [last]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_at_the_end_is_told_once_it_is_known_that_more_was_appended(
    grown: tuple[Writer, Reader], kind: str
) -> None:
    writer, reader = grown
    size = writer._size
    lost = writer.append([message(2), message(3)])
    spoil(writer, writer._size - size, kind)
    assert reader.read() == [], "for all that is known it is being written"
    for _ in range(2):
        with pytest.raises(
            JournalGap, match=f"from position {lost - 2} to {lost + 1}: what lies between is lost"
        ) as told:
            reader.read(appended=lost)
    assert len(told.value.damage) == 1
    reader.pass_gap(told.value)
    assert reader.read(appended=lost) == []
    last = writer.append([message(4), message(5)])
    assert [position for position, _ in reader.read(appended=last)] == [last - 1, last]


@pytest.mark.parametrize("elsewhere", [20, pytest.param(500, marks=pytest.mark.long)])
def test_a_reader_that_follows_loses_the_records_of_the_damaged_frame_and_no_other(
    journal: Journal, tmp_path: Path, elsewhere: int
) -> None:
    """As the recorder of a running pool does: it has read the first ten frames, and another frame comes behind what was
    damaged."""
    chosen = places(journal, elsewhere)
    path = journal.in_directory(tmp_path / "j", journal.data)
    another = segment.frame(journal.last + 1, 1, segment.encode([message(1)]))
    for kind, offset in chosen if elsewhere == 500 else chosen[::5]:
        hit, data = journal.hit(offset), damaged(journal.data, kind, offset)
        path.write_bytes(journal.data[: journal.frames[10].end])
        with closing(Reader(path.parent)) as reader:
            positions = [position for position, _ in reader.read()]
            path.write_bytes(data)
            missing: list[int] = []
            while len(positions) + len(missing) < journal.last - journal.first + 1:
                try:
                    some = reader.read(appended=journal.last)
                    assert some, f"{kind} at {offset}: it waits for what will never come"
                    positions += [position for position, _ in some]
                except JournalGap as gap:
                    missing += range(gap.after + 1, gap.reached + 1)
                    reader.pass_gap(gap)
            with path.open("ab") as file:
                file.write(another)
            assert [position for position, _ in reader.read(appended=journal.last + 1)] == [journal.last + 1], (
                f"{kind} at {offset}"
            )
        read = hit.position + hit.count <= journal.frames[11].position
        if kind == "cut":
            lost = (
                []
                if read and offset > journal.frames[10].end
                else list(range(max(hit.position, journal.frames[11].position), journal.last + 1))
            )
        else:
            lost = [] if read else list(range(hit.position, hit.position + hit.count))
        assert missing == lost, f"{kind} at {offset}, in {hit}"


@pytest.fixture(scope="module")
def epochs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """Three epochs over a dozen segments: their bytes by the positions that name them."""
    directory, draw = tmp_path_factory.mktemp("epochs"), random.Random(7)
    for _ in range(3):
        with closing(Writer(directory, segment_bytes=3000)) as writer:
            for _ in range(35):
                writer.append(
                    [
                        message(draw.randrange(10**15), draw.randbytes(draw.randrange(200)))
                        for _ in range(draw.randrange(1, 5))
                    ]
                )
    return {first: path.read_bytes() for first, path in segment.listed(directory)}


def hurt(data: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """Something else than what was written, and whether what is missing may look as if it had never been there."""
    at = draw.randrange(len(data))
    end = min(len(data), at + draw.choice((1, 1, 3, 20, 100, 600, 3000)))
    match draw.choice(("flip", "zeros", "ones", "out", "in", "short", "behind")):
        case "flip":
            return damaged(data, "flipped", at), False
        case "zeros":
            return data[:at] + bytes(end - at) + data[end:], False
        case "ones":
            return data[:at] + b"\xff" * (end - at) + data[end:], False
        case "out":
            return data[:at] + data[end:], True
        case "in":
            return data[:at] + draw.randbytes(end - at) + data[at:], False
        case "short":
            return data[:at], True
    return data + draw.randbytes(end - at), False


@pytest.mark.parametrize("rounds", [12, pytest.param(600, marks=pytest.mark.long)])
def test_whatever_happens_to_its_bytes_each_frame_that_is_whole_is_read_and_each_other_is_told(
    epochs: dict[int, bytes], tmp_path: Path, rounds: int
) -> None:
    framed = {
        (first, begin, end): range(position, position + count)
        for first, data in epochs.items()
        for (end, position, count, body) in segment.scan(data)
        if count and (begin := end - segment.FRAME.size - len(body)) >= 0
    }
    for number in range(rounds):
        draw, directory = random.Random(number), tmp_path / str(number)
        directory.mkdir()
        now, silent = dict(epochs), False
        for first in draw.choices(list(epochs), k=draw.randrange(1, 4)):
            if now[first]:
                now[first], quiet = hurt(now[first], draw)
                silent = silent or quiet
        for first, data in now.items():
            segment.path(directory, first).write_bytes(data)
        whole = {
            position
            for (first, begin, end), positions in framed.items()
            if epochs[first][begin:end] in now[first]
            for position in positions
        }
        with closing(Writer(directory, segment_bytes=3000)) as writer:
            last = writer.append([message(1)])
            positions, gaps = drained(directory)
            assert 0 <= writer.behind(0) < 5000 and writer.begin < max(epochs) + 10**12, number
        assert set(positions) - {writer.begin, last} == whole and positions == sorted(positions), number
        missing = {position for positions in framed.values() for position in positions} - whole
        assert silent or all(any(gap.after < position <= gap.reached for gap in gaps) for position in missing), number
        assert all(segment.path(directory, first).read_bytes() == data for first, data in now.items()), number


def test_a_segment_that_was_shortened_by_many_records_grows_on_and_loses_only_those(
    grown: tuple[Writer, Reader], tmp_path: Path
) -> None:
    """Between what is left of a frame and the next one are fewer bytes than records are missing."""
    writer, reader = grown
    path, size = segment.path(tmp_path, writer.begin), writer._size
    first = writer.append([message(2)])
    for number in range(3, 103):
        last = writer.append([message(number)])
    os.truncate(path, size + 5)
    whole = [writer.append([message(number)]) for number in (103, 104)]
    with pytest.raises(JournalGap) as told:
        reader.read(appended=whole[-1])
    assert (told.value.after, told.value.reached) == (first - 1, last)
    reader.pass_gap(told.value)
    assert [position for position, _ in reader.read()] == whole


def test_damage_where_a_segment_ends_is_told_with_the_next_one(tmp_path: Path) -> None:
    with closing(Writer(tmp_path, segment_bytes=2000)) as writer:
        while writer.segments < 3:
            writer.append([message(1)])
        positions = [position for position, _ in segment.listed(tmp_path)]
    path = segment.path(tmp_path, positions[1])
    data = path.read_bytes()
    path.write_bytes(damaged(data, "flipped", len(data) - 4))
    read, [gap] = drained(tmp_path)
    assert read == [*range(writer.begin, positions[2] - 1), *range(positions[2], writer.position + 1)]
    assert (gap.after, gap.reached) == (positions[2] - 2, positions[2] - 1)
    assert Path(tmp_path / gap.damage[0].name).read_bytes() in path.read_bytes()


def test_a_journal_of_a_newer_version_is_left_as_it_is_and_told(tmp_path: Path) -> None:
    with closing(Writer(tmp_path)) as writer:
        path, last = segment.path(tmp_path, writer.begin), writer.position
    with path.open("ab") as file:
        file.write(segment.frame(last + 1, 1, segment.encode([[99, "a record that nobody here knows"]])))
    data = path.read_bytes()
    with pytest.raises(JournalBroken, match="holds what this version cannot read: .*; nothing of it was changed"):
        Writer(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "lock"] == [
        path.name
    ] and path.read_bytes() == data


def test_the_epoch_says_what_recovery_found(journal: Journal, tmp_path: Path) -> None:
    hit = journal.frames[-3]
    journal.in_directory(tmp_path / "j", damaged(journal.data, "flipped", hit.begin + 40))
    with closing(Writer(tmp_path / "j")) as writer, closing(Reader(tmp_path / "j", writer.begin - 1)) as reader:
        [(_, epoch)] = reader.read()
    assert (
        type(epoch) is Epoch
        and epoch.gaps == [(hit.position, hit.position + hit.count - 1)]
        and epoch.after == journal.last
    )
