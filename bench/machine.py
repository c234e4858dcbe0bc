"""The machine that the figures come from."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Cores, processor, kernel, Python, and how busy the machine was before the first measurement."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


@contextlib.contextmanager
def one_core(pinned: bool = True) -> Iterator[None]:
    """Whatever is started inside runs on one core: the affinity is inherited. sched_setaffinity(2)."""
    before = os.sched_getaffinity(0)
    try:
        if pinned:
            os.sched_setaffinity(0, {max(before)})
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""
