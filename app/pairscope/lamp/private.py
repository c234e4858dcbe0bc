"""A private instance: an Apache and a MariaDB beside the system's own, from the files of ``deploy/``."""

from __future__ import annotations

import compileall
import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairscope import config
from pairscope.lamp.apache import Apache
from pairscope.lamp.installation import DatabaseUser, Installation
from pairscope.lamp.mariadb import MariaDB
from pairscope.lamp.place import Account, Place
from pairscope.lamp.templates import fill
from pairscope.sentence import phrase
from pairscope.store import migrate


class Private:
    """Both servers. MariaDB is there before Apache and goes after it: the pool records to its end."""

    def __init__(self, place: Place, tell: Callable[[str], None], **fields: Any) -> None:
        """`fields` are those of the Installation that shall not be the default, such as `port`."""
        self.place = place
        self._tell = tell
        self.installation = _lay_out(place, fields)
        self.client = place.data / "client.cnf"
        """Option file for the mariadb client: reads the tables as web's user."""
        self.mariadb = MariaDB(self.installation, place.database)
        self.apache = Apache(self.installation)

    def start(self) -> None:
        """Starts everything. Raises ServerError; whoever catches it calls stop()."""
        self._write()
        if self.mariadb.create():
            self._tell(phrase("MariaDB's system tables are made in %(path)s", path=self.installation.database_state))
        self.mariadb.start()
        self._tell(
            phrase("MariaDB listens at %(socket)s (pid %(pid)s)", socket=self.installation.socket, pid=self.mariadb.pid)
        )
        self.mariadb.tell(fill("mysql/database.sql", self.installation))
        applied = migrate.upgrade(config.read(self.installation.conf / "migrate.toml"))
        self._tell(
            phrase("migrations applied: %(applied)s", applied=", ".join(applied))
            if applied
            else phrase("the tables are up to date")
        )
        self.mariadb.tell(fill("mysql/grants.sql", self.installation))
        # As root, web's user writes no bytecode beside the code, and would compile all of it at each start.
        compileall.compile_dir(self.installation.code / "pairscope", quiet=2)
        self.apache.start()
        self._tell(
            phrase(
                "Apache serves %(address)s/ (pid %(pid)s) and has started the pool",
                address=self.installation.base_url,
                pid=self.apache.pid,
            )
        )
        self.apache.wait_for_pool()

    def stop(self) -> None:
        """Stops Apache, with it the pool, then MariaDB."""
        if not self.apache.ended():
            self._tell(phrase("Apache ends its requests, then the pool; the recorder drains the journal"))
            self.apache.stop()
        if not self.mariadb.ended():
            self._tell(phrase("MariaDB shuts down"))
            self.mariadb.stop()

    def kill(self) -> None:
        """Ends whatever still runs, without asking."""
        self.apache.kill()
        self.mariadb.kill()

    def _write(self) -> None:
        made, place = self.installation, self.place
        _file(made.conf / "site.conf", fill("apache/site.conf", made))
        _file(made.conf / "server.conf", fill("apache/server.conf", made))
        _file(made.conf / "web.wsgi", fill("apache/web.wsgi", made), 0o644)
        _file(made.conf / "health.wsgi", fill("apache/health.wsgi", made), 0o644)
        _file(made.conf / "pool.wsgi", fill("apache/pool.wsgi", made), 0o644)
        _file(made.conf / "lab.wsgi", fill("apache/lab.wsgi", made), 0o644)
        _file(made.conf / "live.wsgi", fill("apache/live.wsgi", made), 0o644)
        _file(made.conf / "server.cnf", fill("mysql/server.cnf", made), 0o644)
        _file(made.conf / "web.toml", fill("settings.toml", made, reader="web"), 0o640, place.web.group)
        _file(made.conf / "pool.toml", fill("settings.toml", made, reader="pool"), 0o640, place.pool.group)
        _file(made.conf / "lab.toml", fill("settings.toml", made, reader="lab"), 0o640, place.lab.group)
        _file(made.conf / "migrate.toml", fill("settings.toml", made, reader="migrate"))
        _file(self.client, fill("mysql/client.cnf", made))


def _lay_out(place: Place, fields: dict[str, Any]) -> Installation:
    """Makes the directories. The passwords are new at each start and stand nowhere but in the settings files."""
    data, run, us = place.data, place.run, Account()
    web, pool, lab, database = place.web, place.pool, place.lab, place.database
    store = database.own(data / "mariadb", 0o711 if database.user else 0o700)
    migrate_as, record_as, read_as = (
        DatabaseUser(name, most, secrets.token_urlsafe(24))
        for name, most in (("pairscope-migrate", 4), ("pairscope-pool", 4), ("pairscope-web", 64))
    )
    made = Installation(
        code=place.code,
        venv=place.venv,
        conf=us.own(data / "conf", 0o711 if web.user else 0o700),
        log=us.own(data / "log", 0o700),
        run=run,
        pool_run=pool.own(run / "pool", 0o2750, web.group),
        live_run=web.own(run / "live", 0o2710),
        state=pool.own(data / "pool", 0o700),
        web_state=web.own(data / "web", 0o700),
        socket=database.own(run / "mariadb", 0o755 if database.user else 0o700) / "sock",
        apache_user=web.user,
        apache_group=web.group,
        web_user=web.user,
        web_group=web.group,
        pool_user=pool.user,
        pool_group=pool.group,
        lab_user=lab.user,
        lab_group=lab.group,
        migrate=migrate_as,
        recorder=record_as,
        web=read_as,
        buffer_pool="128M",
        log_file="64M",
        settings={"public_outputs": True},  # it listens on the loopback
        private=True,
        server_root=run,
        database_state=store / "data",
        database_log=store,
        database_tmp=database.own(store / "tmp", 0o700),
    )
    return dataclasses.replace(made, **fields)


def _file(path: Path, text: str, mode: int = 0o600, group: str = "") -> None:
    """Writes a file that was never readable for more than its mode says."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if group:
            shutil.chown(path, group=group)
        os.fchmod(file.fileno(), mode if group or mode == 0o644 else 0o600)
        file.write(text)
