"""What only a real browser can tell of the pages: that they fit, that nothing is refused, that they remember."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By

from tests.browser import chromium, text_of
from tests.eventually import eventually
from tests.test_browser_live import Site, open_page

pytestmark = [
    pytest.mark.web,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose descriptors and renderers outlive a test"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def phone(site: Site) -> Iterator[Chrome]:
    with chromium(375, 800) as made:
        yield made


@pytest.fixture(scope="module")
def wide(site: Site) -> Iterator[Chrome]:
    with chromium(1440, 900) as made:
        yield made


@pytest.fixture(scope="module")
def paths(site: Site) -> list[str]:
    """One of each kind of page."""

    def first(path: str, pattern: str) -> str:
        with urllib.request.urlopen(site.address + path) as answer:
            found = re.search(pattern, answer.read().decode())
        assert found, path
        return found[0]

    fixed = [
        "/",
        "/messages",
        "/transfers",
        "/workers",
        "/jobs",
        "/workers/1",
        "/lab",
        "/lab/edit",
        "/lab/compare",
        "/lab/scenarios/nginx-channel",
        "/stack",
        "/stack/guide",
        "/database",
        "/database/messages",
        "/login",
        "/nowhere",
        "/messages?q=kind:tusk",
    ]
    return [
        *fixed,
        first("/messages?q=fds:%3E0", r"/messages/\d+"),
        first("/transfers?q=proof:same", r"/transfers/\d+-\d+"),
        first("/transfers?q=proof:unproved", r"/transfers/\d+-\d+"),
        first("/jobs?q=kind:thumbnail+state:done", r"/jobs/\d+"),
        first("/jobs?q=aaaaaaaaaa", r"/jobs/\d+"),
        first("/jobs?q=state:failed", r"/jobs/\d+"),
    ]


def complaints(browser: Chrome) -> list[str]:
    """What the console said of scripts and policies; a picture or page that is not there is another matter."""
    return [
        entry["message"] for entry in browser.get_log("browser") if "Failed to load resource" not in entry["message"]
    ]


def test_no_page_is_wider_than_a_phone(phone: Chrome, site: Site, paths: list[str]) -> None:
    for path in paths:
        phone.get(site.address + path)
        widths = phone.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1] == 375, path


def test_the_page_that_is_open_is_seen_in_the_line_of_pages(phone: Chrome, site: Site) -> None:
    for path in ("/", "/messages", "/transfers", "/workers", "/jobs", "/lab", "/database"):
        phone.get(site.address + path)
        left, right = phone.execute_script(
            "const box = document.querySelector('.rail nav [aria-current]').getBoundingClientRect(); return "
            "[box.left, box.right]"
        )
        assert left >= 0 and right <= 375, path


def test_no_words_run_into_their_neighbours(phone: Chrome, site: Site, paths: list[str]) -> None:
    """A word without a place to break, such as RLIMIT_MSGQUEUE, is wider than a phone's column."""
    for path in paths:
        phone.get(site.address + path)
        over = (
            "return [...document.querySelectorAll('main dt, main dd')].filter((one) => one.scrollWidth > "
            "one.clientWidth + 1 && one.clientWidth).map((one) => one.innerText)"
        )
        assert phone.execute_script(over) == [], path


def test_a_phone_shows_each_rows_state_and_cuts_no_table(phone: Chrome, site: Site, paths: list[str]) -> None:
    for path in ("/messages", "/transfers", "/jobs", *(path for path in paths if re.match(r"/jobs/\d", path))):
        phone.get(site.address + path)
        tables = phone.execute_script(
            "return [...document.querySelectorAll('main .table')].map((one) => [one.scrollWidth, one.clientWidth, "
            "one.querySelectorAll('tbody tr').length, [...one.querySelectorAll('td:is(.state, "
            ".proof)')].filter((cell) => cell.getBoundingClientRect().width).length])"
        )
        assert tables, path
        for needed, there, rows, states in tables:
            assert needed <= there and (not path[1:].isalpha() or states == rows > 0), (
                f"{path}: {needed} of {there} pixels, {states} states in {rows} rows"
            )


def test_each_drawing_has_a_form_for_the_phone_that_can_be_read(phone: Chrome, site: Site, paths: list[str]) -> None:
    seen = 0
    for path in paths:
        phone.get(site.address + path)
        for drawing in phone.find_elements(By.CSS_SELECTOR, "svg.drawing"):
            if drawing.is_displayed():
                seen += 1
                shrunk = phone.execute_script(
                    "return arguments[0].getBoundingClientRect().width / arguments[0].viewBox.baseVal.width", drawing
                )
                assert shrunk > 0.85, f"{path}: the letters of the drawing shrink to {shrunk:.2f}"
    assert seen >= 6


