"""Two recordings of real programs compared by what was passed in them: docs/recorder.md, "Two recordings"."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from selenium.webdriver.common.by import By

from pairscope.trace import comparing
from pairscope.trace.comparing import Count, Pair, calls, compare, counted, program
from pairscope.trace.recording import Counts, Index, Passage, Process
from tests import test_recording_pages as pages
from tests.browser import chromium
from tests.test_browser_access import wrong
from tests.test_recording_pages import APP, KEY, OPERATOR, handed_in, read, step, written

app = pages.app
NAMES = ("nginx", "nginx#2", "nginx#3")


def passed(
    sent: int, came: int | None, at: int = 1, *, object: str = "socket:[5]", to: int | None = 2, end: Any = "received",
    proof: Any = "both", by: int = 1,
) -> Passage:  # fmt: skip
    received = came is not None
    return Passage(by, sent, at, object, end, to if received else None, came, at + 1, proof if received else "")


def index(*passages: Passage, names: tuple[str, ...] = NAMES) -> Index:
    return Index(
        format=2, command=[], kernel="", machine="", started=0, took_us=0, ended="", kept=0, missing=[],
        counts=Counts(0, 0, 0, 0, 0, 0, 0, 0), processes=[Process(9, name, 0, 0) for name in names],
        passages=list(passages), blocks=[],
    )  # fmt: skip


def told(pairs: list[Pair]) -> list[tuple[str, int | None, int | None]]:
    """Of each pair, what it is and the steps at which both were sent."""
    return [
        (pair.kind, pair.one.sent_at if pair.one else None, pair.other.sent_at if pair.other else None)
        for pair in pairs
    ]


def test_what_is_another_one_in_every_run_makes_no_difference() -> None:
    one = index(passed(3, 7, 10), passed(4, 8, 20, object="/memfd:x (deleted)"))
    other = index(passed(3, 7, 900, object="socket:[77]"), passed(4, 8, 950, object="/memfd:x (deleted)"))
    assert told(compare(one, other)) == [("same", 10, 900), ("same", 20, 950)]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (passed(4, 7), ("sent",)),
        (passed(3, 8), ("received",)),
        (passed(3, 7, proof=""), ("proof",)),
        (passed(3, None, end="dropped"), ("end",)),
        (passed(3, 7, to=3), ("receiver",)),
        (passed(3, 9, to=3, proof="duplicate"), ("receiver", "received", "proof")),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_a_passage_that_changed_says_in_what(other: Passage, differs: tuple[str, ...]) -> None:
    (pair,) = compare(index(passed(3, 7)), index(other))
    assert (pair.kind, pair.differs) == ("changed", differs)


def test_a_file_at_another_place_is_changed_and_another_kind_of_object_is_another_passage() -> None:
    (pair,) = compare(index(passed(3, 7, object="/tmp/a/x")), index(passed(3, 7, object="/tmp/b/x")))
    assert pair.differs == ("object",)
    pairs = compare(index(passed(3, 7)), index(passed(3, 7, object="pipe:[5]")))
    assert told(pairs) == [("first", 1, None), ("second", None, 1)]


def test_one_more_passage_in_the_midst_is_alone_and_its_neighbours_are_the_same() -> None:
    one = [passed(3, 7, 1), passed(4, 8, 2), passed(5, 9, 3)]
    more = [passed(3, 7, 1), passed(9, 20, 2, object="pipe:[1]"), passed(4, 8, 3), passed(5, 9, 4)]
    there = [("same", 1, 1), ("second", None, 2), ("same", 2, 3), ("same", 3, 4)]
    assert told(compare(index(*one), index(*more))) == there
    assert told(compare(index(*more), index(*one)))[1] == ("first", 2, None)


def test_order_counts_between_two_processes_and_not_between_two_pairs_of_them() -> None:
    to_two, to_three = passed(3, 7, 1), passed(3, 7, 2, to=3)
    swapped = [passed(3, 7, 1, to=3), passed(3, 7, 2)]
    assert {pair.kind for pair in compare(index(to_two, to_three), index(*swapped))} == {"same"}
    first = index(passed(3, 7, 1), passed(4, 8, 2))
    pairs = compare(first, index(passed(4, 8, 1), passed(3, 7, 2)))
    assert sorted(pair.differs for pair in pairs) == [(), ("order",)]


def test_as_many_as_possible_of_20_000_are_the_same_at_once() -> None:
    """Equal lines are where a difference of texts takes the square of them: it would not end here."""
    chance = random.Random(17)
    some = [passed(chance.randrange(3), chance.randrange(3), at) for at in range(20_000)]
    equal = [passed(1, 1, at) for at in range(20_000)]
    assert counted(compare(index(*equal), index(*equal)))["same"] == 20_000
    fewer = [one for one in some if one.sent_at % 1000 != 999]
    assert counted(compare(index(*some), index(*fewer))) == {"same": 19_980, "changed": 0, "first": 20, "second": 0}
    assert counted(compare(index(*fewer), index(*some)))["second"] == 20
    many = counted(compare(index(*some), index(*equal)))
    assert many["same"] + many["changed"] + many["first"] == many["same"] + many["changed"] + many["second"] == 20_000
    assert many["same"] >= sum((one.sent_as, one.received_as) == (1, 1) for one in some)


def test_the_common_order_is_the_longest() -> None:
    chance = random.Random(17)
    for _ in range(300):
        ones, others = ([chance.randrange(3) for _ in range(chance.randrange(12))] for _ in range(2))
        longest = [[0] * (len(others) + 1) for _ in range(len(ones) + 1)]
        for a, one in enumerate(ones):
            for b, other in enumerate(others):
                both = longest[a][b] + 1 if one == other else 0
                longest[a + 1][b + 1] = max(both, longest[a][b + 1], longest[a + 1][b])
        found = comparing._common(ones, others)
        assert len(found) == longest[-1][-1] and all(ones[a] == others[b] for a, b in found)
        assert found == sorted(set(found)) and len({a for a, _ in found}) == len({b for _, b in found}) == len(found)


def test_calls_are_told_where_a_process_makes_more_in_one_and_a_process_that_one_has_alone_in_one_line() -> None:
    one = Counter({("a", "read"): 3, ("a", "close"): 1, ("b", "read"): 2, ("b", "close"): 2})
    other = Counter({("a", "read"): 3, ("a", "dup"): 1})
    assert calls(one, other) == [Count("a", "close", 1, 0), Count("a", "dup", 0, 1), Count("b", "", 4, 0)]


def test_polls_refusals_that_pass_and_returns_are_not_counted(tmp_path: Path) -> None:
    steps = [
        step("recvmsg", gave={"errno": "EAGAIN"}, count=5), step("poll"), step("read", gave={}, blocked=True),
        step("read", of=3), step("connect", 2, gave={"errno": "ENOENT"}, count=2),
    ]  # fmt: skip
    with read(written(tmp_path / "r", steps)) as reading:
        assert reading.calls() == {("a", "read"): 1, ("b", "connect"): 2}


def test_the_program_of_a_process_is_its_name_without_the_number_among_equals() -> None:
    assert [program(name) for name in ("nginx", "nginx#2", "c#sharp", "#2")] == ["nginx", "nginx", "c#sharp", "#2"]


# ---- pages


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two recordings: two passages the same, one changed, one only in the second; another call."""
    one = [step("sendmsg"), step("recvmsg", 2), step("close")] * 3
    first = [passed(3, 7, 1), passed(4, 8, 4), passed(5, 9, 7)]
    second = [passed(3, 7, 1), passed(4, 8, 4), passed(5, 11, 7), passed(3, 12, 10, to=3)]
    bad = "a<i>\u202e"
    return (
        written(tmp_path / "one.rec", one, first, ("m", bad, "w#2")),
        written(tmp_path / "two.rec", [*one, step("sendmsg"), step("recvmsg", 3)], second, ("m", bad, "w#2")),
    )


