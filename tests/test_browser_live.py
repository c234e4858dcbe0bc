"""Live tables in a real browser: what moves, what does not, and what is said about it."""

from __future__ import annotations

import dataclasses
import itertools
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from werkzeug.serving import BaseWSGIServer, make_server

from pairscope.web.access.pace import Pace, Rate
from pairscope.web.application import create_app
from pairscope.web.shell import listing
from pairscope.web.tables import PAGE
from tests import plausible
from tests.browser import chromium, text_of
from tests.eventually import eventually
from tests.plausible import MS, History

pytestmark = [
    pytest.mark.web,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose descriptors and renderers outlive a test"),
]


class Site:
    """The application on a port of its own, and the history behind it. Notes each request with its time."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.settings = dataclasses.replace(plausible.settings_in(directory), **settings)
        self.history = History(self.settings)
        plausible.fill(self.history)
        self.app = create_app(self.settings)
        self.requests: deque[tuple[float, str]] = deque(maxlen=10_000)
        self.answering = threading.Event()
        """While it is not set, no live update is answered."""
        self.answering.set()
        self.script = threading.Event()
        """While it is not set, the script of every page is under way."""
        self.script.set()
        self.under_way: list[int] = []
        """How many live updates were under way when each came, itself with them."""
        self._now: set[object] = set()
        self.port = 0
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self.standing = self.history.snapshot()
        """What the supervisor says each second."""
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive)
        self._beat.start()
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        def noted(environ: dict[str, Any], start: Any) -> Any:
            self.requests.append((time.monotonic(), environ["PATH_INFO"]))
            if environ["PATH_INFO"].startswith("/live/"):
                this = object()
                self._now.add(this)
                self.under_way.append(len(self._now))
                self.answering.wait(20)
                self._now.remove(this)
            if environ["PATH_INFO"] == "/static/face.js":
                self.script.wait(20)
            return self.app(environ, start)

        self._server = make_server("127.0.0.1", self.port, noted, threaded=True)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        assert self._server and self._thread
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def silence(self) -> None:
        """Nothing is heard of the supervisor from now on."""
        self._over.set()
        self._beat.join()

    def close(self) -> None:
        self.silence()
        self.stop()
        self.app.extensions["pairscope"].close()
        self.history.close()

    def _keep_alive(self) -> None:
        while not self._over.wait(1.0):
            standing = self.standing
            self.history.snapshot(
                workers=standing.workers,
                clients=standing.clients,
                recorder=standing.recorder,
                journal=standing.journal,
                jobs=standing.jobs,
            )

    def asked(self, path: str, since: float = 0.0) -> list[float]:
        """When a path was asked for."""
        return [at for at, asked in list(self.requests) if asked == path and at > since]

    def message(self, state: str = "received") -> Any:
        """One new message, committed."""
        row = self.history.message(
            "cancel",
            self.history.web,
            self.history.supervisor,
            {"job": 1},
            job=1,
            at=time.time_ns(),
            latency=80_000 if state == "received" else None,
            state=state,
        )
        self.history.commit()
        return row


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(site: Site) -> Iterator[Chrome]:
    with chromium(1440, 900) as made:
        yield made


@pytest.fixture
def browser(shared: Chrome, site: Site) -> Iterator[Chrome]:
    """The shared browser with its pointer out of the way and nothing remembered."""
    shared.delete_all_cookies()
    ActionChains(shared).move_by_offset(0, 0).perform()
    ActionChains(shared).w3c_actions.clear_actions()
    yield shared
    shared.get("about:blank")


def open_page(browser: Chrome, site: Site, path: str) -> None:
    browser.get(site.address + path)
    point_at_title(browser)
    eventually(lambda: not browser.find_elements(By.CSS_SELECTOR, "[data-switch][hidden]"), "the script has started")


def point_at_title(browser: Chrome) -> None:
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()


def top_row(browser: Chrome) -> str:
    return browser.execute_script("return document.querySelector('tbody[data-rows] tr')?.id ?? ''")


def ids(browser: Chrome) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('tbody[data-rows] tr')].map((row) => row.id)")


def said(browser: Chrome) -> str:
    return text_of(browser, "[data-state]")


def button(browser: Chrome) -> Any:
    return browser.find_element(By.CSS_SELECTOR, "[data-pause]")


def appears(browser: Chrome, row: Any) -> None:
    eventually(lambda: top_row(browser) == f"m{row.id}", "the new row stands on top")


def test_a_new_message_appears_by_itself_on_top(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    appears(browser, site.message())
    assert said(browser) == "Live"


def test_a_row_is_updated_in_its_place(browser: Chrome, site: Site) -> None:
    row = site.message("sent")
    open_page(browser, site, "/messages")
    browser.execute_script("document.getElementById(arguments[0]).sameElement = true", f"m{row.id}")
    later = site.message()
    row.state, row.received, row.latency, row.change = "received", row.sent + 7 * MS, 7 * MS, site.history.touch()
    site.history.commit()
    eventually(lambda: "7.0" in text_of(browser, f"#m{row.id}"), "the row shows its latency")
    assert browser.execute_script("return document.getElementById(arguments[0]).sameElement", f"m{row.id}")
    assert ids(browser)[:2] == [f"m{later.id}", f"m{row.id}"]
    assert not browser.find_element(By.ID, f"m{row.id}").get_attribute("data-moving")


def test_an_old_row_that_is_completed_late_does_not_jump_to_the_top(browser: Chrome, site: Site) -> None:
    old = site.message("sent")
    for _index in range(PAGE):
        site.message()
    open_page(browser, site, "/messages")
    assert f"m{old.id}" not in ids(browser)
    old.state, old.change = "unknown", site.history.touch()
    appears(browser, site.message())
    assert f"m{old.id}" not in ids(browser)
    assert ids(browser) == sorted(ids(browser), reverse=True)


def test_nothing_moves_under_the_pointer_and_what_waits_is_counted(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    before = ids(browser)
    third = browser.find_elements(By.CSS_SELECTOR, "tbody[data-rows] tr")[2]
    ActionChains(browser).move_to_element(third).perform()
    place = third.rect
    last = [site.message() for _index in range(3)][-1]
    eventually(lambda: "3 new" in said(browser), "the page says that three wait")
    assert said(browser).startswith("Held while you point at it")
    assert ids(browser) == before and third.rect == place
    point_at_title(browser)
    appears(browser, last)
    assert said(browser) == "Live"


def test_selected_text_holds_the_table(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    cell = "document.querySelector('tbody[data-rows] tr:nth-child(4) td.preview bdi')"
    browser.execute_script(f"getSelection().selectAllChildren({cell})")
    text = browser.execute_script("return getSelection().toString()")
    row = site.message()
    eventually(lambda: said(browser) == "Held while text is selected: 1 new", "the page says why it holds")
    assert browser.execute_script("return getSelection().toString()") == text
    browser.execute_script("getSelection().removeAllRanges()")
    appears(browser, row)


def test_focus_in_the_table_holds_it_and_is_kept(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    link = browser.find_element(By.CSS_SELECTOR, "tbody[data-rows] tr:nth-child(2) a")
    browser.execute_script("arguments[0].focus()", link)
    row = site.message()
    eventually(lambda: said(browser) == "Held while you are in it: 1 new", "the page says why it holds")
    assert browser.switch_to.active_element == link
    browser.execute_script("document.activeElement.blur()")
    appears(browser, row)


def test_the_button_pauses_counts_and_resumes(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    button(browser).click()
    before = ids(browser)
    last = [site.message() for _index in range(4)][-1]
    eventually(lambda: text_of(browser, "[data-pause]") == "Paused: 4 new", "the button counts")
    assert ids(browser) == before and re.fullmatch(r"Paused at \d\d:\d\d:\d\d UTC", said(browser))
    assert button(browser).get_attribute("aria-pressed") == "true"
    button(browser).click()
    appears(browser, last)
    assert text_of(browser, "[data-pause]") == "Pause"


def test_what_is_paused_is_still_all_of_it(browser: Chrome, site: Site) -> None:
    """The overview's drawing, its chart and the strip, the rows and their ages."""
    before = site.standing
    open_page(browser, site, "/")
    appears(browser, site.message())
    shown = (
        "return [...document.querySelectorAll('.lamps, .gauges > div:not(.pulse), [data-part=system], "
        "[data-part=rates], .table')].map((part) => part.innerHTML)"
    )
    try:
        button(browser).click()
        was = browser.execute_script(shown)
        assert len(was) > 5
        row = site.message()
        site.standing = msgspec.structs.replace(before, jobs=msgspec.structs.replace(before.jobs, queued=7))
        eventually(lambda: text_of(browser, "[data-pause]") == "Paused: 1 new", "the page knows of the row")
        begin = time.monotonic()
        eventually(lambda: len(site.asked("/live/overview", begin)) >= 2, "it has gone on asking")
        assert browser.execute_script(shown) == was
        button(browser).click()
        eventually(
            lambda: (
                "7 waiting" in text_of(browser, "[data-part=system]") and browser.execute_script(shown)[-2] != was[-2]
            ),
            "then all of it goes on",
        )
        assert top_row(browser) == f"m{row.id}"
    finally:
        site.standing = before


