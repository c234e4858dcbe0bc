"""The journal: what is appended is read, once and in order, over segments, restarts and torn tails; what is lost is
told."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pairscope.journal import boot, segment
from pairscope.journal.reader import JournalGap, Reader
from pairscope.journal.records import Born, Ended, Epoch, HandedOver, Message, Outcome, Transfer
from pairscope.journal.writer import UNSAVED, JournalFull, JournalHeld, Writer
from tests import power


def message(number: int) -> Message:
    return Message(number, 0, 2, True, "web", 1, 100, 64, 0, 0, number, number, b"preview")


def a_frame(position: int, *records: Message) -> bytes:
    return segment.frame(position, len(records), segment.encode(list(records)))


def read_all(directory: Path, after: int = 0) -> list:
    with closing(Reader(directory, after)) as reader:
        found = []
        while records := reader.read():
            found += records
        return found


@pytest.fixture
def writer(tmp_path):
    writer = Writer(tmp_path, node=3, node_name="n", segment_bytes=4096)
    yield writer
    writer.close()


def test_what_is_appended_is_read_once_and_in_order_over_many_segments(writer, tmp_path):
    for number in range(1, 1001):
        writer.append([message(number), Outcome(number, "received", number, 0, [])])
    assert writer.segments > 10
    records = read_all(tmp_path)
    assert [position for position, _ in records] == list(range(records[0][0], records[0][0] + 2001))
    assert type(records[0][1]) is Epoch
    assert [record.id for _, record in records if type(record) is Message] == list(range(1, 1001))


def test_a_reader_follows_the_writer_over_the_border_of_a_segment(writer, tmp_path):
    reader = Reader(tmp_path)
    assert [type(record) for _, record in reader.read()] == [Epoch]
    for number in range(1, 200):
        writer.append([message(number)])
        assert [record.id for _, record in reader.read()] == [number]
    assert reader.read() == []
    reader.close()


def test_a_reader_begins_after_any_position(writer, tmp_path):
    last = writer.append([message(number) for number in range(1, 11)])
    for number in range(11, 200):
        last = writer.append([message(number)])
    for after in (last - 195, last - 100, last - 1, last):
        assert [position for position, _ in read_all(tmp_path, after)] == list(range(after + 1, last + 1))


def test_a_torn_tail_is_cut_and_said(tmp_path):
    writer = Writer(tmp_path)
    last = writer.append([message(1)])
    writer.close()
    whole = sorted(tmp_path.glob("*.journal"))[-1]
    with whole.open("ab") as file:
        file.write(a_frame(last + 1, message(2))[:-3])
    torn = Writer(tmp_path)
    assert torn.cut == len(a_frame(last + 1, message(2))) - 3
    records = read_all(tmp_path)
    torn.close()
    assert [position for position, _ in records] == [last - 1, last, torn.position]
    assert type(records[-1][1]) is Epoch and records[-1][1].cut == torn.cut


def test_every_epoch_is_higher_begins_further_on_and_says_where_the_last_one_stopped(tmp_path):
    stopped = None
    for epoch in range(1, 4):
        now = time.time_ns() // 1000
        with closing(Writer(tmp_path, node=3)) as writer:
            assert (writer.epoch, writer.serials["supervisor"]) == (epoch, epoch)
            assert writer.begin >= now and writer.begin > (stopped or 0)
            writer.append([message(10 * epoch), Born("worker", epoch, 1, 1, 1)])
            assert read_all(tmp_path, writer.begin - 1)[0][1].after == stopped
            stopped = writer.position
            assert stopped == writer.begin + 2
    with closing(Writer(tmp_path)) as writer:
        assert (writer.last_id, writer.serials) == (30, {"supervisor": 4, "worker": 3})


def test_a_reader_that_follows_goes_on_into_the_next_epoch(tmp_path):
    with closing(Reader(tmp_path)) as reader:
        for epoch in range(1, 4):
            with closing(Writer(tmp_path)) as writer:
                assert [record.epoch for _, record in reader.read()] == [epoch]
                assert [record.id for _, record in reader.read()] == []
                last = writer.append([message(epoch)])
                assert [(position, record.id) for position, record in reader.read()] == [(last, epoch)]


def test_records_are_counted_and_not_the_positions_between_two_epochs(tmp_path):
    ends = []
    for _ in range(3):
        with closing(Writer(tmp_path)) as writer:
            ends.append(writer.append([message(1), message(2)]))
    with closing(Writer(tmp_path)) as writer:
        writer.append([message(3)])
        counted = [
            writer.behind(position)
            for position in (
                0,
                ends[0] - 1,
                ends[0],
                ends[1],
                ends[1] + 1,
                writer.begin - 1,
                writer.begin,
                writer.position,
            )
        ]
        assert counted == [11, 9, 8, 5, 5, 2, 1, 0] and writer.behind(writer.position + 1) == 0
        writer.forget(ends[2] - 3)
        assert writer.segments == 2 and writer.behind(0) == 5


def test_positions_grow_although_the_clock_was_set_back(tmp_path, monkeypatch):
    with closing(Writer(tmp_path)) as writer:
        last = writer.append([message(1)])
    monkeypatch.setattr("pairscope.journal.writer.time.time_ns", lambda: 10**18)
    for _ in range(3):
        with closing(Writer(tmp_path)) as writer:
            assert writer.begin == last + 1
            last = writer.append([message(1)])
    power.fail(tmp_path, last)
    with closing(Writer(tmp_path)) as writer:
        assert writer.begin == last + UNSAVED, "further than what can have been lost"
    shutil.rmtree(tmp_path)
    with closing(Writer(tmp_path)) as writer:
        assert writer.begin == 10**15, "there is nothing left to know better from"


def test_an_unreadable_segment_still_says_how_far_positions_have_come(tmp_path, monkeypatch):
    monkeypatch.setattr("pairscope.journal.writer.time.time_ns", lambda: 10**18)
    segment.path(tmp_path, 2 * 10**15).write_bytes(b"no segment")
    with closing(Writer(tmp_path)) as writer:
        assert writer.lost and writer.cut == 10 and writer.begin == 2 * 10**15 + UNSAVED


def test_serials_and_ids_outlive_the_segments_that_held_them(tmp_path):
    writer = Writer(tmp_path, segment_bytes=4096)
    writer.append([message(99), Born("worker", 7, 1, 1, 1)])
    writer.last_id, writer.serials["worker"] = 99, 7
    while writer.segments < 3:
        writer.append([message(50)])
    writer.forget(writer.position)
    assert writer.segments == 1
    writer.close()
    writer = Writer(tmp_path)
    assert (writer.last_id, writer.serials["worker"]) == (99, 7)
    writer.close()


@pytest.mark.parametrize("left", [b"", segment.FRAME.pack(100, 0, 1, 1)])
def test_a_segment_that_never_got_its_head_is_passed_over(tmp_path, left):
    writer = Writer(tmp_path)
    last = writer.append([message(99)])
    writer.close()
    segment.path(tmp_path, last + 1).write_bytes(left)
    with closing(Writer(tmp_path)) as writer:
        assert (writer.epoch, writer.last_id, writer.cut) == (2, 99, len(left))
        assert [position for position, _ in read_all(tmp_path)] == [last - 1, last, writer.position]


def test_a_segment_that_holds_its_head_alone_knows_the_last_id(tmp_path):
    writer = Writer(tmp_path, segment_bytes=4096)
    while writer.bytes < 4096:
        writer.append([message(99)])
    writer.last_id = 99
    writer._begin_segment()  # where the frame that would follow was not written any more
    writer.forget(writer.position)
    last = writer.position
    writer.close()
    with closing(Writer(tmp_path)) as writer:
        [(position, begun)] = read_all(tmp_path, last)
        assert (writer.epoch, writer.last_id, writer.position, begun.after) == (2, 99, position, last)
        assert (
            writer.bytes
            == sum(path.stat().st_size for path in tmp_path.glob("*.journal"))
            == writer._older + writer._size
        )


def test_a_reader_that_saw_a_half_frame_which_was_cut_off_reads_what_was_written_in_its_place(writer, tmp_path):
    with closing(Reader(tmp_path)) as reader:
        reader.read()
        path = segment.listed(tmp_path)[-1][1]
        size = path.stat().st_size
        with path.open("ab") as file:
            file.write(a_frame(writer.position + 1, message(1), message(2))[:50])
        assert reader.read() == []
        os.truncate(path, size)
        writer.append([message(3)])
        reader.read()
        assert reader.last == writer.position or [record.id for _, record in reader.read()] == [3]
        assert reader.last == writer.position


def test_positions_grow_although_the_journal_was_lost(tmp_path):
    writer = Writer(tmp_path)
    last = writer.append([message(1)])
    writer.close()
    for path in tmp_path.iterdir():
        path.unlink()
    writer = Writer(tmp_path)
    assert writer.first > last and read_all(tmp_path)[0][1].lost
    writer.close()


def test_only_what_is_drained_is_forgotten(writer, tmp_path):
    while writer.segments < 4:
        writer.append([message(1)])
    second = segment.listed(tmp_path)[1][0]
    writer.forget(second - 2)
    assert writer.segments == 4
    writer.forget(second - 1)
    assert writer.segments == 3 and writer.first == second
    assert writer.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.journal"))


def test_a_reader_that_comes_too_late_says_what_is_lost(writer, tmp_path):
    while writer.segments < 3:
        writer.append([message(1)])
    writer.forget(writer.position)
    with pytest.raises(JournalGap, match="what lies between is lost"):
        read_all(tmp_path, writer.first - 10)


def test_damage_in_the_middle_is_said_again_and_again_and_not_skipped(writer, tmp_path):
    while writer.segments < 3:
        writer.append([message(1)])
    path = segment.listed(tmp_path)[0][1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    good = [count for _, _, count, _ in segment.scan(bytes(data))]
    with closing(Reader(tmp_path)) as reader:
        assert len(reader.read()) == sum(good) > 0, "what comes before it is read first"
        for _ in range(2):
            with pytest.raises(
                JournalGap,
                match=r"the segment that begins at position \d+ is damaged at byte \d+: the journal goes from",
            ):
                reader.read()


# ---- the machine's power


def lost(directory: Path, after: int) -> str:
    """What a reader behind that position is told, once it has read what is there."""
    with closing(Reader(directory, after)) as reader, pytest.raises(JournalGap) as told:
        while reader.read():
            pass
    return str(told.value)


@pytest.mark.parametrize("torn", [0, 30])
def test_what_may_have_been_lost_with_the_power_is_told_at_the_next_epoch(tmp_path, torn):
    with closing(Writer(tmp_path, segment_bytes=4096)) as writer:
        for number in range(1, 101):
            writer.append([message(number)])
        last = writer.begin + 50
    power.fail(tmp_path, last, torn)
    with closing(Writer(tmp_path)) as writer:
        assert writer.lost and writer.cut == torn and writer.epoch == 2
        for read in (last - 10, last, last + 20):
            assert (
                lost(tmp_path, read) == f"epoch 2 found the journal's end at position {last}: what was appended behind "
                f"{max(read, last)} may be lost"
            )
        assert [type(record) for _, record in read_all(tmp_path, writer.begin - 1)] == [Epoch]


def test_where_the_supervisor_had_stopped_in_order_nothing_was_lost_with_the_power(tmp_path):
    with closing(Writer(tmp_path)) as writer:
        writer.append([message(1), Ended("supervisor", 1, 1, "stopped", True)])
        last = writer.append([Ended("recorder", 1, 1, "exited 0", True)])
    power.fail(tmp_path, last)
    with closing(Writer(tmp_path)) as writer:
        assert not writer.lost and [type(record) for _, record in read_all(tmp_path, last)] == [Epoch]
    power.fail(tmp_path, writer.begin)
    with closing(Writer(tmp_path)) as writer:
        assert writer.lost, "the supervisor after it had not"


def test_where_the_kernels_id_of_the_boot_is_hidden_the_tmpfs_of_this_boot_tells_it(tmp_path, monkeypatch):
    """systemd's ProcSubset=pid hides /proc/sys: each restart of a killed supervisor was taken for a power failure."""
    if "tmpfs:" not in boot.names():
        pytest.skip(f"no tmpfs at {' or '.join(boot.PLACES)} on this machine")
    with closing(Writer(tmp_path)) as writer:
        writer.append([message(1)])
    monkeypatch.setattr(boot, "BOOT_ID", tmp_path / "hidden")
    with closing(Writer(tmp_path)) as writer:
        assert not writer.lost, "before, the boot was known by both names"
        writer.append([message(2)])
    with closing(Writer(tmp_path)) as writer:
        assert not writer.lost
        monkeypatch.setattr(boot, "MOUNTS", tmp_path / "hidden")
        assert not boot.same(boot.names(), boot.names()), "not known at all: never the same"


