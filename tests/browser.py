"""A real browser: Chromium, driven by its own driver; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests import fonts

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


FONTS = "FONTS_OF_THE_BROWSER"
"""The environment variable that says which set of fonts (tests/fonts.py) a browser has that is asked for none; empty:
the machine's."""


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    """The text of the first such element in one step: an update may replace the element between two. Empty: there is
    none."""
    return browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


@contextmanager
def chromium(
    width: int, height: int, *, script: bool = True, names: str = "", letters: str = ""
) -> Iterator[webdriver.Chrome]:
    """A fresh browser whose window shows `width` by `height` pixels; `script` False: JavaScript is off; `names` are
    found at 127.0.0.1.

    `letters`: the set of fonts that it has.
    """
    directory = Path(tempfile.mkdtemp(prefix="chromium"))
    options = Options()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={directory}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    if names:
        options.add_argument(f"--host-resolver-rules=MAP {names} 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    environment = dict(os.environ)
    if chosen := letters or environment.get(FONTS, ""):
        environment["FONTCONFIG_FILE"] = str(fonts.configuration(chosen, directory))
    browser = webdriver.Chrome(
        options=options, service=Service(shutil.which("chromedriver") or "chromedriver", env=environment)
    )
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        yield browser
    finally:
        browser.quit()
        shutil.rmtree(directory, ignore_errors=True)
