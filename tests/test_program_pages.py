"""The pages of a recording that holds its program's source: docs/programs.md, "The pages"."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from msgspec.structs import replace
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pairscope.store.migrate import upgrade
from pairscope.trace.file import Recording
from pairscope.trace.reading import Reading
from pairscope.trace.recording import Program, Remark
from pairscope.web import application
from pairscope.web.recording import source
from tests import plausible, programmed
from tests.browser import chromium
from tests.eventually import eventually
from tests.programmed import PROGRAM, STEPS, step, write, written
from tests.test_browser_access import COMBINATIONS, wrong
from tests.test_recording_pages import KEY, OPERATOR, handed_in, page_of, shown

HERE = 'aria-current="location"'


@contextlib.contextmanager
def read(path: Path) -> Iterator[Reading]:
    with Recording(str(path)) as recording:
        yield Reading(recording)


def current(text: str) -> str:
    """The number of the line that a page marks as the one of its step; empty: it marks none."""
    found = re.findall(rf'<li data-number="(\d+)" class="here" {HERE}', text)
    assert len(found) <= 1
    return found[0] if found else ""


def leads(text: str) -> dict[int, int]:
    """By line of the source, the step that it leads to."""
    return {int(line): int(to) for to, line in re.findall(r'steps/(\d+)[^"]*" data-step="line (\d+)"', text)}


# ---- a line and its steps


def test_a_line_leads_to_its_next_step_and_from_its_last_to_its_first(tmp_path: Path) -> None:
    waits = [step("read", line=2, gave={}, blocked=True), step("read", of=4)]
    steps = [write(6), write(4), write(6), *waits]
    with read(written(tmp_path / "r", steps=steps)) as reading:
        found = source.steps_of(reading)
        assert reading.row(5).source == 2, "a return is of the line of its call"
        assert found == {6: [1, 3], 4: [2], 2: [4, 5]}
        next_of = [
            {line.number: line.step for line in source.lines_of(PROGRAM, found, number) if line.step}
            for number in (0, 1, 3)
        ]
    assert next_of == [{2: 4, 4: 2, 6: 1}, {2: 4, 4: 2, 6: 3}, {2: 4, 4: 2, 6: 1}]


def test_what_is_folded_is_led_to_only_where_a_line_has_nothing_else(tmp_path: Path) -> None:
    again = step("recvmsg", line=3, gave={"errno": "EAGAIN"})
    with read(written(tmp_path / "r", steps=[again, write(6), again, step("recvmsg", line=5), again])) as reading:
        assert source.steps_of(reading) == {3: [1, 3, 5], 6: [2], 5: [4]}


def test_equal_neighbours_of_two_lines_are_two_steps_and_of_one_line_one(tmp_path: Path) -> None:
    with read(written(tmp_path / "r", steps=[write(6), write(7), write(7)])) as reading:
        assert [row.folded for row in reading.rows] == [False, False, True]


def test_of_a_long_source_the_lines_around_the_step_are_shown() -> None:
    program = Program("python", "\n".join(map(str, range(1, 2001))))
    for here, first in ((0, 1), (3, 1), (1000, 800), (2000, 1601)):
        lines = source.lines_of(program, here=here)
        assert len(lines) == source.MOST and lines[0].number == first and lines[0].text == str(first)
    assert [line.text for line in source.lines_of(Program("c", ""))] == [""]


# ---- the pages of a file alone


@pytest.mark.web
def test_each_step_stands_beside_its_source_with_its_line_marked(tmp_path: Path) -> None:
    with read(written(tmp_path / "r")) as reading:
        get = page_of(reading)
        status, text = get(f"/{KEY}/steps/2")
        assert status == 200 and current(text) == "6" and "Line 6" in text
        assert leads(text) == {5: 3, 6: 4}
        assert "written to standard output" in text and "hello&lt;/b&gt;" in text
        text = get(f"/{KEY}/steps/5")[1]
        assert not current(text) and "No line is known for this step." in text
        assert leads(get(f"/{KEY}/steps/4")[1]) == {5: 3, 6: 2}, "and round again"
        assert "q=call:write" in get(f"/{KEY}/steps/2?q=call:write")[1].partition('data-step="line 6"')[0][-200:]


@pytest.mark.web
def test_the_first_page_has_the_source_what_the_compiler_said_and_what_it_wrote(tmp_path: Path) -> None:
    with read(written(tmp_path / "r")) as reading:
        get = page_of(reading)
        text = get(f"/{KEY}/")[1]
        assert "A program in C" in text and leads(text) == {5: 3, 6: 2}
        fourth = text.partition('<li data-number="4">')[2].partition("</li>")[0]
        assert "        int unused;" in fourth, "a tab is eight spaces"
        assert "warning" in fourth and "unused variable &lt;unused&gt;" in fourth
        assert "&lt;b&gt;hello&lt;/b&gt;\n&lt;b&gt;hello" in text, "all that it wrote"
        assert "It wrote nothing there." in text and "a line" in text and "--flag" in text
        assert get(f"/{KEY}/source") == (200, programmed.SOURCE)


@pytest.mark.web
@pytest.mark.parametrize(
    ("status", "said"),
    [(-11, "The program was killed by SIGSEGV."), (3, "The program exited with status 3."), (0, ""), (None, "")],
)
def test_the_first_page_says_at_its_head_how_the_program_failed(tmp_path: Path, status: int | None, said: str) -> None:
    with read(written(tmp_path / "r", status=status)) as reading:
        head = page_of(reading)(f"/{KEY}/")[1].partition("</header>")[0]
    assert said in head and ("The program " in head) == bool(said)


@pytest.mark.web
def test_a_step_speaks_of_folded_ones_only_where_there_are_some(tmp_path: Path) -> None:
    for name, steps, folded in (("none", STEPS[:2], False), ("one", [*STEPS[:2], write(6)], True)):
        with read(written(tmp_path / name, steps=list(steps))) as reading:
            assert any(row.folded for row in reading.rows) == folded
            text = page_of(reading)(f"/{KEY}/steps/1")[1]
        assert ("Show every step" in text) == (" folded: " in text) == folded


@pytest.mark.web
def test_a_recording_of_a_command_has_no_source_and_says_so(tmp_path: Path) -> None:
    with read(written(tmp_path / "r", None)) as reading:
        get = page_of(reading)
        assert "program-text" not in get(f"/{KEY}/")[1] + get(f"/{KEY}/steps/2")[1]
        status, text = get(f"/{KEY}/source")
        assert status == 404 and "it holds no source" in text


@pytest.mark.web
def test_where_no_step_has_a_line_the_page_says_so(tmp_path: Path) -> None:
    with read(written(tmp_path / "r", steps=[write(0), write(0)])) as reading:
        get = page_of(reading)
        assert "No line is known for any of its steps." in get(f"/{KEY}/")[1]
        assert "No line is known for this step." in get(f"/{KEY}/steps/1")[1]


@pytest.mark.web
@pytest.mark.parametrize("line", [4096, (1 << 63) - 1])
def test_a_hostile_source_writes_nothing_on_the_page_and_its_lines_are_taken_as_they_come(
    tmp_path: Path, line: int
) -> None:
    bad = "</li></ol><script>x</script>\u202e\x1b[2J\r"
    remarks = [Remark("error", line, line, bad), Remark("note", 0, 0, bad)]
    program = Program("python", f"{bad}\n" * 900 + "y" * 4000, [bad], bad, remarks, bad, bad)
    with read(written(tmp_path / "r", program, [write(line), write(3)])) as reading:
        get = page_of(reading)
        for path in ("", "steps/0", "steps/1", "steps/2"):
            status, text = get(f"/{KEY}/{path}")
            assert status == 200 and len(text) < 400_000
            assert "<script>x" not in text and "\u202e" not in text and "\x1b" not in text and "\r" not in text, path


# ---- stored


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = plausible.settings_in(tmp_path / "state")
    upgrade(settings)
    made = application.create_app(settings)
    yield made
    made.extensions["pairscope"].close()


@pytest.mark.web
def test_the_source_of_a_stored_recording_is_seen_by_whom_the_recording_is(app: Flask, tmp_path: Path) -> None:
    address = handed_in(app, written(tmp_path / "made.c.rec"))
    mine, stranger = app.test_client(), app.test_client()
    answer = mine.get(f"{address}/source", headers=OPERATOR)
    assert answer.text == programmed.SOURCE and "filename=made.c" in answer.headers["Content-Disposition"]
    assert stranger.get(f"{address}/source").status_code == 404
    mine.post(f"{address}/share", data={"shared": "1"}, headers=OPERATOR)
    assert stranger.get(f"{address}/source").text == programmed.SOURCE
    assert current(stranger.get(f"{address}/steps/4").text) == "6"


# ---- in a browser


@pytest.mark.browser
@pytest.mark.leaves("the renderers of a browser outlive a test")
def test_one_steps_by_lines_with_a_script_and_without_and_everybody_can(tmp_path: Path) -> None:
    path = written(tmp_path / "r", replace(PROGRAM, errors="on error\n"), STEPS)
    found = []
    marked = "li.here[aria-current=location]"

    def here(browser: Any) -> str:
        return str(browser.find_element(By.CSS_SELECTOR, "[data-lab-run]").get_attribute("data-number"))

    with shown(path) as site:
        with chromium(1440, 900) as browser:
            browser.get(f"{site.address}steps/1")
            assert not browser.find_elements(By.CSS_SELECTOR, marked)
            browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
            eventually(lambda: here(browser) == "2", "the next step")
            assert browser.find_element(By.CSS_SELECTOR, marked).get_attribute("data-number") == "6"
            link = browser.find_element(By.CSS_SELECTOR, f"{marked} a")
            link.send_keys(Keys.ENTER)
            eventually(lambda: here(browser) == "4", "the next step of the line")
            assert browser.switch_to.active_element.get_attribute("data-step") == "line 6", "focus stays at its line"
            ways = [one for one in COMBINATIONS if not one[2]]
            for page, way in zip(("", "", "steps/2", "steps/2"), (ways[0], ways[3], ways[1], ways[2])):
                size = {"width": way[0], "height": 900, "deviceScaleFactor": 1, "mobile": False}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                look = {"features": [{"name": "prefers-color-scheme", "value": way[1]}]}
                browser.execute_cdp_cmd("Emulation.setEmulatedMedia", look)
                browser.get(site.address + page)
                found += wrong(browser, page, way)
                assert browser.execute_script("return document.documentElement.scrollWidth") <= way[0], page
        with chromium(375, 800, script=False) as plain:
            plain.get(site.address)
            plain.find_element(By.CSS_SELECTOR, '.program-text a[data-number="6"]').click()
            assert plain.current_url.endswith("steps/2")
            plain.find_element(By.CSS_SELECTOR, f"{marked} a").click()
            assert plain.current_url.endswith("steps/4")
    assert not found, "\n".join(found)
