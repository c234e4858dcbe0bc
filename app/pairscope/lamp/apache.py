"""A private Apache around the site."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections.abc import Sequence

from pairscope.lamp.installation import Installation
from pairscope.lamp.place import Account
from pairscope.lamp.server import Server, ServerError, environment, program
from pairscope.sentence import phrase


class Apache(Server):
    """The server of one installation, in the foreground of a session of its own. httpd(8)."""

    def __init__(self, installation: Installation) -> None:
        super().__init__("Apache", installation.log / "error.log")
        self._installation = installation
        self._command = [program("apache2"), "-f", str(installation.conf / "server.conf")]

    def check(self) -> None:
        """Has Apache read the files. Raises ServerError with what it does not like."""
        checked = subprocess.run(
            [*self._command, "-t"], cwd="/", env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if checked.returncode:
            raise ServerError(
                phrase("Apache does not accept its configuration: %(words)s", words=checked.stderr.strip())
            )

    def start(self, wrapper: Sequence[str] = ()) -> None:
        """Starts it, and with it web and the pool; waits until web answers. `wrapper` is a command that runs the one
        that follows it."""
        self.check()
        self.launch(
            [*wrapper, *Account().prefix()],
            [*self._command, "-DFOREGROUND"],
            lambda: self.status("/healthz")[0] == 200,
            60,
        )

    def wait_for_pool(self) -> None:
        """Waits until pool, journal and database are all there."""
        self.until(
            lambda: self.status("/readyz")[0] == 200,
            60,
            phrase("serves pages, but /readyz does not say that all is there"),
        )

    def restart(self) -> None:
        """Asks for a graceful restart: connections go on, the daemons of mod_wsgi are ended and started anew."""
        self.signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Graceful: requests end first, then web and the pool. The pool has three seconds from then on."""
        self.signal(signal.SIGWINCH)
        if not self.wait(15):
            self.signal(signal.SIGTERM)
            self.wait(10)
        self.kill()

    def status(self, path: str) -> tuple[int, bytes]:
        """The answer to one GET."""
        connection = http.client.HTTPConnection(self._installation.address, self._installation.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()
