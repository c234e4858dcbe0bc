"""Whom the pages reach: by a screen reader, by the keyboard alone, by a finger, in the system's own colours, at any
width."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome

from pairscope.lab import gallery
from pairscope.lab.run import decode
from pairscope.store import runs
from pairscope.web import reach
from tests import axe
from tests.browser import chromium
from tests.eventually import eventually
from tests.running import PROJECT
from tests.test_browser_live import Site
from tests.test_browser_pages import log_in

pytestmark = [
    pytest.mark.web,
    pytest.mark.browser,
    pytest.mark.leaves("the module shares a browser and a server, whose descriptors and renderers outlive a test"),
]

COMBINATIONS = [
    (width, scheme, inside) for inside in (False, True) for width in (1440, 375) for scheme in ("light", "dark")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Chrome]:
    with chromium(1440, 900) as made:
        yield made


@pytest.fixture(scope="module")
def run(site: Site) -> str:
    """The id of a stored run of the lab: the master of nginx passes a channel to its worker."""
    made = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"],
        input=gallery.text("nginx-channel").encode(),
        capture_output=True,
        cwd=PROJECT,
        check=True,
    )
    with site.app.app_context():
        return runs.store(reach.own(), decode(made.stdout), keep=100, scenario="nginx-channel").id


@pytest.fixture(scope="module")
def kinds(site: Site, run: str) -> dict[str, str]:
    """One of each kind of page: name -> path."""

    def first(path: str, pattern: str) -> str:
        with urllib.request.urlopen(site.address + path) as answer:
            found = re.search(pattern, answer.read().decode())
        assert found, path
        return found[0]

    return {
        "overview": "/",
        "messages": "/messages?q=kind:cancel,task+fds:%3E2",
        "transfers": "/transfers?q=kind:task+object:memfd+size:%3E0+worker:1",
        "jobs": "/jobs?q=kind:compress,thumbnail",
        "workers": "/workers",
        "run": f"/lab/runs/{run}?step=9",
        "stack": "/stack",
        "job": first("/jobs?q=kind:thumbnail+state:done", r"/jobs/\d+"),
        "login": "/login",
        "edit": "/lab/edit",
        "worker": "/workers/1",
        "lab": "/lab",
        "message": first("/messages?q=fds:%3E0", r"/messages/\d+"),
        "transfer": first("/transfers?q=proof:same", r"/transfers/\d+-\d+"),
        "every message": "/messages",
        "every transfer": "/transfers",
        "every job": "/jobs",
        "no message": "/messages?q=kind:cancel",
        "a wrong filter": "/messages?q=kind:tusk",
        "an ended worker": "/workers/0",
        "an unproved transfer": first("/transfers?q=proof:unproved", r"/transfers/\d+-\d+"),
        "a failed job": first("/jobs?q=state:failed", r"/jobs/\d+"),
        "a job with a long name": first("/jobs?q=aaaaaaaaaa", r"/jobs/\d+"),
        "scenario": "/lab/scenarios/nginx-channel",
        "before the first step": f"/lab/runs/{run}?step=0",
        "a step to predict": f"/lab/runs/{run}?step=9&predict=1",
        "embedded": f"/lab/embed/{run}?step=9",
        "two runs": f"/lab/compare?a={run}&b={run}",
        "two runs to choose": "/lab/compare",
        "a scenario to change": "/lab/edit?scenario=nginx-channel",
        "a program": "/lab/program?example=epoll",
        "guide": "/stack/guide",
        "database": "/database",
        "table": "/database/messages",
        "for operators": "/database/tokens",
        "a login link": "/login?token=x",
        "nothing": "/nowhere",
    }


def show(
    browser: Chrome,
    site: Site,
    path: str,
    width: int = 1440,
    scheme: str = "light",
    inside: bool | None = None,
    **features: str,
) -> None:
    """Opens a page in a window of that width, in that appearance, logged in or not (None: as before)."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    wanted = {
        "prefers-color-scheme": scheme,
        "forced-colors": "none",
        **{name.replace("_", "-"): value for name, value in features.items()},
    }
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": name, "value": value} for name, value in wanted.items()]}
    )
    if inside and not any(cookie["name"].startswith("pairscope-") for cookie in browser.get_cookies()):
        log_in(browser, site)
    elif inside is False:
        browser.delete_all_cookies()
    browser.get(site.address + path)


SMALL = """
const found = [];
for (const one of document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")) {
  if (!one.checkVisibility({ visibilityProperty: true }) || one.matches(".skip")) continue;
  const box = one.matches("[type=radio], [type=file]") ? one.closest("label").getBoundingClientRect() : one.getBoundingClientRect();
  if (!box.width || (box.width >= 24 && box.height >= 24)) continue;
  const block = one.parentElement.closest("p, li, td, th, dd, dt, h1, h2, h3, label, span, div");
  const inline = one.matches(".term") || getComputedStyle(one).display === "inline"; // a button says inline-block of itself
  if (!one.closest("svg") && inline && block.innerText.replace(one.innerText, "").trim().length > 1) continue; // a word in a sentence
  found.push(`${one.outerHTML.slice(0, 100)}: ${Math.round(box.width)} by ${Math.round(box.height)}`);
}
return found;
"""
"""What can be pressed and is smaller than 24 by 24 pixels. WCAG 2.2, 2.5.8, with its exception for what stands in a
sentence."""

