"""A real browser on the table of messages, while jobs run: how soon a message is a row that is seen, pushed and asked,
and what the tab takes of a core. Chromium without a screen, on the same cores as all else.

The age of a row is told by its id, which holds the time of its message; a row is seen at the end of the frame after
the one in which the page took it.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from bench.figures import Row
from pairscope.ipc.identity import time_of
from tests.browser import chromium

WATCH = """
const rows = document.querySelector('tbody[data-rows]');
const seen = window.seen = [], known = new Set([...rows.children].map((row) => row.id));
new MutationObserver((records) => {
  const came = [];
  for (const record of records) {
    for (const row of record.addedNodes) {
      if (row.id && !known.has(row.id)) { known.add(row.id); came.push(row.id); }
    }
  }
  if (came.length) requestAnimationFrame(() => setTimeout(() => {
    const now = performance.timeOrigin + performance.now();
    for (const id of came) seen.push([id, now]);
  }));
}).observe(rows, { childList: true });
"""
PUSHED = {"pushed": (150.0, 400.0), "asked": (700.0, 1500.0)}
"""p50 and p99 in ms that are to be reached."""
TAB = 0.08
"""Of a core."""


def missing() -> str:
    """Why there is no browser; empty: there is."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def measure(address: str, seconds: float) -> list[Row]:
    """Both ways in turn. `address`: of a site whose table of messages is busy."""
    rows = []
    for way, (p50, p99) in PUSHED.items():
        ages, spent = _watch(f"{address}/messages", way == "asked", seconds)
        for name, share, target in (("p50", 0.5, p50), ("p99", 0.99, p99)):
            age = sorted(ages)[min(len(ages) - 1, int(len(ages) * share))] if ages else float("inf")
            what = f"a message until it is a row that is seen, {way}, {name}, {len(ages) / seconds:.0f} rows/s"
            rows.append(Row("live", what, "ms", "lower", "", age, target=target, absolute=True))
            rows[-1].met = age <= target
        rows.append(
            Row("live", f"processor time of the tab, {way}", "cores", "lower", "", spent, target=TAB, absolute=True)
        )
        rows[-1].met = spent <= TAB
    return rows


def _watch(address: str, asks: bool, seconds: float) -> tuple[list[float], float]:
    """Ages in ms of the rows that came, and the share of a core that the tab took. `asks`: nothing is pushed."""
    with chromium(1440, 900) as browser:
        if asks:
            browser.execute_cdp_cmd("Network.enable", {})
            browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/push/*"]})
        browser.get(address)
        browser.execute_script(WATCH)
        time.sleep(3.0)
        browser.execute_script("window.seen.length = 0")
        tabs = _tabs(browser)
        spent, begun = _spent(tabs), time.monotonic()
        time.sleep(seconds)
        spent, took = _spent(tabs) - spent, time.monotonic() - begun
        seen = browser.execute_script("return window.seen")
    return [at - time_of(int(name[1:])) / 1e6 for name, at in seen], spent / took


def _tabs(browser: Any) -> list[int]:
    """The processes that show pages: the tab's, and one in reserve that does nothing."""
    children = [browser.service.process.pid]
    for pid in children:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid for pid in children if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _spent(pids: list[int]) -> float:
    """Seconds of processor time of processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
