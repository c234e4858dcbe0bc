"""The supervisor and the lab's stations as children of the server command, in the server's own loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from pairscope.cli import leash
from pairscope.cli.command import Failure
from pairscope.cli.output import announce
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.config import Settings
from pairscope.files import SOURCE
from pairscope.pool.lifecycle import Backoff
from pairscope.sentence import phrase

HOPELESS = {2: phrase("its settings are wrong"), 3: phrase("another supervisor holds its journal")}
"""Exit statuses of the supervisor after which another try would end the same way."""


class Watched:
    """A descriptor in waitress's loop beside its sockets: `then` is called when it is readable."""

    accepting = False

    def __init__(self, fd: int, poll: dict[int, Any], then: Callable[[], object]) -> None:
        self._fd, self._poll, self._then = fd, poll, then
        poll[fd] = self

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        self._then()

    def handle_close(self) -> None:
        self._then()

    def handle_error(self) -> None:
        raise  # noqa: PLE0704 asyncore calls it in an except clause

    def close(self) -> None:
        self._poll.pop(self._fd, None)


class Keeper:
    """A child that is started again when it dies, after a pause that grows while it dies at birth."""

    module = ""
    name = ""

    def __init__(self, settings: Settings, poll: dict[int, Any]) -> None:
        self._settings = settings
        self._poll = poll
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._stopping = False
        self.due: float | None = None
        """When it is to be started (monotonic); None: it runs, or is to run no more."""

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Starts it. Called from the main thread, which lives as long as the process: see leash.py."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PAIRSCOPE_OPERATOR_TOKEN", "PORT")
        }
        if self._settings.source == "embedded":
            environment["PAIRSCOPE_STATE"] = str(self._settings.state)
        else:
            environment["PAIRSCOPE_SETTINGS"] = os.path.abspath(self._settings.source)
        self.due = None
        self._process = subprocess.Popen(
            [sys.executable, "-IS", leash.__file__, str(os.getpid()), sys.executable, "-m", self.module],
            env=environment,
            cwd=SOURCE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._pidfd = os.pidfd_open(self._process.pid)
        Watched(self._pidfd, self._poll, self._died)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to stop, or kills it. Its death is seen by the loop."""
        self._stopping, self.due = True, None
        if self._process is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass

    def _died(self) -> None:
        assert self._process is not None
        status = self._process.wait()
        del self._poll[self._pidfd]
        os.close(self._pidfd)
        self._process = None
        if self._stopping:
            return
        self._judge(status)
        now = time.monotonic()
        self.due = self._backoff.died_at_birth(now)
        pause = f"{self.due - now:.2g}"
        if status < 0:
            how = _("%(name)s was killed by %(signal)s.", name=told(self.name), signal=signal.Signals(-status).name)
        else:
            how = _("%(name)s ended with status %(status)s.", name=told(self.name), status=status)
        again = _("It is started again in %(pause)s s; %(meanwhile)s.", pause=pause, meanwhile=told(self._meanwhile))
        announce(f"{how} {again}")

    _meanwhile = ""

    def _judge(self, status: int) -> None:
        """Raises Failure where another try would end the same way."""


class Pool(Keeper):
    """The supervisor."""

    module, name = "pairscope.pool", phrase("The pool")
    _meanwhile = phrase("pages show what is recorded meanwhile")

    def __init__(self, settings: Settings, poll: dict[int, Any]) -> None:
        super().__init__(settings, poll)
        self._lived = False
        self.ready = False
        """True from :meth:`is_ready` to its death."""

    def is_ready(self) -> None:
        """It has said that it is ready: its next death is not one at birth."""
        self.ready = self._lived = True
        self._backoff.lived()

    def _died(self) -> None:
        self.ready = False
        super()._died()

    def _judge(self, status: int) -> None:
        if status in HOPELESS and not self._lived:
            raise Failure(_("the pool could not start: %(why)s; its own words stand above", why=told(HOPELESS[status])))


class Station(Keeper):
    """A station of the lab."""

    module, name = "pairscope.lab.station", phrase("A station of the lab")
    _meanwhile = phrase("scenarios wait")
