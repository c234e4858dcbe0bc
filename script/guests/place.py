"""Where trees and guests stand on this host, who works there, and what an interrupted run left."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PLACE = Path(os.environ.get("PAIRSCOPE_GUESTS") or "/var/tmp/pairscope-guests")
"""Holds the base trees, which are kept, and the guests, which are not."""

HERE_IS_A_GUEST = Path("/etc/pairscope-guest")
"""Stands in every guest of ours: no guest starts guests of its own."""

LIMIT = 600.0
"""Seconds that a command may take unless another limit is given: far more than any took, so that what hangs ends."""


_libc = ctypes.CDLL(None, use_errno=True)


class GuestError(Exception):
    """Something that a person can mend, in words."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(
    *command: object, check: bool = True, timeout: float = LIMIT, **further: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a program of this host with no input and gives what it printed, both streams in one. GuestError with its
    last lines if it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            **further,
        )
    except FileNotFoundError:
        raise GuestError(f"{words[0]} is not installed: script/packages guest says of which package it is") from None
    except subprocess.TimeoutExpired as error:
        raise GuestError(f"{' '.join(words)} did not end within {timeout:g} s:\n{tail(_text(error.output))}") from None
    if check and done.returncode:
        raise GuestError(f"{' '.join(words)} ended with {done.returncode}:\n{tail(done.stdout)}")
    return done


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def tail(text: str, lines: int = 40) -> str:
    """The last lines of it, indented, to stand in an error."""
    return "\n".join("    " + line for line in text.rstrip().splitlines()[-lines:])


class Transcript:
    """What the commands of a proof printed: all of it in a file, and the end of the last one at hand, to be shown where
    something does not hold. The file is gone when the machine is."""

    SHOWN = 60
    """Lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.last = ""

    def add(self, command: str, printed: str, ended: str) -> None:
        with open(self.file, "a") as file:
            file.write(f"\n{command}\n{printed}[{ended}]\n")
        self.last = f"The last command was\n    {command}\n{tail(printed, self.SHOWN)}\n    [{ended}]"


def ready() -> None:
    """Makes the place. GuestError where no guest can be."""
    if os.geteuid():
        raise GuestError(
            "A guest needs root: it is a tree of files of many users, with namespaces and a network of its own."
        )
    if HERE_IS_A_GUEST.exists():
        raise GuestError("This is a guest itself: guests are started from their host.")
    PLACE.mkdir(parents=True, exist_ok=True)


def end_in_order() -> None:
    """Lets SIGTERM and SIGHUP end this process as an error does: what it made is taken away first."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda came, _frame: sys.exit(128 + came))


def die_with_the_parent() -> None:
    """For a child before its exec: if this process is killed, so is the child. prctl(2), PR_SET_PDEATHSIG."""
    _libc.prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Only one process at a time is in here. The kernel lets go of it however that process ends."""
    with open(PLACE / f".{name}.lock", "a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another run that holds {held.name} ...")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def taken(name: str) -> Iterator[Path]:
    """A directory of its own, below PLACE, that is removed at the end. While its owner lives it is locked, so that a
    later run tells what is in use from what an interrupted one left."""
    directory = PLACE / name
    with open(PLACE / f"{name}.owner", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            directory.mkdir()
            yield directory
        finally:
            remove(directory)
            (PLACE / f"{name}.owner").unlink(missing_ok=True)


def sweep(prefix: str, clear: Callable[[Path], None]) -> None:
    """Takes away what a killed run left: every directory of that prefix whose owner is gone, after `clear` of it."""
    for mark in PLACE.glob(f"{prefix}*.owner"):
        with contextlib.suppress(FileNotFoundError), open(mark, "r+") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            left = mark.with_suffix("")
            say(f"Removing {left}, which a run that was killed left behind")
            clear(left)
            remove(left)
            mark.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Removes the tree. Refuses while something is mounted in it: that would be removed as well."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [path for path in mounted if path == str(directory) or path.startswith(f"{directory}/")]
    if inside:
        raise GuestError(f"{directory} is not removed: {', '.join(inside)} is still mounted.")
    if directory.exists():
        shutil.rmtree(directory)
