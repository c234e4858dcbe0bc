"""What holds whatever fonts a machine has: what can be pressed in a drawing is one surface, and letters stay where they
belong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By

from tests.browser import chromium
from tests.fonts import SETS
from tests.running import PROJECT, Server
from tests.test_browser_lab import at, lab, ran  # noqa: F401 a fixture
from tests.test_browser_live import Site
from tests.test_browser_pages import OUTSIDE, paths, site  # noqa: F401 fixtures

pytestmark = [
    pytest.mark.web,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose descriptors and renderers outlive a test"),
]

HOLES = """
    const found = [];
    let seen = 0;
    for (const link of document.querySelectorAll("svg a")) {
      link.scrollIntoView({block: "center", inline: "center"});
      const box = link.getBoundingClientRect();
      if (!box.width) continue;
      seen += 1;
      for (let row = 0; row < 12; row += 1) for (let column = 0; column < 12; column += 1) {
        const x = box.left + box.width * (row + 0.5) / 12, y = box.top + box.height * (column + 0.5) / 12;
        if (document.elementFromPoint(x, y)?.closest("a") !== link) found.push(`${link.textContent} at ${x}, ${y} of ${box.left} to ${box.right}, ${box.top} to ${box.bottom}`);
      }
      if (box.width < 24 || box.height < 23.9) found.push(`${link.textContent} is ${box.width} by ${box.height}`);
    }
    return [seen, found];
"""
"""Places within what can be pressed at which something else would be pressed, or nothing; and what is too small to be
hit."""


# the other tests have their own
@pytest.fixture(scope="module", params=["fallback", pytest.param("own", marks=pytest.mark.long)])
def browser(request: pytest.FixtureRequest) -> Iterator[Chrome]:
    with chromium(1440, 900, letters=request.param) as made:
        yield made


@pytest.mark.long
def test_the_sets_differ_and_each_shows_letters() -> None:
    widths = []
    for name in sorted(SETS):
        with chromium(800, 300, letters=name) as one:
            one.get(
                "data:text/html,<span style='font:15px monospace'>iiii</span><span style='font:15px "
                "sans-serif'>WWWW</span>"
            )
            widths.append(
                one.execute_script(
                    "return [...document.querySelectorAll('span')].map((part) => "
                    "Math.round(part.getBoundingClientRect().width))"
                )
            )
    assert all(width > 5 for pair in widths for width in pair) and widths[0] != widths[1]


def test_what_can_be_pressed_in_a_drawing_is_one_surface_and_its_letters_stay_within(
    browser: Chrome, site: Site, paths: list[str]
) -> None:
    pressed = 0
    for path in ("/", *(path for path in paths if path.startswith(("/transfers/", "/jobs/")))):
        browser.get(site.address + path)
        seen, holes = browser.execute_script(HOLES)
        pressed += seen
        assert holes == [] and browser.execute_script(OUTSIDE) == [], path
    assert pressed > 10


def test_a_cell_of_the_timeline_is_one_surface_in_whatever_lane_it_stands(browser: Chrome, lab: Server) -> None:
    browser.get(ran(lab, "nginx-channel") + "?step=1")
    seen, holes = browser.execute_script(HOLES)
    assert seen > 10 and holes == []
    cell = browser.find_elements(By.CSS_SELECTOR, ".timeline-scroll a[data-step]")[-1]
    ActionChains(browser).move_to_element(cell).click().perform()
    at(browser, int(cell.get_attribute("data-step") or 0))


@pytest.mark.long
def test_the_browser_tests_pass_with_nothing_but_what_chromium_falls_back_on() -> None:
    files = sorted(str(file) for file in (PROJECT / "tests").glob("test_browser_*.py"))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--fonts", "fallback", *files],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert run.returncode == 0, run.stdout[-8000:]
