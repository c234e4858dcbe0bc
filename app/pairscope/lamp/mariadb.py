"""A private MariaDB: one directory, one socket, no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess

from pairscope.lamp.installation import Installation
from pairscope.lamp.place import Account
from pairscope.lamp.server import Server, ServerError, environment, program
from pairscope.sentence import phrase


class MariaDB(Server):
    """The server of one installation. Its root is whoever starts it, by the kernel's word: unix_socket."""

    def __init__(self, installation: Installation, account: Account) -> None:
        super().__init__("MariaDB", installation.database_log / "mariadb.log")
        self._installation = installation
        self._account = account
        self._administrator = pwd.getpwuid(os.geteuid()).pw_name
        self._options = f"--defaults-file={installation.conf / 'server.cnf'}"

    def create(self) -> bool:
        """Makes the data directory if there is none; False: there was one."""
        data = self._installation.database_state
        if data.exists():
            return False
        fresh = data.with_name(data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._account.own(fresh, 0o700)
        plain = self._installation.run / "new"  # mariadb-install-db, a shell script, splits a path at its spaces
        plain.symlink_to(fresh)
        # --force: no host name is looked up, which fails on a machine without /etc/hosts.
        command = [program("mariadb-install-db"), "--no-defaults", "--force", "--skip-test-db"]
        command += [f"--datadir={plain}", f"--tmpdir={plain}", "--auth-root-authentication-method=socket"]
        command += [f"--innodb-log-file-size={self._installation.log_file}"]
        if self._administrator != "root":
            command.append(f"--auth-root-socket-user={self._administrator}")
        made = subprocess.run(
            [*self._account.prefix(), *command],
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        plain.unlink()
        if made.returncode:
            shutil.rmtree(fresh)
            raise ServerError(phrase("mariadb-install-db failed: %(words)s", words=(made.stdout + made.stderr)[-2000:]))
        fresh.rename(data)  # an interrupted installation is never taken for a whole one
        return True

    def start(self) -> None:
        """Starts it and waits until it listens; after a crash it first recovers, which takes as long as it takes."""
        self._installation.socket.unlink(missing_ok=True)
        self.launch(self._account.prefix(), [program("mariadbd"), self._options], self._listens, 120)

    def tell(self, statements: str) -> str:
        """Runs SQL as the server's root with its own client; its output. Raises ServerError."""
        command = [
            program("mariadb"),
            "--no-defaults",
            "--batch",
            f"--socket={self._installation.socket}",
            f"--user={self._administrator}",
        ]
        told = subprocess.run(command, env=environment(), input=statements, capture_output=True, text=True)
        if told.returncode:
            raise ServerError(phrase("MariaDB refused: %(words)s", words=told.stderr.strip()))
        return told.stdout

    def stop(self) -> None:
        """An orderly shutdown; killed after 30 s, which loses nothing that was committed."""
        self.signal(signal.SIGTERM)
        self.wait(30)
        self.kill()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self._installation.socket))
            return bool(probe.recv(1))