def test_no_page_is_refused_anything_by_its_own_policy(wide: Chrome, site: Site, paths: list[str]) -> None:
    wide.get_log("browser")
    for path in paths:
        wide.get(site.address + path)
        assert complaints(wide) == [], path
    open_page(wide, site, "/messages")
    row = site.message()
    eventually(lambda: wide.find_elements(By.ID, f"m{row.id}"), "an update was shown")
    assert complaints(wide) == []


OUTSIDE = """
    const found = [];
    for (const svg of document.querySelectorAll("svg.drawing")) {
      const box = svg.getBoundingClientRect();
      if (!box.width) continue;
      for (const text of svg.querySelectorAll("text")) {
        const place = text.getBoundingClientRect();
        if (place.left < box.left - 1 || place.right > box.right + 1 || place.top < box.top - 1 || place.bottom > box.bottom + 1) found.push(text.textContent);
      }
    }
    return found;
"""
"""Letters that stand out of their drawing."""


def test_text_in_a_drawing_stays_within_its_drawing(wide: Chrome, site: Site, paths: list[str]) -> None:
    for path in paths:
        wide.get(site.address + path)
        assert wide.execute_script(OUTSIDE) == [], path


def test_the_appearance_is_remembered_and_there_from_the_first_byte(wide: Chrome, site: Site) -> None:
    wide.delete_all_cookies()
    wide.get(site.address + "/messages")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = wide.execute_script(ground)
    wide.find_element(By.CSS_SELECTOR, "button[value=dark]").click()
    dark = wide.execute_script(ground)
    assert dark != light and wide.current_url.endswith("/messages"), "without leaving the page"
    wide.get(site.address + "/jobs")
    assert wide.execute_script(ground) == dark
    source = wide.execute_script("return fetch('/').then((answer) => answer.text())")
    assert '<html lang="en" data-theme="dark">' in source
    wide.find_element(By.CSS_SELECTOR, "button[value='']").click()
    wide.get(site.address + "/jobs")
    assert wide.execute_script(ground) == light


def test_the_wrong_place_in_a_filter_is_marked_under_the_box(wide: Chrome, site: Site) -> None:
    wide.get(site.address + "/messages?q=worker:1+kind:tusk")
    box, problem = wide.find_element(By.ID, "q"), wide.find_element(By.ID, "q-problem")
    assert problem.is_displayed() and problem.rect["y"] >= box.rect["y"] + box.rect["height"]
    assert "tusk" in problem.text and "expected one of" in problem.text
    assert box.get_attribute("value") == "worker:1 kind:tusk"


def test_all_can_be_reached_by_the_keyboard_with_visible_focus(wide: Chrome, site: Site) -> None:
    wide.get(site.address + "/messages")
    active = "return document.activeElement"
    ActionChains(wide).send_keys("\ue004").perform()
    assert wide.execute_script(active).get_attribute("class") == "skip"
    ActionChains(wide).send_keys("\ue007").perform()
    eventually(
        lambda: wide.execute_script("return document.activeElement.id") == "main", "the skip link leads to the content"
    )
    for _index in range(12):
        ActionChains(wide).send_keys("\ue004").perform()
        outline = wide.execute_script(
            "const style = getComputedStyle(document.activeElement); return [style.outlineStyle, "
            "parseFloat(style.outlineWidth)]"
        )
        assert outline[0] == "solid" and outline[1] >= 2, wide.execute_script(active).get_attribute("outerHTML")


def log_in(browser: Chrome, site: Site) -> None:
    """On the page of the jobs, as an operator, whoever has been before."""
    browser.get(site.address + "/login?next=/jobs")
    for field in browser.find_elements(By.NAME, "token"):
        field.send_keys("operator-token")
        browser.find_element(By.CSS_SELECTOR, "main button.primary").click()


def test_a_chosen_file_is_named_with_its_size_and_one_too_large_is_not_sent(
    wide: Chrome, site: Site, tmp_path: Path
) -> None:
    log_in(wide, site)
    chosen = tmp_path / "chosen.bin"
    chosen.write_bytes(bytes(5000))
    eventually(lambda: wide.find_elements(By.CSS_SELECTOR, "input[type=file]"), "the page is there after the login")
    wide.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(chosen))
    assert wide.find_element(By.CSS_SELECTOR, "[data-chosen]").text == "chosen.bin · 4.9 KiB"
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(site.settings.upload_max + 1)
    wide.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(large))
    assert "at most 256 MiB are taken" in wide.find_element(By.CSS_SELECTOR, "[data-chosen]").text
    assert not wide.find_element(By.CSS_SELECTOR, ".submit button.primary").is_enabled()


