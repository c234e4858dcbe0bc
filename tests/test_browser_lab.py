"""The lab in a browser: stepping by keys, bytes that light up, and everything without a script and at a phone's
width."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import chromium, text_of
from tests.eventually import eventually
from tests.running import TOKEN, Server

pytestmark = [
    pytest.mark.web,
    pytest.mark.pool,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose renderers and workers outlive a test"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium(1440, 900) as made:
        yield made


@pytest.fixture
def lab(server: Server) -> Server:
    eventually(lambda: "No lab station" not in server.get("/lab").text, "a station of the lab is connected", 20)
    return server


def ran(lab: Server, name: str) -> str:
    """The address of a run's page, without the step."""
    request = urllib.request.Request(
        lab.address + "api/v1/lab/runs",
        json.dumps({"scenario": name}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request) as answer:
        return f"{lab.address}lab/runs/{json.load(answer)['id']}"


def number(browser: Chrome) -> int:
    return browser.execute_script("return Number(document.querySelector('[data-lab-run]')?.dataset.number ?? -1)")


def at(browser: Chrome, step: int) -> None:
    eventually(lambda: number(browser) == step, f"step {step} is shown")


def test_a_visitor_chooses_a_scenario_runs_it_and_steps_through_it_with_the_keys(browser: Chrome, lab: Server) -> None:
    browser.get(lab.address + "lab")
    browser.find_element(By.LINK_TEXT, "Begin with parent and child").click()
    eventually(lambda: "/lab/scenarios/parent-and-child" in browser.current_url, "the scenario is shown")
    assert "SOCKET PAIR TEST." in text_of(browser, "main") and "What does the second read return" in text_of(
        browser, "main"
    )
    browser.find_element(By.XPATH, "//button[.='Run it and see all']").click()
    eventually(lambda: "/lab/runs/" in browser.current_url, "the run is shown")
    at(browser, 1)
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_RIGHT)
    at(browser, 2)
    assert browser.current_url.endswith("step=2")
    body.send_keys(Keys.END)
    at(browser, 11)
    body.send_keys(Keys.ARROW_LEFT)
    at(browser, 10)
    browser.back()
    at(browser, 11)
    body.send_keys(Keys.HOME)
    at(browser, 0)


def test_a_click_on_a_line_or_in_the_timeline_leads_to_its_step_without_loading_the_page(
    browser: Chrome, lab: Server
) -> None:
    browser.get(ran(lab, "parent-and-child") + "?step=1")
    browser.execute_script("window.same = true")
    browser.find_element(By.CSS_SELECTOR, ".script a[data-step='7']").click()
    at(browser, 7)
    assert "blocked in read" in browser.execute_script("return document.querySelector('.drawing.wide').textContent")
    browser.find_element(By.CSS_SELECTOR, ".timeline-scroll a[data-step='8']").click()
    at(browser, 8)
    assert "its call of step 7 returns" in text_of(browser, ".what")
    assert browser.execute_script("return window.same")


def test_play_goes_to_the_end_and_stops(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "one-process") + "?step=6")
    button = browser.find_element(By.CSS_SELECTOR, "[data-play]")
    assert button.is_displayed()
    button.click()
    at(browser, 8)
    eventually(lambda: text_of(browser, "[data-play]") == "Play", "it has stopped", 10)
    assert browser.switch_to.active_element == button, "it has been there all the time, and has focus still"


def test_pointing_at_a_field_lights_up_its_bytes_and_the_other_way_round(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "a-file-handed-over") + "?step=9")
    field = browser.find_element(By.CSS_SELECTOR, ".fields [data-for$='fd0']")
    ActionChains(browser).move_to_element(field).perform()
    lit = browser.find_elements(By.CSS_SELECTOR, ".hex .lit")
    assert [cell.text for cell in lit] == ["03", "00", "00", "00"]
    byte = browser.find_element(By.CSS_SELECTOR, ".hex [data-for$='type']")
    ActionChains(browser).move_to_element(byte).perform()
    assert text_of(browser, ".fields .lit").startswith("cmsg_type SCM_RIGHTS")


def test_predicting_hides_the_outcome_until_it_is_asked_for(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "room-for-one") + "?step=5&predict=1")
    assert "fds=2" not in text_of(browser, "[data-lab-run]")
    browser.find_element(By.LINK_TEXT, "Show what happens").click()
    eventually(lambda: "fds=2" in text_of(browser, ".script"), "the outcome is shown")


def focused(browser: Chrome) -> str:
    """What has focus, by what it is pressed for."""
    return browser.execute_script(
        "const one = document.activeElement; return one.dataset.key ?? (one.dataset.step && `step "
        "${one.dataset.step}`) ?? one.dataset.play ?? one.tagName"
    )


def test_enter_reveals_and_leads_on_and_neither_title_nor_timeline_tells_before(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "room-for-one") + "?step=3")
    assert "Room for one descriptor" in browser.title and text_of(browser, "h1 .state") == "as expected"
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("p")
    eventually(lambda: text_of(browser, "h1") == "Quirk card 34", "the title tells nothing")
    assert "Room for one" not in browser.title + text_of(browser, "main")
    assert "What will it give?" in text_of(browser, ".what") and focused(browser) == "BODY"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    eventually(lambda: "What will it give?" not in text_of(browser, ".what"), "Enter reveals")
    browser.find_element(By.CSS_SELECTOR, "[data-next]").click()
    at(browser, 4)
    for _step in range(2):
        assert "What will it give?" in text_of(browser, ".what") and focused(browser) == "Enter"
        before = number(browser)
        ActionChains(browser).send_keys(Keys.ENTER).perform()
        eventually(lambda: "What will it give?" not in text_of(browser, ".what"), "Enter reveals")
        assert focused(browser) == "ArrowRight"
        ActionChains(browser).send_keys(Keys.ENTER).perform()
        eventually(lambda: number(browser) == before + 1, "and leads on")


