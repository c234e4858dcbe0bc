"""python -m bench.visitor PORT: opens plain pages, one after the other, ten a second, until its input ends. Then it
prints the seconds that each took, as JSON.

A process of its own. As a thread of the benchmark it waited for the interpreter, which was reading thousands of
connections: up to 5 ms for each step of a request.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable

PAGES = ("/jobs", "/stack/linux", "/static/pairscope.css")
EVERY = 0.1


def visit(port: int, meanwhile: Callable[[], None]) -> list[float]:
    """Seconds that each page took while something else went on."""
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as visitor:
        meanwhile()
        took: list[float] = json.loads(visitor.communicate()[0])
    return took


def main() -> None:
    port, took = int(sys.argv[1]), list[float]()
    while not select.select([sys.stdin], [], [], EVERY)[0]:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", PAGES[len(took) % len(PAGES)])
            connection.getresponse().read()
        took.append(time.monotonic() - begun)
        connection.close()
    print(json.dumps(took))


if __name__ == "__main__":
    main()