def test_no_file_or_an_empty_one_is_said_in_place_and_the_choice_stays(
    wide: Chrome, site: Site, tmp_path: Path
) -> None:
    log_in(wide, site)
    wide.find_element(By.CSS_SELECTOR, "input[value=compress]").click()
    send = wide.find_element(By.CSS_SELECTOR, ".submit button.primary")
    send.click()
    told = wide.find_element(By.CSS_SELECTOR, "[data-chosen]")
    assert told.text == "Choose a file first: compress works on one." and send.is_enabled()
    empty = tmp_path / "empty.bin"
    empty.touch()
    wide.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(empty))
    assert told.text == "empty.bin is empty: there is nothing to work on." and not send.is_enabled()
    full = tmp_path / "full.bin"
    full.write_bytes(b"x")
    wide.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(full))
    assert told.text == "full.bin · 1 B" and send.is_enabled()
    assert wide.find_element(By.CSS_SELECTOR, "input[value=compress]").is_selected() and wide.current_url.endswith(
        "/jobs"
    )


def test_a_login_link_works_over_http_at_a_name_that_is_not_localhost(tmp_path: Path) -> None:
    """There a browser says less of where a form comes from: no Sec-Fetch-Site. A guest of Vagrant's is reached so."""
    site = Site(tmp_path, trusted_hosts=("box.test",), operator_token="a-token-of-this-test")
    try:
        with chromium(1440, 900, names="box.test") as browser:
            browser.get(f"http://box.test:{site.port}/login?token=a-token-of-this-test")
            browser.find_element(By.CSS_SELECTOR, "main button.primary").click()
            eventually(
                lambda: text_of(browser, "h1").startswith("A descriptor goes in"),
                "the overview is there after the login",
            )
            assert "Log out" in text_of(browser, ".who-am-i")
            browser.get(f"http://box.test:{site.port}/stack")
            browser.find_element(By.CSS_SELECTOR, "[data-copy]").click()
            eventually(
                lambda: text_of(browser, "[data-copy]") == "✓",
                "the command is copied, although the clipboard is for safer pages",
            )
    finally:
        site.close()


def test_the_stack_page_tells_a_change_by_itself_also_in_the_row_under_the_pointer_and_keeps_the_row_where_it_is(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    try:
        with chromium(1440, 900) as browser:
            browser.get(f"{site.address}/stack")
            row = "#pool tr[data-told='pool Supervisor']"
            browser.execute_script("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", row)
            ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, row)).perform()
            assert "running" in text_of(browser, row) and "good" in text_of(browser, row)
            before = browser.execute_script(
                "return document.querySelector(arguments[0]).getBoundingClientRect().top", row
            )
            site.silence()
            eventually(
                lambda: "No supervisor has said anything lately" in text_of(browser, row),
                "the row says that the supervisor is away",
                30,
            )
            assert before == browser.execute_script(
                "return document.querySelector(arguments[0]).getBoundingClientRect().top", row
            )
            ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, "h1")).perform()
            eventually(
                lambda: "No supervisor" in text_of(browser, ".drifts"),
                "away from the table the page tells it above, too",
                30,
            )
    finally:
        site.close()


def test_a_page_that_the_database_could_not_answer_comes_by_itself_when_it_is_back(
    wide: Chrome, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    place = site.settings.state / "history.sqlite"
    try:
        for made in site.app.extensions["pairscope"]._engines.values():
            made.dispose()
        place.rename(place.with_suffix(".away"))
        place.mkdir()  # a file would be made anew
        wide.get(site.address + "/messages")
        assert "The database does not answer" in text_of(wide, "main")
        loaded = time.monotonic()
        site.stop()
        eventually(lambda: time.monotonic() - loaded > 5.5, "the time after which it asks again is over")
        assert "The database does not answer" in text_of(wide, "main"), (
            "it is no page of the browser's that never comes back"
        )
        assert "No answer; trying again" in text_of(wide, "[data-old]")
        place.rmdir()
        place.with_suffix(".away").rename(place)
        site.start()
        eventually(lambda: text_of(wide, "h1") == "Messages", "the page has come", timeout=20)
    finally:
        wide.get("about:blank")
        site.close()