def test_the_table_never_grows_beyond_a_page(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    for _index in range(12):
        row = site.message()
    appears(browser, row)
    assert len(ids(browser)) == PAGE


def test_a_burst_brings_the_newest_page_in_order(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    button(browser).click()
    for _index in range(60):
        site.message()
    eventually(lambda: text_of(browser, "[data-pause]") == "Paused: 60 new", "a count that is known is told")
    for _index in range(listing.MOST_CHANGES + 60):
        row = site.history.message(
            "cancel", site.history.web, site.history.supervisor, {}, job=1, at=time.time_ns(), latency=1000
        )
    site.history.commit()
    eventually(
        lambda: text_of(browser, "[data-pause]") == "Paused: 50+ new",
        "of more than an update carries the count is not known",
    )
    button(browser).click()
    appears(browser, row)
    assert len(ids(browser)) == PAGE and ids(browser) == sorted(ids(browser), reverse=True)


def test_who_is_scrolled_down_keeps_every_row_and_is_led_up_to_the_new_ones(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    before = ids(browser)
    browser.execute_script(
        "scrollTo(0, document.querySelector('tbody[data-rows] tr:nth-child(20)').getBoundingClientRect().top)"
    )
    ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, ".rail nav")).perform()
    first = browser.execute_script(
        "return [...document.querySelectorAll('tbody[data-rows] tr')].find((row) => "
        "row.getBoundingClientRect().top >= 0).id"
    )
    where = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    place = browser.execute_script(where, first)
    assert not browser.find_element(By.CSS_SELECTOR, "[data-up]").is_displayed(), "there is nothing new yet"
    for _index in range(3):
        row = site.message()
    eventually(lambda: text_of(browser, "[data-up]") == "3 new", "what has come is counted where one reads")
    assert said(browser) == "Held while you are further down: 3 new" and text_of(browser, ".pulse").endswith("held")
    assert ids(browser) == before and browser.execute_script(where, first) == place
    browser.find_element(By.CSS_SELECTOR, "[data-up]").click()
    appears(browser, row)
    assert browser.switch_to.active_element == button(browser) and button(browser).is_displayed()
    assert said(browser) == "Live" and not browser.find_element(By.CSS_SELECTOR, "[data-up]").is_displayed()


@pytest.mark.long
def test_the_row_under_the_pointer_stays_there_when_what_stands_above_the_table_grows(
    browser: Chrome, site: Site
) -> None:
    before = site.standing
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1440, "height": 620, "deviceScaleFactor": 1, "mobile": False}
    )
    open_page(browser, site, "/workers")
    row = browser.find_elements(By.CSS_SELECTOR, "tbody[data-rows] tr")[0]
    ActionChains(browser).scroll_to_element(row).move_to_element(row).perform()
    place = browser.execute_script("return arguments[0].getBoundingClientRect().top", row)
    try:
        site.standing = msgspec.structs.replace(before, workers=[*before.workers, *before.workers])
        eventually(
            lambda: len(browser.find_elements(By.CSS_SELECTOR, "[data-part=pool] tr.edge")) > len(before.workers),
            "the pool has grown",
        )
        assert browser.execute_script("return arguments[0].getBoundingClientRect().top", row) == place
    finally:
        site.standing = before
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )


def test_a_row_that_no_longer_fits_the_filter_leaves_the_table(browser: Chrome, site: Site) -> None:
    row = site.message("sent")
    open_page(browser, site, "/messages?q=state:sent")
    assert f"m{row.id}" in ids(browser)
    row.state, row.received, row.latency, row.change = "received", row.sent + MS, MS, site.history.touch()
    site.history.commit()
    eventually(lambda: f"m{row.id}" not in ids(browser), "the row has left")


def test_an_idle_page_asks_ever_less_often_and_a_hidden_one_not_at_all(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/transfers")
    begin = time.monotonic()
    path = "/live/transfers"
    eventually(lambda: len(site.asked(path, begin)) >= 3, "asked three times", timeout=20)
    times = site.asked(path, begin)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert stale(browser) == "", "to ask seldom is not to have no answer"
    assert gaps[-1] > gaps[0] and all(gap > 0.9 for gap in gaps), gaps
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    try:
        browser.get(site.address + "/login")
        hidden = time.monotonic()
        eventually(lambda: time.monotonic() - hidden > 3.5, "more than the longest pause is over", timeout=7)
        assert len(site.asked(path, hidden + 0.5)) == 0
    finally:
        browser.close()
        browser.switch_to.window(first)
    shown = time.monotonic()
    eventually(lambda: site.asked(path, shown), "it asks at once when it is looked at again", timeout=2)


def test_who_looks_at_an_idle_page_again_brings_it_back_to_its_pace(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/transfers")
    path = "/live/transfers"
    begin = time.monotonic()
    eventually(lambda: len(site.asked(path, begin)) >= 4, "it asks ever less often", timeout=25)
    idle = site.asked(path, begin)
    ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, ".lead")).perform()
    moved = time.monotonic()
    eventually(lambda: len(site.asked(path, moved)) >= 1, "it asks again")
    assert site.asked(path, moved)[0] - moved < 0.7 * (idle[-1] - idle[-2])