@contextlib.contextmanager
def page_of_both(two: tuple[Path, Path]) -> Iterator[Any]:
    from werkzeug.test import Client

    from pairscope.web.recording.alone import create_app

    with read(two[0]) as one, read(two[1]) as other:
        client = Client(create_app(one, "one.rec", KEY, (other, "two.rec")))
        yield lambda path: client.get(f"/{KEY}/{path}", headers={"Host": "localhost"})


@pytest.mark.web
def test_the_page_of_two_files_counts_what_is_in_both_and_each_row_leads_into_its_own_recording(
    two: tuple[Path, Path],
) -> None:
    with page_of_both(two) as get:
        text = get("compare").text
        assert "3 passages in both, 1 of them changed; 0 only in the first; 1 only in the second." in " ".join(
            text.split()
        )
        rows = re.findall(r"<tr.*?</tr>", text.partition("<tbody>")[2].partition("</tbody>")[0], re.DOTALL)
        assert len(rows) == 4 and "the receiver&#39;s number" in rows[2] and "only in the second" in rows[3]
        assert re.findall(r'href="([^"]*/steps/\d+)"', rows[2]) == [
            f"/{KEY}/steps/7", f"/{KEY}/steps/8", f"/{KEY}/other/steps/7", f"/{KEY}/other/steps/8",
        ]  # fmt: skip
        assert get("other/steps/11").status_code == 200 and get("steps/11").status_code == 404
        assert f'href="/{KEY}/compare"' in get("").text and f'href="/{KEY}/compare"' in get("other/").text
        assert "<i>" not in text and "\u202e" not in text
        changes = get("compare?only=changes").text
        assert changes.count('<tr class="differs">') == 2 and ">the same<" not in changes
        assert get("compare?from=4").status_code == 400


