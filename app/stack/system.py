"""The system, read without starting a program: /proc, dpkg's file, Apache's configuration. proc(5), deb(5)."""

from __future__ import annotations

import grp
import os
import pwd
import re
from pathlib import Path

LOOPBACK6 = f"{'0' * 24}01000000"
"""::1 as /proc/net/tcp6 has it on a little-endian machine."""


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


def parent(pid: int) -> int:
    """Pid of the process' parent; 0: it has gone."""
    words = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(words[1]) if words else 0


def owner(pid: int) -> str:
    """The user that a process runs as. Raises OSError when it has gone."""
    # Not the owner of /proc/PID: that is root where a process has changed its user.
    match = re.search(r"^Uid:\s+\d+\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return _user(int(match[1])) if match else "?"


def descriptors(pid: int) -> int:
    """How many descriptors a process holds, whoever it belongs to; 0: this kernel does not say. Linux 6.2 and newer. Raises OSError."""
    return os.stat(f"/proc/{pid}/fd").st_size


def standing(path: Path) -> str:
    """Owner, group and mode, as ``root:adm 750``. Raises OSError."""
    found = path.stat()
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return f"{_user(found.st_uid)}:{group} {found.st_mode & 0o7777:o}"


def newest(places: list[Path]) -> tuple[float, Path]:
    """When the last of these files, or of those below these directories, was changed (s since 1970), and which it is. Compiled ones do not count."""
    found = (0.0, places[0])
    for place in places:
        below = (Path(directory, name) for directory, _, names in os.walk(place) if not directory.endswith("__pycache__") for name in names)
        for path in [place] if place.is_file() else below:
            try:
                found = max(found, (path.stat().st_ctime, path))
            except FileNotFoundError:
                continue  # replaced just now
    return found


def addresses() -> list[str]:
    """The IPv4 addresses of this machine, without those of its loopback. /proc/net/fib_trie."""
    lines = read("/proc/net/fib_trie").splitlines()
    found = {line.split()[-1] for line, after in zip(lines, lines[1:]) if "|--" in line and "/32 host LOCAL" in after}
    return sorted(address for address in found if not address.startswith("127."))


def package(name: str) -> str:
    """The version of an installed Debian package; empty: it is not installed."""
    status = read("/var/lib/dpkg/status")
    match = re.search(rf"^Package: {re.escape(name)}\nStatus: install ok installed\n(?:.+\n)*?Version: (.+)$", status, re.MULTILINE)
    return match[1] if match else ""


def listening(reached: bool = False) -> dict[int, str]:
    """TCP ports that somebody listens on, and the user who does; `reached`: only those that are not bound to the loopback."""
    found: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            words = line.split()
            address, _, port = words[1].rpartition(":")
            if words[3] == "0A" and not (reached and (address.endswith("7F") and len(address) == 8 or address == LOOPBACK6)):
                found[int(port, 16)] = _user(int(words[7]))
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
