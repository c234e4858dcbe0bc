"""The system, read without starting a program: /proc, dpkg's file, Apache's configuration. proc(5), deb(5)."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path


def read(path: str | Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def processes(name: str) -> list[int]:
    """Pids whose command has that name, /proc/PID/comm, or whose title begins with ``wsgi:`` where the name is Apache's."""
    return [pid for pid in _pids() if read(f"/proc/{pid}/comm").strip() == name]


def titled(title: str) -> list[int]:
    """Pids whose command line begins with that title, as mod_wsgi sets it."""
    return [pid for pid in _pids() if read(f"/proc/{pid}/cmdline").replace("\0", " ").strip().startswith(title)]


def _pids() -> list[int]:
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())


def package(name: str) -> str:
    """The version of an installed Debian package; empty: it is not installed."""
    status = read("/var/lib/dpkg/status")
    match = re.search(rf"^Package: {re.escape(name)}\nStatus: install ok installed\n(?:.+\n)*?Version: (.+)$", status, re.MULTILINE)
    return match[1] if match else ""


def listening() -> dict[int, str]:
    """TCP ports that somebody listens on, and the user who does."""
    found: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                found[int(words[1].rpartition(":")[2], 16)] = _user(int(words[7]))
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def listen_directives(apache: Path) -> set[int]:
    """The ports that Apache's enabled configuration tells it to listen on."""
    files = [apache / "ports.conf", *sorted((apache / "conf-enabled").glob("*.conf")), *sorted((apache / "sites-enabled").glob("*.conf"))]
    found = set()
    for file in files:
        for match in re.finditer(r"^\s*Listen\s+(?:\S+:)?(\d+)\b", read(file), re.MULTILINE):
            found.add(int(match[1]))
    return found
