"""The base tree: a Debian by debootstrap, made once and kept; guests are copies of it."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from script.guests import host, place
from script.guests.place import PLACE, run, say

SUITE = "bookworm"

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "ca-certificates",
    "iproute2",
    "ifupdown",
    "isc-dhcp-client",
    "openssh-server",
    "sudo",
)
"""What a Debian has that was installed as a server: systemd, a network, sshd and sudo. No Python, no git, none of what
the project installs."""

AGE = 14 * 86400
"""Seconds after which it is made again: a fresh machine is one of today's packages."""


def recipe() -> str:
    """Changes when the tree would be made otherwise: with this file, or with the host's archive."""
    return hashlib.sha256(Path(__file__).read_bytes() + repr(host.mirror(SUITE)).encode()).hexdigest()


def base() -> Path:
    """The tree, made first if there is none, if its recipe has changed or if it is old. One process at a time makes it;
    nobody sees it half made."""
    place.ready()
    tree, stamp = PLACE / SUITE, PLACE / f"{SUITE}.stamp"
    with place.lock(SUITE):
        if (
            tree.is_dir()
            and stamp.is_file()
            and stamp.read_text() == recipe()
            and time.time() - stamp.stat().st_mtime < AGE
        ):
            return tree
        say(f"Making the base tree {tree} by debootstrap; it is kept for the next runs")
        new, old = PLACE / f"{SUITE}.new", PLACE / f"{SUITE}.old"
        place.remove(new)
        # In namespaces of its own: however this ends, no process and no mount of debootstrap's stays.
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        run(
            *apart,
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            SUITE,
            new,
            *host.mirror(SUITE),
            timeout=1200,
        )
        _finish(new)
        place.remove(old)
        stamp.unlink(missing_ok=True)
        if tree.exists():
            os.rename(tree, old)
        os.rename(new, tree)
        stamp.write_text(recipe())
        place.remove(old)
        return tree


def _finish(tree: Path) -> None:
    """What each machine has for itself is not in the tree, and nothing waits for hardware that a guest has not."""
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for package in (tree / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("pairscope\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost pairscope\n::1 localhost\n")
    (tree / "etc/fstab").write_text("")


def copy(tree: Path) -> None:
    """Fills the empty directory with a guest's own copy, which can reach what this host reaches."""
    source = base()
    with place.lock(SUITE):
        run("cp", "-a", "--reflink=auto", f"{source}/.", tree)
    host.settle(tree, SUITE)
    run("chroot", tree, "/usr/bin/ssh-keygen", "-A")
    (tree / place.HERE_IS_A_GUEST.relative_to("/")).write_text(
        "A guest of Pairscope's proofs, removed when they end.\n"
    )
