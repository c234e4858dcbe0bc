"""Which boot of the machine this is: what was written and not yet flushed is whole while it lasts.

A boot may be known by two names: the kernel's boot_id (random(4)), and the id that the tmpfs on /run got when it was
mounted, random since Linux 5.14 (mm/shmem.c, shmem_fill_super and shmem_statfs). Under systemd's ProcSubset=pid,
/proc/sys is hidden and the second is left.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MOUNTS = Path("/proc/self/mountinfo")
PLACES = ("/run", "/dev/shm")  # noqa: S108  # compared with mount points; nothing is written there
"""Where systemd mounts a tmpfs once in each boot; file-hierarchy(7)."""


def names() -> str:
    """The names of this boot, separated by spaces. Where none is known: one that never comes again."""
    found = [_boot_id(), _mounted()]
    return " ".join(name for name in found if name) or str(uuid.uuid4())


def same(one: str, other: str) -> bool:
    """Whether they are names of one boot: they share one."""
    return not set(one.split()).isdisjoint(other.split())


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _mounted() -> str:
    try:
        mounts = MOUNTS.read_text()
        for place in PLACES:
            # Of several mounts on one place the last one is seen. A disk's id is the same in every boot.
            kinds = re.findall(rf"^(?:\S+ ){{4}}{place} .* - (\S+) ", mounts, re.MULTILINE)
            if kinds[-1:] == ["tmpfs"] and (number := os.statvfs(place).f_fsid):
                return f"tmpfs:{number:x}"
    except OSError:
        pass
    return ""