@pytest.mark.web
def test_many_passages_are_paged_and_the_pages_keep_what_was_chosen(tmp_path: Path) -> None:
    one = written(tmp_path / "a", [step("sendmsg"), step("recvmsg", 2)], [passed(3, 7)] * 450)
    other = written(tmp_path / "b", [step("sendmsg"), step("recvmsg", 2)], [passed(3, 9)] * 449 + [passed(3, 7)])
    with page_of_both((one, other)) as get:
        text = get("compare?only=changes&from=200").text
        assert 'href="?only=changes&amp;from=0"' in text and 'href="?only=changes&amp;from=400"' in text
        assert text.count('class="differs"') == 200


@pytest.mark.web
def test_more_passages_than_a_page_compares_are_told_in_a_sentence(two: tuple[Path, Path], tmp_path: Path) -> None:
    """A file of a few kB may have a million."""
    many = written(tmp_path / "many", [step("sendmsg"), step("recvmsg", 2)], [passed(3, 7)] * 100_001)
    with page_of_both((two[0], many)) as get:
        answer = get("compare")
    assert answer.status_code == 400 and "two.rec has 100001 passages; a page compares at most 100000" in answer.text


@pytest.mark.web
def test_two_stored_recordings_are_compared_by_those_who_may_see_both(app: Flask, two: tuple[Path, Path]) -> None:
    ids = [handed_in(app, path).rpartition("/")[2] for path in two]
    address = f"/lab/recordings/compare?a={ids[0]}&b={ids[1]}"
    answer = app.test_client().get(address, headers=OPERATOR)
    assert answer.status_code == 200 and "3 passages in both" in answer.text
    assert f'/lab/recordings/{ids[1]}/steps/10"' in answer.text
    assert f'value="{ids[1]}" selected' in app.test_client().get("/lab/recordings", headers=OPERATOR).text
    stranger = app.test_client()
    app.test_client().post(f"/lab/recordings/{ids[0]}/share", data={"shared": "1"}, headers=OPERATOR)
    assert stranger.get(address).status_code == 404
    app.test_client().post(f"/lab/recordings/{ids[1]}/share", data={"shared": "1"}, headers=OPERATOR)
    assert stranger.get(address).status_code == 200
    assert stranger.get("/lab/recordings/compare").status_code == 404


@pytest.mark.web
def test_recordings_to_compare_are_told_apart_by_when_they_were_handed_in(app: Flask, two: tuple[Path, Path]) -> None:
    for path in two:
        handed_in(app, path)
    page = app.test_client().get("/lab/recordings", headers=OPERATOR).text
    texts = re.findall(r"<option value=[^>]*>([^<]*)</option>", page)
    assert len(texts) == 4 and all(re.search(r" · \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$", text) for text in texts)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pairscope", "record", *words],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.mark.process
def test_the_command_tells_both_and_two_runs_of_one_program_are_the_same(
    tmp_path: Path, two: tuple[Path, Path]
) -> None:
    (program := tmp_path / "program.py").write_text(pages.PROGRAM)
    for name in ("a", "b"):
        assert command("-o", str(tmp_path / name), "--", sys.executable, str(program)).returncode == 0
    said = json.loads(command("--compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json").stdout)
    assert [one["is"] for one in said["items"]] == ["same", "same"]
    done = command("--compare", *map(str, two))
    assert done.returncode == 0 and "\u202e" not in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "3 passages in both, 1 of them changed, 0 only in the first, 1 only in the second"
    )
    assert re.search(r"changed +m +.* 5 → 9 \(7, 8\) +5 → 11 \(7, 8\) +the receiver's number", done.stdout)
    done = command("--compare", *map(str, two), "--", "true")
    assert (done.returncode, done.stdout) == (2, "") and "--compare reads two recordings; it takes no" in done.stderr
    (tmp_path / "none").write_bytes(b"no recording")
    for words in ((str(two[0]), str(tmp_path / "none")), (str(tmp_path / "none"), str(two[0]))):
        done = command("--compare", *words)
        assert done.returncode == 2 and "none is no recording" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.browser
def test_on_a_phone_two_recordings_stand_beside_each_other(two: tuple[Path, Path]) -> None:
    with pages.shown(*two) as site, chromium(375, 800) as plain:
        assert site.address.endswith("/compare")
        plain.get(site.address)
        wide = plain.find_element(By.CSS_SELECTOR, ".beside").size["width"]
        assert wide <= 375 and plain.find_element(By.TAG_NAME, "html").size["width"] <= 375
        assert not plain.find_elements(By.TAG_NAME, "script"), "it works without"
        assert not wrong(plain, "compare", (375, "light", False))
        links = plain.find_elements(By.CSS_SELECTOR, ".beside tbody tr:last-child a")
        assert [link.text for link in links] == ["10", "11"]
        links[0].click()
        assert plain.current_url.endswith("/other/steps/10")