def test_what_was_on_the_disk_at_once_is_not_lost_with_the_power(tmp_path):
    with closing(Writer(tmp_path, sync="batch")) as writer:
        last = writer.append([message(1)])
    power.fail(tmp_path, last)
    with closing(Writer(tmp_path)) as writer:
        assert not writer.lost and [type(record) for _, record in read_all(tmp_path, last)] == [Epoch]


def test_a_journal_put_back_to_an_older_state_is_told(tmp_path):
    with closing(Writer(tmp_path / "now")) as writer:
        last = writer.append([message(1)])
    shutil.copytree(tmp_path / "now", tmp_path / "then")
    with closing(Writer(tmp_path / "now")) as writer:
        read = writer.append([message(2)])
    with closing(Writer(tmp_path / "then")) as writer:
        assert writer.begin > read, "no position is used again"
        assert (
            lost(tmp_path / "then", read)
            == f"epoch 2 found the journal's end at position {last}: what was appended behind {read} may be lost"
        )


def test_the_beginning_of_an_epoch_reaches_the_disk_and_under_policy_batch_everything_and_each_segments_name(
    tmp_path, monkeypatch
):
    synced: list[str] = []

    def watch(name):
        call = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda fd: (synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).suffix or "directory"), call(fd)),
        )

    watch("fsync")
    watch("fdatasync")
    for sync in ("none", "batch"):
        with closing(Writer(tmp_path / sync, segment_bytes=4096, sync=sync)) as writer:
            assert synced == [".journal", "directory"]
            synced.clear()
            appended = 0
            while writer.segments < 2:
                writer.append([message(1)])
                appended += 1
        old, new = [".journal"] * appended, [".journal", "directory", ".journal"]
        assert synced == ([] if sync == "none" else old + new)
        synced.clear()


