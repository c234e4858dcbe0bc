"""The pages of a recording with many processes, which stand by their programs: docs/recorder.md, "The pages"."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from pairscope.trace.recording import Passage
from pairscope.web.recording.timeline import collapsed
from tests import traced
from tests.browser import chromium
from tests.test_browser_access import wrong
from tests.test_recording_pages import KEY, page_of, read, shown, step, written
from tests.traced import process, recorded

programs = traced.programs
NAMES = ("master", *(f"worker#{number}" if number > 1 else "worker" for number in range(1, 13)), "<b>\u202e")
STEPS = [step("read", process) for process in range(1, 15)] * 3


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """A master, twelve workers and another one; the master passes to each worker."""
    passages = [Passage(1, 7, 1, "pipe:[9]", "received", worker, 3, worker, "both") for worker in range(2, 14)]
    return written(tmp_path / "crowd.rec", STEPS, passages, NAMES)


@pytest.fixture
def get(crowd: Path) -> Iterator[Any]:
    with read(crowd) as reading:
        yield page_of(reading)


def test_processes_of_one_program_share_a_lane_unless_a_step_near_is_theirs(crowd: Path) -> None:
    with read(crowd) as reading:
        assert collapsed(reading, range(1, 15), [2, 3]) == [[1], [2], [3], [*range(4, 14)], [14]]
        assert collapsed(reading, range(1, 7), [1]) == [[1], [2], [3], [4], [5], [6]], "six are not many"


@pytest.mark.web
def test_many_processes_are_listed_by_program_with_what_they_passed(get: Any, tmp_path: Path) -> None:
    status, text = get(f"/{KEY}/")
    groups = re.findall(r"<details class=\"group\">.*?</details>", text, re.DOTALL)
    assert status == 200 and len(groups) == 3 and "<b>\u202e" not in text
    assert "12 processes" in groups[1] and "passages: sent 0, received 12" in groups[1]
    assert groups[1].count("<tr>") == 13 and "sent 12, received 0" in groups[0] and "no passage" in groups[2]
    with read(written(tmp_path / "few", [step("read")], names=NAMES[:8])) as reading:
        assert "<details" not in page_of(reading)(f"/{KEY}/")[1], "eight are listed one by one"


@pytest.mark.web
def test_a_step_shows_each_process_when_it_is_asked_to_and_goes_on_so(get: Any) -> None:
    text = get(f"/{KEY}/steps/2")[1]
    assert "worker ×" in text and "worker#11<" not in text.partition("timeline")[2].partition("</svg>")[0]
    (each,) = re.findall(r'href="([^"]+)" data-step>Show each process', text)
    text = get(each)[1]
    lanes = text.rpartition("timeline-scroll")[2]
    assert "worker#9" in lanes and "worker ×" not in lanes and "Collapse the processes" in text
    assert all("each=1" in link for link in re.findall(r'href="([^"]+/steps/[^"]+)" data-key', text))
    assert "each=1" in re.findall(r'href="([^"]+)" data-key="ArrowRight"', text)[0]


@pytest.mark.browser
def test_on_a_phone_a_program_opens_for_its_processes_without_a_script(crowd: Path) -> None:
    with shown(crowd) as site, chromium(375, 900) as browser:
        browser.get(site.address)
        assert not browser.find_elements(By.TAG_NAME, "script")
        worker = browser.find_elements(By.CSS_SELECTOR, ".group")[1]
        assert "worker#2" not in worker.text
        worker.find_element(By.TAG_NAME, "summary").click()
        assert "worker#2" in worker.text
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 375
        found = wrong(browser, "crowd", (375, "light", False))
        browser.get(f"{site.address}steps/2")
        found += wrong(browser, "step of a crowd", (375, "light", False))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 375
        assert not found, "\n".join(found)


RENAMED = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.prctl(15, b"first", 0, 0, 0)
if not os.fork():
    libc.prctl(15, b"second", 0, 0, 0)
    os._exit(0)
os.wait()
"""


@process
def test_a_process_is_called_what_it_was_called_last(programs: Path) -> None:
    run = recorded(programs, os.path.realpath(sys.executable), "-c", RENAMED)
    assert [one.name for one in run.index.processes] == ["first", "second"], run.err