SCROLLING = """
return [...document.querySelectorAll("body *")].filter((one) => {
  const style = getComputedStyle(one);
  const over = (one.scrollWidth > one.clientWidth + 1 && ["auto", "scroll"].includes(style.overflowX)) || (one.scrollHeight > one.clientHeight + 1 && ["auto", "scroll"].includes(style.overflowY));
  return over && one.checkVisibility() && one.tabIndex < 0 && !one.querySelector("a[href], button, [tabindex='0']");
}).map((one) => one.outerHTML.slice(0, 100));
"""
"""Boxes that scroll, and that the keyboard cannot reach."""


def wrong(browser: Chrome, name: str, combination: tuple[int, str, bool]) -> list[str]:
    found = (
        axe.violations(browser)
        + [f"small: {one}" for one in browser.execute_script(SMALL)]
        + [f"out of reach: {one}" for one in browser.execute_script(SCROLLING)]
    )
    return [f"{name} {combination}: {one}" for one in found]


def test_each_kind_of_page_can_be_used_by_assistive_technology_by_a_finger_and_by_the_keyboard_alone(
    browser: Chrome, site: Site, kinds: dict[str, str]
) -> None:
    """Each in one of the eight ways, neighbours in another one; all in all of them with --long: a page takes most of a
    second."""
    found = []
    for index, combination in enumerate(COMBINATIONS):  # those without a login first
        for name, path in list(kinds.items())[index :: len(COMBINATIONS)]:
            show(browser, site, path, *combination)
            found += wrong(browser, name, combination)
    assert not found, "\n".join(found)


@pytest.mark.long
@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda one: f"{one[0]}-{one[1]}-{'in' if one[2] else 'out'}")
def test_every_page_can_be_used_at_each_width_in_each_appearance_logged_in_and_not(
    browser: Chrome, site: Site, kinds: dict[str, str], combination: tuple[int, str, bool]
) -> None:
    found = []
    for name, path in kinds.items():
        show(browser, site, path, *combination)
        found += wrong(browser, name, combination)
    assert not found, "\n".join(found)


# ---- what is heard


def heard(browser: Chrome, selector: str) -> list[str]:
    """The texts of an element in the tree that Chromium gives to assistive technology, in order."""
    node = browser.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    node = browser.execute_cdp_cmd("DOM.querySelector", {"nodeId": node, "selector": selector})["nodeId"]
    top = browser.execute_cdp_cmd("DOM.describeNode", {"nodeId": node})["node"]["backendNodeId"]
    nodes = {one["nodeId"]: one for one in browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]}
    start = next(one for one in nodes.values() if one.get("backendDOMNodeId") == top)

    def texts(one: dict[str, Any]) -> list[str]:
        if (
            not one.get("ignored")
            and one["role"]["value"] in ("StaticText", "image", "img")
            and one["name"]["value"].strip()
        ):
            return [one["name"]["value"].strip()]
        return [text for child in one.get("childIds", ()) if child in nodes for text in texts(nodes[child])]

    return texts(start)


def test_a_phone_hears_the_whole_names_of_lamps_processes_columns_and_states(browser: Chrome, site: Site) -> None:
    show(browser, site, "/messages?q=kind:submit", 375)
    lamps = heard(browser, ".lamps")
    assert [lamps[index] for index in (0, 2, 4, 6, 8)] == ["Linux", "Apache", "MariaDB", "Python", "Pool"], lamps
    assert len(lamps) == 10, "each with its word"
    assert heard(browser, "tbody tr .way") == ["web", "1", "to", "supervisor", "3"]
    assert heard(browser, "tbody tr td.state") == ["received"]
    assert heard(browser, "thead .state") == ["State"]
    show(browser, site, "/transfers?q=proof:same", 375)
    assert heard(browser, "thead .proof") == ["Proof"]
    assert heard(browser, "tbody tr td.proof") == ["proved"]


def test_a_drawing_with_links_is_no_image_for_those_who_cannot_see_it(
    browser: Chrome, site: Site, kinds: dict[str, str]
) -> None:
    seen = 0
    for name in ("overview", "job", "run"):
        show(browser, site, kinds[name])
        for role, links, titled in browser.execute_script(
            "return [...document.querySelectorAll('svg.drawing')].filter((one) => "
            "one.checkVisibility()).map((one) => [one.getAttribute('role'), "
            "one.querySelectorAll('a').length, "
            "document.getElementById(one.getAttribute('aria-labelledby')).textContent])"
        ):
            assert role == ("group" if links else "img") and titled, name
            seen += bool(links)
    assert seen == 3


def test_the_description_of_a_moment_calls_a_descriptor_by_the_name_that_its_own_process_gave_it(
    browser: Chrome, site: Site, kinds: dict[str, str]
) -> None:
    """worker0 has closed the ch0 that it inherited; the channel that it receives gets the number 3 again, as to1."""
    show(browser, site, kinds["run"])
    said = browser.execute_script("return document.getElementById('moment-wide-desc').textContent")
    assert "worker0: runs; 3 to1, 4 ch0w." in said and "master: runs; 3 ch0, 4 ch0w" in said, said


