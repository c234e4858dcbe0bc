"""The system, read without starting a program: /proc, dpkg's and apt's files, Apache's configuration. proc(5), deb(5),
apt-get(8).

What is not there is told from what may not be seen: the latter raises OSError, and a check says 'cannot be seen from
here'.
"""

from __future__ import annotations

import grp
import ipaddress
import itertools
import os
import pwd
import re
import struct
from pathlib import Path

from pairscope.sentence import phrase

HIDDEN = phrase(
    "Processes of other users cannot be seen from here: /proc hides them (ProtectProc= of this service, or "
    "hidepid= of the machine)"
)
"""The beginning of a sentence that goes on with who can see them, and how."""
LISTS = Path("/var/lib/apt/lists")


def read(path: str | Path) -> str:
    """The text of a file; empty if there is none. Raises OSError where it may not be read."""
    try:
        return Path(path).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def names(directory: Path) -> list[str]:
    """What stands in a directory, in order; nothing if there is none. Raises OSError where it may not be read."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def sees_others() -> bool:
    """Whether /proc shows this process those of other users: root's first one stands for them. proc(5), hidepid;
    systemd.exec(5), ProtectProc="""
    return bool(_told(1, "comm"))


def processes(name: str) -> list[int]:
    """Pids whose command has that name, /proc/PID/comm, as far as they are to be seen."""
    return [pid for pid in _pids() if _told(pid, "comm").strip() == name]


def titled(title: str) -> list[int]:
    """Pids whose command line begins with that title, as mod_wsgi sets it, as far as they are to be seen."""
    return [pid for pid in _pids() if _told(pid, "cmdline").replace("\0", " ").strip().startswith(title)]


def _told(pid: int, file: str) -> str:
    """Of a process; empty where it has gone or may not be seen."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""


def _pids() -> list[int]:
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())


def parent(pid: int) -> int:
    """Pid of the process' parent; 0: it has gone, or may not be seen."""
    words = _told(pid, "stat").rpartition(")")[2].split()
    return int(words[1]) if words else 0


def owner(pid: int) -> str:
    """The user that a process runs as. Raises OSError when it has gone."""
    # Not the owner of /proc/PID: that is root where a process has changed its user.
    match = re.search(r"^Uid:\s+\d+\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return _user(int(match[1])) if match else "?"


def descriptors(pid: int) -> int:
    """How many descriptors a process holds, whoever it belongs to; 0: this kernel does not say. Linux 6.2 and newer.
    Raises OSError."""
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
    """When the last of these files, or of those below these directories, was changed (s since 1970), and which it is.
    Compiled ones do not count. Raises OSError where one may not be looked at."""
    found = (0.0, places[0])
    for place in places:
        below = (
            Path(directory, name)
            for directory, _, files in os.walk(place, onerror=_unless_gone)
            if not directory.endswith("__pycache__")
            for name in files
        )
        for path in [place] if place.is_file() else below:
            try:
                found = max(found, (path.stat().st_ctime, path))
            except FileNotFoundError:
                continue  # replaced just now
    return found


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def addresses() -> list[str]:
    """The IPv4 addresses of this machine, without those of its loopback. Raises OSError. /proc/self/net stays where
    ProcSubset=pid hides /proc/net."""
    lines = Path("/proc/self/net/fib_trie").read_text().splitlines()
    found = {
        line.split()[-1] for line, after in itertools.pairwise(lines) if "|--" in line and "/32 host LOCAL" in after
    }
    return sorted(address for address in found if not address.startswith("127."))


def package(name: str) -> str:
    """The version of an installed Debian package; empty: it is not installed. Raises OSError."""
    status = read("/var/lib/dpkg/status")
    match = re.search(
        rf"^Package: {re.escape(name)}\nStatus: install ok installed\n(?:.+\n)*?Version: (.+)$", status, re.MULTILINE
    )
    return match[1] if match else ""


def lists_age(now: float) -> int | None:
    """Full days since the archives last made the newest of apt's lists; None: there are none. Raises OSError.

    A list bears the archive's own date. Others tell nothing: apt renews its cache whenever it reads the lists, and lock
    and directories change with whatever is tried.
    """
    made = [(LISTS / name).stat().st_mtime for name in names(LISTS) if "_" in name and (LISTS / name).is_file()]
    return max(0, int((now - max(made)) // 86400)) if made else None


def listening(reached: bool = False) -> dict[int, str]:
    """TCP ports that somebody listens on, and the user who does. Raises OSError.

    `reached`: only those that are bound to neither the loopback nor a link-local address.
    """
    found: dict[int, str] = {}
    for line in [
        *Path("/proc/self/net/tcp").read_text().splitlines()[1:],
        *read("/proc/self/net/tcp6").splitlines()[1:],
    ]:
        words = line.split()
        address, _, port = words[1].rpartition(":")
        if words[3] == "0A" and not (reached and _near(_address(address))):
            found[int(port, 16)] = _user(int(words[7]))
    return found


def _address(told: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as /proc/net/tcp has it: words of four bytes, each in the machine's order."""
    data = bytes.fromhex(told)
    words = struct.unpack(f"={len(data) // 4}I", data)
    made = ipaddress.ip_address(struct.pack(f">{len(words)}I", *words))
    return getattr(made, "ipv4_mapped", None) or made


def _near(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def listen_directives(apache: Path) -> set[int]:
    """The ports that Apache's enabled configuration tells it to listen on. Raises OSError where that may not be
    read."""
    enabled = (
        apache / place / name
        for place in ("conf-enabled", "sites-enabled")
        for name in names(apache / place)
        if name.endswith(".conf")
    )
    files = [apache / "ports.conf", *enabled]
    found = set()
    for file in files:
        for match in re.finditer(r"^\s*Listen\s+(?:\S+:)?(\d+)\b", read(file), re.MULTILINE):
            found.add(int(match[1]))
    return found