def test_one_request_is_under_way_at_a_time_whatever_happens_meanwhile(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    site.answering.clear()
    try:
        site.under_way.clear()
        eventually(lambda: site.under_way, "an update is under way")
        begin = time.monotonic()

        def provoked() -> bool:
            for kind in ("visibilitychange", "pointermove", "keydown", "focus"):
                browser.execute_script(
                    "(arguments[0] === 'visibilitychange' ? document : window).dispatchEvent(new Event(arguments[0]))",
                    kind,
                )
            button(browser).click()
            return time.monotonic() - begin > 3.0

        eventually(provoked, "more than the time between two requests is over", timeout=9)
        assert site.under_way == [1]
    finally:
        site.answering.set()
    if text_of(browser, "[data-pause]").startswith("Paused"):
        button(browser).click()
    point_at_title(browser)
    appears(browser, site.message())


def test_the_ages_of_rows_tick(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    appears(browser, site.message())
    when = "return document.querySelector('tbody[data-rows] tr time').textContent"
    eventually(lambda: browser.execute_script(when).startswith(("2", "3")), "the age of the row counts up")


def test_no_row_comes_from_the_future_also_where_the_script_came_late_or_a_clock_is_ahead(
    browser: Chrome, site: Site
) -> None:
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    made = time.monotonic()
    old, ahead = (
        site.message(),
        site.history.message(
            "cancel",
            site.history.web,
            site.history.supervisor,
            {},
            job=1,
            at=time.time_ns() + 3600 * 10**9,
            latency=1000,
        ),
    )
    site.history.commit()
    site.script.clear()
    late = threading.Timer(2.5, site.script.set)
    late.start()
    browser.get(site.address + "/messages")
    late.join()

    def age(row: Any) -> int:
        """In seconds, as it is told."""
        text = browser.execute_script(
            "return document.querySelector(`#${arguments[0]} time`).textContent", f"m{row.id}"
        )
        return 0 if text == "now" else int(re.fullmatch(r"(\d+)\u00a0s ago", text)[1])  # type: ignore[index]

    eventually(lambda: not browser.find_elements(By.CSS_SELECTOR, "[data-switch][hidden]"), "the script has started")
    assert 2 <= age(old) <= time.monotonic() - made, "as old as it is, not as long as the script is there"
    assert age(ahead) == 0
    made = time.monotonic()
    row = site.message()
    appears(browser, row)
    assert age(row) <= time.monotonic() - made
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})