# ---- nothing moves, nothing comes twice

SHIFTS = (
    "window.shifts = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
    "shifts.push(one.value); }).observe({ type: 'layout-shift', buffered: true });"
)


def test_nothing_moves_when_the_scripts_come_and_each_of_them_comes_once(browser: Chrome, site: Site) -> None:
    """A layout shift of 0.1 and more is bad: https://web.dev/articles/cls. A slow line lets the page be painted before
    its scripts run."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 100, "downloadThroughput": 2_000_000, "uploadThroughput": 2_000_000},
    )
    watching = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SHIFTS})
    try:
        for path, shown in (
            ("/messages", "[data-switch]:not([hidden])"),
            ("/", "[data-switch]:not([hidden])"),
            ("/stack/guide", "[data-copy]:not([hidden])"),
        ):
            show(browser, site, path, 375)
            eventually(
                lambda: browser.execute_script("return Boolean(document.querySelector(arguments[0]))", shown),
                "the script has run",
            )
            # painted
            browser.execute_async_script(
                "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
            )
            assert browser.execute_script("return shifts.reduce((sum, one) => sum + one, 0)") < 0.01, path
            named = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
            files = [
                name.partition("?")[0]
                for name in named
                if "/static/" in name and name.partition("?")[0].endswith((".js", ".css"))
            ]
            assert len(files) == len(set(files)) >= 2 and all("?v=" in name for name in named if "/static/" in name), (
                named
            )
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watching)
        browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
        browser.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
        )


# ---- the system's colours


def test_in_forced_colours_discs_the_current_line_and_the_open_page_are_still_told_apart(
    browser: Chrome, site: Site, kinds: dict[str, str]
) -> None:
    show(browser, site, kinds["run"], scheme="dark", forced_colors="active")
    ground, disc, here, other, page, chosen, stroke = browser.execute_script(
        """
        const style = (selector, pseudo) => getComputedStyle(document.querySelector(selector), pseudo);
        return [style("body").backgroundColor, style(".lamp.good", "::before").backgroundColor, style(".script li.here").outlineStyle + style(".script li.here").borderLeftColor,
          style(".script li:not(.here)").outlineStyle + style(".script li:not(.here)").borderLeftColor, style(".rail nav [aria-current]").outlineStyle,
          style(".theme [aria-pressed='true']").outlineStyle, style(".drawing .process").stroke];
        """
    )
    assert disc != ground and stroke != ground, "a disc and a box are seen"
    assert here != other and here.startswith("solid") and other == "none" + ground
    assert page == chosen == "solid"


TINTS = r"""
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const probe = document.body.appendChild(document.createElement("i"));
function paint(colours) {
  canvas.clearRect(0, 0, 1, 1);
  for (const colour of colours) { probe.style.color = ""; probe.style.color = colour; canvas.fillStyle = getComputedStyle(probe).color; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
}
const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const found = [];
let seen = 0;
for (const rule of [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).flatMap((rule) => (rule.cssRules && rule.type !== 1 ? [...rule.cssRules] : [rule]))) {
  const mix = /(?:background|background-color|fill): (color-mix\(.*?\));/.exec(rule.cssText.replace(/light-dark/g, "light-dark"))?.[1];
  if (!mix || arguments[0].some((without) => rule.cssText.includes(without))) continue;
  for (const role of mix.includes("--role") ? arguments[1] : [""]) {
    const tint = mix.replace(/var\(--role(, var\(--[a-z]+\))?\)/g, `var(--${role})`);
    for (const ground of tint.includes("transparent") ? ["sheet", "paper", "well"] : ["sheet"]) for (const name of ["ink", "soft", ...(role ? [role] : [])]) {
      const [under, over] = [light(paint([`var(--${ground})`, tint])), light(paint([`var(--${ground})`, tint, `var(--${name})`]))];
      const ratio = (Math.max(under, over) + 0.05) / (Math.min(under, over) + 0.05);
      seen += 1;
      if (ratio < 4.5) found.push(`${name} on ${tint} on ${ground}: ${ratio.toFixed(2)}, in ${rule.cssText.slice(0, 60)}`);
    }
  }
}
return [seen, found];
"""
WITHOUT_TEXT = (
    "::selection",
    ".legend-",
    ".half",
    ".bar",
    ".activity",
    ".primary",
    ".packet:hover",
    "a:hover .packet",
    ".slot.here",
)
"""Tints on which no text of a soft colour or of a role's stands: on the last four it is ink alone, and that is looked
at below."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_on_a_tint_can_be_read(browser: Chrome, site: Site, scheme: str) -> None:
    show(browser, site, "/login", scheme=scheme)
    roles = ["web", "supervisor", "worker", "recorder", "live", "lab", "slate"]
    seen, found = browser.execute_script(TINTS, list(WITHOUT_TEXT), roles)
    assert seen > 100 and not found, "\n".join(found)
