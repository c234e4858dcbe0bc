"""The settings of one Pairscope installation: read once, frozen, passed on.

A settings file is TOML with the names of the fields of :class:`Settings`. Under Apache its path stands in the
generated ``web.wsgi`` and ``pool.wsgi`` (SetEnv never reaches a daemon's environment); the embedded run has no
file and takes everything from :func:`embedded`. Every process gets the same settings: a child of the supervisor
is told them through ``PAIRSCOPE_SETTINGS`` (a file's path) or ``PAIRSCOPE_STATE`` (embedded).

Only the standard library is imported here, so that the supervisor's reach stays small.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pairscope.sentence import phrase

KIB = 1024
MIB = 1024 * KIB


HURRY = 1
"""Seconds that jobs get at most when Apache stops."""

TOKEN_LEAST = 12
"""Characters of a token that somebody chose: nothing else bounds how often it is guessed (web/access/attempts.py)."""

BOX = Path("/etc/pairscope")
"""Where a machine that deploy/provision.sh has set up keeps its settings."""


class SettingsError(ValueError):
    """A setting is missing, unknown or out of range; the text names it and says what was expected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that one installation can be told. Sizes are in bytes, times in seconds."""

    state: Path
    """Directory of everything that outlives a process: journal, SQLite files, and web_state's unless that is told."""
    run: Path
    """Directory of what lives only while the pool does: control socket, snapshot."""
    web_state: Path = None  # type: ignore[assignment]  # a Path in every Settings: __post_init__ sees to it
    """Directory of what web alone may read: secret key, spool, its own SQLite file. Default: ``state``; under Apache
    web is another user than the pool."""
    live_run: Path = None  # type: ignore[assignment]  # None stays None
    """Directory of the sockets at which live takes viewers from Apache: docs/live.md. None: there is no live, and pages
    ask."""
    live_viewers: int = 20_000
    """Viewers that live holds; more are sent away, and ask."""
    live_each: int = 2_000
    """Those of one address."""
    node: int = 1
    """Number of this node, 0 to 1023, part of every id."""
    node_name: str = dataclasses.field(default_factory=socket.gethostname)

    history_url: str = ""
    """SQLAlchemy URL with which web reads history. Default: ``state/history.sqlite``."""
    recorder_url: str = ""
    """SQLAlchemy URL with which the recorder writes history. Default: history_url."""
    migrate_url: str = ""
    """SQLAlchemy URL with the right to create tables. Default: recorder_url."""
    web_url: str = ""
    """SQLAlchemy URL of web's own tables (operator tokens). Default: ``web_state/web.sqlite`` with SQLite, else
    history_url."""
    history_rows: int = 1_000_000
    """Messages that history keeps; older ones are pruned, with their transfers, and jobs likewise."""

    workers: int = 2
    workers_max: int = 32
    worker_user: str = "nobody"
    """User that workers become when the supervisor runs as root; no effect otherwise."""
    stop_grace: int = 3
    """Seconds that jobs get to end when the pool stops (SIGTERM), or gives way to a successor (SIGHUP). Of a stop under
    Apache they have HURRY, because it gives its managed processes three in all."""
    queue_max: int = 4096
    """Jobs that may wait for a worker; more are refused with the reason."""
    queue_bytes: int = 2048 * MIB
    """Bytes that the jobs that have not ended may hold together, in their messages and inputs; one that would exceed it
    is refused, unless it is alone."""
    lab_stations: int = 2
    """Runs of the lab at a time in the embedded server; under Apache the site's managed group `lab` says how many. 0:
    no lab."""
    lab_user: str = "nobody"
    """User that the processes of a run become when their station runs as root; no effect otherwise."""
    lab_open: bool = False
    """True: anybody may run a scenario of his own; else operators, and everybody else those of the gallery."""
    lab_programs: str = "operators"
    """Who may have a program compiled and run that comes as its source: ``operators``, or nobody (``off``)."""
    lab_runs: int = 1000
    """Runs that are kept though nobody asked for it; the oldest go."""
    control_users: tuple[str, ...] = ()
    """Users besides the supervisor's own and root that may connect to the control socket (names)."""
    socket_group: str = ""
    """Group that may reach the control socket and the snapshot; empty: the supervisor's own user only."""

    journal_limit: int = 256 * MIB
    """Bytes of journal that may wait for the database; beyond it new jobs are refused, counted and shown."""
    journal_segment: int = 16 * MIB
    journal_sync: str = "none"
    """``none``: a record survives the death of any process, not of the machine. ``batch``: fdatasync before each
    acknowledgement."""

    upload_max: int = 256 * MIB
    memfd_max: int = MIB
    """Uploads up to this size travel as a sealed memfd, larger ones as an unlinked file under ``web_state/spool``."""
    output_max: int = 256 * MIB
    results_bytes: int = 512 * MIB
    """Bytes of outputs that the supervisor keeps for download; the oldest goes first."""
    results_age: int = 3600

    public_read: bool = True
    """Reading needs no login."""
    public_outputs: bool = False
    """True: payloads, names of files, and what jobs found and made can be read wherever rows can; False: they need a
    login. docs/security.md says which fields these are."""
    trusted_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of the proxies in front: only they are believed when they say who asks, by which scheme
    and for which host (X-Forwarded-For, -Proto, -Host)."""
    prefix: str = ""
    """Path below which a proxy shows this site, such as ``/pairscope``, whether it takes that off or not."""
    secure_cookies: bool = False
    """True: browsers send the login's cookie over https only."""
    operator_token: str = ""
    """A token set beforehand (``PAIRSCOPE_OPERATOR_TOKEN`` in the embedded run), of TOKEN_LEAST characters or more."""

    source: str = "embedded"
    """Where these settings come from: a file's path, or ``embedded``."""

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # frozen: only here

        put("state", Path(self.state))
        put("run", Path(self.run))
        put("web_state", Path(self.web_state or self.state))
        put("live_run", Path(self.live_run) if self.live_run else None)
        put("history_url", self.history_url or f"sqlite:///{self.state}/history.sqlite")
        put("recorder_url", self.recorder_url or self.history_url)
        put("migrate_url", self.migrate_url or self.recorder_url)
        if not self.web_url:
            put(
                "web_url",
                f"sqlite:///{self.web_state}/web.sqlite" if self.history_url.startswith("sqlite") else self.history_url,
            )
        for name, low, high in (
            ("node", 0, 1023),
            ("workers_max", 1, 256),
            ("workers", 1, self.workers_max),
            ("lab_stations", 0, 32),
            ("lab_runs", 1, 10**6),
            ("live_viewers", 1, 10**6),
            ("live_each", 1, 10**6),
            ("history_rows", 1000, 10**9),
            ("queue_max", 1, 10**6),
            ("queue_bytes", 1, 2**50),
            ("stop_grace", 0, 3600),
            ("journal_segment", 64 * KIB, 1024 * MIB),
            ("journal_limit", 128 * KIB, 2**50),
            ("memfd_max", 0, 64 * MIB),
            ("upload_max", 1, 2**40),
            ("output_max", KIB, 2**40),
            ("results_bytes", 0, 2**44),
            ("results_age", 1, 10 * 365 * 86400),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise SettingsError(
                    phrase(
                        "%(source)s: %(name)s is %(value)r; expected a whole number from %(low)s to %(high)s",
                        source=self.source,
                        name=name,
                        value=value,
                        low=low,
                        high=high,
                    )
                )
        if self.journal_limit < 2 * self.journal_segment:
            raise SettingsError(
                phrase(
                    "%(source)s: journal_limit is %(limit)s; expected at least two segments, %(least)s",
                    source=self.source,
                    limit=self.journal_limit,
                    least=2 * self.journal_segment,
                )
            )
        if self.lab_programs not in ("operators", "off"):
            raise SettingsError(
                phrase(
                    "%(source)s: lab_programs is %(value)r; expected 'operators' or 'off'",
                    source=self.source,
                    value=self.lab_programs,
                )
            )
        if self.journal_sync not in ("none", "batch"):
            raise SettingsError(
                phrase(
                    "%(source)s: journal_sync is %(value)r; expected 'none' or 'batch'",
                    source=self.source,
                    value=self.journal_sync,
                )
            )
        if self.operator_token and len(self.operator_token) < TOKEN_LEAST:
            raise SettingsError(
                phrase(
                    "%(source)s: operator_token has %(count)s characters; expected %(least)s or more",
                    source=self.source,
                    count=len(self.operator_token),
                    least=TOKEN_LEAST,
                )
            )
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise SettingsError(
                    phrase(
                        "%(source)s: trusted_proxies holds %(proxy)r; expected an address or a network such as "
                        "192.0.2.0/24 (%(error)s)",
                        source=self.source,
                        proxy=proxy,
                        error=str(error),
                    )
                ) from None
        if self.prefix and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", self.prefix):
            raise SettingsError(
                phrase(
                    "%(source)s: prefix is %(prefix)r; expected a path such as /pairscope, without a slash at its "
                    "end, or nothing",
                    source=self.source,
                    prefix=self.prefix,
                )
            )

    @property
    def control(self) -> Path:
        """The supervisor's named control socket."""
        return self.run / "control.sock"

    @property
    def snapshot(self) -> Path:
        """The JSON file in which the supervisor says how it is, at most twice a second."""
        return self.run / "snapshot.json"

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def spool(self) -> Path:
        """Where large uploads are written, unlinked from the start."""
        return self.web_state / "spool"

    @property
    def client(self) -> Path | None:
        """The options of script/lamp's private MariaDB for its client; None: these settings are not of script/lamp's
        making."""
        place = Path(self.source).parent.parent / "client.cnf"
        return place if self.source != "embedded" and place.exists() else None

    @property
    def secret_key(self) -> Path:
        """The file of the key that signs login sessions."""
        return self.web_state / "secret.key"


_PATHS = {"state", "run"}
_TUPLES = {"trusted_hosts", "trusted_proxies", "control_users"}


def read(path: str | os.PathLike[str]) -> Settings:
    """Settings from a TOML file. Raises SettingsError naming the file, the setting and what was expected."""
    path = Path(path)
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(
            phrase("%(path)s: the settings file cannot be read: %(why)s", path=path, why=error.strerror)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(phrase("%(path)s: this is not TOML: %(error)s", path=path, error=str(error))) from None
    known = {field.name for field in dataclasses.fields(Settings)} - {"source"}
    for name in values:
        if name not in known:
            raise SettingsError(
                phrase(
                    "%(path)s: unknown setting %(name)r; expected one of %(known)s",
                    path=path,
                    name=name,
                    known=", ".join(sorted(known)),
                )
            )
    for name in _PATHS:
        if name not in values:
            raise SettingsError(
                phrase("%(path)s: %(name)s is missing; expected the path of a directory", path=path, name=name)
            )
    return made(str(path), values)


def made(source: str, values: Mapping[str, Any]) -> Settings:
    """Settings from the values that TOML has for them. Raises SettingsError naming `source`, the setting and what was
    expected."""
    types = {field.name: field.type for field in dataclasses.fields(Settings)}
    taken = dict(values)
    for name, value in values.items():
        if name in _TUPLES:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise SettingsError(
                    phrase(
                        "%(source)s: %(name)s is %(value)r; expected a list of strings",
                        source=source,
                        name=name,
                        value=value,
                    )
                )
            taken[name] = tuple(value)
        elif types[name] == "Path" and (not isinstance(value, str) or not value):
            raise SettingsError(
                phrase(
                    "%(source)s: %(name)s is %(value)r; expected the path of a directory",
                    source=source,
                    name=name,
                    value=value,
                )
            )
        elif types[name] == "str" and not isinstance(value, str):
            raise SettingsError(
                phrase("%(source)s: %(name)s is %(value)r; expected a string", source=source, name=name, value=value)
            )
        elif types[name] == "bool" and not isinstance(value, bool):
            raise SettingsError(
                phrase(
                    "%(source)s: %(name)s is %(value)r; expected true or false", source=source, name=name, value=value
                )
            )
    return Settings(source=source, **taken)


def embedded(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the embedded run: SQLite, state under ``PAIRSCOPE_STATE`` (default ``var``), no file. Where
    it listens on the loopback, whoever reaches it is at this machine: outputs are public."""
    state = Path(environ.get("PAIRSCOPE_STATE") or "var").absolute()
    values: dict[str, Any] = {"state": state, "run": state / "run", "source": "embedded"}
    values["public_outputs"] = environ.get("PAIRSCOPE_HOST", "127.0.0.1").startswith("127.")
    if workers := environ.get("PAIRSCOPE_WORKERS"):
        if not workers.isdecimal():
            raise SettingsError(
                phrase("PAIRSCOPE_WORKERS is %(workers)r; expected a whole number from 1 to 32", workers=workers)
            )
        values["workers"] = int(workers)
    if token := environ.get("PAIRSCOPE_OPERATOR_TOKEN"):
        if len(token) < TOKEN_LEAST:
            raise SettingsError(
                phrase(
                    "PAIRSCOPE_OPERATOR_TOKEN has %(count)s characters; expected %(least)s or more: it can be "
                    "guessed as often as somebody likes",
                    count=len(token),
                    least=TOKEN_LEAST,
                )
            )
        values["operator_token"] = token
    return Settings(**values)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process: the file named by ``PAIRSCOPE_SETTINGS``, or the embedded ones."""
    path = environ.get("PAIRSCOPE_SETTINGS")
    return read(path) if path else embedded(environ)
