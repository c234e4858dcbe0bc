"""Where a private instance stands, and which users run it.

As an ordinary user everything runs as that user, under the state directory. Started by root, nothing of ours may run
as root: Apache and web run as www-data, the pool as daemon, MariaDB as mysql or, where that is not there, as nobody.
These must be able to reach the code and the state, which they are not below a directory like /root: then the code is
copied, and the state stands under /var/lib with a symbolic link to it where it was asked for.
"""

from __future__ import annotations

import dataclasses
import fcntl
import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pairscope.files import DEPLOY, REQUIREMENTS
from pairscope.sentence import phrase

WEB, POOL, LAB, DATABASE = ("www-data",), ("daemon",), ("nobody",), ("mysql", "nobody")
LONGEST = 60
"""Of the run directory: socket names are added to it, and an AF_UNIX path holds 107 bytes."""

ELSEWHERE = phrase("let PAIRSCOPE_STATE name another directory.")


class PlaceError(Exception):
    """The instance cannot stand here; the text says why and what would do."""


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of the system with its primary group; empty: whoever starts the instance."""

    user: str = ""
    group: str = ""

    def own(self, path: Path, mode: int, group: str = "") -> Path:
        """Makes a directory of this account's, or makes an existing one so."""
        path.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(path, self.user, group or self.group)
        path.chmod(mode)
        return path

    def prefix(self) -> list[str]:
        """The beginning of a command that runs as this account. setpriv(1)."""
        return (
            ["setpriv", f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups"] if self.user else ["setpriv"]
        )

    def can(self, *command: str | Path, **environment: str) -> bool:
        """Whether the command succeeds when this account runs it."""
        return not subprocess.run(
            [*self.prefix(), *command],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode


@dataclasses.dataclass(frozen=True)
class Place:
    """Directories and accounts of one private instance."""

    code: Path
    venv: Path
    data: Path
    """What outlives the instance."""
    run: Path
    web: Account
    pool: Account
    lab: Account
    database: Account
    lock: IO[str]
    """Held as long as the instance stands."""

    def leave(self) -> None:
        """Removes what only lives with the instance."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.lock.close()


def choose(code: Path, venv: Path, wanted: Path, tell: Callable[[str], None]) -> Place:
    """A place for the instance whose data shall stand at `wanted`. Raises PlaceError."""
    root = os.geteuid() == 0
    web, pool, lab, database = (_account(names) for names in (WEB, POOL, LAB, DATABASE)) if root else (Account(),) * 4
    data = _data(wanted, web, tell)
    lock = _lock(data)
    # The environment may be another checkout's and find a pairscope there: what counts is this one's code.
    look = "import sys, flask, pairscope.web; sys.exit(not pairscope.__file__.startswith(sys.argv[1]))"
    python = (venv / "bin" / "python", "-c", look, f"{code}{os.sep}")
    if root and not web.can(*python, PYTHONPATH=str(code), PYTHONDONTWRITEBYTECODE="1"):
        tell(
            phrase(
                "The user %(user)s cannot read the code in %(code)s: copying it to %(copy)s",
                user=web.user,
                code=code,
                copy=data / "code",
            )
        )
        code, venv = _copy(code, venv, data / "code")
    return Place(code, venv, data, _run(wanted), web, pool, lab, database, lock)


def _account(names: tuple[str, ...]) -> Account:
    for user in names:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            continue
        return Account(user, grp.getgrgid(entry.pw_gid).gr_name)
    raise PlaceError(
        phrase(
            "Started by root, the instance needs the user %(names)s, which this system does not have.",
            names=" or ".join(names),
        )
    )


def _data(wanted: Path, web: Account, tell: Callable[[str], None]) -> Path:
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if not wanted.is_symlink():
            wanted.mkdir(exist_ok=True, mode=0o711 if web.user else 0o700)
        data = wanted.resolve()
        data.mkdir(exist_ok=True, mode=0o711)
    except OSError as error:
        raise PlaceError(
            phrase("%(path)s: %(words)s; %(elsewhere)s", path=error.filename, words=error.strerror, elsewhere=ELSEWHERE)
        ) from None
    if data.stat().st_uid != os.geteuid():
        owner = data.stat().st_uid
        raise PlaceError(
            phrase(
                "%(data)s belongs to user %(owner)s, from another start. Remove it, or %(elsewhere)s",
                data=data,
                owner=owner,
                elsewhere=ELSEWHERE,
            )
        )
    if web.can("test", "-x", data) or not web.user:
        return data
    if any(wanted.iterdir()):
        raise PlaceError(
            phrase(
                "An instance stands in %(data)s already, which the user %(user)s cannot reach. Move it, or "
                "%(elsewhere)s",
                data=data,
                user=web.user,
                elsewhere=ELSEWHERE,
            )
        )
    data = Path("/var/lib") / name(wanted)
    tell(
        phrase(
            "The user %(user)s cannot reach %(wanted)s: the data stands in %(data)s, with a link to it there",
            user=web.user,
            wanted=wanted,
            data=data,
        )
    )
    data.mkdir(exist_ok=True, mode=0o711)
    wanted.rmdir()
    wanted.symlink_to(data)
    return data


def _lock(data: Path) -> IO[str]:
    lock = (data / "lock").open("a+")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read().strip()
        lock.close()
        raise PlaceError(
            phrase(
                "An instance runs here already (pid %(pid)s). Stop it, or %(elsewhere)s", pid=pid, elsewhere=ELSEWHERE
            )
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def name(wanted: Path) -> str:
    """Of the instance's directories that stand elsewhere."""
    return "pairscope-" + hashlib.sha256(os.fsencode(wanted.absolute())).hexdigest()[:10]


def _run(wanted: Path) -> Path:
    """A directory with a short path, fresh and nobody else's."""
    choices = ["/run"] if os.geteuid() == 0 else [os.environ.get("XDG_RUNTIME_DIR", "")]
    for parent in [*choices, tempfile.gettempdir(), "/tmp"]:  # noqa: S108  # mkdir below, mode 0700, refuses what stands there
        path = Path(parent) / name(wanted)
        if parent and len(os.fsencode(path)) <= LONGEST and os.access(parent, os.W_OK | os.X_OK):
            break
    else:
        raise PlaceError(
            phrase(
                "Sockets need a directory with a path of at most %(most)s bytes: set XDG_RUNTIME_DIR to one.",
                most=LONGEST,
            )
        )
    if os.path.lexists(path):
        found = path.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PlaceError(
                phrase(
                    "%(path)s is somebody else's. Remove it, or let XDG_RUNTIME_DIR name another directory.", path=path
                )
            )
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        path.chmod(0o711)
    return path


def _copy(code: Path, venv: Path, to: Path) -> tuple[Path, Path]:
    if to.exists():
        shutil.rmtree(to)
    to.mkdir(mode=0o755)
    package = to / "pairscope"
    copies = (code / "pairscope", package), (DEPLOY, package / "deploy"), (REQUIREMENTS, package / "requirements.txt")
    for source, copy in (*copies, (venv, to / "venv")):
        if not copy.exists():  # where the code is an installed wheel's these two stand in it
            subprocess.run(["cp", "-a", "--", source, copy], check=True)
    subprocess.run(["chown", "-R", "root:root", "--", to], check=True)
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", "--", to], check=True)
    return to, to / "venv"
