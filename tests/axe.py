"""axe-core in a page: what of it assistive technology cannot use.
https://github.com/dequelabs/axe-core/blob/develop/doc/API.md"""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""axe-core's sets of rules: WCAG 2.2 to level AA, and what its authors hold for good besides."""

PATIENCE = 180
"""Seconds: a page of 50 rows takes two, and on a busy machine many times that."""

LOOK = """
const done = arguments[arguments.length - 1];
for (const one of document.querySelectorAll("details")) one.open = true;
axe.run(document, { resultTypes: ["violations"], runOnly: arguments[0] }).then(
  (found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`))),
  (error) => done([String(error)]),
);
"""


@functools.cache
def script() -> str:
    """axe-core itself. Skips the test where it is not installed, and fails it under CI."""
    found = importlib.util.find_spec("axe_playwright_python")
    places = found.submodule_search_locations if found else None
    if not places:
        reason = "not installed: axe-core (script/environment --no-deps requirements-axe.txt)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return (Path(places[0]) / "axe.min.js").read_text()


def violations(browser: Chrome) -> list[str]:
    """What axe-core has against the page that is shown, with all that folds opened."""
    browser.set_script_timeout(PATIENCE)
    browser.execute_script(script())
    return browser.execute_async_script(LOOK, list(RULES))
