"""A server process of the instance: started, waited for, ended."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pairscope.sentence import phrase

SEARCH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Debian's servers stand outside of an ordinary user's PATH."""
LOOK = 0.05
"""Seconds between two looks whether a server answers: neither of them tells."""


class ServerError(Exception):
    """A server did not start, did not answer, or refused what it was told; the text holds what it said itself."""


def program(name: str) -> str:
    """The path of an installed program. Raises ServerError."""
    found = shutil.which(name, path=SEARCH)
    if not found:
        raise ServerError(phrase("%(name)s is not installed.", name=name))
    return found


class Server:
    """One server in a session of its own: a terminal's Ctrl-C does not reach it. It ends when its starter dies."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server; 0 while there is none."""
        return self._process.pid if self._process else 0

    def ended(self) -> str:
        """How it ended, in words; empty while it runs."""
        if self._process is None:
            return phrase("not started")
        status = self._process.poll()
        if status is None:
            return ""
        if status >= 0:
            return phrase("exited %(status)s", status=status)
        return phrase("killed by %(signal)s", signal=signal.Signals(-status).name)

    def launch(self, prefix: list[str], command: list[str], answers: Callable[[], bool], seconds: float) -> None:
        """Starts it and waits until `answers`, which may raise OSError. `prefix` is that of an Account."""
        # PDEATHSIG: a starter that is killed must not leave its servers behind. It is set after the change of user.
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, "--pdeathsig=TERM", *command],
                cwd="/",
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.until(answers, seconds, phrase("does not answer"))

    def until(self, holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Waits until `holds`, which may raise OSError. Raises ServerError if the server ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not self._holds(holds):
            if self.wait(LOOK):
                raise ServerError(
                    phrase(
                        "%(name)s ended at once (%(ended)s). %(words)s",
                        name=self.name,
                        ended=self.ended(),
                        words=self.last_words(),
                    )
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    phrase(
                        "%(name)s %(how)s after %(seconds)s s. %(words)s",
                        name=self.name,
                        how=otherwise,
                        seconds=f"{seconds:g}",
                        words=self.last_words(),
                    )
                )

    def signal(self, number: signal.Signals) -> None:
        """Signals the server itself; one that has ended is no error."""
        if self._process:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """True once it has ended. Waits for that at most `seconds`."""
        if self._process is None or self._process.poll() is not None:
            return True
        pidfd = os.pidfd_open(self._process.pid)
        try:
            select.select([pidfd], [], [], seconds)
        finally:
            os.close(pidfd)
        return self._process.poll() is not None

    def kill(self) -> None:
        """Ends it and everything that is still in its process group, without asking."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-12:]
        except OSError as error:
            return f"{self._log}: {error.strerror}"
        return phrase("The end of %(path)s:%(lines)s", path=self._log, lines="".join(f"\n  {line}" for line in lines))

    @staticmethod
    def _holds(holds: Callable[[], bool]) -> bool:
        try:
            return holds()
        except OSError:
            return False


def environment() -> dict[str, str]:
    """For servers: nothing of the caller's that would reach an interpreter in them, such as PYTHONPATH or TMPDIR."""
    kept = {name: os.environ[name] for name in ("TZ", "PAIRSCOPE_TEST") if name in os.environ}
    return {"PATH": SEARCH, "LANG": "C.UTF-8", **kept}
