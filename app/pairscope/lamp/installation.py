"""An installation: who runs what, and where it stands. The templates of ``deploy/`` ask for nothing else."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from socket import gethostname
from urllib.parse import quote

from pairscope.config import MIB


@dataclasses.dataclass(frozen=True)
class DatabaseUser:
    """A user of MariaDB. Without a password it is the system's user of the same name that may log in (unix_socket)."""

    name: str
    connections: int
    """As many at once and no more."""
    password: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Installation:
    """Everything that the templates of ``deploy/`` are filled in with."""

    code: Path
    """Directory that holds the package: what stands on Python's path."""
    venv: Path
    conf: Path
    """Directory of the generated files that daemons read."""
    log: Path
    run: Path
    """Short directory for Apache's sockets and pid file: an AF_UNIX path holds 107 bytes."""
    pool_run: Path
    """Directory of the control socket and the snapshot; the pool's user writes it, web's group enters it."""
    live_run: Path
    """Directory of live's sockets: web's user makes them, Apache's children connect to them."""
    state: Path
    """Directory of the pool: the journal."""
    web_state: Path
    socket: Path
    """MariaDB's."""

    address: str = "127.0.0.1"
    port: int = 8080
    server_name: str = "localhost"
    trusted_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    modules: Path = Path("/usr/lib/apache2/modules")
    wsgi: Path | None = None
    """mod_wsgi built from source; None: Debian's, among the modules."""
    types: Path = Path("/etc/mime.types")

    apache_user: str = ""
    """Empty, as the other users: nobody changes user, because Apache is not started by root."""
    apache_group: str = ""
    web_user: str = ""
    web_group: str = ""
    pool_user: str = ""
    pool_group: str = ""
    lab_user: str = ""
    lab_group: str = ""

    node: int = 1
    node_name: str = dataclasses.field(default_factory=gethostname)
    web_processes: int = 2
    web_threads: int = 5
    bulk_threads: int = 640
    """For requests with a body and long answers: more than all shares of pairscope.web.access.places together, so that
    some are left to refuse with."""
    reading_each: int = 320
    """Connections of one address, of Apache's 1,024, that may be at their headers, where mod_security2 is there."""
    writing_each: int = 576
    """Those that may be at a body or at an answer."""
    workers: int = 2
    lab_stations: int = 2
    """Runs of the lab at a time."""
    upload_max: int = 256 * MIB
    operator_token: str = ""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Further settings that web and the pool run with, by their names in pairscope.config."""

    database: str = "pairscope"
    migrate: DatabaseUser = DatabaseUser("pairscope-migrate", 4)
    recorder: DatabaseUser = DatabaseUser("pairscope-pool", 4)
    web: DatabaseUser = DatabaseUser("pairscope-web", 64)
    buffer_pool: str = "256M"
    log_file: str = "128M"

    server_root: Path = Path("/etc/apache2")
    private: bool = False
    """True: MariaDB is an instance of our own, beside the system's."""
    database_state: Path = Path("/var/lib/mysql")
    database_log: Path = Path("/var/log/mysql")
    database_tmp: Path = Path("/tmp")  # noqa: S108  # MariaDB's tmpdir, which makes names of its own there

    @property
    def pid_file(self) -> Path:
        """Of Apache's parent: Debian's, or that of a private instance. Apache removes it before it ends."""
        return self.run / "apache.pid" if self.private else Path("/run/apache2/apache2.pid")

    @property
    def loopback(self) -> str:
        """The address at which Apache reaches itself."""
        return "127.0.0.1" if self.address == "*" else self.address

    @property
    def prefix(self) -> str:
        return str(self.settings.get("prefix", ""))

    @property
    def proxied(self) -> bool:
        """Whether a proxy stands in front, whose connections are everybody's."""
        return bool(self.settings.get("trusted_proxies"))

    @property
    def public_read(self) -> bool:
        """Whether Apache hands viewers over to live at addresses that everybody knows; by a ticket it always does."""
        return bool(self.settings.get("public_read", True))

    @property
    def live_door(self) -> str:
        """Where live's sockets stand, as mod_proxy_fdpass wants it: relative to Apache's ServerRoot."""
        return os.path.relpath(self.live_run, self.server_root)

    @property
    def live_tickets(self) -> str:
        """Where the tickets' sockets stand, as a text in an expression of Apache's; empty: a character of the path
        would mean something there."""
        path = str(self.live_run / "tickets")
        return path if re.fullmatch(r"[\w./ +=@,:-]+", path) else ""

    @property
    def wsgi_module(self) -> Path:
        return self.wsgi or self.modules / "mod_wsgi.so"

    @property
    def security(self) -> Path | None:
        """mod_security2, if it is installed: a private instance does without it."""
        module = self.modules / "mod_security2.so"
        return module if module.exists() else None

    @property
    def static(self) -> Path:
        return self.code / "pairscope" / "web" / "static"

    @property
    def migrate_url(self) -> str:
        return self._url(self.migrate)

    @property
    def recorder_url(self) -> str:
        return self._url(self.recorder)

    @property
    def web_url(self) -> str:
        return self._url(self.web)

    @property
    def control_users(self) -> tuple[str, ...]:
        return tuple(user for user in (self.web_user, self.lab_user) if user and user != self.pool_user)

    @property
    def socket_group(self) -> str:
        return self.web_group if self.web_group != self.pool_group else ""

    @property
    def base_url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def _url(self, user: DatabaseUser) -> str:
        password = f":{quote(user.password, safe='')}" if user.password else ""
        who = quote(user.name, safe="") + password
        return f"mysql+pymysql://{who}@localhost/{self.database}?unix_socket={quote(str(self.socket), safe='/')}"