def stale(browser: Chrome) -> str:
    """What a page says of itself when nobody answers; empty: nothing."""
    return text_of(browser, "[data-old]") if browser.find_element(By.CSS_SELECTOR, "[data-old]").is_displayed() else ""


GREY = "return ['.lamps', ...arguments].map((part) => getComputedStyle(document.querySelector(part)).filter)"


def test_every_page_tells_a_dead_server_within_5_s_greys_what_is_old_and_recovers_by_itself(
    browser: Chrome, site: Site
) -> None:
    paths = {
        "/": ["[data-part=system]", "[data-part=rates]", ".table[data-table]"],
        "/stack": ["[data-stack]"],
        "/lab": [],
    }
    windows: dict[str, str] = {}
    for path in paths:
        if windows:
            browser.switch_to.new_window("window")
        browser.get(site.address + path)
        windows[path] = browser.current_window_handle

    def everywhere(what: Callable[[], Any]) -> dict[str, Any]:
        found = {}
        for path, window in windows.items():
            browser.switch_to.window(window)
            found[path] = what()
        return found

    assert set(everywhere(lambda: stale(browser)).values()) == {""}
    lamp = "return getComputedStyle(document.querySelector('.lamp.good'), '::before').backgroundColor"
    assert browser.execute_script(lamp) != "rgba(0, 0, 0, 0)"
    site.stop()
    try:
        eventually(
            lambda: all("What is grey is as it was" in told for told in everywhere(lambda: stale(browser)).values()),
            "every page says so",
            timeout=5,
        )
        for path, parts in paths.items():
            browser.switch_to.window(windows[path])
            assert set(browser.execute_script(GREY, *parts)) == {"grayscale(1)"}, path
            assert browser.execute_script(lamp) == "rgba(0, 0, 0, 0)" and "no answer" in text_of(browser, ".pulse"), (
                "a lamp says nothing of now"
            )
        eventually(
            lambda: re.search(r"No answer; trying again\s+What is grey is as it was [2-9]\ss ago\.", stale(browser)),
            "the age is told and grows",
        )
    finally:
        site.start()
    eventually(
        lambda: set(everywhere(lambda: stale(browser)).values()) == {""}, "every page recovers by itself", timeout=10
    )
    assert all(set(greys) == {"none"} for greys in everywhere(lambda: browser.execute_script(GREY)).values())
    for path in list(paths)[1:]:
        browser.switch_to.window(windows[path])
        browser.close()
    browser.switch_to.window(windows["/"])


@pytest.mark.long
def test_a_server_that_takes_requests_and_answers_none_is_told_within_5_s_too(browser: Chrome, site: Site) -> None:
    browser.get(site.address + "/stack")
    site.answering.clear()
    try:
        # an answer may have been on the way
        eventually(lambda: stale(browser).startswith("No answer; trying again"), "the page says so", timeout=5 + 1)
    finally:
        site.answering.set()
    eventually(lambda: stale(browser) == "", "it goes on where it waited")


@pytest.mark.long
def test_a_server_that_answers_with_an_error_is_told_by_that_error_and_its_strip_is_shown(
    browser: Chrome, tmp_path: Path
) -> None:
    own = Site(tmp_path)
    place = own.settings.state / "history.sqlite"
    try:
        open_page(browser, own, "/messages")
        for made in own.app.extensions["pairscope"]._engines.values():
            made.dispose()
        place.rename(place.with_suffix(".away"))
        place.mkdir()  # a file would be made anew
        eventually(
            lambda: stale(browser).startswith("The database is away") and said(browser) == "The database is away",
            "the error's title is told",
            timeout=5,
        )
        assert "away" in text_of(browser, ".lamp.failed")
        assert browser.execute_script(GREY, ".table[data-table]") == ["none", "grayscale(1)"], "the strip is of now"
        place.rmdir()
        place.with_suffix(".away").rename(place)
        eventually(
            lambda: stale(browser) == "" and not browser.find_elements(By.CSS_SELECTOR, ".lamp.failed"), "it goes on"
        )
    finally:
        browser.get("about:blank")
        own.close()


