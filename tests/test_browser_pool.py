"""The whole way in a browser, with a real pool: choose a file, send it, watch it, take the result."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By

from pairscope.pool import snapshot
from tests.browser import chromium, text_of
from tests.eventually import eventually
from tests.running import Server, running

pytestmark = [
    pytest.mark.web,
    pytest.mark.pool,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose renderers and workers outlive a test"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Server]:
    state = Path(tempfile.mkdtemp(prefix="pool"))
    with running(state) as made:
        yield made
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def browser(pool: Server) -> Iterator[Chrome]:
    """A browser in which the login link was followed, as a person does."""
    with chromium(1440, 900) as made:
        made.get(pool.link)
        made.find_element(By.CSS_SELECTOR, "main button.primary").click()
        eventually(
            lambda: text_of(made, "h1").startswith("A descriptor goes in"), "the overview is there after the login"
        )
        yield made


def send(browser: Chrome, pool: Server, kind: str, file: Path | None) -> None:
    """Fills in the form on the overview and sends it."""
    browser.get(pool.address)
    if file:
        browser.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(file))
    browser.find_element(By.CSS_SELECTOR, f"input[value={kind}]").click()
    browser.find_element(By.CSS_SELECTOR, ".submit button.primary").click()
    eventually(lambda: re.search(r"/jobs/\d+$", browser.current_url), "the page of the job is there")


def settled(browser: Chrome, state: str = "done") -> None:
    eventually(lambda: text_of(browser, "h1 .state") == state, f"the job is {state} on its page", 30)
    eventually(
        lambda: browser.execute_script("return document.querySelector('.hops')?.tBodies[0].rows.length") == 5,
        "all five messages are in the table",
    )


def test_a_photograph_travels_through_the_pool_and_its_picture_is_shown(
    browser: Chrome, pool: Server, tmp_path: Path
) -> None:
    photograph = tmp_path / "photograph.jpg"
    Image.linear_gradient("L").resize((1600, 1000)).save(photograph)
    send(browser, pool, "thumbnail", photograph)
    settled(browser)
    picture = browser.find_element(By.CSS_SELECTOR, ".picture img")
    eventually(
        lambda: browser.execute_script("return arguments[0].naturalWidth", picture) == 320, "the picture is there"
    )
    eventually(
        lambda: "taken later" in text_of(browser, "main"), "that its output was taken is told apart from its way"
    )
    kinds = browser.execute_script(
        "return [...document.querySelectorAll('.hops')].map((table) => [...table.querySelectorAll('td.what "
        "a')].map((link) => link.textContent))"
    )
    assert kinds == [["submit", "accepted", "task", "result", "answer"], ["fetch", "output"]]
    eventually(lambda: "proved" in text_of(browser, ".journey"), "the descriptor's crossings are proved")
    stages = [
        chip.text
        for chip in browser.find_element(By.CSS_SELECTOR, ".journey").find_elements(By.CSS_SELECTOR, ".who .full")
    ]
    assert stages == ["web", "supervisor", "worker"]
    browser.find_element(By.CSS_SELECTOR, ".journey .leap a").click()
    assert "/transfers/" in browser.current_url and "one open file description" in browser.page_source
    assert re.search(r"kcmp\(\d+, \d+, KCMP_FILE, \d+, \d+\) = 0", browser.page_source)


def test_a_large_file_is_digested_where_it_lies(browser: Chrome, pool: Server, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(range(256)) * 40_000)
    send(browser, pool, "digest", large)
    settled(browser)
    text = text_of(browser, "main")
    assert hashlib.sha256(large.read_bytes()).hexdigest() in text and "regular file" in text
    assert list(pool.settings.spool.iterdir()) == []


def test_a_file_that_is_no_picture_fails_in_words(browser: Chrome, pool: Server, tmp_path: Path) -> None:
    text = tmp_path / "not a picture.jpg"
    text.write_text("no picture at all")
    send(browser, pool, "thumbnail", text)
    settled(browser, "failed")
    assert "not an image" in text_of(browser, ".reason")


def test_a_form_without_its_file_says_what_is_missing(browser: Chrome, pool: Server) -> None:
    browser.get(pool.address + "jobs")
    browser.find_element(By.CSS_SELECTOR, "input[value=digest]").click()
    browser.find_element(By.CSS_SELECTOR, ".submit button.primary").click()
    eventually(
        lambda: "Choose a file first: digest works on one." in text_of(browser, "main"), "it is said what is missing"
    )


def test_a_job_that_is_not_recorded_yet_has_its_page_and_is_drawn_when_it_is(
    browser: Chrome, pool: Server, tmp_path: Path
) -> None:
    known = snapshot.read(pool.settings, time.time_ns())
    assert known
    small = tmp_path / "small.txt"
    small.write_text("some words")
    os.kill(known.recorder.pid, signal.SIGSTOP)
    try:
        send(browser, pool, "digest", small)
        assert text_of(browser, "h1 .state") == "recording"
        assert "its row is on the way" in text_of(browser, "main") and "The supervisor says: done" in text_of(
            browser, "main"
        )
    finally:
        os.kill(known.recorder.pid, signal.SIGCONT)
    settled(browser)


def test_a_worker_that_is_killed_on_its_page_is_replaced_and_stays_in_history(browser: Chrome, pool: Server) -> None:
    browser.get(pool.address + "workers")
    row = browser.find_element(By.CSS_SELECTOR, ".alive tbody tr")
    pid = row.find_element(By.CSS_SELECTOR, ".pid").text
    row.find_element(By.CSS_SELECTOR, "button[value=KILL]").click()
    eventually(lambda: text_of(browser, ".notice.good"), "it is said that the signal was sent")
    ActionChains(browser).move_to_element(
        browser.find_element(By.TAG_NAME, "h1")
    ).perform()  # off the tables, which it would hold
    alive = "return [...document.querySelectorAll('.alive .pid')].map((cell) => cell.textContent)"
    eventually(
        lambda: pid not in browser.execute_script(alive) and len(browser.execute_script(alive)) == 2,
        "another worker has taken its place",
        timeout=20,
    )
    past = (
        "return [...document.querySelectorAll('tbody[data-rows] tr')].map((row) => row.textContent).find((text) => "
        "text.includes(arguments[0])) ?? ''"
    )
    eventually(
        lambda: "SIGKILL" in browser.execute_script(past, pid), "its exit stands in history in words", timeout=20
    )


def test_the_number_of_workers_can_be_set_on_the_page(browser: Chrome, pool: Server) -> None:
    browser.get(pool.address + "workers")
    number = browser.find_element(By.NAME, "workers")
    number.clear()
    number.send_keys("3")
    browser.find_element(By.CSS_SELECTOR, ".scale button").click()
    eventually(lambda: text_of(browser, ".alive").count("idle") == 3, "three workers are idle", timeout=20)
