"""Live without Apache: blocks that fit into every stream, and what becomes of a viewer who does not read."""

from __future__ import annotations

import dataclasses
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.lamp.templates import fill
from pairscope.live.door import Handed
from pairscope.live.pack import GZIP_HEADER, Packer, event
from pairscope.live.subject import Subject
from pairscope.live.viewers import BEHIND_BYTES, BEHIND_SECONDS, Viewer, Viewers
from pairscope.store.cursor import Changed, CursorError, Known, Row, encode, places
from tests.test_lamp_files import box


def test_a_block_fits_into_a_stream_that_begins_with_it_and_behind_any_other():
    packer = Packer()
    events = [
        event("update", f"<p>{number}</p>\n\n<p>more</p>" * 50, f"1:{number}/1:{number + 1}") for number in range(5)
    ]
    blocks = [packer.block(each) for each in events]
    for order in ([0, 1, 2, 3, 4], [3, 4], [4, 0, 4]):
        stream = GZIP_HEADER + b"".join(blocks[number] for number in order)
        assert zlib.decompressobj(31).decompress(stream) == b"".join(events[number] for number in order)


def test_an_event_has_no_empty_line_within():
    assert event("update", "<p>\n\n \n</p>", "1:2/1:3") == b"event: update\nid: 1:2/1:3\ndata: <p>\ndata: </p>\n\n"
    assert event("beat") == b"event: beat\ndata:\n\n"


def test_the_places_of_a_cursor_leave_out_a_change_that_is_not_whole():
    assert places(encode(Known({2: Changed(7), 1: Changed(5, (3,))}, "messages"))) == "1:4,2:7"
    with pytest.raises(CursorError):
        places(encode(Row("messages", (1,))))


FOLLOWED = Subject("messages", "en")


class Told:
    """The viewers, and the other end of each viewer's connection."""

    def __init__(self) -> None:
        self.watched: list[tuple[int, bool]] = []
        self.viewers = Viewers(3, 2, lambda viewer, wanted: self.watched.append((viewer.fd, wanted)))
        self.ends: list[socket.socket] = []

    def come(self, address: str) -> Viewer:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.settimeout(5)
        self.ends.append(theirs)
        return self.viewers.add(Handed(ours, address, 1), FOLLOWED)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    for viewer in list(made.viewers.by_fd.values()):
        made.viewers.drop(viewer, "")
    for end in made.ends:
        end.close()


def test_viewers_are_bounded_in_all_and_of_one_address(told):
    assert told.viewers.refusal("a") == ""
    first = told.come("a")
    told.come("a")
    assert (told.viewers.refusal("a"), told.viewers.refusal("b")) == ("crowd", "")
    told.come("b")
    assert told.viewers.refusal("c") == "full"
    told.viewers.drop(first, "left")
    assert told.viewers.refusal("a") == "" and told.viewers.ends == {"left": 1}


def test_who_reads_slowly_gets_all_of_it_and_who_is_too_far_behind_a_last_word_behind_what_was_begun(told):
    slow, deaf = told.come("a"), told.come("b")
    block = b"x" * (BEHIND_BYTES // 2)
    for _ in range(2):
        told.viewers.broadcast(FOLLOWED, block, 1.0)
    assert set(told.viewers.behind) == {slow.fd, deaf.fd} and (slow.fd, True) in told.watched
    got = 0
    while got < 2 * len(block):
        got += len(told.ends[0].recv(1 << 18))
        told.viewers.resume(slow, 2.0)
    assert got == 2 * len(block) and slow.behind is None and (slow.fd, False) in told.watched
    for _ in range(2):
        told.viewers.send(deaf, block, 2.0)
    told.viewers.late(b"bye", 3.0)
    assert deaf.left and told.viewers.ends == {"slow": 1} and deaf.behind is not None and len(deaf.behind) == 2
    told.viewers.broadcast(FOLLOWED, b"y", 3.0)
    assert deaf.behind[-1] == b"bye", "nothing comes behind the last word"
    told.viewers.late(b"bye", deaf.since + BEHIND_SECONDS + 1)
    assert deaf.fd not in told.viewers.by_fd and told.viewers.ends == {"slow": 1}


def test_where_reading_needs_a_login_apache_hands_viewers_over_by_a_ticket_only(tmp_path: Path):
    open_box = box(tmp_path)
    closed = dataclasses.replace(open_box, settings={"public_read": False})
    assert "fd://../../run/pairscope/live/$1.sock" in fill("apache/site.conf", open_box)
    assert "live/$1.sock" not in fill("apache/site.conf", closed)
    for made in (open_box, closed):
        assert "fd://../../run/pairscope/live/tickets/$1.sock" in fill("apache/site.conf", made)
        assert "live_run" in fill("settings.toml", made, reader="web")
    assert "live_run" not in fill("settings.toml", open_box, reader="pool")


def test_who_came_as_an_operator_comes_again_after_a_while_and_others_stay(told):
    stranger = told.come("a")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    told.ends.append(theirs)
    operator = told.viewers.add(Handed(ours, "b", 1), FOLLOWED._replace(operator=True))
    operator.until = 60.0
    told.viewers.renew(b"again", 60.0)
    assert operator.fd in told.viewers.by_fd
    told.viewers.renew(b"again", 60.1)
    assert list(told.viewers.by_fd.values()) == [stranger] and told.viewers.ends == {"again": 1}
    assert theirs.recv(100) == b"again"
