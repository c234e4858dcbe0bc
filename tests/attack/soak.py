"""``script/soak``: a storm for minutes over a private instance, then a count of everything by another hand.

Exit status: 0 all holds; 1 something was lost, done twice or left, which is named, with the seed; 2 it cannot run here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pairscope.files import SOURCE
from pairscope.lamp.place import choose
from pairscope.lamp.private import Private
from pairscope.lamp.serve import free_port
from tests import database, leaks
from tests.attack.ground import Ground, Standing, Whole, memory, pool
from tests.attack.storm import Storm, back_at
from tests.lamp import Lamp
from tests.running import TOKEN

SETTLED = 60.0
"""Seconds after which memory is to stay where it is under full load."""
GROWTH = 1.10
WATCHED = ("supervisor", "recorder", "web")


def say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def whole(directory: Path) -> Iterator[Ground]:
    """Apache and MariaDB, as script/lamp starts them."""
    umask = os.umask(0o022)
    directory.chmod(0o711)  # as root the instance's users pass through it
    place = choose(SOURCE, Path(sys.prefix), directory / "lamp", lambda _: None)
    settings = {"public_outputs": True, "history_rows": 10**9}
    private = Private(place, lambda _: None, port=free_port("0"), operator_token=TOKEN, settings=settings)
    try:
        private.start()
        lamp = Lamp(private)
        lamp.ready()
        yield Whole(lamp)
        private.stop()
    finally:
        private.kill()
        place.leave()
        os.umask(umask)


@contextlib.contextmanager
def small(directory: Path) -> Iterator[Ground]:
    """A pool and a station, with MariaDB where it is installed."""
    with contextlib.ExitStack() as stack:
        mariadb = None
        if shutil.which("mariadbd", path=database.PLACES):
            mariadb = stack.enter_context(database.server())
        yield stack.enter_context(pool(directory, mariadb.fresh() if mariadb else "", mariadb))


def load(ground: Ground, seconds: float) -> dict[str, str]:
    """Full load without a stroke: by how much memory has grown since the first minute. Raises AssertionError."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    begun = time.monotonic()
    told = 0.0
    pace = threading.Event()
    while (passed := time.monotonic() - begun) < seconds:
        found = ground.processes()
        last = {name: max(map(memory, found[name])) for name in WATCHED if found.get(name)}
        if passed >= min(SETTLED, seconds / 2) and not first:
            first = last
        if passed >= told:
            said = ", ".join(f"{name} {size / 1024:.1f} MiB" for name, size in last.items())
            say(f"{passed:4.0f} s of full load: {said}")
            told += 15.0
        pace.wait(0.0 if ground.browse() else 1.0)
    grown = {name: f"{first[name] / 1024:.1f} -> {last[name] / 1024:.1f} MiB" for name in first}
    over = [name for name in first if last[name] > first[name] * GROWTH]
    assert not over, f"memory of {', '.join(over)} has grown by more than 10 % since the first minute: {grown}"
    return grown


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="script/soak",
        description="Kills and stops processes of a private instance for minutes while clients work; then counts.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the storm blows (default: 10)")
    parser.add_argument(
        "--load",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="after it, full load without a stroke: memory is to stay within 10 %% after the first minute",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="strikes as another run with that seed did (default: by chance)"
    )
    parser.add_argument("--small", action="store_true", help="a pool without Apache")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = asked.seed or random.SystemRandom().randrange(1, 10**6)
    os.environ.setdefault(leaks.MARK, f"soak{os.getpid()}")
    tools = ("apache2", "mariadbd") if not asked.small else ()
    if lacking := [tool for tool in tools if shutil.which(tool, path=database.PLACES) is None]:
        say(f"{', '.join(lacking)} not installed: try --small")
        return 2
    say(f"seed {seed}; load of the machine {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        directory = Path(name)
        try:
            with (small if asked.small else whole)(directory) as ground:
                figures = run(ground, seed, asked.minutes * 60, asked.load * 60)
        except AssertionError as error:
            say(f"DOES NOT HOLD: {error}")
            return 1
    width = max(map(len, figures))
    for what, value in figures.items():
        print(f"{what:{width}}  {value}")
    print("nothing lost, nothing twice, nothing left")
    return 0


def run(ground: Ground, seed: int, seconds: float, loaded: float) -> dict[str, Any]:
    """The figures. Raises AssertionError."""
    ground.ready()
    before = Standing.of(ground)
    say(f"at the beginning: {before}")
    grown: dict[str, str] = {}
    with Storm(ground, seed) as storm:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            storm.blow(min(30.0, left))
            say(f"{max(0.0, left - 30):4.0f} s to go: {dict(sorted(storm.strokes.items()))}")
        if loaded:
            ground.here()
            grown = load(ground, loaded)
    say("counting")
    figures = storm.count()
    after = Standing.of(ground)
    left_over = back_at(before, after, ground.view().results.count)
    assert not left_over, f"seed {seed}: {left_over}"
    figures |= {
        "memory under full load": grown or "not asked for (--load)",
        **{
            f"{what} before, after": f"{getattr(before, what)}, {getattr(after, what)}"
            for what in ("processes", "fds", "memfds", "memory")
        },
        "load of the machine": f"{os.getloadavg()[1]:.1f}",
        "seed": seed,
    }
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