def test_when_all_is_predicted_the_run_has_its_title_and_verdict_again(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "one-process") + "?step=8&predict=1")
    assert text_of(browser, "h1") == "Scenario 1"
    browser.find_element(By.LINK_TEXT, "Show what happens").click()
    eventually(lambda: text_of(browser, "h1") == "A pair within one process as expected", "the title has come")
    assert focused(browser) == "ArrowRight", "it can be focused where it leads nowhere, too"


def test_the_region_that_a_screen_reader_listens_to_stays_when_one_steps_and_focus_stays_where_it_was(
    browser: Chrome, lab: Server
) -> None:
    browser.get(ran(lab, "parent-and-child") + "?step=1")
    browser.execute_script("""
        window.heard = [];
        window.region = document.querySelector('[aria-live="polite"].what');
        new MutationObserver(() => heard.push(region.innerText)).observe(region, {childList: true, subtree: true, characterData: true});
    """)
    for pressed, step, has in (
        ("[data-next]", 2, "ArrowRight"),
        (".script a[data-step='7']", 7, "step 7"),
        (".timeline-scroll a[data-step='8']", 8, "step 8"),
        (".timeline-scroll a[data-step='10']", 10, "step 10"),
        ("[data-next]", 11, "ArrowRight"),
        ("[data-key=ArrowLeft]", 10, "ArrowLeft"),
    ):
        browser.find_element(By.CSS_SELECTOR, pressed).click()
        at(browser, step)
        assert focused(browser) == has, pressed
    assert (
        browser.execute_script(
            "return region.isConnected && region === document.querySelector('.what') && "
            "region.getAttribute('aria-atomic')"
        )
        == "true"
    )
    heard = browser.execute_script("return heard")
    assert len(heard) == 6 and "blocks" in heard[1] and "its call of step 7 returns" in heard[2], heard


@pytest.mark.long
def test_a_step_that_nobody_answers_is_told_and_comes_by_itself_later(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "one-process") + "?step=1")
    lab.process.send_signal(signal.SIGSTOP)
    try:
        browser.find_element(By.CSS_SELECTOR, "[data-next]").click()
        eventually(
            lambda: text_of(browser, "[data-unanswered]") == "No answer; trying again",
            "the page says that nobody answers",
            5,
        )
        assert number(browser) == 1
    finally:
        lab.process.send_signal(signal.SIGCONT)
    at(browser, 2)
    assert text_of(browser, "[data-unanswered]") == "" and focused(browser) == "ArrowRight"


def test_without_a_script_every_step_is_a_page(lab: Server) -> None:
    address = ran(lab, "parent-and-child")
    with chromium(1440, 900, script=False) as plain:
        plain.get(address + "?step=1")
        plain.find_element(By.CSS_SELECTOR, "[data-next]").click()
        eventually(lambda: plain.current_url.endswith("step=2"), "the next page is there")
        assert not plain.find_element(By.CSS_SELECTOR, "[data-play]").is_displayed()


@pytest.mark.parametrize("name", ["parent-and-child", "a-file-handed-over", "nginx-channel", "room-for-one"])
def test_nothing_stands_out_of_a_phones_screen_and_the_drawing_is_the_narrow_one(lab: Server, name: str) -> None:
    address = ran(lab, name)
    with chromium(375, 800) as phone:
        for step in (3, 6, 7):
            phone.get(f"{address}?step={step}")
            assert phone.execute_script("return document.documentElement.scrollWidth") <= 375
            assert phone.find_element(By.CSS_SELECTOR, "svg.drawing.narrow").is_displayed()
            assert not phone.find_element(By.CSS_SELECTOR, "svg.drawing.wide").is_displayed()
        assert not [entry for entry in phone.get_log("browser") if entry["level"] == "SEVERE"]


def test_an_own_text_is_written_run_and_its_mistake_is_shown_at_its_place(lab: Server) -> None:
    with chromium(1200, 900) as own:
        own.get(lab.link)
        own.find_element(By.CSS_SELECTOR, "main button.primary").click()
        eventually(
            lambda: text_of(own, "h1").startswith("A descriptor goes in"), "the overview is there after the login"
        )
        own.get(lab.address + "lab/edit")
        area = own.find_element(By.ID, "text")
        area.clear()
        area.send_keys("p: pipe -> out in\np: wriet in 1")
        own.find_element(By.CSS_SELECTOR, ".editor button.primary").click()
        eventually(lambda: "2:4" in text_of(own, "#problem"), "the mistake is told")
        area = own.find_element(By.ID, "text")
        assert "wriet" in (area.get_attribute("value") or "")
        area.clear()
        area.send_keys('p: pipe -> out in\np: write in "xy" => 2')
        own.find_element(By.CSS_SELECTOR, ".editor button.primary").click()
        eventually(lambda: "/lab/runs/" in own.current_url, "the run is shown")
        assert "as expected" in text_of(own, "h1")