def framed(position, count, body):
    """A frame as it has always been, of records that nobody writes any more."""
    covered = struct.pack("<QI", position, count)
    return struct.pack("<II", len(body), zlib.crc32(covered + body)) + covered + body


def test_a_journal_of_the_version_whose_positions_had_no_steps_is_read_and_gone_on_from(tmp_path):
    encode = msgspec.msgpack.encode
    for epoch, first in ((1, 1000), (2, 1003)):
        records = [[1, 3, "n", epoch, 100, epoch, 5, 0, epoch == 1], message(epoch * 10), message(epoch * 10 + 1)]
        head = framed(first, 0, encode([3, epoch, 10 * (epoch - 1) + 1, {"supervisor": epoch}]))
        segment.path(tmp_path, first).write_bytes(head + framed(first, 3, encode(records)))
    with closing(Writer(tmp_path, node=3)) as writer:
        assert (writer.epoch, writer.lost, writer.last_id, writer.behind(0)) == (3, False, 21, 7)
        assert [position for position, _ in read_all(tmp_path)] == [*range(1000, 1006), writer.begin]
        assert [position for position, _ in read_all(tmp_path, 1005)] == [writer.begin]


@pytest.mark.process
def test_a_journal_has_one_writer(tmp_path):
    program = (
        "import sys; from pathlib import Path; from pairscope.journal.writer import Writer; w = "
        "Writer(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(JournalHeld, match=f"pid {holder.pid}"):
            Writer(tmp_path)
    finally:
        holder.communicate(timeout=10)
    Writer(tmp_path).close()


def test_a_reader_that_saw_a_segment_without_a_head_reads_what_stands_there_when_the_disk_has_room_again(
    writer, tmp_path, monkeypatch
):
    while writer.bytes < 4096:
        writer.append([message(1)])
    with closing(Reader(tmp_path)) as reader:
        reader.read()

        def full(fd, data):
            assert len(segment.listed(tmp_path)) == 2 and reader.read() == []
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(JournalFull):
                writer.append([message(2)])
        writer.append([message(3)])
        assert [record.id for _, record in reader.read()] == [3]


@pytest.mark.process
def test_a_killed_writer_leaves_what_it_had_acknowledged(tmp_path):
    program = """
import sys
from contextlib import closing
from pathlib import Path
from pairscope.journal.records import Outcome
from pairscope.journal.writer import Writer
writer = Writer(Path(sys.argv[1]), segment_bytes=65536)
number = 0
while True:
    number += 1
    writer.append([Outcome(number, "received", 0, 0, [], "x" * 2000)])
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
"""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(200):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = 200 + process.stdout.read().count("\n")
        process.stdout.close()
        process.wait()
        writer = Writer(tmp_path)
        begin = max(
            position
            for position, record in read_all(tmp_path)
            if type(record) is Epoch and record.epoch == writer.epoch - 1
        )
        written = [record.message for position, record in read_all(tmp_path, begin) if type(record) is Outcome]
        writer.close()
        assert written == list(range(1, len(written) + 1)) and acknowledged <= len(written) <= acknowledged + 1


@pytest.mark.process
def test_a_disk_without_room_loses_nothing_and_says_so(tmp_path):
    """RLIMIT_FSIZE stands for the full disk: the write is short at the limit, or fails with EFBIG."""
    program = """
import resource, signal, sys
from pathlib import Path
from pairscope.journal.records import Outcome
from pairscope.journal.writer import JournalFull, Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
number = 0
try:
    while True:
        writer.append([Outcome(number + 1, "received", 0, 0, [], "x" * 900)])
        number += 1
except JournalFull as error:
    print(number, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append([Outcome(number + 1, "received", 0, 0, [], "after")])
"""
    said = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True).stdout
    written = [record.message for _, record in read_all(tmp_path) if type(record) is Outcome]
    assert "the journal cannot grow" in said and written == list(range(1, int(said.split()[0]) + 2))


@pytest.mark.process
def test_a_new_segment_is_begun_although_the_process_has_no_descriptor_left(tmp_path):
    program = """
import errno, os, resource, sys
from pathlib import Path
from pairscope.journal.records import Outcome
from pairscope.journal.writer import Writer
writer = Writer(Path(sys.argv[1]), segment_bytes=4096)
resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
number = 0
while writer.segments < 5:
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    number += 1
    writer.append([Outcome(number, "received", 0, 0, [], "x" * 900)])
print(number)
"""
    process = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert [record.message for _, record in read_all(tmp_path) if type(record) is Outcome] == list(
        range(1, int(process.stdout) + 1)
    )


def test_the_id_of_what_live_reported_is_not_issued_again(tmp_path):
    crossed = Transfer(0, -1, 9, "socket", 8, 1042, "read-write", 2, -1, 0, "socket:[1042]", "unproved", "")
    with closing(Writer(tmp_path)) as writer:
        writer.append([message(7), HandedOver(41, "viewer", 1, "apache", 4711, "live", 1, 4712, crossed)])
    with closing(Writer(tmp_path)) as writer:
        assert writer.last_id == 41