def test_a_server_that_is_away_is_said_and_followed_again_when_it_is_back(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    site.stop()
    try:
        eventually(lambda: said(browser) == "No answer; trying again", "the page says that nobody answers", timeout=15)
        before = ids(browser)
        row = site.message()
        assert ids(browser) == before
    finally:
        site.start()
    eventually(lambda: top_row(browser) == f"m{row.id}", "the page has caught up", timeout=15)
    assert said(browser) == "Live"


def test_what_came_is_said_once_and_politely(browser: Chrome, site: Site) -> None:
    open_page(browser, site, "/messages")
    region = browser.find_element(By.CSS_SELECTOR, "[data-said]")
    assert region.get_attribute("aria-live") == "polite"
    assert browser.find_element(By.CSS_SELECTOR, "tbody[data-rows]").get_attribute("aria-live") == "off"
    appears(browser, site.message())
    assert region.get_attribute("textContent") == "New rows: 1"
    appears(browser, site.message())
    assert region.get_attribute("textContent") == "New rows: 1", "the next summary comes later"


def test_the_overview_and_a_job_follow_by_themselves(browser: Chrome, site: Site) -> None:
    job = site.history.job("digest", "lively.bin", 4000, at=time.time_ns(), until="accepted")
    site.history.commit()
    open_page(browser, site, "/")
    appears(browser, site.message())
    browser.get(f"{site.address}/jobs/{job.id}")
    assert "waiting" in text_of(browser, "h1")
    job.state, job.worker, job.started, job.change = "running", 1, time.time_ns(), site.history.touch()
    site.history.commit()
    eventually(lambda: "running" in text_of(browser, "h1"), "the job's page says that it runs")


@contextmanager
def plain(site: Site) -> Iterator[Chrome]:
    with chromium(1440, 900, script=False) as made:
        yield made


def test_without_a_script_the_tables_are_plain_paged_ones(site: Site) -> None:
    with plain(site) as browser:
        browser.get(site.address + "/messages")
        assert not browser.find_element(By.CSS_SELECTOR, "[data-switch]").is_displayed(), (
            "no button that would do nothing"
        )
        newest = browser.find_elements(By.CSS_SELECTOR, "tbody[data-rows] tr")[0].get_attribute("id")
        browser.find_element(By.CSS_SELECTOR, "a[rel=next]").click()
        assert browser.find_elements(By.CSS_SELECTOR, "tbody[data-rows] tr")[0].get_attribute("id") != newest
        box = browser.find_element(By.ID, "q")
        box.send_keys("kind:task", Keys.ENTER)
        assert "q=kind%3Atask" in browser.current_url
        kinds = {link.text for link in browser.find_elements(By.CSS_SELECTOR, "td.what a")}
        assert kinds == {"task"}
        browser.find_element(By.CSS_SELECTOR, "button[value=dark]").click()
        eventually(
            lambda: browser.execute_script("return document.documentElement.dataset.theme") == "dark",
            "the page is dark",
        )
        term = browser.find_element(By.CSS_SELECTOR, "button.term")
        term.click()
        assert browser.find_element(By.ID, term.get_attribute("popovertarget") or "").is_displayed(), (
            "a term opens its sentence"
        )


def test_a_page_that_is_told_to_ask_again_later_does_so_and_says_it(site: Site, browser: Chrome) -> None:
    path = "/live/transfers"
    open_pace = site.app.extensions["pace"]
    browser.get(f"{site.address}/transfers")
    begin = time.monotonic()
    eventually(lambda: site.asked(path, begin), "it asks")
    site.app.extensions["pace"] = Pace(each=Rate(0.0, 0.0))
    try:
        eventually(lambda: "asking again in 5 s" in text_of(browser, "[data-told]"), "it says so", 10)
        refused = site.asked(path)[-1]
        later = eventually(lambda: [at for at in site.asked(path, refused) if at > refused], "it asks again", 20)
        assert later[0] - refused >= 4.9, "not before it was told to"
    finally:
        site.app.extensions["pace"] = open_pace
    eventually(lambda: not text_of(browser, "[data-told]"), "it follows again", 20)
